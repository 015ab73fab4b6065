"""How far the same seeds lead to the same scoreboard: `python benchmarks/determinism.py [--users N] [PYTHON ...]`.

The ladder and a sweep, trained again and again, each time in a fresh process: in another order, with other threads,
with other arithmetic, and with the Python of other environments if they are named (`.venv/original/bin/python`). It
fails if what should be the same isn't, to the last digit, or if the rest is further apart than the tests allow.
"""

import argparse
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from fixed_training import ONE_THREAD, TOLERANCE, apart, start, trained

SAME = {
    "another process": {},
    "Python's hashes seeded with 1": {"PYTHONHASHSEED": "1"},
    "Python's hashes not seeded": {"PYTHONHASHSEED": "random"},
}
NEAR = {
    "one thread": ONE_THREAD,
    "eight threads": dict.fromkeys(ONE_THREAD, "8"),
    "without oneDNN": {"TF_ENABLE_ONEDNN_OPTS": "0"},
    "a processor with AVX2 at most": {"ONEDNN_MAX_CPU_ISA": "AVX2", "OPENBLAS_CORETYPE": "Haswell"},
    "a processor with SSE4.1 at most": {"ONEDNN_MAX_CPU_ISA": "SSE41", "OPENBLAS_CORETYPE": "Nehalem"},
}


def main() -> None:
    """Train with each setting, and print how far it is from the first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=1_500)
    parser.add_argument("pythons", nargs="*", metavar="PYTHON")
    asked = parser.parse_args()
    orders = ("ladder", "sweep"), ("sweep", "ladder", "sweep")
    first = trained(start(*orders[0], users=asked.users))
    expected = {one["trained"]: one for one in first}
    runs = [(name, orders[1], setting, True) for name, setting in SAME.items()]
    runs += [(name, orders[0], setting, False) for name, setting in NEAR.items()]
    runs += [(python, orders[0], {"python": python}, False) for python in asked.pythons]
    held = True
    print(f"{'largest difference in shares or stars':40}{'ladder':>10}{'sweep':>10}   every parameter the same")
    for name, order, setting, same in runs:
        again = trained(start(*order, users=asked.users, **setting))
        far = {one["trained"]: apart(one, expected[one["trained"]]) for one in again}
        equal = all(one == expected[one["trained"]] for one in again)
        held &= equal if same else max(far.values()) <= TOLERANCE
        print(f"{name:40}{far['ladder']:10.2g}{far['sweep']:10.2g}   {'yes' if equal else 'no'}", flush=True)
    sys.exit(not held)


if __name__ == "__main__":
    main()
