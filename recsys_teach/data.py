"""Layer 1: `load_reviews` makes a reviews table from a generated shop, the Amazon sample, or your own file.

Files are read as text first and given their types by `check_reviews`, so that an id such as "0528881469" keeps its
zero, and a user called "NA" stays one.
"""

import gzip
import json
import os
import re
import zlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from recsys_teach.sample import amazon_sample
from recsys_teach.schema import OPTIONAL, PRODUCT, RATING, REQUIRED, SUMMARY, TIMESTAMP, USER, check_reviews
from recsys_teach.sentences import listed, one_line, same_everywhere
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
ADDRESS = re.compile(r"[A-Za-z][\w+.-]+:[/\\]")  # the latter in a path on Windows
MARKS = {"semicolons": ";", "tabs": "\t", "commas": ",", "bars": "|", "double colons": "::"}
CHUNK = 2**20
PLAIN: Any = {"header": None, "dtype": str, "keep_default_na": False, "encoding": "utf-8-sig"}  # for `pandas.read_csv`
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
    for column in (USER, PRODUCT):
        if reviews[column].nunique() < 2:
            raise ValueError(f"{path}: {same_everywhere(len(reviews), column, reviews[column].iloc[0])}")
    return reviews


def kind_of(path: Path, *, expected: str = '"generated", "amazon" or the path of a file') -> str:
    """How a file of reviews is read, by its name: "csv", "tsv", "json", "jsonl" or "parquet"; refused if it is none."""
    there = os.path.exists(path)  # which a name can be too long for, or a folder closed
    if ADDRESS.match(str(path)) and not there:
        raise ValueError(f"{path} is an address: nothing is fetched from there; download the file, and name that.")
    if not there:
        raise FileNotFoundError(f"{path} doesn't exist: expected {expected}.")
    if not path.is_file() or not path.name.lower().endswith(SUFFIXES):
        what = "a folder" if path.is_dir() else "a file of another kind" if path.is_file() else "no regular file"
        raise ValueError(f"{path} is {what}: expected a file that ends in {', '.join(SUFFIXES)}.")
    if path.stat().st_size == 0:
        raise ValueError(f"{path} is empty (0 bytes): expected a table of reviews.")
    return path.name.lower().removesuffix(".gz").rsplit(".")[-1]


def _read(path: Path) -> pd.DataFrame:
    kind = kind_of(path)
    file = path.absolute()  # to pandas, what begins with a folder "file:" would be an address
    try:
        if kind == "parquet":  # by its own columns alone, whatever pandas notes beside them or a folder is called
            table = pq.ParquetFile(file).read()
            numbered = table.rename_columns([str(place) for place in range(table.num_columns)])
            return numbered.to_pandas(ignore_metadata=True).set_axis(table.column_names, axis="columns")
        return pd.DataFrame(list(json_lines(file)), dtype=object) if "json" in kind else _read_csv(file, kind)
    except (ValueError, OSError, EOFError, zlib.error, pa.ArrowException) as error:
        raise unreadable(path, kind, error) from error


def unreadable(path: Path, kind: str, error: Exception) -> ValueError:
    """What to raise where a file can't be read: one sentence, however long the error's own words are."""
    reason = one_line(str(error) or repr(error)) + "; expected UTF-8" * isinstance(error, UnicodeDecodeError)
    return ValueError(f"{path} can't be read as {kind}: {reason}. Is it whole, and is it what its name says?")


def csv_header(path: Path, kind: str, *, looked_at: int | None = CHUNK) -> list[str]:
    """The names in the first line of a CSV or TSV file that isn't blank; no NUL is in the bytes that are looked at."""
    with (gzip.open if path.suffix.lower() == ".gz" else open)(path, "rb") as file:
        seen = 0
        while chunk := file.read(CHUNK):
            if (place := chunk.find(b"\0")) >= 0:  # where pandas 2 takes a field to end
                raise ValueError(f"byte {seen + place:,} is NUL; expected UTF-8 text")
            seen += len(chunk)
            if looked_at is not None and seen >= looked_at:
                break
    header = pd.read_csv(path, sep=SEPARATORS[kind], nrows=1, **PLAIN).iloc[0].tolist()
    others = [name for name, mark in MARKS.items() if mark in header[0] and mark != SEPARATORS[kind]]
    if len(header) == 1 and others:
        raise ValueError(f"its fields are separated by {others[0]}; expected {'commas' if kind == 'csv' else 'tabs'}")
    return header


def _read_csv(path: Path, kind: str) -> pd.DataFrame:
    """A CSV or TSV file, all text. pandas by itself takes a field too many in every row for an index, and drops it."""
    header = csv_header(path, kind, looked_at=None)
    table = pd.read_csv(path, sep=SEPARATORS[kind], names=range(len(header) + 1), **PLAIN).iloc[1:]
    too_many = table.pop(len(header)).fillna("") != ""
    if too_many.any():
        raise ValueError(f"row {too_many.to_numpy().argmax()} has more fields than the header's {len(header)}")
    return table.set_axis(header, axis="columns")


def json_lines(path: Path) -> Iterator[dict]:
    """The objects of a JSON Lines file, one by one; a line that is none is refused with its number."""
    decode = json.JSONDecoder(object_pairs_hook=_each_once).decode
    with (gzip.open if path.suffix.lower() == ".gz" else open)(path, "rt", encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = decode(line) if line.strip() else None
                if "\\ud" in line.lower():
                    json.dumps(row, ensure_ascii=False).encode()
            except json.JSONDecodeError as error:
                reason = f"line {number} is no JSON ({error.msg}); expected one review a line (JSON Lines)"
                raise ValueError(reason) from error
            except UnicodeEncodeError as error:
                raise ValueError(f"line {number} holds half a character (a surrogate); expected Unicode") from error
            except (ValueError, RecursionError) as error:
                raise ValueError(f"line {number} can't be understood ({one_line(str(error))})") from error
            if isinstance(row, dict):
                yield row
            elif line.strip():
                raise ValueError(f"line {number} holds no JSON object; expected one review a line (JSON Lines)")


def _each_once(pairs: list[tuple[str, Any]]) -> dict:
    """An object of JSON; of two values under one name, Python would take the last without a word."""
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"it has more than one {next(name for name in names if names.count(name) > 1)!r}")
    return row


def _rename(table: pd.DataFrame, columns: Mapping[str, str] | None, path: Path) -> pd.DataFrame:
    if columns is not None:
        if unknown := [theirs for theirs in columns if theirs not in table]:
            raise ValueError(f"{path} has no column {unknown[0]!r} to rename (columns found: {listed(table)}).")
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
