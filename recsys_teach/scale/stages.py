"""Stages: the steps from files of reviews to a folder that models are trained from, each a few lines of SQL.

They do on disk what `splits`, `baselines` and `features` do in memory. The tables of the files that `read_source` has
read are called source_0, source_1, …
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from recsys_teach._util import progress_bar, same_everywhere
from recsys_teach.files.formats import Reading
from recsys_teach.files.loading import review_pieces
from recsys_teach.schema import PRODUCT, RATING, TIMESTAMP, USER

TABLE = """
CREATE OR REPLACE TABLE {table} (
    user_id VARCHAR, product_id VARCHAR, rating DOUBLE, seconds BIGINT, shuffle UBIGINT
)
"""
# A number by chance that belongs to the row, wherever it stands: in its order, the reviews are shuffled.
INSERT = """
INSERT INTO {table} SELECT *, md5_number_lower(concat_ws('|', {seed}, user_id, product_id, rating, seconds)) FROM piece
"""


def read_source(
    con: duckdb.DuckDBPyConnection, path: Path, table: str, *, seed: int = 0, how: Reading | None = None
) -> None:
    """Make the table of a file: user_id, product_id, rating in stars, seconds since 1970, and a number to shuffle by.

    Rating and seconds are NULL where there are none.

    Raises:
        ValueError: what `load_reviews` would say of the file.
    """
    con.execute(TABLE.format(table=table))

    def insert(piece: pa.Table) -> None:
        con.register("piece", piece)
        con.execute(INSERT.format(table=table, seed=seed))
        con.unregister("piece")

    bar = progress_bar(desc=f"reading {path.name!r}", unit=" rows", unit_scale=True)
    with bar, ThreadPoolExecutor(1) as pool:  # DuckDB takes a piece in while Python reads the next one
        inserted = pool.submit(lambda: None)
        for reviews in review_pieces(path, how or Reading()):
            seconds = reviews[TIMESTAMP].astype("int64") if TIMESTAMP in reviews else None
            columns = {
                USER: pa.array(reviews[USER], pa.string()),
                PRODUCT: pa.array(reviews[PRODUCT], pa.string()),
                RATING: pa.array(reviews.get(RATING, [None] * len(reviews)), pa.float64(), from_pandas=True),
                "seconds": pa.nulls(len(reviews), pa.int64()) if seconds is None else pa.array(seconds),
            }
            inserted.result()
            inserted = pool.submit(insert, pa.table(columns))
            bar.update(len(reviews))
        inserted.result()


DAMPING = 5.0  # ratings, as in `baselines.DampedBiases`
PART_ROWS = 250_000  # of a part, at the most
BATCH_ROWS = 50_000  # that DuckDB hands over at once

IDS = (USER, PRODUCT)

# Sums of whole numbers, in units of 2^-40 stars: they come out the same in whatever order threads add them up.
EXACT_SUM = "CREATE OR REPLACE MACRO exact_sum(stars) AS sum(CAST(stars * 2^40 AS HUGEINT)) / 2^40"
# Purchases that nobody rated don't count; where there are no others, the mean is 0 and the spread 1.
MEAN = "CREATE OR REPLACE TABLE facts AS SELECT coalesce(exact_sum(rating) / count(rating), 0) AS mean FROM train"
SPREAD = """
SELECT mean, CASE count(rating) WHEN 0 THEN 1 ELSE
    greatest(sqrt(exact_sum((rating - mean) ^ 2) / count(rating)), 0.001) END
FROM train, facts GROUP BY mean
"""
PRODUCTS = """
CREATE OR REPLACE TABLE products AS
SELECT product_id, count(*) AS count, coalesce(exact_sum(rating - mean), 0) / (count(rating) + {damping}) AS bias
FROM train, facts GROUP BY product_id ORDER BY product_id
"""
USERS = """
CREATE OR REPLACE TABLE users AS
SELECT user_id, count(*) AS count,
    coalesce(exact_sum(rating - mean - products.bias), 0) / (count(rating) + {damping}) AS bias
FROM train JOIN products USING (product_id), facts GROUP BY user_id ORDER BY user_id
"""
# The tables above are ordered, so a row's number is its id; 0 is the unknown id. One join after the other takes less
# memory than both and the sort at once.
NUMBERED = """
CREATE OR REPLACE TABLE numbered AS
SELECT CAST(users.rowid + 1 AS INTEGER) AS user_id, product_id, CAST(rating AS FLOAT) AS rating, shuffle
FROM train JOIN users USING (user_id)
"""
SHUFFLED = """
CREATE OR REPLACE TABLE shuffled AS
SELECT user_id, CAST(products.rowid + 1 AS INTEGER) AS product_id, rating
FROM numbered JOIN products USING (product_id)
ORDER BY shuffle, user_id, products.rowid, rating
"""

HELD_BACK = pa.schema({"user_id": pa.string(), "product_id": pa.string(), "rating": pa.float64()})
TIMES = pa.field("timestamp", pa.timestamp("s", tz="UTC"))
PART = pa.schema({"user_id": pa.int32(), "product_id": pa.int32(), "rating": pa.float32()})


def hold_back(
    con: duckdb.DuckDBPyConnection,
    sources: int,
    *,
    split: str | None,
    test_share: float,
    validation_share: float,
    shards: int,
) -> None:
    """Make the views `train`, `validation` and `test`, and the table `held_back`, which holds how they were split.

    All reviews are ordered by time and then at random, or at random alone: the last ones are the test part, the ones
    before them the validation part. Rows that are equal in all columns are ordered by their place in the file, so that
    the parts have exactly the sizes asked for.
    """
    columns = "user_id, product_id, rating, seconds, shuffle"
    tables = (f"SELECT {columns}, {n} AS source, rowid AS place FROM source_{n}" for n in range(sources))
    con.execute(f"CREATE OR REPLACE VIEW reviews AS {' UNION ALL '.join(tables)}")
    asked = ("count(*)", "count(seconds)", *(f"{end}({of})" for of in ("seconds", *IDS) for end in ("min", "max")))
    rows, timed, first, last, *ids = _one(con, f"SELECT {', '.join(asked)} FROM reviews")
    rated = [_one(con, f"SELECT count(rating) FROM source_{n}")[0] for n in range(sources)]
    if any(rated) and not all(rated):
        raise ValueError(
            f"source {rated.index(0)} (counted from 0) has no rating in any row, others have: prepare them apart, or "
            "leave the ratings out of all."
        )
    split = split or ("time" if timed == rows else "random")
    if split == "time" and timed < rows:
        found = f"{rows - timed:,} of {rows:,} reviews have no time"
        raise ValueError(f"{found}: split at random (--split random), or give all of them one.")
    if split == "time" and first == last:
        raise ValueError(
            f"all {rows:,} reviews have the same time, {first} s since 1970: split at random (--split random)."
        )
    for column, least, most in zip(IDS, ids[::2], ids[1::2]):
        if least == most:
            raise ValueError(same_everywhere(rows, column, least))
    starts = [round(rows * (1 - test_share - validation_share)), round(rows * (1 - test_share))]
    if not shards <= starts[0] or starts[1] == rows or (validation_share > 0 and starts[0] == starts[1]):
        raise ValueError(
            f"{rows:,} reviews make {starts[0]:,} for training in {shards} shards, {starts[1] - starts[0]:,} for "
            f"validation and {rows - starts[1]:,} for the test: one is empty; give more reviews or other shares."
        )
    order = ("seconds, " if split == "time" else "") + "shuffle, source, place"
    key = f"SELECT {order} FROM reviews ORDER BY {order} LIMIT 1 OFFSET"
    validation, test = (_one(con, f"{key} {start}") for start in starts)
    # No BETWEEN two keys, into which DuckDB turns >= and <: before 2 it has none for rows.
    part = f"CASE WHEN ({order}) < {validation} THEN 'train' WHEN ({order}) < {test} THEN 'validation' ELSE 'test' END"
    for name in ("train", "validation", "test"):
        con.execute(f"CREATE OR REPLACE VIEW {name} AS SELECT * FROM reviews WHERE {part} = '{name}'")
    facts = f"'{split}' AS split, '{order}' AS in_order, {timed == rows} AS timed"
    con.execute(f"CREATE OR REPLACE TABLE held_back AS SELECT {facts}")


def learn(con: duckdb.DuckDBPyConnection) -> None:
    """Make the tables `facts`, `products` and `users` of the training rows: counts and damped biases."""
    for sql in (EXACT_SUM, MEAN, PRODUCTS, USERS):
        con.execute(sql.format(damping=DAMPING))


def shuffle(con: duckdb.DuckDBPyConnection) -> None:
    """Make the table `shuffled`: the training rows with ids in the place of strings, in a random order."""
    for sql in (NUMBERED, SHUFFLED, "DROP TABLE numbered"):
        con.execute(sql)


def write_tables(con: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Write the users, the products, and what was held back."""
    for name, of in (("users", "user_id"), ("products", "product_id")):
        schema = pa.schema({of: pa.string(), "count": pa.int64(), "bias": pa.float64()})
        _write(con, f"SELECT {of}, count, bias FROM {name}", folder / f"{name}.parquet", schema)
    _, order, timed = _one(con, "SELECT * FROM held_back")
    schema, time = (HELD_BACK.append(TIMES), ", seconds AS timestamp") if timed else (HELD_BACK, "")
    for name in ("validation", "test"):
        sql = f"SELECT user_id, product_id, rating{time} FROM {name} ORDER BY {order}"
        _write(con, sql, folder / f"{name}.parquet", schema)


def write_parts(con: duckdb.DuckDBPyConnection, folder: Path, shards: int) -> None:
    """Write the training rows as `SS-PPPP.parquet`: shard after shard, each a stretch of the random order."""
    (rows,) = _one(con, "SELECT count(*) FROM shuffled")
    bar = progress_bar(desc="writing parts", total=rows, unit=" rows", unit_scale=True)
    with bar, _stream(con, "SELECT * FROM shuffled") as batches:
        rest = PART.empty_table()
        for name, size in _parts(rows, shards):
            pieces = [rest]
            while sum(map(len, pieces)) < size:
                pieces.append(pa.Table.from_batches([batches.read_next_batch()]).cast(PART))
            whole = pa.concat_tables(pieces)
            rest = whole[size:]
            pq.write_table(whole[:size].combine_chunks(), folder / name)
            bar.update(size)


def _parts(rows: int, shards: int) -> Iterator[tuple[str, int]]:
    """Yield the name and the number of rows of each part."""
    for shard in range(shards):
        left = rows // shards + (shard < rows % shards)
        for part in range(-(-left // PART_ROWS)):
            yield f"{shard:02d}-{part:04d}.parquet", min(PART_ROWS, left - part * PART_ROWS)


def summary(con: duckdb.DuckDBPyConnection) -> dict:
    """Return the facts about the data for the manifest."""
    (split,) = _one(con, "SELECT split FROM held_back")
    mean, spread = _one(con, SPREAD)
    count = {
        name: _one(con, f"SELECT count(*) FROM {name}")[0]
        for name in ("train", "validation", "test", "users", "products")
    }
    rows = {part: count.pop(part) for part in ("train", "validation", "test")}
    return {"split": split, "rows": rows, **count, "mean_rating": mean, "rating_spread": spread, "damping": DAMPING}


def _one(con: duckdb.DuckDBPyConnection, sql: str) -> tuple:
    return con.execute(sql).fetchall()[0]  # all: DuckDB 2 refuses a query while another one's rows are left over


@contextmanager
def _stream(con: duckdb.DuckDBPyConnection, sql: str) -> Iterator[pa.RecordBatchReader]:
    """Yield the rows in batches, never all of them in memory."""
    relation = con.sql(sql)
    read = getattr(relation, "to_arrow_reader", None) or relation.fetch_arrow_reader  # its name before DuckDB 1.5
    with read(BATCH_ROWS) as batches:
        yield batches


def _write(con: duckdb.DuckDBPyConnection, sql: str, path: Path, schema: pa.Schema) -> None:
    with _stream(con, sql) as batches, pq.ParquetWriter(path, schema) as writer:
        for batch in batches:
            writer.write_table(pa.Table.from_batches([batch]).cast(schema))
