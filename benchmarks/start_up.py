"""What starting costs: `python benchmarks/start_up.py`, about six minutes.

The whole command `recsys-teach compare` on MovieLens and on the generated shop, against a bare
`import tensorflow_recommenders`, and `import recsys_teach.evaluation` against `import pandas`. Each is a process of its
own, from its start to its end.
"""

import os
import statistics
import sys

from side_by_side import REPEATS, Row, in_turns, ratios, report, run_process

COMPARE_REPEATS, COMPARE_TIMES, IMPORT_TIMES = 3, 5, 1.3


def row(what: str, ours: list[str], floor: list[str], *, at_most: float | None = None, repeats: int) -> Row:
    """Python with these arguments, against Python with those."""
    commands = [[sys.executable, *arguments] for arguments in (ours, floor)]
    times = in_turns(*(lambda c=c: run_process(c) for c in commands), repeats=repeats)
    our_time, floor_time = (f"{statistics.median(column):.2f} s" for column in times)
    return Row(what, our_time, f"{floor_time}: `{floor[-1]}`", ratios(*times), at_most=at_most)


def main() -> None:
    """Time the command and the import, each against its floor."""
    os.environ["TF_USE_LEGACY_KERAS"] = "1"  # what TFRS needs; the package sets it by itself
    os.environ["TQDM_DISABLE"] = "1"
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # or else nothing would be compiled before the first repeat
    rows = [
        row(
            "`recsys-teach compare movielens`, the whole ladder",
            ["-m", "recsys_teach", "compare", "movielens"],
            ["-c", "import tensorflow_recommenders"],
            repeats=COMPARE_REPEATS,
        ),
        row(
            "`recsys-teach compare`, the same on a generated shop",
            ["-m", "recsys_teach", "compare"],
            ["-c", "import tensorflow_recommenders"],
            at_most=COMPARE_TIMES,
            repeats=COMPARE_REPEATS,
        ),
        row(
            "`import recsys_teach.evaluation`",
            ["-c", "import recsys_teach.evaluation"],
            ["-c", "import pandas"],
            at_most=IMPORT_TIMES,
            repeats=REPEATS,
        ),
    ]
    report(__file__, rows)


if __name__ == "__main__":
    main()
