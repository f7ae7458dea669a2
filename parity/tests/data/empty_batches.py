"""Writes empty_batches.json: what PyTorch's layers give for inputs whose first size is 0.

For each case of the shipped kit the layer is made, all its inputs are narrowed to nothing along their first dimension, and
the sizes of the outputs are kept, or the text of the error.

    python3 empty_batches.py
"""
import json
import struct
import warnings
from pathlib import Path

import torch
from safetensors.torch import load_file

HERE = Path(__file__).parent
KIT = HERE / "../../kit/modules"


def cases(path):
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    return json.loads(header["__metadata__"]["cases"])


def value(v, tensors):
    """A value of the kit's format."""
    if v is None:
        return None
    if "module" in v:
        return build(v, tensors)
    if "t" in v:
        return tensors[v["t"]]
    ((key, inner),) = [(k, w) for k, w in v.items() if k in ("i", "f", "b", "s", "il", "l", "d", "dtype", "fn")][:1]
    if key == "il":
        return tuple(inner)
    if key == "l":
        return tuple(value(w, tensors) for w in inner)
    if key == "d":
        return {k: value(w, tensors) for k, w in inner.items()}
    if key == "f":
        return float(inner)
    if key == "dtype":
        return getattr(torch, inner)
    if key == "fn":
        return eval(inner, {"torch": torch})
    return inner


def build(init, tensors):
    kind = eval(init["module"], {"torch": torch})
    kwargs = {k: value(v, tensors) for k, v in init.get("kwargs", {}).items()}
    return kind(*[value(v, tensors) for v in init.get("args", [])], **kwargs)


def emptied(v):
    if isinstance(v, tuple):
        return tuple(emptied(w) for w in v)
    return v.narrow(0, 0, 0) if isinstance(v, torch.Tensor) and v.dim() else v


def sizes(outputs):
    if isinstance(outputs, torch.Tensor):
        return [list(outputs.shape)]
    if isinstance(outputs, torch.nn.utils.rnn.PackedSequence):
        return sizes(outputs.data)
    return [s for o in outputs or () for s in (sizes(o) if o is not None else [])]


def attempt(case, tensors):
    module = build(case["init"], tensors).train(case["training"])
    forward = case["forward"]
    args = [emptied(value(v, tensors)) for v in forward["args"]]
    kwargs = {k: emptied(value(v, tensors)) for k, v in forward["kwargs"].items()}
    module.to(getattr(torch, case["dtype"]))
    try:
        return sizes(module(*args, **kwargs))
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def main():
    warnings.simplefilter("ignore")
    found = {}
    for path in sorted(KIT.glob("*.safetensors")):
        if path.stem.startswith("Lazy"):
            continue  # without a batch, an empty first dimension would be the size of the layer
        tensors = load_file(path)
        for case in cases(path):
            try:
                found.setdefault(path.stem, {})[case["id"]] = attempt(case, tensors)
            except Exception as error:
                print("left out", path.stem, case["id"], type(error).__name__, str(error)[:100])
    lines = [f" {json.dumps(name)}: {json.dumps(rows)}" for name, rows in found.items()]
    (HERE / "empty_batches.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


main()
