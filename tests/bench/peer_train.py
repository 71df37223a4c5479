# PyTorch's side of bench_train.lua: the same model, data of the same kind, Adam. Lines case<TAB>seconds<TAB>loss<TAB>peak MB
# (median of the steps); bf16 is torch.autocast. usage: peer_train.py batch steps; OMP_NUM_THREADS and the BLAS are honoured.
import os
import resource
import sys
import time

import torch
from torch import nn

B, steps, G, H, D, R = int(sys.argv[1]), int(sys.argv[2]), 5000, 512, 128, 16
torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
torch.manual_seed(0)
X = torch.rand(2048, G) * (torch.rand(2048, G) < 0.1)
emb = nn.Embedding(20000, 128)
emb.weight.requires_grad_(False)


def run(bf16):
    lift = nn.Sequential(nn.Linear(G, H), nn.ReLU(), nn.Linear(H, D))
    decode = nn.Sequential(nn.Linear(D, H), nn.ReLU(), nn.Linear(H, G))
    generate = nn.Sequential(nn.Linear(128, 256), nn.ReLU(), nn.Linear(256, 2 * D * R))
    params = [p for m in (lift, decode, generate) for p in m.parameters()]
    opt = torch.optim.AdamW(params, lr=1e-3, weight_decay=0)

    def step(i):
        k = (i * B) % (2048 - B + 1)
        x, g = X[k : k + B], torch.randint(0, 20000, (B,))
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            z = lift(x)
            w = generate(emb(g))
            u, v = w[:, : D * R].view(B, D, R), w[:, D * R :].view(B, D, R)
            z = z + torch.bmm(u, torch.bmm(v.transpose(1, 2), z.unsqueeze(2))).squeeze(2)
            loss = ((decode(z) - x) ** 2).mean()
        opt.zero_grad(set_to_none=True)
        loss.backward()
        opt.step()
        return loss

    for i in range(3):
        step(i)
    times = []
    for i in range(steps):
        t = time.perf_counter()
        loss = step(i + 3)
        times.append(time.perf_counter() - t)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return f"{sorted(times)[len(times) // 2]:.6f}\t{float(loss.detach()):.6f}\t{peak:.0f}"


print("float\t" + run(False), flush=True)
print("bf16\t" + run(True), flush=True)
