# GEARS' equations in PyTorch, written from their description, every cell computed in full: what ours is compared with.
import torch
from torch import nn


class Stack(nn.Sequential):
    """Linear and batch norm, with ReLU after all but the last."""

    def __init__(self, *sizes):
        layers = []
        for i in range(len(sizes) - 1):
            layers += [nn.Linear(sizes[i], sizes[i + 1]), nn.BatchNorm1d(sizes[i + 1])]
            if i < len(sizes) - 2:
                layers.append(nn.ReLU())
        super().__init__(*layers)


class Conv(nn.Module):
    """One step of propagation with symmetric normalisation, then a linear layer."""

    def __init__(self, d):
        super().__init__()
        self.lin = nn.Linear(d, d)

    def forward(self, x, edges, weight):
        n = x.shape[0]
        own = torch.zeros(n, dtype=torch.bool)
        own[edges[0][edges[0] == edges[1]]] = True
        loops = torch.arange(n)[~own]
        source, target = torch.cat([edges[0], loops]), torch.cat([edges[1], loops])
        w = torch.cat([weight, torch.ones(len(loops), dtype=weight.dtype)])
        deg = torch.zeros(n, dtype=w.dtype).index_add_(0, target, w)
        norm = w * deg.pow(-0.5)[source] * deg.pow(-0.5)[target]
        out = torch.zeros_like(x).index_add(0, target, norm[:, None] * x[source])
        return self.lin(out)


class Gears(nn.Module):
    def __init__(self, genes, nodes, d, expression, perturbation, faithful, uncertainty=False):
        super().__init__()
        self.G, self.d, self.faithful, self.uncertainty = genes, d, faithful, uncertainty
        self.expression, self.perturbation = expression, perturbation  # (edges, weights)
        self.gene_emb = nn.Embedding(genes, d, max_norm=1)
        self.emb_pos = nn.Embedding(genes, d, max_norm=1)
        self.pert_emb = nn.Embedding(nodes, d, max_norm=1)
        self.bn_emb, self.bn_base = nn.BatchNorm1d(d), nn.BatchNorm1d(d)
        self.pos, self.sim = Conv(d), Conv(d)
        self.emb, self.fuse = Stack(d, d, d), Stack(d, d, d)
        self.rec, self.cross = Stack(d, 2 * d, d), Stack(genes, d, d)
        if uncertainty:
            self.unc = Stack(d, 2 * d, d, 1)
        self.w1, self.b1 = nn.Parameter(torch.empty(genes, d)), nn.Parameter(torch.empty(genes))
        self.w2, self.b2 = nn.Parameter(torch.empty(genes, d + 1)), nn.Parameter(torch.empty(genes))
        for p in (self.w1, self.w2):
            nn.init.xavier_normal_(p)
        for p in (self.b1, self.b2):
            nn.init.zeros_(p)

    def positions(self, batch):
        rows = torch.arange(self.G).repeat(batch)
        edges, weight = self.expression
        if not self.faithful:  # every cell has the graph
            offset = (torch.arange(batch) * self.G).repeat_interleave(edges.shape[1])
            edges, weight = edges.repeat(1, batch) + offset, weight.repeat(batch)
        return self.pos(self.emb_pos(rows), edges, weight)

    def forward(self, x, perturbed):
        B, G, d = x.shape[0], self.G, self.d
        base = torch.relu(self.bn_emb(self.gene_emb(torch.arange(G).repeat(B))))
        base = self.emb(base + 0.2 * self.positions(B)).reshape(B, G, d)
        q = self.sim(self.pert_emb(torch.arange(self.pert_emb.num_embeddings)), *self.perturbation)
        cells = [b for b in range(B) if perturbed[b]]
        if cells:
            s = torch.stack([q[perturbed[b]].sum(0) for b in cells])
            s = self.fuse(s.repeat(2, 1))[:1] if len(cells) == 1 else self.fuse(s)
            add = torch.zeros(B, d, dtype=x.dtype).index_add(0, torch.tensor(cells), s)
            base = base + add[:, None, :]
        h = torch.relu(self.bn_base(base.reshape(B * G, d)))
        o = (self.rec(h).reshape(B, G, d) * self.w1).sum(2) + self.b1
        cross = self.cross(o)
        both = torch.cat([o[:, :, None], cross[:, None, :].expand(B, G, d)], 2)
        y = (both * self.w2).sum(2) + self.b2
        if self.uncertainty:
            return x + y, self.unc(h).reshape(B, G)
        return x + y


def loss(pred, y, names, control, masks, direction=0.1, exponent=4, logvar=None, reg=1.0, sign=True):
    """Mean over the distinct perturbations of a batch of the mean error over their cells and genes."""
    total, groups = 0, {}
    for b, name in enumerate(names):
        groups.setdefault(name, []).append(b)
    step = torch.sign if sign else lambda v: torch.tanh(10 * v)
    for name, rows in groups.items():
        keep = masks[name]
        p, t, c = pred[rows][:, keep], y[rows][:, keep], control[keep]
        e = (p - t).abs() ** exponent
        if logvar is not None:
            e = e + reg * torch.exp(-logvar[rows][:, keep]) * e
        total = total + e.mean() + direction * ((step(t - c) - step(p - c)) ** 2).mean()
    return total / len(groups)
