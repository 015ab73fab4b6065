"""Layer 0: the columns of a reviews table, and the check that every table passes on entry.

One row is one review: who (`user_id`) wrote about what (`product_id`) and how many stars (`rating`). Everything
else in the package takes tables that `check_reviews` has let through, and checks nothing again.
"""

import re
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from recsys_teach.sentences import listed, refuse

USER = "user_id"
PRODUCT = "product_id"
RATING = "rating"
SUMMARY = "summary"
TIMESTAMP = "timestamp"
TITLE = "title"
CATEGORY = "category"

REQUIRED = (USER, PRODUCT, RATING)
OPTIONAL = (SUMMARY, TIMESTAMP, TITLE, CATEGORY)

LARGEST = 1e6  # stars, either way: errors are squared and summed, and a sum that overflows is no RMSE
MOST = 10**300  # what a float is sure to hold
EXACT = 2**53  # a float as large as that may stand for several whole numbers
FIRST, LAST = -9_214_560_000, 9_214_646_399  # seconds since 1970: the years 1678 to 2261, which every pandas holds
# Dates as ISO 8601 has them, in the forms that pandas and DuckDB read alike: 01/02/2020 is two days.
DATE = (
    r"[0-9]{4}(-[0-9]{1,2}-|/[0-9]{1,2}/)[0-9]{1,2}"
    r"([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]+)?)?(Z| UTC|[+-](0[0-9]|1[0-4])(:?[0-5][0-9])?)?)?"
)
# Years and dates written as numbers: 2020, 20200131, 202001312359, 20200131235959.
WRITTEN = ((1900, 2100), *((19000101 * 10**n, (21001231 + 1) * 10**n - 1) for n in (0, 4, 6)))
NO_TEXT = re.compile("[\ud800-\udfff]")  # halves of characters, which no file can hold
NO_ID = re.compile('[\0\ud800-\udfff]|^ +"')  # not every program reads on after a NUL, or keeps a blank before quotes


def check_reviews(reviews: pd.DataFrame, *, source: str = "the reviews table", unrated: bool = False) -> pd.DataFrame:
    """Return the known columns of `reviews` with their proper types, or say what is wrong with them.

    Ids and texts become `str` (a number 7 or 7.0 becomes "7"), ratings `float64` (stars), timestamps UTC datetimes at
    second resolution (numbers count from 1970; fractions are cut off); a missing `summary`, `title` or `category`
    becomes an empty text. Columns that the schema doesn't know are left out. The order of the rows stays, their index
    is numbered anew from 0. With `unrated`, a rating may be missing (NaN): something was bought, and nobody said how
    good it was.

    Raises:
        ValueError: no rows; a required column missing; an id that is missing, blank, or neither text nor a whole
            number; a rating that is missing, no number, or beyond a million stars; a timestamp that is missing or no
            time from 1678 to 2261; the sentence names the first rows concerned.
    """
    names = list(reviews.columns)  # those of several levels are tuples, and none of ours
    twice = [name for name in (*REQUIRED, *OPTIONAL) if names.count(name) > 1]
    if twice:
        raise ValueError(f"{source} has more than one column {twice[0]!r}: keep one of them.")
    missing = [column for column in REQUIRED if column not in names]
    if missing and names:
        found = listed(names)
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
        checked[column] = _ids(reviews[column], source)
    checked[RATING] = _ratings(reviews[RATING], source, unrated)
    for column in OPTIONAL:
        if column in reviews.columns:
            values = reviews[column]
            checked[column] = _times(values, source) if column == TIMESTAMP else _text(values, source)
    return pd.DataFrame(checked)


def _ids(values: pd.Series, source: str) -> pd.Series:
    """Ids as `str`: texts as they are, whole numbers in digits; what may stand for two things is none."""
    found = f"a {values.name} that is neither plain text nor a whole number"
    refuse(values.astype(object).map(_no_id), source, found, "expected ids such as 'B00ABC' or 7.", values)
    text = values.astype(object).map(_as_text).astype(str)
    expected = "every review needs one: fill it in or remove these rows."
    refuse(text.str.strip() == "", source, f"no {values.name}", expected)
    return text


def _no_id(value: Any) -> bool:
    if isinstance(value, str):
        return NO_ID.search(value) is not None
    if isinstance(value, float | np.floating):
        return bool(value == value and not (value.is_integer() and abs(value) < EXACT))
    return isinstance(value, bool | np.bool_) or _no_text(value)


def _no_text(value: Any) -> bool:
    if isinstance(value, str):
        return NO_TEXT.search(value) is not None
    return isinstance(value, bytes) or not pd.api.types.is_scalar(value)


def _text(values: pd.Series, source: str) -> pd.Series:
    """Texts as `str`, missing ones as "". Whole numbers that a gap turned into floats lose their ".0"."""
    refuse(
        values.astype(object).map(_no_text), source, f"a {values.name} that is no plain text", "expected text.", values
    )
    return values.astype(object).map(_as_text).astype(str)


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if pd.isna(value):
        return ""
    return str(int(value)) if isinstance(value, float | np.floating) and value.is_integer() else str(value)


def _numbers(values: pd.Series) -> pd.Series:
    """The values that are numbers, or texts of numbers; NaN for others, also for dates and truth values."""
    if pd.api.types.is_datetime64_any_dtype(values) or pd.api.types.is_timedelta64_dtype(values):
        return pd.Series(np.nan, values.index)
    numeric = values.astype(object).map(_is_number)
    known = values if numeric.all() else values.astype(object).where(numeric)
    return pd.to_numeric(known, errors="coerce").replace([np.inf, -np.inf], np.nan)


def _is_number(value: Any) -> bool:
    if isinstance(value, str):
        return True
    known = isinstance(value, int | float | Decimal | np.integer | np.floating) and not isinstance(value, bool)
    return known and not abs(value) > MOST


def _ratings(values: pd.Series, source: str, unrated: bool) -> pd.Series:
    numbers = _numbers(values).astype(float)
    bad = ~(numbers.abs() <= LARGEST) & ~(values.isna() & unrated)
    found = f"a {RATING} that is no number of stars"
    refuse(bad, source, found, "expected a number such as 4.5, a million at the most.", values)
    return numbers


def _times(values: pd.Series, source: str) -> pd.Series:
    """UTC times. Numbers count from 1970 in s, ms, µs or ns, which the largest of them tells apart."""
    expected = (
        "expected dates such as 2023-01-31, or all in seconds (or all in ms, µs, ns) since 1970, from 1678 to 2261."
    )
    no_time = f"a {TIMESTAMP} that is no time"
    numbers = _numbers(values)
    if pd.api.types.is_datetime64_any_dtype(values):
        times = pd.to_datetime(values, utc=True)
    elif numbers.isna().all():
        texts = values.astype(str).str.strip()
        dates = texts.where(texts.str.fullmatch(DATE)).str.replace(" UTC", "Z")
        times = pd.to_datetime(dates, utc=True, errors="coerce", format="ISO8601")
    else:
        refuse(numbers.isna(), source, no_time, expected, values)
        written = np.logical_or.reduce([numbers.between(*ends) for ends in WRITTEN])
        in_digits = f"a {TIMESTAMP} that is a year or a date in digits"
        refuse(written & bool(written.all()), source, in_digits, expected, values)
        thousands = np.digitize(numbers.abs(), [1e11, 1e14, 1e17])
        unit = thousands.max()
        refuse(thousands != unit, source, f"a {TIMESTAMP} in another unit than the rest", expected, values)
        seconds = numbers // 1000**unit if unit else numbers
        times = pd.to_datetime(seconds.where(seconds.between(FIRST, LAST)), unit="s", utc=True)
    seconds = times.dt.as_unit("s").astype("int64")  # NaT is the least of all integers
    refuse(~seconds.between(FIRST, LAST), source, no_time, expected, values)
    return times.dt.as_unit("s")
