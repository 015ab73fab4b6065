"""Layer 2: files of reviews become tables of DuckDB: the pieces that `load_reviews` would put together, one by one."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pyarrow as pa

from recsys_teach.bars import progress_bar
from recsys_teach.data import review_pieces
from recsys_teach.reading import Reading
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
