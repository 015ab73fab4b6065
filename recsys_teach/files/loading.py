"""Loading: a reviews table from the generated shop, the Amazon or the MovieLens sample, a file, or a DataFrame.

Files are read by `formats` piece by piece; this module names their columns, and `schema` checks every piece. `prepare`
takes the same pieces, so that a file is understood in the same way, whatever its size.
"""

import io
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from recsys_teach._util import escape_controls, listed, same_everywhere
from recsys_teach.files.downloads import amazon_sample, movielens_sample
from recsys_teach.files.formats import Reading, read_pieces
from recsys_teach.schema import (
    CATEGORIES,
    CATEGORY,
    HISTORY,
    OPTIONAL,
    PRODUCT,
    RATING,
    REQUIRED,
    SUMMARY,
    TIMESTAMP,
    TITLE,
    USER,
    Checker,
    require_columns,
)
from recsys_teach.shop import generate_shop

# Known formats, by their columns: Amazon's of 2014, 2023 and 2015, Yelp's, MovieLens and similar.
FORMATS: tuple[dict[str, str], ...] = (
    {"reviewerID": USER, "asin": PRODUCT, "overall": RATING, "summary": SUMMARY, "unixReviewTime": TIMESTAMP},
    *(
        {"user_id": USER, product: PRODUCT, "rating": RATING, "title": SUMMARY, "timestamp": TIMESTAMP}
        for product in ("parent_asin", "asin")
    ),
    {
        "customer_id": USER,
        "product_id": PRODUCT,
        "star_rating": RATING,
        "review_headline": SUMMARY,
        "review_date": TIMESTAMP,
        "product_title": TITLE,
        "product_category": CATEGORY,
    },
    {"user_id": USER, "business_id": PRODUCT, "stars": RATING, "date": TIMESTAMP},
    *(
        {user: USER, item: PRODUCT, "rating": RATING, "timestamp": TIMESTAMP}
        for user in ("userId", "user_id")
        for item in ("movieId", "movie_id", "item_id")
    ),
)
TEXTS = (SUMMARY, TITLE, CATEGORY, CATEGORIES)
# With one of these columns, a `title` is the headline of a written review.
OF_WRITTEN_REVIEWS = {"text", "reviewText", "review_text", "review_body", "body", "review", "helpful_vote", "content"}


def load_reviews(
    source: str | os.PathLike | pd.DataFrame = "generated",
    *,
    columns: Mapping[Any, str] | None = None,
    sep: str | None = None,
    encoding: str = "utf-8",
    decimal: str = ".",
    dayfirst: bool | None = None,
    header: bool | Sequence[str] | None = None,
    unrated: Sequence[Any] = (),
) -> pd.DataFrame:
    """Load and check a reviews table (see `schema`).

    Args:
        source: "generated" for the generated shop (seed 0), "generated-habit" for one of the other kind (see
            `generate_shop`), "amazon" for 999 reviews of Amazon Electronics, "movielens"
            for the 100,836 ratings of MovieLens latest-small with each film's title, first genre (`category`) and
            genres (`categories`, such as "Comedy|Romance"), a DataFrame, or the path of a text file with separators, a
            JSON Lines file or array (both may be gzipped), a Parquet file or a folder of them. Amazon's and MovieLens'
            files are downloaded once, their SHA-256 checked; the folder in RECSYS_TEACH_DATA is looked at first.
            MovieLens' is for research and education, not for commercial use.
        columns: your column names to ours, such as {"customer": "user_id"}, on top of those that are known: our own,
            those of Amazon's releases, Yelp and MovieLens.
        sep, encoding, decimal, dayfirst, header, unrated: how the file is written, if that can't be found out: see
            `formats.Reading`.

    Raises:
        FileNotFoundError, ConnectionError, OSError, ValueError: each with one sentence of what was found, where,
            what was expected and what to do.
    """
    if isinstance(source, str) and source == "generated":
        return generate_shop().reviews
    if isinstance(source, str) and source == "generated-habit":
        return generate_shop(kind="habit").reviews
    how = Reading(columns, sep, encoding, decimal, dayfirst, header, unrated)
    if isinstance(source, pd.DataFrame):
        name = "the DataFrame"
        pieces = check_pieces(iter([_renamed(source, columns, name)]), how, name)
    elif source == "movielens":
        name = "the MovieLens sample"
        pieces = check_pieces(iter([_renamed(_movielens(), columns, name)]), how, name)
    else:
        path = amazon_sample() if source == "amazon" else found_path(source)
        name = str(path)
        pieces = review_pieces(path, how)
    reviews = pd.concat(list(pieces), ignore_index=True)
    for column in TEXTS:  # a column may begin late in a JSON file, after pieces without it
        if column in reviews:
            reviews[column] = reviews[column].fillna("")
    if HISTORY in reviews:
        reviews[HISTORY] = reviews[HISTORY].map(lambda history: history if isinstance(history, tuple) else ())
    for column in (USER, PRODUCT):
        if reviews[column].nunique() < 2:
            raise ValueError(f"{name}: {same_everywhere(len(reviews), column, reviews[column].iloc[0])}")
    return reviews


def found_path(source: str | os.PathLike) -> Path:
    """Return the path of a file; "~" stands for the home folder."""
    path = Path(source)
    return path if os.path.exists(path) else Path(os.path.expanduser(path))


def review_pieces(path: Path, how: Reading) -> Iterator[pd.DataFrame]:
    """Read a file of reviews; yield checked pieces, none empty; at the end, check all of them together."""
    pieces = read_pieces(path, how, lambda found: wanted_columns(found, how.columns, str(path)))
    return check_pieces(pieces, how, escape_controls(path))


def check_pieces(pieces: Iterator[pd.DataFrame], how: Reading, name: str) -> Iterator[pd.DataFrame]:
    """Yield the same pieces, checked as one table."""
    checker = Checker(name, unrated=how.unrated, decimal=how.decimal, dayfirst=how.dayfirst)
    for piece in pieces:
        checked = checker.check(piece)
        if not checked.empty:
            yield checked
    checker.finish()


def _movielens() -> pd.DataFrame:
    """Return MovieLens' table of ratings with the title, the first genre and all genres of each film."""
    ratings_csv, movies_csv = map(io.BytesIO, movielens_sample())
    ratings = pd.read_csv(ratings_csv, dtype={"userId": str, "movieId": str})
    movies = pd.read_csv(movies_csv, dtype=str, keep_default_na=False).set_index("movieId")
    genres = movies["genres"].replace("(no genres listed)", "")
    films = pd.DataFrame({TITLE: movies["title"], CATEGORY: genres.str.split("|").str[0], CATEGORIES: genres})
    return ratings.join(films, on="movieId")


def _renamed(table: pd.DataFrame, columns: Mapping[Any, str] | None, name: str) -> pd.DataFrame:
    wanted = wanted_columns(list(table.columns), columns, name)
    return table[list(wanted)].rename(columns=wanted)


def wanted_columns(found: Sequence[Any], columns: Mapping[Any, str] | None, source: str) -> dict[Any, str]:
    """Return the columns to take, with our names: those that `columns` names, and those that are known.

    Raises:
        ValueError: `columns` names one that isn't there, or one of ours that doesn't exist; a column that is wanted is
            there twice, or one that is needed isn't there.
    """
    named = {theirs if theirs in found else str(theirs): ours for theirs, ours in (columns or {}).items()}
    if unknown := [theirs for theirs in named if theirs not in found]:
        raise ValueError(f"{source} has no column {unknown[0]!r} to rename (columns found: {listed(found)}).")
    if wrong := [ours for ours in named.values() if ours not in REQUIRED + OPTIONAL]:
        raise ValueError(f"{source}: columns= names {wrong[0]!r}: expected one of {', '.join(REQUIRED + OPTIONAL)}.")
    known = {theirs: ours for theirs, ours in known_columns(found).items() if theirs not in named}
    wanted = {theirs: ours for theirs, ours in known.items() if theirs == ours or ours not in named.values()} | named
    taken = [theirs for theirs in found if theirs in wanted]
    ours = [wanted[theirs] for theirs in taken]
    for theirs, name in zip(taken, ours):
        if ours.count(name) > 1:
            twice = theirs if taken.count(theirs) > 1 else name
            raise ValueError(f"{source} has more than one column {twice!r}: keep one of them.")
    if found:
        require_columns(ours, source, found)
    return {theirs: wanted[theirs] for theirs in taken}


def known_columns(found: Sequence[Any]) -> dict[Any, str]:
    """Return the known columns, with our names: those of the first format whose user and product columns are there.

    If no format fits, only our own names are known.
    """
    for form in ({}, *FORMATS, None):
        # A column of theirs that has one of our names, but another meaning, must not stand beside the renamed one.
        names = {name: name for name in REQUIRED + OPTIONAL if name not in (form or {}).values()} | (form or {})
        if form is None or {theirs for theirs, ours in names.items() if ours in REQUIRED} <= set(found):
            break
    if names.get(TITLE) == TITLE and not OF_WRITTEN_REVIEWS.isdisjoint(found):
        del names[TITLE]
        names |= {} if SUMMARY in names and SUMMARY in found else {TITLE: SUMMARY}
    return {theirs: ours for theirs, ours in names.items() if theirs in found}
