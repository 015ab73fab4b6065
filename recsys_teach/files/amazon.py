"""Amazon's format: write reviews as Amazon publishes them, to try its readers on a generated shop."""

import os

import pandas as pd

from recsys_teach.files.loading import FORMATS
from recsys_teach.schema import TIMESTAMP


def write_amazon(reviews: pd.DataFrame, path: str | os.PathLike, *, year: int = 2014) -> None:
    """Write a reviews table as Amazon's release of 2014 or 2023 has it, gzipped JSON Lines; `path` ends in .gz.

    Columns that this release doesn't have (`title`, `category`, `categories`) are left out; times are seconds, in
    2023 ms.
    """
    if year not in (2014, 2023):
        raise ValueError(f"year is {year}: expected 2014 or 2023, the two releases that are known here.")
    names = {ours: theirs for theirs, ours in FORMATS[year == 2023].items() if ours in reviews}
    table = reviews[list(names)]
    if TIMESTAMP in table:
        seconds = table[TIMESTAMP].dt.as_unit("s").astype("int64")
        table = table.assign(**{TIMESTAMP: seconds * (1_000 if year == 2023 else 1)})
    table.rename(columns=names).to_json(path, orient="records", lines=True, compression="gzip")
