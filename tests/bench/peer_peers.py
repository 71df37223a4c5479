# PyTorch's side of bench_peers.lua: seconds of a training step. usage: peer_peers.py GENES BATCH
import os
import sys
import time

import torch

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "interop"))
import torch_gears
import torch_scgen

G, B = int(sys.argv[1]), int(sys.argv[2])
torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
torch.manual_seed(1)


def graph(n):
    target = torch.arange(n).repeat_interleave(21)
    source = (target + 7 * torch.arange(21).repeat(n)) % n
    return torch.stack([source, target]), torch.full((21 * n,), 0.5)


def measure(name, step, runs):
    step()
    times = []
    for _ in range(runs):
        t = time.perf_counter()
        step()
        times.append(time.perf_counter() - t)
    print(f"{name}\t{sorted(times)[len(times) // 2]:.6f}", flush=True)


def gears(runs):
    m = torch_gears.Gears(G, G, 64, graph(G), graph(G), True)
    optimiser = torch.optim.Adam(m.parameters(), lr=1e-3, weight_decay=5e-4)
    x, y, control = torch.rand(B, G), torch.rand(B, G), torch.rand(G)
    perturbed = [[b] if b % 8 else [] for b in range(B)]
    names = [str(b) for b in range(B)]
    masks = dict.fromkeys(names, torch.ones(G, dtype=torch.bool))

    def step():
        optimiser.zero_grad()
        torch_gears.loss(m(x, perturbed), y, names, control, masks).backward()
        torch.nn.utils.clip_grad_value_(m.parameters(), 1)
        optimiser.step()

    measure("gears", step, runs)


def scgen(runs):
    m = torch_scgen.Scgen(G)
    optimiser = torch.optim.Adam(m.parameters(), lr=1e-3, eps=0.01, weight_decay=1e-6)
    x = torch.rand(B, G)

    def step():
        optimiser.zero_grad()
        m.loss(x).backward()
        optimiser.step()

    measure("scgen", step, runs)


scgen(9)
gears(3)
