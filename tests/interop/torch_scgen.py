# scGen's variational autoencoder in PyTorch, written from its description: what ours is compared with.
import torch
from torch import nn


def block(inputs, outputs, rate):
    return [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs, momentum=0.01, eps=1e-3), nn.LeakyReLU(0.01), nn.Dropout(rate)]


class Scgen(nn.Module):
    def __init__(self, genes, hidden=800, latent=100, dropout=0.2, kl=5e-5):
        super().__init__()
        self.kl = kl
        self.encoder = nn.Sequential(*block(genes, hidden, dropout), *block(hidden, hidden, dropout))
        self.mean, self.logvar = nn.Linear(hidden, latent), nn.Linear(hidden, latent)
        self.decoder = nn.Sequential(*block(latent, hidden, dropout), *block(hidden, hidden, dropout))
        self.out = nn.Linear(hidden, genes)

    def encode(self, x):
        h = self.encoder(x)
        return self.mean(h), torch.exp(self.logvar(h)) + 1e-4

    def decode(self, z):
        return self.out(self.decoder(z))

    def forward(self, x, noise=None):
        mean, var = self.encode(x)
        noise = torch.randn_like(mean) if noise is None else noise
        return self.decode(mean + var.sqrt() * noise), mean, var

    def elbo(self, x, xhat, mean, var):
        kl = 0.5 * (mean ** 2 + var - 1 - torch.log(var)).sum(1)
        return (0.5 * ((x - xhat) ** 2).sum(1) + 0.5 * self.kl * kl).mean()

    def loss(self, x, noise=None):
        return self.elbo(x, *self(x, noise))
