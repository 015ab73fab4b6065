"""Floor 0: the columns of a reviews table, and the check that every table passes on entry.

One row is one review: who (`user_id`) wrote about what (`product_id`) and how many stars (`rating`). Everything
else in the package takes tables that `check_reviews` has let through, and checks nothing again.
"""

import numpy as np
import pandas as pd

USER = "user_id"
PRODUCT = "product_id"
RATING = "rating"
SUMMARY = "summary"
TIMESTAMP = "timestamp"
TITLE = "title"
CATEGORY = "category"

REQUIRED = (USER, PRODUCT, RATING)
OPTIONAL = (SUMMARY, TIMESTAMP, TITLE, CATEGORY)


def check_reviews(reviews: pd.DataFrame, *, source: str = "the reviews table") -> pd.DataFrame:
    """Return the known columns of `reviews` with their proper types, or say what is wrong with them.

    Ids and texts become `str` (a number 7 becomes "7"), ratings `float64` (stars), timestamps UTC datetimes at
    second resolution; a missing `summary`, `title` or `category` becomes an empty text. Columns that the schema
    doesn't know are left out. The order of the rows stays, their index is numbered anew from 0.

    Raises:
        ValueError: no rows, a required column missing, an id missing or empty, a rating that is missing or no
            finite number, a timestamp that is missing or no time; the sentence names the first rows concerned.
    """
    twice = reviews.columns[reviews.columns.duplicated()].intersection([*REQUIRED, *OPTIONAL])
    if len(twice):
        raise ValueError(f"{source} has more than one column {twice[0]!r}: keep one of them.")
    missing = [column for column in REQUIRED if column not in reviews.columns]
    if missing:
        found = ", ".join(map(str, reviews.columns)) or "none"
        raise ValueError(
            f"{source} has no column {' and no column '.join(map(repr, missing))} (columns found: {found}): "
            f'rename yours, for instance load_reviews(path, columns={{"their name": "{missing[0]}"}}).'
        )
    if reviews.empty:
        raise ValueError(f"{source} has no rows: expected one review a row.")

    reviews = reviews.reset_index(drop=True)
    checked = {}
    for column in (USER, PRODUCT):
        text = _text(reviews[column])
        _refuse(text == "", source, f"no {column}", "every review needs one: fill it in or remove these rows.")
        checked[column] = text
    checked[RATING] = _ratings(reviews[RATING], source)
    for column in OPTIONAL:
        if column in reviews.columns:
            values = reviews[column]
            checked[column] = _times(values, source) if column == TIMESTAMP else _text(values)
    return pd.DataFrame(checked)


def _text(values: pd.Series) -> pd.Series:
    """Texts as `str`, missing ones as "". Whole numbers that a gap turned into floats lose their ".0"."""
    if pd.api.types.is_float_dtype(values) and (values.dropna() % 1 == 0).all():
        values = values.astype("Int64")
    return values.astype(object).where(values.notna(), "").map(str).astype(str)


def _ratings(values: pd.Series, source: str) -> pd.Series:
    numbers = pd.to_numeric(values, errors="coerce").astype(float)
    bad = ~np.isfinite(numbers)
    example = f" (the first is {values[bad].iloc[0]!r})" if bad.any() else ""
    _refuse(bad, source, f"a {RATING} that is no number{example}", "expected stars such as 4 or 4.5.")
    return numbers


def _times(values: pd.Series, source: str) -> pd.Series:
    """UTC times. Numbers count from 1970 in s, ms, µs or ns, which the largest of them tells apart."""
    numbers = pd.to_numeric(values, errors="coerce") if not pd.api.types.is_datetime64_any_dtype(values) else None
    if numbers is not None and numbers.notna().all():
        thousands = np.digitize(numbers.abs().max(), [1e11, 1e14, 1e17])
        seconds = numbers // 1000**thousands if thousands else numbers
        times = pd.to_datetime(seconds, unit="s", utc=True, errors="coerce")
    else:
        times = pd.to_datetime(values, utc=True, errors="coerce", format="mixed")
    bad = times.isna()
    example = f" (the first is {values[bad].iloc[0]!r})" if bad.any() else ""
    _refuse(bad, source, f"a {TIMESTAMP} that is no time{example}", "expected dates, or seconds since 1970.")
    return times.dt.as_unit("s")


def _refuse(bad: pd.Series | np.ndarray, source: str, found: str, expected: str) -> None:
    if bad.any():
        rows = np.asarray(bad).nonzero()[0]
        named = ", ".join(map(str, rows[:5])) + (", …" if len(rows) > 5 else "")
        count = f"{len(rows):,} row" + ("s" if len(rows) > 1 else "")
        raise ValueError(f"{source}: {count} with {found}, counted from 0: {named}; {expected}")
