"""Layer 0: what is wrong with data is said in one sentence: how many rows, which ones, what the first of them holds.

Whatever the data holds, the sentence stays one, and short enough to be read.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from recsys_teach.verbatim import printable


def shown(value: Any) -> str:
    """A value as a sentence quotes it: in one line, and only the beginning of a long one.

    >>> shown("3\\n4"), shown(4.5), len(shown("x" * 10_000_000))
    ("'3\\\\n4'", "'4.5'", 83)
    """
    text = str(value)
    return repr(text if len(text) <= 80 else text[:80] + "…")


def listed(names: Iterable[Any]) -> str:
    """Names, with commas between them.

    >>> listed(["user_id", "stars"]), listed(["a\\tb"])
    ('user_id, stars', 'a\\\\tb')
    """
    return printable(", ".join(map(str, names)), 500)


def one_line(text: str) -> str:
    """What another library says, in one line; of long lines only the beginning."""
    return "; ".join(printable(line, 120) for line in text.splitlines()[:4]).strip("; .")


def same_everywhere(rows: int, column: str, value: str) -> str:
    """What to say where there is only one user, or one product."""
    remedy = f"a recommender needs at least two {column.removesuffix('_id')}s to tell apart."
    return f"all {rows:,} reviews have the same {column} {shown(value)}: {remedy}"


def refuse(
    bad: pd.Series | np.ndarray,
    source: str,
    found: str,
    expected: str,
    values: pd.Series | None = None,
    first: int = 0,
) -> None:
    """Raise one sentence if any row is bad: how many, which ones, counted from `first`, and the first of `values`."""
    if bad.any():
        rows = np.asarray(bad).nonzero()[0]
        if values is not None:
            found += f" (the first is {shown(values.iloc[rows[0]])})"
        named = ", ".join(map(str, first + rows[:5])) + (", …" if len(rows) > 5 else "")
        count = f"{len(rows):,} row" + ("s" if len(rows) > 1 else "")
        raise ValueError(f"{source}: {count} with {found}, counted from 0: {named}; {expected}")
