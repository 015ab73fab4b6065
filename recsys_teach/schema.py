"""Layer 0: the columns of a reviews table, and the check that every table passes on entry.

One row is one review: who (`user_id`) wrote about what (`product_id`) and how many stars (`rating`). Everything
else in the package takes tables that `check_reviews` has let through, and checks nothing again.
"""

from typing import Any

import numpy as np
import pandas as pd

from recsys_teach.verbatim import printable

USER = "user_id"
PRODUCT = "product_id"
RATING = "rating"
SUMMARY = "summary"
TIMESTAMP = "timestamp"
TITLE = "title"
CATEGORY = "category"

REQUIRED = (USER, PRODUCT, RATING)
OPTIONAL = (SUMMARY, TIMESTAMP, TITLE, CATEGORY)


def check_reviews(reviews: pd.DataFrame, *, source: str = "the reviews table", unrated: bool = False) -> pd.DataFrame:
    """Return the known columns of `reviews` with their proper types, or say what is wrong with them.

    Ids and texts become `str` (a number 7 becomes "7"), ratings `float64` (stars), timestamps UTC datetimes at
    second resolution; a missing `summary`, `title` or `category` becomes an empty text. Columns that the schema
    doesn't know are left out. The order of the rows stays, their index is numbered anew from 0. With `unrated`, a
    rating may be missing (NaN): something was bought, and nobody said how good it was.

    Raises:
        ValueError: no rows, a required column missing, an id missing or empty, a rating that is missing or no
            finite number, a timestamp that is missing or no time; the sentence names the first rows concerned.
    """
    twice = reviews.columns[reviews.columns.duplicated()].intersection([*REQUIRED, *OPTIONAL])
    if len(twice):
        raise ValueError(f"{source} has more than one column {twice[0]!r}: keep one of them.")
    missing = [column for column in REQUIRED if column not in reviews.columns]
    if missing:
        found = printable(", ".join(map(str, reviews.columns)), 500) or "none"
        raise ValueError(
            f"{source} has no column {' and no column '.join(map(repr, missing))} (columns found: {found}): "
            f'rename yours, for instance load_reviews(path, columns={{"their name": "{missing[0]}"}}), '
            f'or with compare: --column "their name={missing[0]}".'
        )
    if reviews.empty:
        raise ValueError(f"{source} has no rows: expected one review a row.")

    reviews = reviews.reset_index(drop=True)
    checked = {}
    for column in (USER, PRODUCT):
        text = _text(reviews[column], source)
        _refuse(
            text.str.strip() == "", source, f"no {column}", "every review needs one: fill it in or remove these rows."
        )
        checked[column] = text
    checked[RATING] = _ratings(reviews[RATING], source, unrated)
    for column in OPTIONAL:
        if column in reviews.columns:
            values = reviews[column]
            checked[column] = _times(values, source) if column == TIMESTAMP else _text(values, source)
    return pd.DataFrame(checked)


def _text(values: pd.Series, source: str) -> pd.Series:
    """Texts as `str`, missing ones as "". Whole numbers that a gap turned into floats lose their ".0"."""
    _refuse(~values.map(pd.api.types.is_scalar), source, f"a {values.name} that is a list", "expected text.", values)
    texts = [_as_text(value) for value in values.astype(object)]
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:  # half of a surrogate pair: no file and no page could hold it
        halves = np.array([any("\ud800" <= letter <= "\udfff" for letter in text) for text in texts])
        _refuse(halves, source, f"a {values.name} with half a character", "expected whole ones, as in UTF-8.")
    return pd.Series(texts, values.index, dtype=object, name=values.name).astype(str)


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if pd.isna(value):
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _ratings(values: pd.Series, source: str, unrated: bool) -> pd.Series:
    numbers = pd.to_numeric(values, errors="coerce").astype(float)
    if pd.api.types.is_datetime64_any_dtype(values):
        numbers[:] = np.nan
    numbers[values.map(lambda value: isinstance(value, (bool, np.bool_)))] = np.nan
    bad = ~np.isfinite(numbers) & ~(values.isna() & unrated)
    _refuse(bad, source, f"a {RATING} that is no number", "expected stars such as 4.5.", values)
    return numbers


def _times(values: pd.Series, source: str) -> pd.Series:
    """UTC times. Numbers count from 1970 in s, ms, µs or ns, which the largest of them tells apart."""
    expected = "expected dates such as 2023-01-31, or all in seconds (or all in ms, µs, ns) since 1970."
    if pd.api.types.is_datetime64_any_dtype(values):
        numbers = pd.Series(np.nan, values.index)
    else:
        numbers = pd.to_numeric(values, errors="coerce").replace([np.inf, -np.inf], np.nan)
    if numbers.isna().all():
        times = pd.to_datetime(values, utc=True, errors="coerce", format="mixed")
        _refuse(times.isna(), source, f"a {TIMESTAMP} that is no time", expected, values)
        return times.dt.as_unit("s")
    _refuse(numbers.isna(), source, f"a {TIMESTAMP} that is no time", expected, values)
    written = numbers.between(1900, 2100) | numbers.between(1900_01_01, 2100_12_31)
    _refuse(
        written & bool(written.all()), source, f"a {TIMESTAMP} that is a year or a date in digits", expected, values
    )
    thousands = np.digitize(numbers.abs(), [1e11, 1e14, 1e17])
    unit = thousands.max()
    _refuse(thousands != unit, source, f"a {TIMESTAMP} in another unit than the rest", expected, values)
    seconds = numbers // 1000**unit if unit else numbers
    times = pd.to_datetime(seconds, unit="s", utc=True, errors="coerce")
    _refuse(times.isna(), source, f"a {TIMESTAMP} that is no time", expected, values)
    return times.dt.as_unit("s")


def _refuse(
    bad: pd.Series | np.ndarray, source: str, found: str, expected: str, values: pd.Series | None = None
) -> None:
    """Raise one sentence if any row is bad: how many, which ones, and the first of their `values`."""
    if bad.any():
        rows = np.asarray(bad).nonzero()[0]
        if values is not None:
            found += f" (the first is '{printable(values.iloc[rows[0]], 100)}')"
        named = ", ".join(map(str, rows[:5])) + (", …" if len(rows) > 5 else "")
        count = f"{len(rows):,} row" + ("s" if len(rows) > 1 else "")
        raise ValueError(f"{source}: {count} with {found}, counted from 0: {named}; {expected}")
