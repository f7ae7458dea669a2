#!/usr/bin/env python3
"""Selects the compact kit of this repository from a whole one.

    python3 parity/select.py FOLDER_OF_THE_WHOLE_KIT

Of each file, cases are taken in turns over the overloads, those with second gradients first, until a file is as large as
BUDGET allows; each overload keeps at least its smallest case. Nothing is changed in a case. Needs Python only.
"""
import json
import pathlib
import struct
import sys

BUDGET = 10_000  # bytes of tensors and JSON in one file
HERE = pathlib.Path(__file__).parent / "kit"


def read(path):
    raw = path.read_bytes()
    (n,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8:8 + n])
    metadata = header.pop("__metadata__")
    return header, metadata, raw[8 + n:]


def write(path, header, metadata, data):
    """The tensors of `header`, largest alignment first, with the metadata."""
    size = {"F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "F16": 2, "BF16": 2, "I16": 2}
    entries, body = {"__metadata__": metadata}, bytearray()
    for key in sorted(header, key=lambda k: (-size.get(header[k]["dtype"], 1), k)):
        start, end = header[key]["data_offsets"]
        entries[key] = {**header[key], "data_offsets": [len(body), len(body) + end - start]}
        body += data[start:end]
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(body))


def keys(value):
    """Keys of the stored tensors that a case refers to."""
    if isinstance(value, dict):
        if isinstance(value.get("t"), str):
            yield value["t"]
        for part in value.values():
            yield from keys(part)
    elif isinstance(value, list):
        for part in value:
            yield from keys(part)


def cost(case, header):
    stored = sum(header[k]["data_offsets"][1] - header[k]["data_offsets"][0] + 90 for k in set(keys(case)))
    return stored + len(json.dumps(case))


def choose(cases, header, group, budget):
    """Cases in turns over the groups, as many as the budget allows; the smallest of each group at least."""
    groups = {}
    for case in cases:
        groups.setdefault(group(case), []).append(case)
    for members in groups.values():
        members.sort(key=lambda c: cost(c, header))
    chosen, used = [], 0
    for members in groups.values():
        chosen.append(members[0])
        used += cost(members[0], header)
        members[1:] = sorted(members[1:], key=lambda c: ("gradgrad" not in c, "alias" not in c, cost(c, header)))
    for turn in range(1, max(map(len, groups.values()))):
        for members in groups.values():
            if turn < len(members) and used + cost(members[turn], header) <= budget:
                chosen.append(members[turn])
                used += cost(members[turn], header)
    return sorted(chosen, key=lambda c: c["id"])


def reduce(source, name, group, budget=BUDGET):
    header, metadata, data = read(source / name)
    chosen = choose(json.loads(metadata["cases"]), header, group, budget)
    wanted = {k for case in chosen for k in keys(case)}
    metadata = {**metadata, "cases": json.dumps(chosen, separators=(",", ":"))}
    write(HERE / name, {k: v for k, v in header.items() if k in wanted}, metadata, data)


def errors(source):
    """All calls that must fail, with their tensors."""
    whole = json.loads((source / "errors.json").read_text())
    (HERE / "errors.json").write_text(json.dumps(whole, separators=(",", ":")))
    header, metadata, data = read(source / "errors.safetensors")
    wanted = set(keys(whole))
    write(HERE / "errors.safetensors", {k: v for k, v in header.items() if k in wanted}, metadata, data)


def schedules(source):
    """The first cases of each scheduler."""
    whole = json.loads((source / "sched.json").read_text())
    seen = {}
    for case in whole["cases"]:
        seen.setdefault(case["scheduler"], []).append(case)
    whole["cases"] = [case for cases in seen.values() for case in cases[:2]]
    (HERE / "sched.json").write_text(json.dumps(whole, separators=(",", ":")))


def main():
    source = pathlib.Path(sys.argv[1])
    for path in sorted((source / "ops").glob("*.safetensors")):
        reduce(source, f"ops/{path.name}", lambda c: c["overload"])
    for path in sorted((source / "modules").glob("*.safetensors")):
        reduce(source, f"modules/{path.name}", lambda c: c["dtype"], 6_000)
    for path in sorted((source / "optim").glob("*.safetensors")):
        reduce(source, f"optim/{path.name}", lambda c: c["flavour"], 20_000)
    reduce(source, "init.safetensors", lambda c: c["fn"], 30_000)
    schedules(source)
    for path in sorted((source / "modules").glob("*.safetensors")):
        reduce(source, f"modules/{path.name}", lambda c: c["module"])
    for path in sorted((source / "optim").glob("*.safetensors")):
        reduce(source, f"optim/{path.name}", lambda c: c["optimizer"], 2 * BUDGET)
    reduce(source, "init.safetensors", lambda c: c["fn"], 6 * BUDGET)
    reduce(source, "rng.safetensors", lambda c: c["program"], 300_000)
    errors(source)
    for name in ("index.json", "sched.json", "README.md"):
        text = (source / name).read_text()
        (HERE / name).write_text(text)


if __name__ == "__main__":
    main()
