"""Records PyTorch's loss curves: one JSON list of 100 losses a model, beside this file.

    python make.py            (needs torch; the tests read what it wrote and do not)
"""

import gzip
import json
import math
import pathlib

import torch
from torch import nn

HERE = pathlib.Path(__file__).parent
DATA = HERE / "../../../../data"
STEPS = 100


def digits(count):
    images = gzip.open(DATA / "mnist/train-images-idx3-ubyte.gz").read()[16 : 16 + count * 784]
    labels = gzip.open(DATA / "mnist/train-labels-idx1-ubyte.gz").read()[8 : 8 + count]
    pixels = torch.frombuffer(bytearray(images), dtype=torch.uint8).reshape(count, 1, 28, 28)
    return pixels.float() / 255, torch.tensor(list(labels))


def text(batch, length):
    """Bytes of the corpus, batch after batch: inputs and what follows them."""
    raw = gzip.open(DATA / "text/tinyshakespeare.txt.gz").read()
    ids = torch.tensor(list(raw[: STEPS * batch * length + 1]))
    return [(ids[i : i + batch * length].view(batch, length), ids[i + 1 : i + 1 + batch * length].view(batch, length))
            for i in range(0, STEPS * batch * length, batch * length)]


def train(name, model, optimizer, batches, loss_of):
    losses = []
    for x, y in batches:
        optimizer.zero_grad()
        loss = loss_of(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert len(losses) == STEPS
    (HERE / f"{name}.json").write_text("[\n" + ",\n".join(map(repr, losses)) + "\n]\n")


def mlp():
    torch.manual_seed(1)
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    x, y = digits(STEPS * 32)
    train("mlp", model, torch.optim.SGD(model.parameters(), 0.1), zip(x.split(32), y.split(32)), nn.CrossEntropyLoss())


def lenet():
    torch.manual_seed(2)
    model = nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10))
    x, y = digits(STEPS * 16)
    train("lenet", model, torch.optim.Adam(model.parameters(), 1e-3), zip(x.split(16), y.split(16)), nn.CrossEntropyLoss())


def next_token_loss(logits, y):
    return nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten())


class CharLstm(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(128, 32)
        self.lstm = nn.LSTM(32, 64, num_layers=2, batch_first=True)
        self.head = nn.Linear(64, 128)

    def forward(self, x):
        return self.head(self.lstm(self.embed(x))[0])


def lstm():
    torch.manual_seed(3)
    model = CharLstm()
    train("lstm", model, torch.optim.Adam(model.parameters(), 2e-3), text(8, 32), next_token_loss)


class Block(nn.Module):
    """A layer of GPT: attention and a small network, each behind a norm and beside a shortcut."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.ln_1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.ln_2 = nn.LayerNorm(width)
        self.fc = nn.Linear(width, 4 * width)
        self.out = nn.Linear(4 * width, width)

    def forward(self, x):
        n, t, c = x.shape
        q, k, v = (part.view(n, t, self.heads, c // self.heads).transpose(1, 2) for part in self.qkv(self.ln_1(x)).split(c, 2))
        y = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(y.transpose(1, 2).reshape(n, t, c))
        return x + self.out(nn.functional.gelu(self.fc(self.ln_2(x))))


class Gpt(nn.Module):
    def __init__(self, context=32, width=32, heads=2, layers=2):
        super().__init__()
        self.wte = nn.Embedding(128, width)
        self.wpe = nn.Embedding(context, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.ln_f = nn.LayerNorm(width)
        self.head = nn.Linear(width, 128, bias=False)

    def forward(self, x):
        h = self.wte(x) + self.wpe(torch.arange(x.shape[1]))
        for block in self.blocks:
            h = block(h)
        return self.head(self.ln_f(h))


def gpt():
    torch.manual_seed(4)
    model = Gpt()
    train("gpt", model, torch.optim.AdamW(model.parameters(), 1e-3), text(8, 32), next_token_loss)


for record in (mlp, lenet, lstm, gpt):
    record()
