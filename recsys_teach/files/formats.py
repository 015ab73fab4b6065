"""Formats: read files of reviews as people have them, piece by piece, so that a file may be larger than memory.

A *piece* is a table of some rows of a file, with the file's own column names: text files hold only text, JSON and
Parquet what they hold. `loading` decides what the columns mean, and `schema` which rows are valid.

What is certain is found out: the separator that gives every line the same number of fields, two kinds of files
without a header, and whether quotation marks are quotes. The rest has an option (`Reading`), or is refused.
"""

import ast
import codecs
import csv
import gzip
import io
import json
import os
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any

import pandas as pd
import pyarrow as pa
import pyarrow.json as pj
import pyarrow.parquet as pq

from recsys_teach._util import listed, one_line, refuse, shown
from recsys_teach.schema import PRODUCT, RATING, TIMESTAMP, USER, unrated_values

PIECE = 100_000  # rows that are read at once
OPENED = 10 * PIECE  # of a Parquet file, in whole row groups
CHUNK = 2**20
LOOKED_AT = 1_000  # lines at the beginning of a file, which show its separator
BLOCK = 2**22  # bytes of lines of JSON that are read at once
TEXT, JSON, PARQUET = ("csv", "tsv", "txt", "dat", "data"), ("jsonl", "ndjson", "json"), ("parquet", "pq")
SUFFIXES = tuple(f".{kind}{gz}" for gz in ("", ".gz") for kind in TEXT + JSON) + tuple(f".{kind}" for kind in PARQUET)
SEPARATORS = (",", "\t", ";", "|", "::")
ADDRESS = re.compile(r"[A-Za-z][\w+.-]+:[/\\]")  # the latter in a path on Windows
NUMBER = re.compile(r"-?[0-9]+([.,][0-9]+)?")
HALVES = "\\ud", "\\uD"  # how JSON writes half a character of those that take two

# Files without a header, by what is in their first four fields. MovieLens numbers users and films; in Amazon's files,
# which had the user first in 2014 and the product first in 2018, users begin with A, and products with B or are ISBNs.
SECONDS, STARS = r"[0-9]{8,10}", r"[0-5](\.[05])?"
AMAZON_USER, ASIN = r"A[0-9A-Z]+", r"B[0-9A-Z]+|[0-9]{9}[0-9X]"
NAMELESS = (
    (("\t", "::"), (USER, PRODUCT, RATING, TIMESTAMP), ("[0-9]+", "[0-9]+", STARS, SECONDS)),
    ((",",), (USER, PRODUCT, RATING, TIMESTAMP), (AMAZON_USER, ASIN, STARS, SECONDS)),
    ((",",), (PRODUCT, USER, RATING, TIMESTAMP), (ASIN, AMAZON_USER, STARS, SECONDS)),
)

IDS = (USER, PRODUCT)
Choose = Callable[[Sequence[Any]], dict[Any, str]]  # the names of a file's columns → ours, of those that are wanted


@dataclass(frozen=True)
class Reading:
    """How a file is written, if that can't be found out.

    Args:
        columns: the file's names of columns to ours, on top of those that are known.
        sep: what separates the fields of a text file.
        encoding: of the text, such as "latin-1" or "cp1252".
        decimal: the mark in numbers such as 4,5.
        dayfirst: dates are written 31.12.2020 (True) or 12/31/2020 (False); by themselves only 2020-12-31 is read.
        header: the names of the columns, in their order, of a text file that has none in its first line; False calls
            them "0", "1", …; True takes the first line for names, whatever it looks like.
        unrated: the ratings that mean that somebody bought and didn't rate, such as [-1] or [""].
    """

    columns: Mapping[Any, str] | None = None
    sep: str | None = None
    encoding: str = "utf-8"
    decimal: str = "."
    dayfirst: bool | None = None
    header: bool | Sequence[str] | None = None
    unrated: Sequence[Any] = ()

    def __post_init__(self) -> None:
        try:
            "".encode(self.encoding)  # which refuses "hex" and others that aren't of texts
        except LookupError:
            raise ValueError(f"encoding is {self.encoding!r}: expected one such as 'utf-8' or 'latin-1'.") from None
        object.__setattr__(self, "unrated", unrated_values(self.unrated))
        if self.decimal not in (".", ","):
            raise ValueError(f"decimal is {self.decimal!r}: expected '.' or ','.")
        if self.sep is not None and (not self.sep or (len(self.sep) > 1 and self.sep != "::") or self.sep in '"\n\r'):
            raise ValueError(f"sep is {self.sep!r}: expected one character, such as ';' or '\\t', or '::'.")


def kind_of(
    path: Path, *, expected: str = '"generated", "generated-habit", "amazon", "movielens" or the path of a file'
) -> str:
    """Return the kind of a file of reviews by its name, one of TEXT, JSON or PARQUET; refuse any other file."""
    there = os.path.exists(path)  # which a name can be too long for, or a folder closed
    if ADDRESS.match(str(path)) and not there:
        raise ValueError(f"{path} is an address: nothing is fetched from there; download the file, and name that.")
    if not there:
        raise FileNotFoundError(f"{path} doesn't exist: expected {expected}.")
    if path.is_dir():
        if not parquet_files(path):
            raise ValueError(f"{path} is a folder: expected a file, or a folder of Parquet files.")
        return PARQUET[0]
    if not path.is_file() or not path.name.lower().endswith(SUFFIXES):
        what = "a file of another kind" if path.is_file() else "no regular file"
        raise ValueError(f"{path} is {what}: expected a file that ends in {', '.join(SUFFIXES)}.")
    if path.stat().st_size == 0:
        raise ValueError(f"{path} is empty (0 bytes): expected a table of reviews.")
    return path.name.lower().removesuffix(".gz").rsplit(".")[-1]


def parquet_files(path: Path) -> list[Path]:
    """Return the Parquet files of a path: itself, or those of a folder in the order of their names."""
    if path.is_file():
        return [path]
    found = sorted(file for kind in PARQUET for file in path.rglob(f"*.{kind}") if file.is_file())
    return [file for file in found if not file.name.startswith(("_", "."))]


def read_pieces(path: Path, how: Reading, choose: Choose) -> Iterator[pd.DataFrame]:
    """Read the wanted columns piece by piece, under our names.

    `choose` gets the names of all columns, and returns the wanted ones and their new names; what it refuses, in a whole
    sentence, the file is refused with.

    Raises:
        ValueError, OSError: one sentence, which names the file.
    """
    kind = kind_of(path)
    read = _json_pieces if kind in JSON else _parquet_pieces if kind in PARQUET else _text_pieces
    pieces = read(path, kind, how, choose)
    while True:
        with _readable(path, kind, how):
            piece = next(pieces, None)
        if piece is None:
            return
        yield piece


@contextmanager
def _readable(path: Path, kind: str, how: Reading) -> Iterator[None]:
    """Turn other libraries' errors about a file that they can't read into one sentence, however long their own is."""
    try:
        yield
    except (ValueError, OSError, EOFError, zlib.error, csv.Error, pa.ArrowException) as error:
        if str(error).startswith(str(path)):
            raise  # a whole sentence already
        if isinstance(error, OSError) and error.errno is not None:
            raise OSError(f"{path} can't be read ({error.strerror}).") from error
        reason = one_line(str(error) or repr(error))
        if isinstance(error, UnicodeError):
            reason += f"; expected {how.encoding.upper()}, or name another: encoding='latin-1', --encoding latin-1"
        raise ValueError(
            f"{path} can't be read as {kind}: {reason}. Is it whole, and is it what its name says?"
        ) from error


# Text with separators.


def _text_pieces(path: Path, kind: str, how: Reading, choose: Choose) -> Iterator[pd.DataFrame]:
    """Read a text file with separators, all fields as text. (pandas takes an extra field in every row for an index.)"""
    marks = _look_through(path, how)
    with _opened(path, how.encoding) as lines:
        beginning = [line for line in islice(lines, LOOKED_AT) if line.strip()]
    if not beginning:
        raise ValueError("No columns to parse from file")
    sep = how.sep or _separator(path, beginning, kind, how, choose)
    names = _names(path, beginning, sep, how)
    first = 0 if names else -1  # the number of the first row that pandas finds
    names = names or _fields(beginning, sep)
    wanted = _chosen(path, names, choose)
    quoting = _quoting(path, sep, how, names, wanted) if marks else csv.QUOTE_NONE
    for table in _table(path, sep, quoting, how, columns=len(names)):
        if first < 0:
            first, table = 0, table.iloc[1:]
        too_many = (table[len(names)].fillna("") != "").to_numpy()
        if too_many.any():
            raise ValueError(f"row {first + too_many.argmax():,} has more fields than the header's {len(names)}")
        table = table.iloc[:, :-1].set_axis(names, axis="columns")[list(wanted)].rename(columns=wanted)
        if marks and quoting == csv.QUOTE_NONE:
            _refuse_lone_quotes(table, path, first)
        first += len(table)
        yield table


def _look_through(path: Path, how: Reading) -> bool:
    """Return whether the file has a quotation mark; refuse a NUL, at which pandas 2 would end a field."""
    wide = codecs.lookup(how.encoding).name.startswith(("utf-16", "utf-32"))
    seen, marks = 0, wide
    with (gzip.open if path.suffix.lower() == ".gz" else open)(path, "rb") as file:
        while chunk := file.read(CHUNK):
            if not wide and (place := chunk.find(b"\0")) >= 0:
                raise ValueError(f"byte {seen + place:,} is NUL; expected {how.encoding.upper()} text")
            marks = marks or b'"' in chunk
            seen += len(chunk)
    return marks


@contextmanager
def _opened(path: Path, encoding: str) -> Iterator[IO[str]]:
    """Open the text of a file, with its own line ends."""
    encoding = "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding
    with (gzip.open if path.suffix.lower() == ".gz" else open)(path, "rt", encoding=encoding, newline="") as lines:
        yield lines


class _OneMark:
    """Text in which "::" is replaced by one character, since pandas' fast reader needs a separator of one."""

    MARK = "\x1f"  # ASCII's own separator of units

    def __init__(self, text: IO[str]):
        self.text = text

    def read(self, size: int = -1) -> str:
        """Read about as many characters, no "::" cut in two."""
        found = self.text.read(size)
        if found.endswith(":"):
            found += self.text.read(1)
        if self.MARK in found:
            raise ValueError("it holds the character U+001F; expected text without it")
        return found.replace("::", self.MARK)

    def __iter__(self) -> Iterator[str]:  # pandas wants a file to have it, and calls `read`
        return iter(self.text)


def _table(path: Path, sep: str, quoting: int, how: Reading, *, columns: int) -> Iterator[pd.DataFrame]:
    """Yield all rows of a text file in pieces, with its first line, and with room for one more column."""
    with _opened(path, how.encoding) as text:
        source: Any = _OneMark(text) if sep == "::" else text
        mark = _OneMark.MARK if sep == "::" else sep
        settings: dict[str, Any] = {"header": None, "dtype": str, "keep_default_na": False, "quoting": quoting}
        yield from pd.read_csv(source, sep=mark, names=range(columns + 1), chunksize=PIECE, **settings)


def _separator(path: Path, beginning: list[str], kind: str, how: Reading, choose: Choose) -> str:
    """Return the separator that gives every line the same number of fields.

    Of several, the one that finds the columns that are wanted; if there is none, the one that the file's name says.
    """
    usual = "\t" if kind == "tsv" else ","
    even = {sep: count for sep in (usual, *SEPARATORS) if (count := _even(beginning, sep))}

    def fits(sep: str) -> bool:
        try:
            choose(_names(path, beginning, sep, how) or _fields(beginning, sep))
        except ValueError:
            return False
        return True

    fitting = [sep for sep in even if fits(sep)]
    best = fitting or [sep for sep in even if even[sep] == max(even.values())] or [usual]
    if len(best) > 1 and usual not in best:
        raise ValueError(
            f"{path} has lines that {' and '.join(map(repr, best))} separate into {even[best[0]]} fields alike: name "
            f"one of them, as in sep={best[0]!r}, or --sep {best[0]!r}."
        )
    return usual if usual in best else best[0]


def _even(lines: list[str], sep: str) -> int:
    """Return the number of fields of these lines, if it is 2 or more and the same for all; else 0."""
    counts = {line.count(sep) + 1 for line in lines}
    if len(counts) > 1 and sep != "::":  # some of them may be in quotes, and the last record may be cut
        counts = {len(row) for row in _records(lines, sep)[: max(1, len(lines) - 1)]}
    return counts.pop() if len(counts) == 1 and counts != {1} else 0


def _fields(lines: list[str], sep: str) -> list[str]:
    """Return the fields of the first record."""
    return lines[0].rstrip("\r\n").split(sep) if sep == "::" else _records(lines, sep)[0]


def _records(lines: list[str], sep: str) -> list[list[str]]:
    with _long_fields():
        return list(csv.reader(lines, delimiter=sep))


def _names(path: Path, beginning: list[str], sep: str, how: Reading) -> list[str]:
    """Return the names of the columns of a file without a header; empty if its first line is a header."""
    fields = _fields(beginning, sep)
    if how.header is True:
        return []
    if how.header is False:
        return [str(place) for place in range(len(fields))]
    if how.header is not None:
        if len(how.header) != len(fields):
            raise ValueError(
                f"{path} has {len(fields)} fields in its first line, and header= {len(how.header)} names "
                f"({listed(how.header)}): expected a name for each field."
            )
        return list(how.header)
    rows = [line.rstrip("\r\n").split(sep) for line in beginning]
    for marks, named, patterns in NAMELESS:
        if sep in marks and all(len(row) == 4 and all(map(re.fullmatch, patterns, row)) for row in rows):
            return list(named)
    return []


def _chosen(path: Path, names: list[str], choose: Choose) -> dict[str, str]:
    """Choose the wanted columns; if there are none, mention that the first line may not be a header."""
    try:
        return choose(names)
    except ValueError as error:
        if not any(NUMBER.fullmatch(name.strip()) for name in names):
            raise
        example = [*(USER, PRODUCT, RATING, TIMESTAMP), *(f"column {n}" for n in range(5, len(names) + 1))]
        example = example[: len(names)]
        raise ValueError(
            f"{path} begins with a line that looks like a review, not like names (columns found: {listed(names)}): "
            f"name its columns in their order, as in header={example}, or --header {','.join(example)!r}."
        ) from error


def _quoting(path: Path, sep: str, how: Reading, names: list[str], wanted: Mapping[str, str]) -> int:
    """Decide whether the quotation marks in this file are quotes, or characters like others.

    They are quotes where the file is well-formed with them (RFC 4180). They are characters where every line has the
    same number of fields by itself, and as quotes they would be misplaced, or make one field of several lines: so a
    file that knows no quotes, as many with tabs don't, may have texts that begin with one.
    """
    if sep == "::":
        return csv.QUOTE_NONE
    with _opened(path, how.encoding) as lines:
        counts = Counter(line.count(sep) for line in lines if line.strip())
    even, usual = len(counts) == 1, max(counts, key=counts.__getitem__, default=0)
    records, fused = 0, 0  # fused: the last line of a record whose lines look like a record each
    of_record: list[int] = []  # the separators in each of its lines

    def counted(lines: Iterable[str]) -> Iterator[str]:
        for line in lines:
            of_record.append(line.count(sep))
            yield line

    try:
        with _opened(path, how.encoding) as lines, _long_fields():
            reader = csv.reader(counted(lines), delimiter=sep, strict=True)
            for row in reader:
                records += bool(row)
                if len(of_record) > 1 and {*of_record} == {usual}:
                    fused = fused or reader.line_num
                of_record.clear()
    except csv.Error as error:
        if even:
            return csv.QUOTE_NONE
        raise ValueError(f"line {reader.line_num} has a quotation mark at a wrong place ({error})") from error
    if even and records < counts.total():
        return csv.QUOTE_NONE
    if fused and usual:
        raise ValueError(
            f"{path}: a text in quotation marks goes on over lines, up to line {fused}, and each of these lines has "
            f"{usual} separators, as a review by itself has: remove quotation marks that aren't around a whole field."
        )
    if even:
        _refuse_quoted_and_bare(path, sep, how, [names.index(name) for name in wanted if wanted[name] in IDS])
    return csv.QUOTE_MINIMAL


@contextmanager
def _long_fields() -> Iterator[None]:
    """Let Python's CSV reader accept fields of any length; its own limit is 131,072 characters."""
    before = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _refuse_quoted_and_bare(path: Path, sep: str, how: Reading, places: Sequence[int]) -> None:
    """Refuse a file in which an id is quoted in one row and bare in another: it may be one id, or two."""
    quoted: set[tuple[int, str]] = set()
    bare: set[tuple[int, str]] = set()
    with _opened(path, how.encoding) as lines:
        for line in lines:
            fields = line.rstrip("\r\n").split(sep)
            for place in places:
                field = fields[place] if place < len(fields) else ""
                if field.startswith('"'):
                    quoted.add((place, field[1:-1].replace('""', '"')))
                else:
                    bare.add((place, field))
    if both := quoted & bare:
        raise ValueError(
            f"{path} has an id in quotation marks in one row and without them in another ({shown(min(both)[1])}): "
            "these may be one or two; write all of them in the same way."
        )


def _refuse_lone_quotes(table: pd.DataFrame, path: Path, first: int) -> None:
    """Refuse ids that begin with a quotation mark that isn't a quote: with and without it they may be the same id."""
    for column in IDS:
        lone = table[column].astype(object).map(lambda name: isinstance(name, str) and name.startswith('"'))
        found = f"a {column} that begins with a quotation mark"
        refuse(lone, str(path), found, "remove it there.", table[column], first)


# JSON.


def _json_pieces(path: Path, kind: str, how: Reading, choose: Choose) -> Iterator[pd.DataFrame]:
    """Read the objects of a JSON Lines file, of a JSON array, or in Python's own notation, one a line.

    Arrow reads lines three times as fast as Python, and says less of what is wrong. So it reads those blocks in which
    it finds what Python would; where it fails, or finds anything unlike the block before, Python reads the block.
    """
    names: dict[str, None] = {}  # of all columns so far, in their order
    wanted: dict[str, str] = {}
    types: pa.Schema | None = None
    for block, objects in _json_blocks(path, how.encoding):
        table = _by_arrow(block, types) if block and types else None
        if table is not None and names.keys() >= set(table.column_names):
            yield table.select(list(wanted)).rename_columns(list(wanted.values())).to_pandas()
            continue
        some = list(objects)
        if not names.keys() >= set().union(*some):
            names |= dict.fromkeys(name for row in some for name in row)
            before, wanted = wanted, choose(list(names))
            if other := [name for name in before if wanted.get(name) != before[name]]:
                name, was, now = other[0], before[other[0]], wanted.get(other[0], "nothing")
                raise ValueError(
                    f"{path}: with columns that begin late, {name!r} means {now!r} and no more {was!r}, as before: say "
                    f"which, as in columns={{{name!r}: {was!r}}}, or --column {name}={was}."
                )
        columns = {theirs: pd.Series([row.get(theirs) for row in some], dtype=object) for theirs in wanted}
        types = _types(columns, wanted)
        yield pd.DataFrame({wanted[theirs]: values for theirs, values in columns.items()})


def _types(columns: Mapping[str, pd.Series], wanted: Mapping[str, str]) -> pa.Schema | None:
    """Return the Arrow types of these columns; None if Arrow couldn't read them without a loss."""
    types = {"string": pa.string(), "integer": pa.int64()}
    of_ratings = {name: pa.float64() for name in ("integer", "floating", "mixed-integer-float")}
    found = {
        name: (types | of_ratings if wanted[name] == RATING else types).get(
            pd.api.types.infer_dtype(values, skipna=False)
        )
        for name, values in columns.items()
    }
    return pa.schema(list(found.items())) if found and all(found.values()) else None


def _by_arrow(block: bytes, types: pa.Schema) -> pa.Table | None:
    """Return the rows of a block of lines by Arrow; None unless each line is one object with these columns."""
    try:
        block.decode()
        options = pj.ParseOptions(explicit_schema=types, unexpected_field_behavior="infer")  # or two of a name pass
        table = pj.read_json(pa.BufferReader(block), parse_options=options)
    except (UnicodeDecodeError, pa.ArrowException):
        return None
    lines = block.count(b"\n") + (not block.endswith(b"\n"))
    gaps = any(table[name].null_count for name, kind in zip(types.names, types.types) if kind != pa.string())
    return None if len(table) != lines or gaps else table


def _json_blocks(path: Path, encoding: str) -> Iterator[tuple[bytes, Iterable[dict]]]:
    """Yield the objects of a file, some at a time; with one a line, in UTF-8, also the bytes of these lines."""
    with _opened(path, encoding) as text:
        beginning = text.read(CHUNK) + text.readline()
        is_array = beginning.lstrip().startswith("[")
        read = _notation(beginning)
        if is_array or codecs.lookup(encoding).name != "utf-8":
            lines = chain(io.StringIO(beginning, newline=None), text)
            objects = _of_array(beginning, text) if is_array else _of_lines(lines, 1, read)
            while some := list(islice(objects, PIECE // 10)):
                yield b"", some
            return
    number, held, chunk = 1, b"", b" " * BLOCK
    with (gzip.open if path.suffix.lower() == ".gz" else open)(path, "rb") as file:
        while len(chunk) == BLOCK:  # else the file is at its end
            chunk = file.read(BLOCK)
            held += chunk.removeprefix(codecs.BOM_UTF8) if number == 1 else chunk
            end = held.rfind(b"\n") + 1 if len(chunk) == BLOCK else len(held)
            block, held = held[:end], held[end:]
            if block:
                yield block, _of_block(block, number, read)
                number += block.count(b"\n")


def _of_block(block: bytes, number: int, read: Callable[[str], Any]) -> Iterator[dict]:
    return _of_lines(io.StringIO(block.decode(), newline=None), number, read)


def _notation(text: str) -> Callable[[str], Any]:
    """Return the parser for lines like the first one: JSON, unless it is in Python's notation."""
    decode = json.JSONDecoder(object_pairs_hook=_each_once).decode
    line = next((line for line in io.StringIO(text, newline=None) if line.strip()), "")
    return decode if _is_json(line) or _literal(line) is None else _literal


def _of_lines(lines: Iterable[str], number: int, read: Callable[[str], Any]) -> Iterator[dict]:
    """Yield the objects of lines, counted from `number`; refuse a line that isn't an object."""
    for place, line in enumerate(lines, number):
        if line.isspace():
            continue
        try:
            row = read(line)
        except json.JSONDecodeError as error:
            reason = f"line {place} is no JSON ({error.msg}); expected one review a line (JSON Lines)"
            raise ValueError(reason) from error
        except (ValueError, RecursionError) as error:
            raise ValueError(f"line {place} can't be understood ({one_line(str(error))})") from error
        if any(half in line for half in HALVES):
            _refuse_half_characters(row, f"line {place}")
        if not isinstance(row, dict):
            raise ValueError(f"line {place} holds no JSON object; expected one review a line (JSON Lines)")
        yield row


def _literal(line: str) -> dict | None:
    """Parse a dictionary in Python's notation, {'a': u'b', 'c': True}, as some published files have it, or None."""
    if not line.lstrip().startswith("{"):
        return None
    try:
        tree = ast.parse(line.strip(), mode="eval").body
        row = ast.literal_eval(tree)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None
    if not isinstance(row, dict) or not all(isinstance(name, str) for name in row):
        return None
    return _each_once([(name.value, row[name.value]) for name in tree.keys])  # type: ignore[attr-defined]


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _of_array(held: str, text: IO[str]) -> Iterator[dict]:
    """Yield the objects of an array, with only one of them in memory."""
    decode = json.JSONDecoder(object_pairs_hook=_each_once).raw_decode
    held, number, expected = held.lstrip()[1:], 0, "{]"
    while True:
        held = held.lstrip()
        if not held and (more := text.read(CHUNK)):
            held = more
            continue
        if held[:1] == "," and expected == ",]":
            held, expected = held[1:], "{"
            continue
        if held[:1] == "]" and "]" in expected:
            break
        if held[:1] != "{" or "{" not in expected:
            found = f"{held[0]!r}" if held else "its end"
            raise ValueError(f"after object {number} of the array there is {found}; expected {' or '.join(expected)}")
        try:
            row, end = decode(held)
        except json.JSONDecodeError as error:
            if more := text.read(max(CHUNK, len(held))):
                held += more
                continue
            raise ValueError(f"object {number + 1} of the array is no JSON ({error.msg})") from error
        except (ValueError, RecursionError) as error:
            raise ValueError(f"object {number + 1} can't be understood ({one_line(str(error))})") from error
        number, expected = number + 1, ",]"
        if any(half in held[:end] for half in HALVES):
            _refuse_half_characters(row, f"object {number}")
        held = held[end:]
        yield row
    if held[1:].strip() or text.read().strip():
        raise ValueError("there is more behind the end of the array")


def _refuse_half_characters(row: Any, where: str) -> None:
    """Refuse half of a surrogate pair, which JSON can write and no file can hold."""
    try:
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{where} holds half a character (a surrogate); expected Unicode") from error


def _each_once(pairs: list[tuple[str, Any]]) -> dict:
    """Return an object of JSON; refuse two values under one name, of which Python would silently take the last."""
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"it has more than one {next(name for name in names if names.count(name) > 1)!r}")
    return row


# Parquet.


def parquet_batches(file: pq.ParquetFile) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a Parquet file in order, at most `PIECE` at once.

    It opens a million rows at a time: what pyarrow holds of a row group stays in memory until it has read them all.
    """
    groups = range(file.num_row_groups)
    at_once = max(1, len(groups) * OPENED // max(1, file.metadata.num_rows))
    for start in groups[::at_once]:
        yield from file.iter_batches(PIECE, row_groups=list(groups[start : start + at_once]))


def _parquet_file(path: Path) -> pq.ParquetFile:
    """Open a Parquet file: what begins with a folder "file:" would be an address, if it weren't absolute."""
    return pq.ParquetFile(path.absolute())


PERCENT = re.compile("(%[0-9A-Fa-f]{2})+")  # how Hive writes characters that a folder's name shouldn't have


def _of_folders(path: Path, part: Path) -> dict[str, str | None]:
    """Return what the folders between a path and one of its files say of all rows, as Hive names them: rating=5."""
    pairs = [name.split("=", 1) for name in part.relative_to(path).parts[:-1] if "=" in name]
    texts = {
        name: PERCENT.sub(lambda found: bytes.fromhex(found[0].replace("%", "")).decode(), of) for name, of in pairs
    }
    return {name: None if text == "__HIVE_DEFAULT_PARTITION__" else text for name, text in texts.items()}


def _parquet_pieces(path: Path, kind: str, how: Reading, choose: Choose) -> Iterator[pd.DataFrame]:
    """Read Parquet files, without pandas' metadata; a folder's name such as rating=5 is a column that they lack."""
    parts = parquet_files(path)
    wanted: dict[str, str] = {}
    for part in parts:  # the columns of all files, before the rows of the first one
        names = _parquet_file(part).schema_arrow.names
        names += [name for name in _of_folders(path, part) if name not in names]
        wanted = wanted or choose(names)
        if missing := [name for name in wanted if name not in names]:
            raise ValueError(f"{part} has no column {missing[0]!r}, which the files before it have: expected the same.")
        if more := [name for name in choose(names) if name not in wanted]:
            raise ValueError(f"{part} has a column {more[0]!r}, which the files before it lack: expected the same.")
    for part in parts:
        file, told = _parquet_file(part), _of_folders(path, part)
        names = file.schema_arrow.names
        for batch in parquet_batches(file):
            table = pa.Table.from_batches([batch])
            for name in [name for name in told if name not in names]:
                table = table.append_column(name, pa.array([told[name]] * len(table), pa.string()))
            table = table.select([table.schema.names.index(name) for name in wanted])
            yield table.rename_columns(list(wanted.values())).to_pandas(ignore_metadata=True)
