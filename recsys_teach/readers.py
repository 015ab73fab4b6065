"""Layer 1: how DuckDB is told to read a file of reviews, so that it finds in it what `load_reviews` does.

Columns are told apart by their places: to DuckDB, user_id and USER_ID are one name, and a folder called rating=3 is a
column.
"""

import glob
from itertools import islice
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from recsys_teach.data import FORMATS, SEPARATORS, csv_header, json_lines, known_columns
from recsys_teach.schema import DATE, EXACT, FIRST, LARGEST, LAST, PRODUCT, RATING, TIMESTAMP, USER, WRITTEN

NEEDED = (USER, PRODUCT, RATING, TIMESTAMP)
TIMES = {theirs for form in FORMATS for theirs, ours in form.items() if ours == TIMESTAMP}
LONGEST_LINE = 4_000_000  # bytes of a review in JSON; a larger limit costs memory
FIRST_LINES = 1_000  # of a JSON Lines file, which show its columns
PLACE = "hive_partitioning=false"  # where the file lies says nothing of the reviews in it
WHOLE = f"abs({{0}}) < {EXACT} AND {{0}} = trunc({{0}})"  # a float that is sure to be one whole number
DIGITS = f"CASE WHEN {WHOLE} THEN CAST(try_cast({{0}} AS BIGINT) AS VARCHAR) ELSE CAST({{0}} AS VARCHAR) END"

BLANKS = "".join(filter(str.isspace, map(chr, range(0x3001))))  # what Python strips; DuckDB by itself knows some
BROKEN = "(contains({0}, chr(0)) OR {0} LIKE ' %' AND ltrim({0}, ' ') LIKE '\"%')"
BLANK = (
    "CASE WHEN {0} IS NULL THEN TRUE WHEN ascii({0}) BETWEEN 33 AND 126 THEN FALSE "
    f"ELSE trim({{0}}, '{BLANKS}') = '' END"
)
RULES = {
    "blanks": f"'{BLANKS}'",
    "blank_user": BLANK.format("user_id"),
    "blank_product": BLANK.format("product_id"),
    "broken_user": BROKEN.format("user_id"),
    "broken_product": BROKEN.format("product_id"),
    "date": f"'{DATE}'",
    "no_seconds": "'([T ][0-9]{2}:[0-9]{2})(Z| UTC|[+-].*)$'",
    "exact": EXACT,
    "first": FIRST,
    "largest": LARGEST,
    "last": LAST,
    "written": " OR ".join(f"number BETWEEN {first} AND {last}" for first, last in WRITTEN),
}

Sql = tuple[str, str]  # of a column: its text, and whether that is neither a text nor a whole number
NO_COLUMN: Sql = ("CAST(NULL AS VARCHAR)", "FALSE")

# Numbers and seconds since 1970 out of the texts, and what is wrong with a row; the rules are those of `schema`.
# DuckDB reads 1_000 for a number, and divides whole numbers towards 0; before 2 it wants seconds where there is a zone.
# What is slow is asked of few rows.
READ = """
CREATE OR REPLACE TABLE {table} AS
WITH texts AS (
    SELECT {user} AS user_id, {no_user} AS no_user, {product} AS product_id, {no_product} AS no_product,
        {rating} AS rating_text, {time} AS time_text FROM {reader}
), numbers AS (
    SELECT *, CASE WHEN NOT contains(rating_text, '_') THEN try_cast(rating_text AS DOUBLE) END AS rating,
        CASE WHEN NOT contains(time_text, '_') THEN try_cast(time_text AS DOUBLE) END AS number,
        CASE WHEN time_text IS NULL THEN NULL WHEN number IS NULL THEN 'dates'
            WHEN abs(number) < 1e11 THEN 's' WHEN abs(number) < 1e14 THEN 'ms' WHEN abs(number) < 1e17 THEN 'µs'
            ELSE 'ns' END AS unit,
        CASE unit WHEN 's' THEN 1 WHEN 'ms' THEN 1000 WHEN 'µs' THEN 1000000 ELSE 1000000000 END AS per,
        CASE WHEN number IS NULL THEN trim(time_text, {blanks}) END AS date,
        regexp_replace(date, {no_seconds}, '\\1:00\\2') AS whole_date
    FROM texts
), typed AS (
    SELECT *, CASE WHEN {written} THEN time_text END AS written,
        CASE WHEN unit = 'dates' THEN CASE WHEN regexp_full_match(date, {date})
                THEN epoch_us(date_trunc('second', try_cast(whole_date AS TIMESTAMPTZ))) // 1000000 END
            WHEN abs(number) < {exact} THEN try_cast(floor(number / per) AS BIGINT)
            ELSE try_cast(time_text AS BIGINT) // per - CAST(try_cast(time_text AS BIGINT) % per < 0 AS BIGINT)
            END AS second,
        CASE WHEN second BETWEEN {first} AND {last} THEN second END AS seconds
    FROM numbers
)
SELECT user_id, product_id, rating, seconds, unit, written,
    md5_number_lower(concat_ws('|', {seed}, user_id, product_id, rating, seconds)) AS shuffle,
    CASE WHEN no_user OR {broken_user} THEN 'a user_id that is neither plain text nor a whole number'
        WHEN {blank_user} THEN 'no user_id'
        WHEN no_product OR {broken_product} THEN 'a product_id that is neither plain text nor a whole number'
        WHEN {blank_product} THEN 'no product_id'
        WHEN NOT coalesce(abs(rating) <= {largest}, FALSE) THEN 'a rating that is no number of stars'
        WHEN {timed} AND seconds IS NULL THEN 'a timestamp that is no time' END AS problem,
    CASE WHEN contains(problem, 'a user_id') THEN user_id WHEN contains(problem, 'a product_id') THEN product_id
        WHEN contains(problem, 'a rating') THEN rating_text WHEN contains(problem, 'a time') THEN time_text END AS found
FROM typed
"""


def reader_of(con: duckdb.DuckDBPyConnection, path: Path, kind: str) -> tuple[str, list[str], dict[str, Sql]]:
    """What to select from, in SQL; the names of the file's columns; and those that are needed, in SQL.

    Of a JSON Lines file, its first lines show the columns; where these have no times, what would be their column is
    among the needed ones, too, for later lines may have it.
    """
    place = PLACE + (", compression='gzip'" if path.suffix.lower() == ".gz" else "")  # DuckDB doesn't know .GZ
    path = path.absolute()  # a folder "file:" would make an address of it
    file = quoted(glob.escape(str(path)))  # DuckDB takes * ? [ for patterns
    if kind in SEPARATORS:
        found = columns = csv_header(path, kind)
        types = ["VARCHAR"] * len(found)
        form = f"auto_detect=false, header=true, delim={quoted(SEPARATORS[kind])}, quote='\"', escape='\"'"
        declared = ", ".join(f"c{number}: 'VARCHAR'" for number in range(len(found)))
        reader = f"read_csv({file}, {form}, {place}, columns={{{declared}}})"
    elif kind == "parquet":
        found = columns = pq.ParquetFile(path).schema_arrow.names
        reader = f"read_parquet({file}, {PLACE})"
        types = [row[1] for row in con.execute(f"DESCRIBE SELECT * FROM {reader}").fetchall()]
    else:
        found = list(dict.fromkeys(name for row in islice(json_lines(path), FIRST_LINES) for name in row))
        ours = {theirs: name for theirs, name in known_columns(found).items() if name in NEEDED}
        if TIMESTAMP not in ours.values():  # perhaps later lines have it
            ours |= {name: TIMESTAMP for name in TIMES if known_columns([*found, name]).get(name) == TIMESTAMP}
        columns = list(ours)
        types = ["JSON" if name in (USER, PRODUCT) else "VARCHAR" for name in ours.values()]
        form = f"format='newline_delimited', records=true, maximum_object_size={LONGEST_LINE}"
        declared = ", ".join(f"{quoted(name)}: '{kind}'" for name, kind in zip(columns, types))
        reader = f"read_json({file}, {form}, {place}, columns={{{declared}}})"
    places = [f"c{number}" for number in range(len(columns))]
    return f"{reader} AS file({', '.join(places)})", found, dict(zip(columns, map(_sql, places, types)))


def quoted(value: str) -> str:
    """A text as SQL has it."""
    return "'" + value.replace("'", "''") + "'"


def _sql(column: str, kind: str) -> Sql:
    """A column of this type as the texts that `load_reviews` would make of it."""
    if kind in ("FLOAT", "DOUBLE"):
        number = f"CAST({column} AS DOUBLE)"
        return DIGITS.format(number), f"NOT ({WHOLE.format(number)})"
    if kind == "JSON":
        quotes, text, number = f"{column} LIKE '\"%'", f"({column} ->> '$')", f"try_cast({column} ->> '$' AS DOUBLE)"
        digits = f"CASE WHEN regexp_full_match({text}, '-?[0-9]+') THEN {text} ELSE {DIGITS.format(number)} END"
        inner = f"CASE WHEN contains({column}, '\\') THEN {text} ELSE {column}[2:-2] END"
        is_number = f"regexp_full_match({text}, '-?[0-9]+') OR coalesce({WHOLE.format(number)}, FALSE)"
        return (
            f"CASE WHEN {quotes} THEN {inner} WHEN {number} IS NULL THEN {text} ELSE {digits} END",
            f"CASE WHEN {column} IS NULL OR {quotes} THEN FALSE ELSE NOT ({is_number}) END",
        )
    plain = kind not in ("BOOLEAN", "BLOB") and not kind.startswith(("STRUCT", "MAP", "UNION")) and kind[-1] != "]"
    return f"CAST({column} AS VARCHAR)", "FALSE" if plain else f"{column} IS NOT NULL"
