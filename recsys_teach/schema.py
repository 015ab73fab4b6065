"""The columns of a reviews table, and the check that every table passes on entry.

One row is one review: who (`user_id`) wrote about what (`product_id`) and how many stars (`rating`). A table without
ratings is one of purchases. It may also hold the review's headline (`summary`), its time (`timestamp`), the product's
name (`title`), its main category (`category`), all its categories, separated by | (`categories`), and what the user had
bought before (`history`, see `histories`). All other modules take tables that `check_reviews` has returned, and don't
check them again. The rules of a valid row are in this file alone: a file larger than memory is checked piece by piece
by the same `Checker`.
"""

import re
import warnings
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from decimal import Decimal
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from recsys_teach._util import listed, refuse

USER = "user_id"
PRODUCT = "product_id"
RATING = "rating"
SUMMARY = "summary"
TIMESTAMP = "timestamp"
TITLE = "title"
CATEGORY = "category"
CATEGORIES = "categories"  # all of a product's categories, separated by |
HISTORY = "history"  # the ids of products that the user had bought, the most recent last

REQUIRED = (USER, PRODUCT)
OPTIONAL = (RATING, SUMMARY, TIMESTAMP, TITLE, CATEGORY, CATEGORIES, HISTORY)

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
DAY_AND_MONTH = re.compile(r"([0-9]{1,2})([./-])([0-9]{1,2})\2([0-9]{4})(?: +([0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?))?")
NOT_RATED = (-1.0, 0.0, 99.0)  # what some files say for "not rated"
MANY = 1_000  # different ratings; where there are more, none of them is looked at as one of these
TRUTHS = {"true": True, "false": False}
TIMES = "expected dates such as 2023-01-31, or all in seconds (or all in ms, µs, ns) since 1970, from 1678 to 2261."
ANOTHER_UNIT = f"a {TIMESTAMP} in another unit than the rest"
QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")
NUMBER = re.compile(r"[+-]?[0-9]+([.][0-9]+)?")
NO_TEXT = re.compile("[\ud800-\udfff]")  # halves of characters, which no file can hold
NO_ID = re.compile('[\0\ud800-\udfff]|^ +"')  # not every program reads on after a NUL, or keeps a blank before quotes
NOT_IN_IDS = ("\0", ' "')  # where one of these is, NO_ID may find something


def first_texts(reviews: pd.DataFrame, column: str, products: Sequence[str] | pd.Index) -> list[str]:
    """Return the first text in `column` about each of these products that isn't empty, "" where there is none.

    >>> reviews = pd.DataFrame({"product_id": ["tent", "tent", "wok"], "category": ["", "camping", ""]})
    >>> first_texts(reviews, "category", ["wok", "tent", "kite"])
    ['', 'camping', '']
    """
    if column not in reviews:
        return [""] * len(products)
    told = reviews[reviews[column].notna() & (reviews[column] != "")].drop_duplicates(PRODUCT)
    return list(told.set_index(PRODUCT)[column].astype(object).reindex(products, fill_value=""))


def has_stars(reviews: pd.DataFrame) -> bool:
    """Return whether there are ratings to learn from, with more than one value; else this is a table of purchases."""
    return RATING in reviews and reviews[RATING].nunique() > 1


def unrated_values(unrated: Any) -> bool | tuple[Any, ...]:
    """Return the values that mean "not rated" as several, what is missing as ""; True and False stay.

    >>> unrated_values(-1), unrated_values("-1"), unrated_values([-1, None]), unrated_values(True)
    ((-1,), ('-1',), (-1, ''), True)
    """
    if isinstance(unrated, bool):
        return unrated
    several = unrated if _is_list(unrated) or isinstance(unrated, set) else [unrated]
    return tuple("" if pd.isna(value) else value for value in several)


def check_reviews(
    reviews: pd.DataFrame,
    *,
    source: str = "the reviews table",
    unrated: bool | Sequence[Any] = (),
    decimal: str = ".",
    dayfirst: bool | None = None,
) -> pd.DataFrame:
    """Return the known columns of `reviews` with their proper types; raise a ValueError that says what is wrong.

    Ids and texts become `str` (a number 7 or 7.0 becomes "7"), ratings `float64` (stars; True is 1, if all of them are
    True or False), timestamps UTC datetimes at second resolution (numbers count from 1970; fractions are cut off); a
    missing `summary`, `title`, `category` or `categories` becomes an empty text; a `history`, which is a list of ids or
    a text of ids (with | between them, as Python or JSON writes a list, or with blanks if no product's id has one),
    becomes a tuple of `str`. Columns that the schema doesn't know are left out. The
    order of the rows stays, their index is numbered anew from 0.

    Args:
        source: what the sentences call the table.
        unrated: True: a rating may be missing (NaN): something was bought, and nobody said how good it was. Or the
            values that mean just that, such as [-1], or [""] for what is missing or empty.
        decimal, dayfirst: how numbers and dates are written in texts: see `files.formats.Reading`.

    Raises:
        ValueError: no rows; a required column missing; an id that is missing, blank, or neither text nor a whole
            number; a rating that is missing, no number, or beyond a million stars; a timestamp that is missing or no
            time from 1678 to 2261; the sentence names the first rows concerned.
    """
    checker = Checker(source, unrated=unrated, decimal=decimal, dayfirst=dayfirst)
    checked = checker.check(reviews)
    checker.finish()
    return checked


class Checker:
    """Checks a table that comes in pieces, also for what must hold for all pieces together.

    The arguments are those of `check_reviews`.
    """

    def __init__(
        self, source: str, *, unrated: bool | Sequence[Any] = (), decimal: str = ".", dayfirst: bool | None = None
    ):
        self.source, self.decimal, self.dayfirst = source, decimal, dayfirst
        self.unrated = unrated_values(unrated)
        self.rows = 0
        self.columns: list[str] = []  # of the first piece
        self.kinds: set[str] = set()  # of ratings: numbers or truth values
        self.unit: str | None = None  # of the times: dates, s, ms, µs or ns
        self.all_in_digits = True  # are the times so far years or dates that are written as numbers?
        self.stars: Counter[float] = Counter()  # as long as there are few different ones

    def check(self, reviews: pd.DataFrame) -> pd.DataFrame:
        """Return this piece as `check_reviews` would; the rows in its sentences count from the first piece's first."""
        names = list(reviews.columns)  # those of several levels are tuples, and none of ours
        if twice := [name for name in (*REQUIRED, *OPTIONAL) if names.count(name) > 1]:
            raise ValueError(f"{self.source} has more than one column {twice[0]!r}: keep one of them.")
        if names:
            require_columns(names, self.source, names)
        present = [name for name in (*REQUIRED, *OPTIONAL) if name in names]
        if reviews.empty:
            return reviews[present]
        self.columns = self.columns or present
        if differ := [name for name in (RATING, TIMESTAMP) if (name in present) != (name in self.columns)]:
            where = f"{'from' if differ[0] in self.columns else 'before'} row {self.rows:,}"
            raise ValueError(
                f"{self.source} has a {differ[0]} in some rows only, and none {where}: expected it in all, or in none."
            )
        reviews = reviews.reset_index(drop=True)
        read = {USER: self._ids, PRODUCT: self._ids, RATING: self._ratings, TIMESTAMP: self._times}
        read |= {CATEGORIES: self._lists, HISTORY: partial(_histories, products=reviews[PRODUCT])}
        checked = pd.DataFrame({name: read.get(name, self._texts)(reviews[name]) for name in present})
        self.rows += len(reviews)
        return checked

    def finish(self) -> None:
        """Check what only all pieces together show, and warn of ratings that may mean "not rated"."""
        if not self.rows:
            raise ValueError(f"{self.source} has no rows: expected one review a row.")
        if self.unit and self.all_in_digits:
            found = f"a {TIMESTAMP} that is a year or a date in digits"
            raise ValueError(f"{self.source}: all {self.rows:,} rows have {found}; {TIMES}")
        for value in NOT_RATED if len(self.stars) <= MANY and not self.unrated else ():
            others = [stars for stars in self.stars if stars != value]
            if self.stars[value] and len(others) > 1 and not min(others) - 1 < value < max(others) + 10:
                warnings.warn(
                    f"{self.source}: {self.stars[value]:,} of {self.rows:,} ratings are {value:g}, the others are from "
                    f"{min(others):g} to {max(others):g}: if it means 'not rated', say unrated=[{value:g}], or "
                    f"--unrated {value:g}.",
                    stacklevel=3,
                )

    def _refuse(self, bad: pd.Series | np.ndarray, found: str, expected: str, values: pd.Series | None = None) -> None:
        refuse(bad, self.source, found, expected, values, self.rows)

    def _ids(self, values: pd.Series) -> pd.Series:
        """Return ids as `str`: texts as they are, whole numbers in digits; anything ambiguous is refused."""
        texts = values.astype(object)
        if not _all_text(texts) or _may_hold(NOT_IN_IDS, "\n".join(texts)):  # which it is, is seen here
            found = f"a {values.name} that is neither plain text nor a whole number"
            self._refuse(texts.map(_no_id), found, "expected ids such as 'B00ABC' or 7.", values)
            texts = texts.map(_as_text)
        if not all(texts) or any(map(str.isspace, texts)):
            expected = "every review needs one: fill it in or remove these rows."
            self._refuse(texts.map(str.strip) == "", f"no {values.name}", expected)
        return texts.astype(str)

    def _texts(self, values: pd.Series) -> pd.Series:
        """Return texts as `str`, missing ones as "". Whole numbers that a gap turned into floats lose their ".0"."""
        texts = values.astype(object)
        if not _all_text(texts) or _may_hold((), "".join(texts)):
            self._refuse(texts.map(_no_text), f"a {values.name} that is no plain text", "expected text.", values)
            texts = texts.map(_as_text)
        return texts.astype(str)

    def _lists(self, values: pd.Series) -> pd.Series:
        """Return texts as `_texts` does, and lists of texts joined by |, however deep they are."""
        return self._texts(
            values.astype(object).map(lambda value: "|".join(_leaves(value)) if _is_list(value) else value)
        )

    def _ratings(self, values: pd.Series) -> pd.Series:
        objects = values.astype(object)
        truths = _is_truth(objects.iloc[0]) and bool(objects.map(_is_truth).all())
        self.kinds.add("True or False" if truths else "numbers")
        if len(self.kinds) > 1:
            raise ValueError(f"{self.source} has ratings that are True or False in some rows only: expected numbers.")
        numbers = objects.map(_truth).astype(float) if truths else self._numbers(values).astype(float)
        missing = self._missing(values, numbers)
        numbers = numbers.mask(missing)
        bad = ~(numbers.abs() <= LARGEST) & ~missing
        if bad.any():
            texts = objects[bad].map(_as_text).str.strip()
            expected = "expected a number such as 4.5, a million at the most"
            if texts.str.fullmatch(r"-?[0-9]+,[0-9]+").all():
                expected += "; for a decimal comma say decimal=',', or --decimal ,"
            elif (texts == "").all():
                expected += "; if it means 'not rated', say unrated=[''], or --unrated ''"
            self._refuse(bad, f"a {RATING} that is no number of stars", f"{expected}.", values)
        if len(self.stars) <= MANY:
            self.stars.update(Counter(numbers.dropna().tolist()))
        return numbers

    def _missing(self, values: pd.Series, numbers: pd.Series) -> pd.Series:
        """Return which ratings mean "bought, not rated"."""
        if isinstance(self.unrated, bool):
            return values.isna() & self.unrated
        named = {str(value).strip() for value in self.unrated}
        missing = numbers.isin([float(name) for name in named if NUMBER.fullmatch(name)])
        return missing | values.astype(object).map(_as_text).str.strip().isin(named) if named else missing

    def _numbers(self, values: pd.Series) -> pd.Series:
        """The values that are numbers, or texts of numbers; NaN for others, also for dates and truth values."""
        if pd.api.types.is_datetime64_any_dtype(values) or pd.api.types.is_timedelta64_dtype(values):
            return pd.Series(np.nan, values.index)
        with suppress(OverflowError):  # pandas 2 has no place for a number of 400 digits
            values = values.infer_objects()
        if values.dtype.kind not in "iuf":
            objects = values.astype(object)
            if not _all_text(objects):
                objects = objects.where(objects.map(_is_number))
            values = objects.map(_with_point) if self.decimal == "," else objects
        return pd.to_numeric(values, errors="coerce").replace([np.inf, -np.inf], np.nan)

    def _times(self, values: pd.Series) -> pd.Series:
        """Return UTC times. Numbers count from 1970 in s, ms, µs or ns; the largest number shows which."""
        no_time, expected = f"a {TIMESTAMP} that is no time", TIMES
        numbers = self._numbers(values)
        if pd.api.types.is_datetime64_any_dtype(values):
            times, unit, in_digits = pd.to_datetime(values, utc=True), "dates", False
        elif numbers.isna().all():
            texts = values.astype(object).map(_as_text).str.strip()
            if self.dayfirst is not None:
                texts = texts.map(self._year_first)
            elif texts.map(DAY_AND_MONTH.fullmatch).any():
                expected = (
                    f"{TIMES[:-1]}; or say which comes first: dayfirst=True or False, --dayfirst or --monthfirst."
                )
            dates = texts.where(texts.str.fullmatch(DATE)).str.replace(" UTC", "Z")
            times = pd.to_datetime(dates, utc=True, errors="coerce", format="ISO8601")
            unit, in_digits = "dates", False
        else:
            self._refuse(numbers.isna(), no_time, expected, values)
            in_digits = bool(np.logical_or.reduce([numbers.between(*ends) for ends in WRITTEN]).all())
            thousands = np.digitize(numbers.abs(), [1e11, 1e14, 1e17])
            largest = thousands.max()
            unit = ("s", "ms", "µs", "ns")[largest]
            self._refuse(thousands != largest, ANOTHER_UNIT, expected, values)
            seconds = numbers // 1000**largest if largest else numbers
            times = pd.to_datetime(seconds.where(seconds.between(FIRST, LAST)), unit="s", utc=True)
            no_time = f"a {TIMESTAMP} that is a year or a date in digits" if in_digits else no_time
        seconds = times.dt.as_unit("s").astype("int64")  # NaT is the least of all integers
        self._refuse(~seconds.between(FIRST, LAST), no_time, expected, values)
        self._refuse(np.full(len(values), self.unit not in (None, unit)), ANOTHER_UNIT, expected, values)
        self.unit, self.all_in_digits = unit, self.all_in_digits and in_digits
        return times.dt.as_unit("s")

    def _year_first(self, text: str) -> str:
        """Return 31.12.2020 as 2020-12-31, and any other text as it is."""
        if not (found := DAY_AND_MONTH.fullmatch(text)):
            return text
        first, _, second, year, clock = found.groups()
        day, month = (first, second) if self.dayfirst else (second, first)
        return f"{year}-{month:>02}-{day:>02}" + (f"T{clock:>0{8 if clock.count(':') > 1 else 5}}" if clock else "")


def require_columns(ours: Sequence[Any], source: str, found: Sequence[Any]) -> None:
    """Raise a ValueError if the user or the product is missing in a table's columns, `found` there, known as `ours`."""
    if any(column not in ours for column in REQUIRED):
        missing = [column for column in (*REQUIRED, RATING) if column not in ours]
        raise ValueError(
            f"{source} has no column {' and no column '.join(map(repr, missing))} (columns found: {listed(found)}): "
            f'rename yours, for instance load_reviews(path, columns={{"their name": "{missing[0]}"}}), '
            f'or as a command: --column "their name={missing[0]}".'
        )


def _may_hold(parts: Sequence[str], text: str) -> bool:
    """Return whether many texts, joined to one, contain one of these parts, or half a character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return any(part in text for part in parts)


def _histories(values: pd.Series, products: pd.Series) -> pd.Series:
    """Return a tuple of ids for each list of ids, or text of them; blanks separate them if no product's id has one."""
    blanks = any(" " in str(product) for product in products)
    lists = values.astype(object).map(lambda value: value if _is_list(value) else _listed(_as_text(value), blanks))
    return lists.map(lambda ids: tuple(one for one in _leaves(ids) if one))


def _listed(text: str, blanks_in_ids: bool) -> list[str]:
    """Return the ids in a text of them, such as a|b, ('a', 'b') or ["a", "b"]."""
    text = text.strip()
    if text[:1] + text[-1:] not in ("()", "[]"):
        return text.split("|" if "|" in text or blanks_in_ids else None)
    if quoted := QUOTED.findall(text):
        return [one or other for one, other in quoted]
    return text[1:-1].replace(",", " ").split()


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple | np.ndarray)


def _leaves(value: Any) -> list[str]:
    return [leaf for part in value for leaf in _leaves(part)] if _is_list(value) else [_as_text(value)]


def _all_text(values: pd.Series) -> bool:
    return pd.api.types.infer_dtype(values, skipna=False) == "string"


def _is_truth(value: Any) -> bool:
    return isinstance(value, bool | np.bool_) or (isinstance(value, str) and value.strip().lower() in TRUTHS)


def _truth(value: Any) -> bool:
    return TRUTHS[value.strip().lower()] if isinstance(value, str) else bool(value)


def _with_point(value: Any) -> Any:
    """Return 4,5 as 4.5, and 4.5 as no number: it could mean four thousand five hundred."""
    return value.replace(".", "?").replace(",", ".") if isinstance(value, str) else value


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


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if pd.isna(value):
        return ""
    if isinstance(value, float | np.floating | Decimal) and value == value and abs(value) < MOST and value % 1 == 0:
        return str(int(value))
    return str(value)


def _is_number(value: Any) -> bool:
    if isinstance(value, str):
        return True
    known = isinstance(value, int | float | Decimal | np.integer | np.floating) and not isinstance(value, bool)
    return known and not abs(value) > MOST
