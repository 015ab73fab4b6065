"""Memory and speed of `prepare`: `python benchmarks/prepare_scale.py`, about five minutes and 2 GB of disk.

Generated reviews, 1,000,000 and 10,000,000 of them, with about 500,000 users and 100,000 products, most of whom have
few reviews and a few have many, are written as Amazon's release of 2014 has them, gzipped JSON Lines with a text in
each. Writing them isn't counted. Then a process of its own prepares them, with the settings that `prepare` has by
itself; what is measured is the peak memory of all of that process, Python and its libraries included. How long
Python takes to unpack the file, which is how one that was cut short is noticed, is told, too.
"""

import gzip
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
from side_by_side import Row, ratios, report, run_process, seconds

SIZES = (1_000_000, 10_000_000)
USERS, PRODUCTS, REPEATS, AT_MOST = 500_000, 100_000, 3, 600
LINE = """
COPY (
    SELECT format('A{:012d}', user_number) AS "reviewerID", format('B{:09d}', product_number) AS asin,
        'Somebody' AS "reviewerName", [0, 1] AS helpful, md5(CAST(row_number AS VARCHAR)) || ' and '
        || repeat('words of a review ', 5 + CAST(user_number % 20 AS INTEGER)) AS "reviewText",
        CAST(stars AS DOUBLE) AS overall, 'a summary' AS summary, day * 86400 AS "unixReviewTime",
        '01 1, 2014' AS "reviewTime"
    FROM chunk
) TO '{PATH}' (FORMAT json, COMPRESSION gzip)
"""


def generate(rows: int, path: Path) -> None:
    """Write that many reviews, 1,000,000 at a time, each a member of the gzip file."""
    import duckdb

    rng = np.random.default_rng(0)
    with path.open("wb") as whole:
        for start in range(0, rows, 1_000_000):
            count = min(1_000_000, rows - start)
            chunk = pa.table(
                {
                    "row_number": np.arange(start, start + count),
                    "user_number": (USERS * rng.random(count) ** 2).astype(int),
                    "product_number": (PRODUCTS * rng.random(count) ** 3).astype(int),
                    "stars": rng.choice([1, 2, 3, 4, 5], count, p=[0.06, 0.05, 0.1, 0.2, 0.59]),
                    "day": rng.integers(10_957, 16_273, count),
                }
            )
            con = duckdb.connect()
            con.register("chunk", chunk)
            piece = path.with_name("piece.json.gz")
            con.execute(LINE.replace("{PATH}", str(piece)))
            con.close()
            whole.write(piece.read_bytes())
            piece.unlink()


def unpack(path: Path) -> None:
    """Read a gzip file to its end."""
    with gzip.open(path) as file:
        while file.read(2**20):
            pass


def prepare(source: str, out: str) -> None:
    """What is measured."""
    from recsys_teach.scale.preparation import prepare

    prepare(source, out)


def main() -> None:
    """Write the files, prepare each of them in turns, and report."""
    took: dict[int, list[float]] = {size: [] for size in SIZES}
    peaks: dict[int, list[float]] = {size: [] for size in SIZES}
    with tempfile.TemporaryDirectory() as name:
        files = {size: Path(name) / f"reviews_{size}.json.gz" for size in SIZES}
        for size, path in files.items():
            run_process([sys.executable, __file__, "generate", str(size), str(path)])
        alone = run_process([sys.executable, "-c", "import recsys_teach.scale.preparation"])[1]
        for repeat in range(REPEATS):
            for size, path in files.items():
                call = [sys.executable, __file__, "prepare", str(path), str(Path(name) / f"{size}-{repeat}")]
                time, peak = run_process(call)
                took[size].append(time)
                peaks[size].append(peak)
        large = files[max(SIZES)]
        unpacking = seconds(lambda: unpack(large))
        megabytes = large.stat().st_size / 2**20
    small, many = SIZES
    speeds = [many / time / 1_000 for time in took[many]]
    times = {size: statistics.median(took[size]) for size in SIZES}
    tops = {size: statistics.median(peaks[size]) for size in SIZES}
    report(
        __file__,
        [
            Row(
                f"peak memory of preparing {many:,} reviews, Python included",
                f"{tops[many]:,.0f} MB",
                f"{alone:,.0f} MB: a process that only imports `prepare`",
                peaks[many],
                at_most=AT_MOST,
                unit="MB",
            ),
            Row(
                f"peak memory of preparing, {many:,} reviews to {small:,}",
                f"{tops[many]:,.0f} MB",
                f"{tops[small]:,.0f} MB",
                ratios(peaks[many], peaks[small]),
            ),
            Row(
                f"preparing {many:,} reviews",
                f"{times[many]:.1f} s, a gzip file of {megabytes:,.0f} MB",
                f"{times[small]:.1f} s for {small:,}",
                speeds,
                unit="thousand rows/s",
                notes=[f"Python by itself unpacks the larger file in {unpacking:.1f} s."],
            ),
        ],
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["generate"]:
        generate(int(sys.argv[2]), Path(sys.argv[3]))
    elif sys.argv[1:2] == ["prepare"]:
        prepare(*sys.argv[2:])
    else:
        main()
