"""Layer 1: files of reviews that are larger than memory, read by DuckDB; the formats are those of `data`.

`load_reviews` holds every review in memory, which ten million don't let it do. Here DuckDB reads a file piece by
piece into a table in a database file, as text first, as `load_reviews` does, so that an id keeps its zeros.
"""

import glob
import gzip
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import duckdb
import pandas as pd
from tqdm.auto import tqdm

from recsys_teach.data import SEPARATORS, json_lines, kind_of, known_columns
from recsys_teach.schema import PRODUCT, RATING, REQUIRED, TIMESTAMP, USER
from recsys_teach.verbatim import printable

NEEDED = {"user": USER, "product": PRODUCT, "rating": RATING, "time": TIMESTAMP}
LONGEST_LINE = 4_000_000  # bytes of a review in JSON; a larger limit costs memory
CHUNK = 2**20

# Seconds since 1970 out of the text, and what is wrong with a row. Ratings beyond a million stars are no stars.
READ = """
CREATE OR REPLACE TABLE {table} AS
WITH texts AS (
    SELECT {user} AS user_id, {product} AS product_id, {rating} AS rating_text, {time} AS time_text FROM {reader}
), numbers AS (
    SELECT user_id, product_id, rating_text, try_cast(rating_text AS DOUBLE) AS rating, time_text,
        try_cast(time_text AS DOUBLE) AS number,
        CASE WHEN time_text IS NULL THEN NULL WHEN number IS NULL THEN 'dates'
            WHEN abs(number) < 1e11 THEN 's' WHEN abs(number) < 1e14 THEN 'ms' WHEN abs(number) < 1e17 THEN 'µs'
            ELSE 'ns' END AS unit
    FROM texts
), typed AS (
    SELECT user_id, product_id, rating, rating_text, time_text, unit,
        CASE unit WHEN 'dates' THEN epoch_us(try_cast(time_text AS TIMESTAMPTZ)) // 1000000
            ELSE try_cast(floor(number / CASE unit WHEN 's' THEN 1 WHEN 'ms' THEN 1e3 WHEN 'µs' THEN 1e6 ELSE 1e9 END)
                AS BIGINT) END AS seconds
    FROM numbers
)
SELECT user_id, product_id, rating, seconds, unit,
    md5_number_lower(concat_ws('|', {seed}, user_id, product_id, rating, seconds)) AS shuffle,
    CASE WHEN coalesce(trim(user_id), '') = '' THEN 'no user_id'
        WHEN coalesce(trim(product_id), '') = '' THEN 'no product_id'
        WHEN NOT coalesce(isfinite(rating) AND abs(rating) <= 1e6, FALSE) THEN 'a rating that is no number'
        WHEN {timed} AND seconds IS NULL THEN 'a timestamp that is no time' END AS problem,
    CASE problem WHEN 'a rating that is no number' THEN rating_text
        WHEN 'a timestamp that is no time' THEN time_text END AS found
FROM typed
"""


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
        reader, found = _reader(con, path, kind)
        theirs = {ours: theirs for theirs, ours in known_columns(found).items()}
        if theirs:
            texts = {name: _varchar(theirs.get(ours)) for name, ours in NEEDED.items()}
            con.execute(READ.format(table=table, reader=reader, seed=seed, timed=TIMESTAMP in theirs, **texts))
    if not theirs:
        known = f"expected {', '.join(REQUIRED)}, or Amazon's or MovieLens' names; rename yours."
        raise ValueError(f"{path} has columns of no known format ({printable(', '.join(found), 500)}): {known}")
    _check(con, path, table)


def _check(con: duckdb.DuckDBPyConnection, path: Path, table: str) -> None:
    """Refuse a table with no rows, with rows that are no reviews, or with times that can't be told."""

    def one(sql: str) -> tuple:
        return next(iter(con.execute(sql.format(table=table)).fetchall()), ())

    rows, units, least, most = one("SELECT count(*), count(DISTINCT unit), min(seconds), max(seconds) FROM {table}")
    if not rows:
        raise ValueError(f"{path} has no rows: expected one review a row.")
    if bad := one(
        "SELECT problem, count(*) AS rows, min(rowid) AS first, arg_min(found, rowid) FROM {table} "
        "WHERE problem IS NOT NULL GROUP BY problem ORDER BY first LIMIT 1"
    ):
        problem, count, first, example = bad
        where = f"the first is row {first:,}, counted from 0" + (f": {example!r}" if example is not None else "")
        raise ValueError(f"{path}: {count:,} row{'s' * (count > 1)} with {problem} ({where}); mend or remove them.")
    if units > 1:
        found = one("SELECT string_agg(unit, ' and ' ORDER BY unit) FROM (SELECT DISTINCT unit FROM {table})")[0]
        raise ValueError(f"{path} has timestamps in {found}: expected one unit throughout.")
    if units and one("SELECT unit FROM {table} LIMIT 1") == ("s",) and least >= 1900 and most <= 2100_12_31:
        expected = "expected dates such as 2023-01-31, or seconds since 1970."
        raise ValueError(f"{path} has timestamps such as {most}, a year or a date in digits: {expected}")


def _reader(con: duckdb.DuckDBPyConnection, path: Path, kind: str) -> tuple[str, list[str]]:
    """How DuckDB reads this file, and its columns."""
    file = _text(glob.escape(str(path)))  # DuckDB takes * ? [ for patterns
    if kind in SEPARATORS:
        found = list(map(str, pd.read_csv(path, sep=SEPARATORS[kind], nrows=0, encoding="utf-8-sig")))
        columns = ", ".join(f"{_text(name)}: 'VARCHAR'" for name in found)
        form = f"auto_detect=false, header=true, delim={_text(SEPARATORS[kind])}, quote='\"', escape='\"'"
        return f"read_csv({file}, {form}, columns={{{columns}}})", found
    if kind == "parquet":
        reader = f"read_parquet({file})"
        return reader, [row[0] for row in con.execute(f"DESCRIBE SELECT * FROM {reader}").fetchall()]
    form = f"format='newline_delimited', records=true, maximum_object_size={LONGEST_LINE}"
    sniff = f"DESCRIBE SELECT * FROM read_json({file}, {form}, maximum_depth=1, sample_size=1000)"
    found = [row[0] for row in con.execute(sniff).fetchall()]
    needed = [theirs for theirs, ours in known_columns(found).items() if ours in NEEDED.values()]
    columns = ", ".join(f"{_text(name)}: 'VARCHAR'" for name in needed)
    return f"read_json({file}, {form}, columns={{{columns}}})", found


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _varchar(column: str | None) -> str:
    return "CAST(NULL AS VARCHAR)" if column is None else 'CAST("' + column.replace('"', '""') + '" AS VARCHAR)'


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
        reason = "; ".join(str(error).split("\nPossible")[0].split("\nTry ")[0].split("\n")).strip("; .")
        if "json" in kind:
            try:
                for _ in json_lines(path):
                    pass
            except (ValueError, OSError, EOFError, zlib.error) as better:
                reason = str(better)
        message = f"{path} can't be read as {kind}: {reason}. Is it whole, and is it what its name says?"
        raise ValueError(message) from error


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    """Unpack a gzip file beside what is done with it: DuckDB before 2 takes a file cut short for a whole one."""
    if path.suffix.lower() != ".gz":
        yield
        return
    size, stop = path.stat().st_size, Event()
    bar = tqdm(desc=f"reading {path.name!r}", total=size, unit="B", unit_scale=True, leave=False, delay=2)
    with bar, ThreadPoolExecutor(1) as pool:
        unpacked = pool.submit(_unpack, path, bar, stop)
        try:
            yield
        except (KeyboardInterrupt, RuntimeError):  # the latter is what DuckDB makes of Ctrl-C
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
