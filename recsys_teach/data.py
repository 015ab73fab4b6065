"""Floor 1: `load_reviews` makes a reviews table from a generated shop, the Amazon sample, or your own file.

Files are read as text first and given their types by `check_reviews`, so that an id such as "0528881469" keeps its
zero, and a user called "NA" stays one.
"""

import gzip
import os
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pooch

from recsys_teach.schema import PRODUCT, RATING, SUMMARY, TIMESTAMP, USER, check_reviews
from recsys_teach.shop import generate_shop

AMAZON_FILE = "amazon_reviews.csv"
AMAZON_URL = "https://raw.githubusercontent.com/imsreecharan/datasets_/refs/heads/master/" + AMAZON_FILE
AMAZON_SHA256 = "896be627fb23a647cadb0d04b2ca577b52045eb9f3f5a2e6102464a698077dff"

# Known formats, by the columns that give them away. Amazon's 2014 and 2023 releases, MovieLens and its kin.
FORMATS: tuple[dict[str, str], ...] = (
    {"reviewerID": USER, "asin": PRODUCT, "overall": RATING, "summary": SUMMARY, "unixReviewTime": TIMESTAMP},
    {"user_id": USER, "parent_asin": PRODUCT, "rating": RATING, "title": SUMMARY, "timestamp": TIMESTAMP},
    *(
        {user: USER, item: PRODUCT, "rating": RATING, "timestamp": TIMESTAMP}
        for user in ("userId", "user_id")
        for item in ("movieId", "movie_id", "item_id")
    ),
)
SUFFIXES = (".csv", ".tsv", ".jsonl", ".json", ".parquet")


def load_reviews(source: str | os.PathLike = "generated", *, columns: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Load a reviews table (see `schema`).

    Args:
        source: "generated" for the generated shop (seed 0), "amazon" for 999 reviews of Amazon Electronics
            (downloaded once, its SHA-256 checked; the folder in RECSYS_TEACH_DATA is looked at first), or the path
            of a CSV, TSV, JSON Lines or Parquet file; the text formats may be gzipped.
        columns: your column names to ours, such as {"customer": "user_id"}. Not needed for our own names, Amazon's
            2014 and 2023 releases, and MovieLens.

    Raises:
        FileNotFoundError, ConnectionError, ValueError: each with one sentence of what was found, where, what was
            expected and what to do.
    """
    if source == "generated":
        return generate_shop().reviews
    path = amazon_sample() if source == "amazon" else Path(source)
    table = _rename(_read(path), columns, path)
    reviews = check_reviews(table, source=str(path))
    for column, noun in ((USER, "user"), (PRODUCT, "product")):
        if reviews[column].nunique() < 2:
            raise ValueError(
                f"{path}: all {len(reviews):,} reviews have the same {column} {reviews[column].iloc[0]!r}: "
                f"a recommender needs at least two {noun}s to tell apart."
            )
    return reviews


def amazon_sample() -> Path:
    """The path of the Amazon sample: in RECSYS_TEACH_DATA, else in the cache, else downloaded into the cache."""
    folder = os.environ.get("RECSYS_TEACH_DATA")
    if folder and (local := Path(folder) / AMAZON_FILE).exists():
        found = pooch.file_hash(str(local))
        if found != AMAZON_SHA256:
            raise ValueError(
                f"{local} isn't the Amazon sample: its SHA-256 is {found[:12]}…, expected {AMAZON_SHA256[:12]}…; "
                "remove it, or unset RECSYS_TEACH_DATA to download the sample."
            )
        return local
    cache = pooch.os_cache("recsys-teach")
    try:
        return Path(
            pooch.retrieve(
                AMAZON_URL, f"sha256:{AMAZON_SHA256}", AMAZON_FILE, cache, downloader=pooch.HTTPDownloader(timeout=30)
            )
        )
    except ValueError as error:  # pooch's word for a wrong hash; it has removed the file
        raise ValueError(
            f"what {AMAZON_URL} sent isn't the Amazon sample (wrong SHA-256): try again, or put the right "
            f"{AMAZON_FILE} into a folder and name that in RECSYS_TEACH_DATA."
        ) from error
    except OSError as error:  # requests' errors are OSErrors too
        raise ConnectionError(
            f"the Amazon sample isn't in {cache} and couldn't be downloaded ({type(error).__name__}): connect to the "
            f"internet, or put {AMAZON_FILE} into a folder and name that in RECSYS_TEACH_DATA."
        ) from error


def _read(path: Path) -> pd.DataFrame:
    if not path.exists():
        raise FileNotFoundError(f'{path} doesn\'t exist: expected "generated", "amazon" or the path of a file.')
    kind = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    if kind not in SUFFIXES:
        raise ValueError(f"{path} ends in {path.suffix!r}: expected {', '.join(SUFFIXES)}, or one of them with .gz.")
    if path.stat().st_size == 0:
        raise ValueError(f"{path} is empty (0 bytes): expected a table of reviews.")
    try:
        if kind == ".parquet":
            return pd.read_parquet(path)
        if kind in (".json", ".jsonl"):
            return pd.read_json(path, lines=True, dtype=False, convert_dates=False)
        return pd.read_csv(path, sep="\t" if kind == ".tsv" else ",", dtype=str, keep_default_na=False)
    except (ValueError, EOFError, gzip.BadGzipFile, pd.errors.ParserError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"{path} can't be read as {kind}: {reason}. Is it whole, and is it what its name says?"
        ) from error


def _rename(table: pd.DataFrame, columns: Mapping[str, str] | None, path: Path) -> pd.DataFrame:
    if columns is not None:
        unknown = [name for name in columns if name not in table]
        if unknown:
            raise ValueError(
                f"{path} has no column {unknown[0]!r} to rename (columns found: {', '.join(map(str, table))})."
            )
        return table.rename(columns=dict(columns))
    for form in FORMATS:
        needed = [theirs for theirs, ours in form.items() if ours in (USER, PRODUCT, RATING)]
        if set(needed) <= set(table):
            # A column of theirs that has one of our names, but another meaning, must not stand beside the renamed one.
            return table.drop(columns=(set(form.values()) - set(form)) & set(table)).rename(columns=form)
    return table
