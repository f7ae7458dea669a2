"""Records runs that PyTorch saves after three steps and how they go on: optimizers.pt and schedulers.pt beside this
file; and a run whose scaled losses overflow at first: scaler.pt.

    python make.py            (needs torch; the tests read what it wrote and do not)
"""

import pathlib
import warnings

import torch
from torch import optim
from torch.nn.functional import embedding, mse_loss
from torch.optim import lr_scheduler as sched
from torch.optim.swa_utils import SWALR

warnings.simplefilter("ignore")
HERE = pathlib.Path(__file__).parent
NAMES = ["w1", "b1", "w2", "b2"]

torch.manual_seed(5)
X, Y, IDS = torch.randn(8, 3), torch.randn(8, 2), torch.tensor([0, 2, 2, 0])
START = [torch.randn(4, 3), torch.randn(4), torch.randn(2, 4), torch.randn(2)]

# Name of the run: the optimizer, options of all parameters, options of the second group.
RUNS = {
    "SGD": ("SGD", dict(lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=True), dict(lr=0.05)),
    "SGD, plain": ("SGD", dict(lr=0.1), {}),
    "Adadelta": ("Adadelta", dict(lr=0.5, rho=0.8, weight_decay=0.1), dict(rho=0.95)),
    "Adagrad": ("Adagrad", dict(lr=0.1, lr_decay=0.1, initial_accumulator_value=0.5), dict(weight_decay=0.1)),
    "Adam": ("Adam", dict(lr=0.1, betas=(0.8, 0.9), amsgrad=True, weight_decay=0.1), dict(eps=0.01)),
    "AdamW": ("AdamW", dict(lr=0.1, weight_decay=0.2), dict(weight_decay=0.0, maximize=True)),
    "SparseAdam": ("SparseAdam", dict(lr=0.1, betas=(0.7, 0.8)), None),
    "Adamax": ("Adamax", dict(lr=0.1, betas=(0.8, 0.9)), dict(weight_decay=0.1)),
    "ASGD": ("ASGD", dict(lr=0.1, lambd=0.1, alpha=0.5, t0=2.0), dict(weight_decay=0.1)),
    "LBFGS": ("LBFGS", dict(lr=0.8, max_iter=3, history_size=4, line_search_fn="strong_wolfe"), None),
    "LBFGS, fixed": ("LBFGS", dict(lr=0.1, max_iter=2, history_size=2), None),
    "RMSprop": ("RMSprop", dict(lr=0.05, momentum=0.9, alpha=0.9, centered=True), dict(weight_decay=0.1)),
    "RMSprop, plain": ("RMSprop", dict(lr=0.05), {}),
    "Rprop": ("Rprop", dict(lr=0.1, etas=(0.4, 1.3), step_sizes=(1e-3, 5.0)), dict(lr=0.05)),
    "NAdam": ("NAdam", dict(lr=0.1, weight_decay=0.1, decoupled_weight_decay=True), dict(momentum_decay=0.1)),
    "RAdam": ("RAdam", dict(lr=0.1, betas=(0.8, 0.9), weight_decay=0.1), dict(decoupled_weight_decay=True)),
    "Adafactor": ("Adafactor", dict(lr=0.1, weight_decay=0.1), dict(eps=(1e-3, 0.01), d=2.0)),
    "Muon": ("Muon", dict(lr=0.1, momentum=0.8, ns_steps=3), dict(nesterov=False, adjust_lr_fn="match_rms_adamw")),
}
# Differences of near numbers, which would show how the gradients were rounded.
DOUBLE = ["LBFGS", "LBFGS, fixed", "RMSprop"]


def loss(params, is_sparse):
    if is_sparse:
        return mse_loss(embedding(IDS, params[0], sparse=True), X[:4])
    x, y = X.to(params[0].dtype), Y.to(params[0].dtype)
    return mse_loss((x @ params[0].T + params[1]).tanh() @ params[2].T + params[3], y)


def build(name, params):
    """The optimizer and the parameters that it trains: matrices and biases apart, the table alone where gradients are sparse."""
    kind, options, second = RUNS[name]
    if second is None:
        groups = params[:1] if kind == "SparseAdam" else params
    elif kind == "Muon":
        groups = [{"params": params[0:1]}, {"params": params[2:3], **second}]
    else:
        groups = [{"params": params[0::2]}, {"params": params[1::2], **second}]
    optimizer = getattr(optim, kind)(groups, **options)
    return optimizer, sched.StepLR(optimizer, 2, 0.5)


def train(name, params, optimizer, scheduler, steps):
    def closure():
        optimizer.zero_grad()
        value = loss(params, name == "SparseAdam")
        value.backward()
        return value

    for _ in range(steps):
        optimizer.step(closure)
        scheduler.step()


def model(params):
    return {name: p.detach().clone() for name, p in zip(NAMES, params)}


def optimizers():
    runs = {}
    for name in RUNS:
        dtype = torch.float64 if name in DOUBLE else torch.float32
        params = [t.to(dtype, copy=True).requires_grad_() for t in START]
        optimizer, scheduler = build(name, params)
        train(name, params, optimizer, scheduler, 3)
        saved = {"model": model(params), "optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict()}
        torch.save(saved, HERE / "run.tmp")
        train(name, params, optimizer, scheduler, 3)
        runs[name] = torch.load(HERE / "run.tmp") | {"final": model(params)}
    (HERE / "run.tmp").unlink()
    torch.save({"x": X, "y": Y, "ids": IDS, "start": model(START), "runs": runs}, HERE / "optimizers.pt")


SCHEDULERS = {
    "StepLR": lambda o: sched.StepLR(o, 2, 0.5),
    "MultiStepLR": lambda o: sched.MultiStepLR(o, [2, 4, 4], 0.5),
    "ConstantLR": lambda o: sched.ConstantLR(o, 0.5, 4),
    "LinearLR": lambda o: sched.LinearLR(o, 0.25, 1.0, 5),
    "ExponentialLR": lambda o: sched.ExponentialLR(o, 0.9),
    "PolynomialLR": lambda o: sched.PolynomialLR(o, 6, 2.0),
    "LambdaLR": lambda o: sched.LambdaLR(o, lambda epoch: 0.95**epoch),
    "MultiplicativeLR": lambda o: sched.MultiplicativeLR(o, lambda epoch: 0.95),
    "CosineAnnealingLR": lambda o: sched.CosineAnnealingLR(o, 5, 0.001),
    "CosineAnnealingWarmRestarts": lambda o: sched.CosineAnnealingWarmRestarts(o, 2, 2, 0.001),
    "OneCycleLR": lambda o: sched.OneCycleLR(o, [0.5, 0.1], 10),
    "OneCycleLR, three": lambda o: sched.OneCycleLR(
        o, 0.5, 10, anneal_strategy="linear", cycle_momentum=False, three_phase=True),
    "CyclicLR": lambda o: sched.CyclicLR(o, 0.01, 0.1, 3),
    "CyclicLR, triangular2": lambda o: sched.CyclicLR(o, 0.01, 0.1, 1, 2, mode="triangular2"),
    "CyclicLR, exp_range": lambda o: sched.CyclicLR(
        o, [0.01, 0.02], 0.1, 3, mode="exp_range", gamma=0.9, cycle_momentum=False),
    "CyclicLR, function": lambda o: sched.CyclicLR(o, 0.01, 0.1, 2, scale_fn=lambda x: 1 / x),
    "ReduceLROnPlateau": lambda o: sched.ReduceLROnPlateau(o, patience=1, cooldown=1, min_lr=[0.001, 0.002]),
    "ReduceLROnPlateau, max": lambda o: sched.ReduceLROnPlateau(
        o, mode="max", threshold_mode="abs", patience=0, factor=0.5, min_lr=1e-4),
    "SequentialLR": lambda o: sched.SequentialLR(o, [sched.ConstantLR(o, 0.1, 2), sched.ExponentialLR(o, 0.9)], [2]),
    "ChainedScheduler": lambda o: sched.ChainedScheduler([sched.LinearLR(o, 0.1, 1.0, 5), sched.ExponentialLR(o, 0.9)]),
    "SWALR": lambda o: SWALR(o, [0.05, 0.5], 5, "linear"),
}


def schedulers():
    runs = {}
    for name, make in SCHEDULERS.items():
        optimizer = optim.SGD([{"params": [torch.ones(1)]}, {"params": [torch.ones(1)], "lr": 0.02}], 0.1, momentum=0.9)
        scheduler = make(optimizer)

        def step():
            optimizer.step()
            scheduler.step(1.0) if name.startswith("Reduce") else scheduler.step()

        for _ in range(3):
            step()
        torch.save({"optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict()}, HERE / "run.tmp")
        runs[name] = torch.load(HERE / "run.tmp") | {"then": []}
        for _ in range(4):
            step()
            runs[name]["then"].append([[g["lr"], g["momentum"]] for g in optimizer.param_groups])
    (HERE / "run.tmp").unlink()
    torch.save(runs, HERE / "schedulers.pt")


def scaler():
    params = [t.clone().requires_grad_() for t in START]
    optimizers = [optim.AdamW(params[0::2], 0.1, eps=0.1), optim.SGD(params[1::2], 0.01, momentum=0.9)]
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127, growth_factor=4.0, backoff_factor=0.25, growth_interval=3)
    scales = []
    for _ in range(12):
        for optimizer in optimizers:
            optimizer.zero_grad()
        scaler.scale(16 * loss(params, False)).backward()
        scaler.unscale_(optimizers[0])
        for optimizer in optimizers:
            scaler.step(optimizer)
        scaler.update()
        scales.append(scaler.get_scale())
    torch.save({"scales": scales, "state": scaler.state_dict(), "final": model(params)}, HERE / "scaler.pt")


optimizers()
schedulers()
scaler()
