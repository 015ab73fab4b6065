"""A review's text is replaced by what its user wrote before: nothing of the same second, nothing of its own."""

import numpy as np
import pandas as pd
import pytest

from recsys_teach.features import earlier_summaries
from recsys_teach.shop import generate_shop


def times(seconds):
    return pd.to_datetime(seconds, unit="s", utc=True)


# ann writes one; then two and three in the same second; then four. The rows aren't in the order of time.
REVIEWS = pd.DataFrame(
    {
        "user_id": ["ann", "ann", "bob", "ann", "ann", "bob"],
        "product_id": ["tent", "wok", "tent", "kite", "rake", "wok"],
        "rating": [4.0, 2.0, 5.0, 1.0, 3.0, 5.0],
        "summary": ["four", "two", "hello", "one", "three", "goodbye"],
        "timestamp": times([30, 20, 20, 10, 20, 30]),
    },
    index=[40, 20, 7, 10, 30, 8],
)


@pytest.mark.parametrize(
    ("last", "texts"),
    [
        (10, ["one two three", "one", "", "", "one", "hello"]),
        (3, ["one two three", "one", "", "", "one", "hello"]),
        (2, ["two three", "one", "", "", "one", "hello"]),
        (1, ["three", "one", "", "", "one", "hello"]),
    ],
)
def test_earlier_summaries_by_hand(last, texts):
    assert earlier_summaries(REVIEWS, last=last)["summary"].tolist() == texts


def test_all_but_the_summary_stays():
    before = REVIEWS.copy(deep=True)
    after = earlier_summaries(REVIEWS)
    pd.testing.assert_frame_equal(after.drop(columns="summary"), before.drop(columns="summary"))
    assert list(after) == list(before)
    pd.testing.assert_frame_equal(REVIEWS, before)


def test_ten_summaries_unless_told_otherwise():
    wordy = pd.DataFrame({"user_id": "ann", "summary": list("abcdefghijkl"), "timestamp": times(range(12))})
    assert earlier_summaries(wordy)["summary"].iloc[-1] == "b c d e f g h i j k"


@pytest.mark.parametrize("last", [1, 3, 100])
def test_nothing_but_what_the_user_wrote_at_a_smaller_timestamp(last):
    reviews = generate_shop(users=30, products=24, reviews_per_user=8, seed=1).reviews
    reviews["summary"] = [f"text{row}" for row in range(len(reviews))]
    reviews["timestamp"] = reviews["timestamp"].dt.floor("10D")  # many in the same second
    shuffled = reviews.sample(frac=1, random_state=0)
    for row, text in earlier_summaries(shuffled, last=last)["summary"].items():
        own = reviews.loc[row]
        theirs = shuffled[(shuffled["user_id"] == own["user_id"]) & (shuffled["timestamp"] < own["timestamp"])]
        assert text.split() == theirs.sort_values("timestamp", kind="stable")["summary"].tolist()[-last:]


def test_the_first_review_of_a_user_has_no_text():
    reviews = generate_shop(users=30, products=24, seed=1).reviews
    first = ~reviews.duplicated("user_id")
    texts = earlier_summaries(reviews)["summary"]
    assert (texts[first] == "").all()
    assert (texts[~first] != "").mean() > 0.9


def test_the_index_does_not_matter():
    twins = REVIEWS.set_axis([0, 1, 2] * 2)
    np.testing.assert_array_equal(earlier_summaries(twins)["summary"], earlier_summaries(REVIEWS)["summary"])


@pytest.mark.parametrize("column", ["summary", "timestamp"])
def test_a_missing_column_is_refused(column):
    with pytest.raises(ValueError, match=f"need a '{column}' column: these reviews have none"):
        earlier_summaries(REVIEWS.drop(columns=column))
