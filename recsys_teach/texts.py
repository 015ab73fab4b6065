"""Layer 1: texts that a model may read before a purchase. The summary of the very review to predict isn't one."""

import numpy as np
import pandas as pd

from recsys_teach.schema import SUMMARY, TIMESTAMP, USER


def earlier_summaries(reviews: pd.DataFrame, *, last: int = 10) -> pd.DataFrame:
    """The same rows, with the summaries of the user's `last` earlier reviews in the place of the review's own.

    Earlier means a smaller timestamp: what a shop that is open knows when the user comes back. Call it on the whole
    table, then split by time. (With a random split, training rows would show texts of earlier test rows.)

    Raises:
        ValueError: there are no summaries or no timestamps.
    """
    for column in (SUMMARY, TIMESTAMP):
        if column not in reviews:
            raise ValueError(f"earlier summaries need a {column!r} column: these reviews have none.")
    texts = np.full(len(reviews), "", dtype=object)
    times, summaries = reviews[TIMESTAMP].astype("int64").to_numpy(), reviews[SUMMARY].to_numpy(dtype=object)
    for rows in reviews.groupby(USER, sort=False).indices.values():
        written = rows[summaries[rows] != ""]
        written = written[np.argsort(times[written], kind="stable")]
        before = np.searchsorted(times[written], times[rows])  # how many are earlier than each row
        texts[rows] = [" ".join(summaries[written[max(0, count - last) : count]]) for count in before]
    return reviews.assign(**{SUMMARY: pd.Series(texts, reviews.index).astype(str)})
