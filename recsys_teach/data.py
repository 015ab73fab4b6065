"""Layer 1: `load_reviews` makes a reviews table from a generated shop, the Amazon sample, or your own file.

Files are read as text first and given their types by `check_reviews`, so that an id such as "0528881469" keeps its
zero, and a user called "NA" stays one.
"""

import gzip
import json
import os
import zlib
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from recsys_teach.sample import amazon_sample
from recsys_teach.schema import OPTIONAL, PRODUCT, RATING, REQUIRED, SUMMARY, TIMESTAMP, USER, check_reviews
from recsys_teach.shop import generate_shop
from recsys_teach.verbatim import printable

# Known formats, by the columns that give them away: Amazon's 2014 and 2023 releases, MovieLens and its kin.
FORMATS: tuple[dict[str, str], ...] = (
    {"reviewerID": USER, "asin": PRODUCT, "overall": RATING, "summary": SUMMARY, "unixReviewTime": TIMESTAMP},
    {"user_id": USER, "parent_asin": PRODUCT, "rating": RATING, "title": SUMMARY, "timestamp": TIMESTAMP},
    *(
        {user: USER, item: PRODUCT, "rating": RATING, "timestamp": TIMESTAMP}
        for user in ("userId", "user_id")
        for item in ("movieId", "movie_id", "item_id")
    ),
)
SEPARATORS = {"csv": ",", "tsv": "\t"}
SUFFIXES = (".csv", ".tsv", ".jsonl", ".json", ".csv.gz", ".tsv.gz", ".jsonl.gz", ".json.gz", ".parquet")


def load_reviews(source: str | os.PathLike = "generated", *, columns: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Load a reviews table (see `schema`).

    Args:
        source: "generated" for the generated shop (seed 0), "amazon" for 999 reviews of Amazon Electronics
            (downloaded once, its SHA-256 checked; the folder in RECSYS_TEACH_DATA is looked at first), or the path
            of a CSV, TSV, JSON Lines or Parquet file; the text formats may be gzipped.
        columns: your column names to ours, such as {"customer": "user_id"}. Not needed for our own names, Amazon's
            2014 and 2023 releases, and MovieLens.

    Raises:
        FileNotFoundError, ConnectionError, OSError, ValueError: each with one sentence of what was found, where,
            what was expected and what to do.
    """
    if source == "generated":
        return generate_shop().reviews
    path = amazon_sample() if source == "amazon" else Path(source)
    reviews = check_reviews(_rename(_read(path), columns, path), source=printable(path))
    for column, noun in ((USER, "user"), (PRODUCT, "product")):
        if reviews[column].nunique() < 2:
            raise ValueError(
                f"{path}: all {len(reviews):,} reviews have the same {column} {reviews[column].iloc[0]!r}: "
                f"a recommender needs at least two {noun}s to tell apart."
            )
    return reviews


def kind_of(path: Path) -> str:
    """How a file of reviews is read, by its name: "csv", "tsv", "json", "jsonl" or "parquet"; refused if it is none."""
    if not path.exists():
        raise FileNotFoundError(f'{path} doesn\'t exist: expected "generated", "amazon" or the path of a file.')
    if path.is_dir() or not path.name.lower().endswith(SUFFIXES):
        what = "a folder" if path.is_dir() else "a file of another kind"
        raise ValueError(f"{path} is {what}: expected a file that ends in {', '.join(SUFFIXES)}.")
    if path.stat().st_size == 0:
        raise ValueError(f"{path} is empty (0 bytes): expected a table of reviews.")
    return path.name.lower().removesuffix(".gz").rsplit(".")[-1]


def _read(path: Path) -> pd.DataFrame:
    kind = kind_of(path)
    try:
        if kind == "parquet":
            return pd.read_parquet(path)
        return pd.DataFrame(list(json_lines(path)), dtype=object) if "json" in kind else _read_csv(path, kind)
    except (ValueError, OSError, EOFError, zlib.error) as error:
        reason = printable(str(error).partition("\n")[0].rstrip("."), 300)
        message = f"{path} can't be read as {kind}: {reason}. Is it whole, and is it what its name says?"
        raise ValueError(message) from error


def _read_csv(path: Path, kind: str) -> pd.DataFrame:
    """A CSV or TSV file, all text. pandas by itself takes a field too many in every row for an index, and drops it."""
    text = {"header": None, "dtype": str, "keep_default_na": False, "encoding": "utf-8-sig"}
    read: Any = partial(pd.read_csv, path, sep=SEPARATORS[kind], **text)  # its stubs know a hundred overloads
    header = read(nrows=1).iloc[0]
    if len(header) == 1 and ";" in header[0]:
        raise ValueError("its fields are separated by semicolons; expected commas")
    table = read(names=range(len(header) + 1)).iloc[1:]
    too_many = table.pop(len(header)).fillna("") != ""
    if too_many.any():
        raise ValueError(f"row {too_many.to_numpy().argmax()} has more fields than the header's {len(header)}")
    return table.set_axis(header, axis="columns")


def json_lines(path: Path) -> Iterator[dict]:
    """The objects of a JSON Lines file, one by one; a line that is none is refused with its number."""
    with (gzip.open if path.suffix.lower() == ".gz" else open)(path, "rt", encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line) if line.strip() else None
                if "\\ud" in line or "\\uD" in line:
                    json.dumps(row, ensure_ascii=False).encode()
            except json.JSONDecodeError as error:
                reason = f"line {number} is no JSON ({error.msg}); expected one review a line (JSON Lines)"
                raise ValueError(reason) from error
            except UnicodeEncodeError as error:
                reason = f"line {number} holds half a character ({error.object[error.start]!a}); expected whole ones"
                raise ValueError(reason) from error
            if isinstance(row, dict):
                yield row
            elif line.strip():
                raise ValueError(f"line {number} holds no JSON object; expected one review a line (JSON Lines)")


def _rename(table: pd.DataFrame, columns: Mapping[str, str] | None, path: Path) -> pd.DataFrame:
    if columns is not None:
        if unknown := [theirs for theirs in columns if theirs not in table]:
            found = printable(", ".join(map(str, table)), 500)
            raise ValueError(f"{path} has no column {unknown[0]!r} to rename (columns found: {found}).")
        if wrong := [ours for ours in columns.values() if ours not in REQUIRED + OPTIONAL]:
            raise ValueError(f"columns= names {wrong[0]!r}: expected one of {', '.join(REQUIRED + OPTIONAL)}.")
        return table.rename(columns=dict(columns))
    names = known_columns(table.columns)
    return table[list(names)].rename(columns=names) if names else table


def known_columns(found: Collection[Any]) -> dict[str, str]:
    """Which of these columns to take, and how we call them; none if their format isn't known."""
    for form in ({}, *FORMATS):
        # A column of theirs that has one of our names, but another meaning, must not stand beside the renamed one.
        names = {name: name for name in REQUIRED + OPTIONAL if name not in form.values()} | form
        if {theirs for theirs, ours in names.items() if ours in REQUIRED} <= set(found):
            return {theirs: ours for theirs, ours in names.items() if theirs in set(found)}
    return {}
