# Our GEARS and scGen against the same equations in PyTorch with copied weights: forward pass, gradients, ten steps.
# usage: /usr/bin/python3 tests/interop/torch_peers.py [program]
import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import torch
except ImportError:
    print("# skip: no PyTorch (apt-get install python3-torch)\n0 passed, 0 failed")
    sys.exit(0)

sys.path.insert(0, os.path.dirname(__file__))
import torch_gears
import torch_scgen

torch.set_num_threads(1)
passed = failed = 0


def check(name, good, detail=""):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    print(("ok - " if good else "not ok - ") + name + (f" ({detail})" if detail else ""))


def far(a, b):
    """Largest difference, relative to the largest element of b above 1."""
    return float(np.max(np.abs(a - b)) / max(1.0, np.max(np.abs(b)))) if a.size else 0.0


def stack_names(stack, name):
    layer, out = 0, {}
    for module in stack:
        if isinstance(module, torch.nn.Linear):
            layer += 1
            out[f"{name}.w{layer}"] = (module.weight, True)
            if hasattr(module, "bias") and module.bias is not None:
                torch.nn.init.zeros_(module.bias)
        elif isinstance(module, torch.nn.BatchNorm1d):
            out[f"{name}.scale{layer}"], out[f"{name}.shift{layer}"] = (module.weight, False), (module.bias, False)
    return out


def copy_in(data, table):
    with torch.no_grad():
        for name, (p, turned) in table.items():
            v = torch.from_numpy(data["p_" + name])
            p.copy_(v.T if turned else v)


def compare(name, data, table, forward, losses):
    check(f"{name}: forward pass", far(data["forward"], forward) <= 1e-5, f"{far(data['forward'], forward):.1e}")
    worst, where = 0.0, ""
    for key, grad in table.items():
        d = far(data["g_" + key], grad)
        worst, where = max((worst, where), (d, key))
    check(f"{name}: gradients of {len(table)} parameters", worst <= 1e-5, f"{worst:.1e} at {where}")
    d = far(data["losses"], np.array(losses))
    check(f"{name}: losses of {len(losses)} steps", d <= 1e-4, f"{d:.1e}")


def gradient(p, turned):
    g = torch.zeros_like(p) if p.grad is None else p.grad
    return (g.T if turned else g).detach().numpy().copy()


def gears_table(m):
    t = {"gene_emb": (m.gene_emb.weight, False), "emb_pos": (m.emb_pos.weight, False), "pert_emb": (m.pert_emb.weight, False)}
    for ours, conv in (("pos", m.pos), ("sim", m.sim)):
        t[ours + ".w"], t[ours + ".b"] = (conv.lin.weight, True), (conv.lin.bias, False)
    for ours, bn in (("bn_emb", m.bn_emb), ("bn_base", m.bn_base)):
        t[ours + ".scale"], t[ours + ".shift"] = (bn.weight, False), (bn.bias, False)
    for ours in ("emb", "fuse", "rec", "cross") + (("unc",) if m.uncertainty else ()):
        t.update(stack_names(getattr(m, ours), ours))
    for ours in ("w1", "b1", "w2", "b2"):
        t[ours] = (getattr(m, ours), False)
    return t


def gears(folder, name, faithful, exponent, sign, uncertainty=False, lone=False):
    data = np.load(f"{folder}/{name}.npz")

    def graph(key):
        ends = np.stack([data[key + "_from"], data[key + "_to"]]).astype(np.int64) - 1
        return torch.from_numpy(ends), torch.from_numpy(data[key + "_weight"].astype(np.float32))

    G, d = data["p_gene_emb"].shape
    m = torch_gears.Gears(G, data["p_pert_emb"].shape[0], d, graph("expression"), graph("perturbation"), faithful, uncertainty)
    table = gears_table(m)
    copy_in(data, table)
    perturbed = [[], [2], [3, 6], [2], [], [3, 6], [2], [11], [11]]
    if lone:
        perturbed = [[], [], [], [2], [], [], [], [], []]
    labels = ["+".join(map(str, p)) for p in perturbed]
    every = torch.ones(G, dtype=torch.bool)
    mask = torch.from_numpy(data["mask"]) > 0
    masks = {"": every, "2": mask[0], "3+6": mask[1], "11": mask[2]}
    x, y, control = (torch.from_numpy(data[k]) for k in ("x", "y", "control"))
    optimiser = torch.optim.Adam(m.parameters(), lr=1e-3, weight_decay=5e-4)
    losses, first, grads = [], None, None
    for step in range(10):
        optimiser.zero_grad()
        out = m(x, perturbed)
        pred, logvar = out if uncertainty else (out, None)
        loss = torch_gears.loss(pred, y, labels, control, masks, exponent=exponent, sign=sign, logvar=logvar)
        loss.backward()
        torch.nn.utils.clip_grad_value_(m.parameters(), 1)
        if step == 0:
            first, grads = pred.detach().numpy().copy(), {k: gradient(*v) for k, v in table.items()}
        losses.append(float(loss))
        optimiser.step()
    if lone:  # a norm over two equal rows: gradients are rounding errors divided by sqrt(eps)
        check(f"{name}: forward pass", far(data["forward"], first) <= 1e-5, f"{far(data['forward'], first):.1e}")
        return
    compare(name, data, grads, first, losses)
    m.eval()
    with torch.no_grad():
        zeros = torch.zeros(5, G)
        want = []
        for p in ([2], [3, 11]):
            out = m(zeros, [p] * 5)
            want.append((out[0] if uncertainty else out).mean(0).numpy())
    check(f"{name}: prediction by running statistics", far(data["predicted"], np.stack(want)) <= 2e-3,
          f"{far(data['predicted'], np.stack(want)):.1e}")


def scgen(folder):
    data = np.load(f"{folder}/scgen.npz")
    hidden, latent = data["p_mean.w"].shape
    m = torch_scgen.Scgen(data["x"].shape[1], hidden, latent, dropout=0.0)
    table = {}
    for name, stack in (("enc", m.encoder), ("dec", m.decoder)):
        for i in (0, 1):
            lin, bn = stack[4 * i], stack[4 * i + 1]
            torch.nn.init.zeros_(lin.bias)
            table[f"{name}{i + 1}.w"] = (lin.weight, True)
            table[f"{name}{i + 1}.scale"], table[f"{name}{i + 1}.shift"] = (bn.weight, False), (bn.bias, False)
    for name, lin in (("mean", m.mean), ("logvar", m.logvar), ("out", m.out)):
        table[name + ".w"], table[name + ".b"] = (lin.weight, True), (lin.bias, False)
    copy_in(data, table)
    x = torch.from_numpy(data["x"])
    optimiser = torch.optim.Adam(m.parameters(), lr=1e-3, eps=0.01, weight_decay=1e-6)
    losses, first, grads = [], None, None
    for noise in torch.from_numpy(data["noise"]):
        optimiser.zero_grad()
        out, mean, var = m(x, noise)
        loss = m.elbo(x, out, mean, var)
        loss.backward()
        if first is None:
            first, grads = out.detach().numpy().copy(), {k: gradient(*v) for k, v in table.items()}
        losses.append(float(loss))
        optimiser.step()
    compare("scgen", data, grads, first, losses)
    m.eval()
    with torch.no_grad():
        z = m.encode(x)[0]
        d = max(far(data["latent"], z.numpy()), far(data["predicted"], m.decode(z).numpy()))
    check("scgen: encoding and decoding by running statistics", d <= 1e-4, f"{d:.1e}")


def main():
    program = sys.argv[1] if len(sys.argv) > 1 else "build/dynamo"
    with tempfile.TemporaryDirectory() as folder:
        r = subprocess.run([program, "tests/interop/peers.lua", folder], capture_output=True, text=True)
        check("our side runs", r.returncode == 0, (r.stderr or "").strip()[-300:])
        if r.returncode == 0:
            gears(folder, "gears_faithful", True, 4, True)
            gears(folder, "gears_fixed", False, 2, False)
            gears(folder, "gears_uncertain", True, 4, True, uncertainty=True)
            gears(folder, "gears_lone", True, 4, True, lone=True)
            scgen(folder)
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed != 0)


main()
