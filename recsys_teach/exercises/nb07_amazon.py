"""The exercises of notebook 07: who is new, what chance hits, how coarse the ruler is, an honest text."""

import numpy as np
import pandas as pd

from recsys_teach.exercises.exercise import Exercise

TRAIN = pd.DataFrame(  # ten rows, seven users, five products
    {"user_id": list("aabbcdefgg"), "product_id": ["p1", "p2", "p1", "p3", "p1", "p4", "p2", "p5", "p1", "p3"]}
)
TEST = pd.DataFrame(
    {"user_id": list("abcdxxxyy"), "product_id": [*("p3", "p1", "p1", "p2"), *("p9", "p1", "p4", "p4", "p2")]}
)
OTHER_TRAIN = pd.DataFrame({"user_id": list("qrrqstq"), "product_id": ["k", "m", "n", "o", "k", "u", "v"]})
OTHER_TEST = pd.DataFrame({"user_id": list("zqzwrzv"), "product_id": ["m", "k", "x", "o", "k", "n", "u"]})


def new_user_rows(train, test):
    """The share of the test rows whose user has no training row; both tables have a column `user_id`."""
    return np.mean(~test["user_id"].isin(train["user_id"]))


def hit_rate_by_chance(train, k):
    """The expected hit@k of lists of `k` different products, drawn at random from those of the training rows."""
    return min(k / train["product_id"].nunique(), 1)


def standard_error(rate, rows):
    """How far a hit rate is from the true one, typically, if `rows` test rows are drawn at random."""
    return np.sqrt(rate * (1 - rate) / rows)


def earlier_texts(reviews):
    """For each row the summaries that its user wrote earlier, in any order, joined by a space; a list of strings."""
    texts = []
    for user, time in zip(reviews["user_id"], reviews["timestamp"]):
        earlier = (reviews["user_id"] == user) & (reviews["timestamp"] < time)
        texts.append(" ".join(reviews.loc[earlier, "summary"]))
    return texts


def _diary(rows):
    """Reviews of these rows: user, product, day, summary."""
    reviews = pd.DataFrame(rows, columns=["user_id", "product_id", "day", "summary"])
    times = pd.Timestamp("2013-01-01", tz="UTC") + pd.to_timedelta(reviews.pop("day"), unit="D")
    return reviews.assign(timestamp=times)


DIARY = _diary(  # not in the order of time: two of ann's have one timestamp, one of bob's has no words
    [
        ("ann", "gps", 5, "Love it"),
        ("bob", "gps", 2, "Too loud"),
        ("ann", "television", 1, "Sharp picture"),
        ("ann", "radio", 5, "Weak battery"),
        ("cy", "television", 3, "Fine"),
        ("ann", "cable", 9, "Rather short"),
        ("bob", "television", 8, ""),
        ("bob", "cable", 9, "Works"),
    ]
)
OTHER_DIARY = _diary(  # dan wrote the same twice
    [
        ("dan", "lens", 30, "Blurred"),
        ("eve", "lens", 12, "Clear"),
        ("dan", "case", 10, "Good"),
        ("dan", "lamp", 20, "Good"),
        ("eve", "lamp", 11, "Dim"),
    ]
)


def _words(texts):
    """Which words an answer gives to each row; their order doesn't matter."""
    texts = texts["summary"] if isinstance(texts, pd.DataFrame) else texts
    return [" ".join(sorted(str(text).split())) for text in texts]


def _texts_where(chosen):
    """A wrong answer: the texts of the rows that `chosen(reviews, row)` is true for."""
    return lambda reviews: [" ".join(reviews.loc[chosen(reviews, row), "summary"]) for row in reviews.itertuples()]


def _ties_are_earlier(reviews):
    return earlier_texts(reviews.assign(timestamp=reviews["timestamp"].rank(method="first")))


EXERCISES = (
    Exercise(
        number="07.1",
        reference=new_user_rows,
        inputs=((TRAIN, TEST), (OTHER_TRAIN, OTHER_TEST)),
        mistakes=(
            (
                lambda train, test: np.mean(~pd.Series(test["user_id"].unique()).isin(train["user_id"])),
                "That is the share of the test's users. Metrics are means over rows: who has two rows counts twice.",
            ),
            (
                lambda train, test: np.mean(test["user_id"].isin(train["user_id"])),
                "That is the share of rows from users that training knows. It was asked for the others.",
            ),
            (
                lambda train, test: np.mean(~pd.Series(train["user_id"].unique()).isin(test["user_id"])),
                "You ask which users of training don't come back. Ask which test rows are from nobody in training.",
            ),
            (lambda train, test: np.sum(~test["user_id"].isin(train["user_id"])), "A count. What share is it?"),
            (lambda train, test: len(set(test.user_id) - set(train.user_id)) / len(test), "Count rows, not strangers."),
        ),
        hint="isin says for each test row whether its user is among the users of training; ~ turns yes into no.",
        right="Where this is 0.95, as in the original's split, at most one row in twenty can say anything about taste.",
    ),
    Exercise(
        number="07.2",
        reference=hit_rate_by_chance,
        inputs=((TRAIN, 1), (TRAIN, 3), (TRAIN, 8), (OTHER_TRAIN, 2)),  # 8 is more than the shop has
        mistakes=(
            (
                lambda train, k: k / train["product_id"].nunique(),
                "Right, as long as the list is shorter than the shop. How often can one hit that holds all of it?",
            ),
            (lambda train, k: 1 / train["product_id"].nunique(), "That is for a list of one. Where is k?"),
            (
                lambda train, k: 1 - (1 - 1 / train["product_id"].nunique()) ** k,
                "You draw with replacement, so that a product can be in a list twice. These are different ones.",
            ),
            (
                lambda train, k: min(k / train["user_id"].nunique(), 1),
                "You divided by the number of users. What is drawn at random into the list?",
            ),
        ),
        hint="Out of n products, k are drawn. How likely is one certain product among them? And if k is n or more?",
        right="Of 40 products, ten at random hit 0.25 of the time and fifty always: hit@50 can't fail there, so it "
        "can't tell one model from another.",
    ),
    Exercise(
        number="07.3",
        reference=standard_error,
        inputs=((0.43, 200), (0.09, 50), (0.6, 20_000)),
        also=(lambda rate, rows: np.sqrt(rate * (1 - rate) / (rows - 1)),),  # of a sample: unbiased
        mistakes=(
            (
                lambda rate, rows: rate * (1 - rate) / rows,
                "That is the variance of the hit rate. An error on the scale of the rate itself is its root.",
            ),
            (
                lambda rate, rows: np.sqrt(rate / rows),
                "Something is missing under the root: a rate of 1 has no spread at all, and yours would have one.",
            ),
            (
                lambda rate, rows: np.sqrt(rate * (1 - rate)) / rows,
                "You divided by the number of rows. The spread of a mean falls with the root of it only.",
            ),
            (
                lambda rate, rows: np.sqrt(rate * (1 - rate)),
                "That is the spread of a single row, which is a hit or none. A mean over many rows varies less.",
            ),
        ),
        hint="One row, hit or not, has variance rate · (1 - rate). A mean of n rows has 1/n of it; and then the root.",
        right="0.035 for a hit rate of 0.43 over 200 rows. The five runs share their rows, so what differs between "
        "them comes from the first weights; but another 200 rows would move each of them by about as much as that. "
        "Popularity's lead at ten is more than five times as large.",
    ),
    Exercise(
        number="07.4",
        reference=earlier_texts,
        inputs=((DIARY,), (OTHER_DIARY,)),
        look=_words,
        given="with the words of each text in alphabetical order",
        mistakes=(
            (
                _texts_where(lambda all, row: (all.user_id == row.user_id) & (all.timestamp <= row.timestamp)),
                "Its own summary is among them, so the leak is still there. Is earlier < or <=?",
            ),
            (
                _texts_where(lambda all, row: (all.user_id == row.user_id) & (all.index != row.Index)),
                "Later reviews are among them: when she came to buy, she hadn't written these yet.",
            ),
            (
                _texts_where(lambda all, row: (all.product_id == row.product_id) & (all.timestamp < row.timestamp)),
                "These are the texts about the product. What has its user written?",
            ),
            (
                _ties_are_earlier,
                "Two reviews have one timestamp, and yours shows one to the other. Neither is known to be earlier.",
            ),
            (
                lambda reviews: earlier_texts(reviews.sort_values("timestamp")),
                "The texts are right, but in the order of time: each must stand where its review stands in the table.",
            ),
        ),
        hint="For each row, in the order of the table: which rows have its user_id and a smaller timestamp?",
        right="This is what a shop knows when somebody comes back, and no leak. For 933 of the 963 users here it is "
        "always empty: they are in the file once.",
    ),
)
