"""Layer 1: files of reviews that are larger than memory, read by DuckDB; the formats are those of `data`.

`load_reviews` holds every review in memory, which ten million don't let it do. Here DuckDB reads a file piece by
piece into a table in a database file, as text first, as `load_reviews` does, so that an id keeps its zeros.
"""

import gzip
import re
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import duckdb
from tqdm.auto import tqdm

from recsys_teach.bars import progress_bar
from recsys_teach.data import CHUNK, json_lines, kind_of, known_columns, unreadable
from recsys_teach.readers import NO_COLUMN, READ, RULES, reader_of
from recsys_teach.schema import PRODUCT, RATING, REQUIRED, TIMESTAMP, USER
from recsys_teach.sentences import listed, shown


def read_source(con: duckdb.DuckDBPyConnection, path: Path, table: str, *, seed: int = 0) -> None:
    """Read a file of reviews into a new table of the database, a row each, in the order of the file.

    Columns: `user_id`, `product_id` (text), `rating` (stars), `seconds` (since 1970; NULL where the file has no
    times), and `shuffle`, a number that looks random and depends on `seed` and on what stands in the row alone: the
    lower half of the MD5 of seed|user_id|product_id|rating|seconds.

    Raises:
        FileNotFoundError, ValueError: one sentence of what was found, where, what was expected and what to do.
    """
    kind = kind_of(path)
    with _whole(path), _readable(path, kind):
        reader, found, columns = reader_of(con, path, kind)
        theirs = {ours: theirs for theirs, ours in known_columns(found).items()}
        twice = [name for name in theirs.values() if found.count(name) > 1]
        if theirs and not twice:
            texts, late = {}, [name for name in columns if name not in found]
            named = theirs | {TIMESTAMP: late[0]} if late else theirs
            for name, ours in (("user", USER), ("product", PRODUCT), ("rating", RATING), ("time", TIMESTAMP)):
                texts[name], texts[f"no_{name}"] = columns[named[ours]] if ours in named else NO_COLUMN
            rules = RULES | texts | {"table": table, "reader": reader, "seed": seed, "timed": TIMESTAMP in theirs}
            con.execute(READ.format(**rules))
    if not found:
        raise ValueError(f"{path} has no rows: expected one review a row.")
    if not theirs:
        expected = f"{', '.join(REQUIRED)}, or Amazon's or MovieLens' names; rename yours."
        raise ValueError(f"{path} has columns of no known format ({listed(found)}): expected {expected}")
    if twice:
        raise ValueError(f"{path} has more than one column {twice[0]!r}: keep one of them.")
    _check(con, path, table)


def _check(con: duckdb.DuckDBPyConnection, path: Path, table: str) -> None:
    """Refuse a table with no rows, with rows that are no reviews, or with times that can't be told."""

    def one(sql: str) -> tuple:
        return next(iter(con.execute(sql.format(table=table)).fetchall()), ())

    rows, timed, units, written, most = one(
        "SELECT count(*), count(unit), count(DISTINCT unit), count(written), max(written) FROM {table}"
    )
    if not rows:
        raise ValueError(f"{path} has no rows: expected one review a row.")
    if bad := one(
        "SELECT problem, count(*) AS rows, min(rowid) AS first, arg_min(found, rowid) FROM {table} "
        "WHERE problem IS NOT NULL GROUP BY problem ORDER BY first LIMIT 1"
    ):
        problem, count, first, example = bad
        where = f"the first is row {first:,}, counted from 0" + ("" if example is None else f": {shown(example)}")
        raise ValueError(f"{path}: {count:,} row{'s' * (count > 1)} with {problem} ({where}); mend or remove them.")
    if 0 < timed < rows:
        raise ValueError(f"{path}: {rows - timed:,} rows have no {TIMESTAMP} where others do: give all of them one.")
    if units > 1:
        found = one("SELECT string_agg(unit, ' and ' ORDER BY unit) FROM (SELECT DISTINCT unit FROM {table})")[0]
        raise ValueError(f"{path} has timestamps in {found}: expected one unit throughout.")
    if written == rows:
        expected = "expected dates such as 2023-01-31, or seconds since 1970."
        raise ValueError(f"{path} has timestamps such as {most}, a year or a date in digits: {expected}")


@contextmanager
def _readable(path: Path, kind: str) -> Iterator[None]:
    """What DuckDB and pandas say of a file that they can't read, in one sentence; JSON with the line's number."""
    try:
        yield
    except (duckdb.OutOfMemoryException, duckdb.FatalException, duckdb.InterruptException):
        raise
    except (duckdb.Error, ValueError) as error:
        if "No space left" in str(error):
            raise
        reason: Exception = error
        if not isinstance(error, UnicodeDecodeError):
            said = str(error).replace(str(path.absolute()), path.name)
            reason = ValueError(re.split(r"\n(?:Possible|Try |LINE |\s*\n)", said)[0])
        if "json" in kind:
            try:
                for _ in json_lines(path):
                    pass
            except (ValueError, OSError, EOFError, zlib.error) as better:
                reason = better
        raise unreadable(path, kind, reason) from error


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    """Unpack a gzip file beside what is done with it: DuckDB before 2 takes a file cut short for a whole one."""
    if path.suffix.lower() != ".gz":
        yield
        return
    size, stop = path.stat().st_size, Event()
    bar = progress_bar(desc=f"reading {path.name!r}", total=size, unit="B", unit_scale=True)
    with bar, ThreadPoolExecutor(1) as pool:
        unpacked = pool.submit(_unpack, path, bar, stop)
        try:
            yield
        except (KeyboardInterrupt, RuntimeError, duckdb.InterruptException):  # the latter are DuckDB's words for it
            stop.set()
            raise
        finally:
            try:
                unpacked.result()
            except (OSError, EOFError, zlib.error) as error:
                message = f"{path} is no whole gzip file ({str(error).rstrip('.')}): copy or download it again."
                raise ValueError(message) from error


def _unpack(path: Path, bar: tqdm, stop: Event) -> None:
    with path.open("rb") as packed, gzip.GzipFile(fileobj=packed) as file:
        while not stop.is_set() and file.read(CHUNK):
            bar.update(packed.tell() - bar.n)
