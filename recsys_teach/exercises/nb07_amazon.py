"""The exercises of notebook 07: baselines, leaks, new users, hits by chance, standard errors, an honest text."""

import numpy as np
import pandas as pd

from recsys_teach.exercises.exercise import Exercise, choice

TRAIN = pd.DataFrame(  # ten rows, seven users, five products
    {"user_id": list("aabbcdefgg"), "product_id": ["p1", "p2", "p1", "p3", "p1", "p4", "p2", "p5", "p1", "p3"]}
)
TEST = pd.DataFrame(
    {"user_id": list("abcdxxxyy"), "product_id": [*("p3", "p1", "p1", "p2"), *("p9", "p1", "p4", "p4", "p2")]}
)
OTHER_TRAIN = pd.DataFrame({"user_id": list("qrrqstq"), "product_id": ["k", "m", "n", "o", "k", "u", "v"]})
OTHER_TEST = pd.DataFrame({"user_id": list("zqzwrzv"), "product_id": ["m", "k", "x", "o", "k", "n", "u"]})


def new_user_rows(train, test):
    """Return the share of the test rows whose user has no training row; both tables have a column `user_id`."""
    return (~test["user_id"].isin(train["user_id"])).mean()


def hit_rate_by_chance(train, k):
    """Return the expected hit@k of lists of `k` different products, drawn at random from those of the training rows."""
    return min(k / train["product_id"].nunique(), 1)


def standard_error(rate, rows):
    """Return the standard error of a hit rate, if `rows` test rows are drawn at random."""
    return (rate * (1 - rate) / rows) ** 0.5


def earlier_texts(reviews):
    """Return for each row the summaries that its user wrote earlier, in any order, joined by a space, as a list."""
    texts = []
    for user, time in zip(reviews["user_id"], reviews["timestamp"]):
        earlier = (reviews["user_id"] == user) & (reviews["timestamp"] < time)
        texts.append(" ".join(reviews.loc[earlier, "summary"]))
    return texts


def _diary(rows):
    """Return a reviews table of these rows: user, product, day, summary."""
    reviews = pd.DataFrame(rows, columns=["user_id", "product_id", "day", "summary"])
    times = pd.Timestamp("2013-01-01", tz="UTC") + pd.to_timedelta(reviews.pop("day"), unit="D")
    return reviews.assign(timestamp=times)


DIARY = _diary(  # not in the order of time; two of ann's rows have the same timestamp, one of bob's has no words
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
OTHER_DIARY = _diary(  # dan wrote the same text twice
    [
        ("dan", "lens", 30, "Blurred"),
        ("eve", "lens", 12, "Clear"),
        ("dan", "case", 10, "Good"),
        ("dan", "lamp", 20, "Good"),
        ("eve", "lamp", 11, "Dim"),
    ]
)


def _words(texts):
    """Return the words that an answer gives to each row, in alphabetical order, since their order doesn't matter."""
    texts = texts["summary"] if isinstance(texts, pd.DataFrame) else texts
    return [" ".join(sorted(str(text).split())) for text in texts]


def _texts_where(chosen):
    """Return a wrong answer: for each row the texts of the rows for which `chosen(reviews, row)` is true."""
    return lambda reviews: [" ".join(reviews.loc[chosen(reviews, row), "summary"]) for row in reviews.itertuples()]


def _ties_are_earlier(reviews):
    return earlier_texts(reviews.assign(timestamp=reviews["timestamp"].rank(method="first")))


EXERCISES = (
    choice(
        "07.a",
        right="c",
        hint="With 40 products, 0.42 is poor; with a million, it is excellent. What tells you how hard the task is?",
        a="No. A low training loss says that the model fits the training rows, not that its recommendations are good.",
        b="No. A longer list always hits at least as often, so a higher hit@50 says nothing about the model.",
        c="Yes. A hit rate has no meaning by itself. It depends on the number of products, on how unequally they sell, "
        "and on the test rows. A baseline on the same rows shows what can be had without a model.",
        d="No. First find out whether 0.42 is good. If the bestsellers have 0.67, the model's size isn't the problem.",
    ),
    choice(
        "07.b",
        right="a",
        hint="Imagine the live system. At which moment is that column filled in, and when is the list shown?",
        a="Yes. A sudden large gain is most often a leak: a value that is written down after the purchase, such as the "
        "text of the review. Offline it is in the table, and live it is missing.",
        b="No. With a leak, the training loss falls as well, so it can't tell a leak from progress.",
        c="No. A leak helps with every seed. Seeds show whether a small difference is chance.",
        d="No. First make sure that the gain is real. A leak stays a leak with any optimizer.",
    ),
    choice(
        "07.c",
        right="b",
        hint="0.02 of 200 rows are four rows. Could other test rows, or another seed, turn that around?",
        a="No. The standard error of either rate is about 0.035, and another seed alone can move hit@10 as much.",
        b="Yes. Train each model with several seeds, test on more rows, and look at an interval of the difference on "
        "the same rows.",
        c="No. That a difference isn't proven doesn't mean that it is zero. There may be one that 200 rows can't show.",
        d="No. A model that overfits is good on training rows and poor on test rows. Both rates are from test rows.",
    ),
    Exercise(
        number="07.1",
        reference=new_user_rows,
        inputs=((TRAIN, TEST), (OTHER_TRAIN, OTHER_TEST)),
        mistakes=(
            (
                lambda train, test: np.mean(~pd.Series(test["user_id"].unique()).isin(train["user_id"])),
                "That is the share of the test users. Metrics are means over rows: a user with two rows counts twice.",
            ),
            (
                lambda train, test: np.mean(test["user_id"].isin(train["user_id"])),
                "That is the share of rows from users with a training row. The question is about the other rows.",
            ),
            (
                lambda train, test: np.mean(~pd.Series(train["user_id"].unique()).isin(test["user_id"])),
                "That is a share of training users. What share of the test rows has a user without a training row?",
            ),
            (
                lambda train, test: np.sum(~test["user_id"].isin(train["user_id"])),
                "That is a number of rows. Divide it by the number of all test rows.",
            ),
            (
                lambda train, test: len(set(test.user_id) - set(train.user_id)) / len(test),
                "You counted each new user once. Count the rows of new users.",
            ),
        ),
        hint="isin says for each test row whether its user is among the training users; ~ turns True into False.",
        right="In the original's split it is 0.95: only one row in twenty can show what a model has learned of a user.",
    ),
    Exercise(
        number="07.2",
        reference=hit_rate_by_chance,
        inputs=((TRAIN, 1), (TRAIN, 3), (TRAIN, 8), (OTHER_TRAIN, 2)),  # 8 is more than there are products
        mistakes=(
            (
                lambda train, k: k / train["product_id"].nunique(),
                "Right, unless k is larger than the number of products. How often does a list of all products hit?",
            ),
            (
                lambda train, k: 1 / train["product_id"].nunique(),
                "That is the hit rate of a list of one product. Where is k?",
            ),
            (
                lambda train, k: 1 - (1 - 1 / train["product_id"].nunique()) ** k,
                "You draw with replacement, so a product can be in a list twice. Here the k products are different.",
            ),
            (
                lambda train, k: min(k / train["user_id"].nunique(), 1),
                "You divided by the number of users. The list is drawn from the products.",
            ),
        ),
        hint="Of n products, k are drawn. How probable is it that a given one is among them? And if k is n or more?",
        right="With 40 products, ten random ones have a hit rate of 0.25, and fifty have 1: there, hit@50 is the same "
        "for every model, and says nothing.",
    ),
    Exercise(
        number="07.3",
        reference=standard_error,
        inputs=((0.43, 200), (0.09, 50), (0.6, 20_000)),
        also=(lambda rate, rows: np.sqrt(rate * (1 - rate) / (rows - 1)),),  # of a sample: unbiased
        mistakes=(
            (
                lambda rate, rows: rate * (1 - rate) / rows,
                "That is the variance of the hit rate. The standard error is its square root.",
            ),
            (
                lambda rate, rows: np.sqrt(rate / rows),
                "A factor is missing under the root: if the true rate is 1, every row is a hit, and the error is 0.",
            ),
            (
                lambda rate, rows: np.sqrt(rate * (1 - rate)) / rows,
                "You divided by the number of rows. The error of a mean falls only with its square root.",
            ),
            (
                lambda rate, rows: np.sqrt(rate * (1 - rate)),
                "That is the standard deviation of a single row. A mean over many rows varies less.",
            ),
        ),
        hint="A single row has the variance rate · (1 - rate), and the mean of n rows has 1/n of it. Take the root.",
        right="It is 0.035 for a hit rate of 0.43 and 200 rows. The five runs share their test rows, so the "
        "differences between them come from the first weights. Another 200 rows would change each run by about 0.035. "
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
                "The row's own summary is among them, so the leak is still there. Is it < or <=?",
            ),
            (
                _texts_where(lambda all, row: (all.user_id == row.user_id) & (all.index != row.Index)),
                "Later reviews are among them. At the time of this row, the user hadn't written them yet.",
            ),
            (
                _texts_where(lambda all, row: (all.product_id == row.product_id) & (all.timestamp < row.timestamp)),
                "These are earlier texts about the same product. You need earlier texts of the same user.",
            ),
            (
                _ties_are_earlier,
                "Two reviews have the same timestamp, and you give the text of one to the other. Neither is earlier.",
            ),
            (
                lambda reviews: earlier_texts(reviews.sort_values("timestamp")),
                "The texts are right, but they are in the order of time. Keep the order of the table.",
            ),
        ),
        hint="Go through the rows in the order of the table. Which rows have the same user_id and a smaller timestamp?",
        right="A shop knows these texts when a user comes back, so they are no leak. Here they are empty for 933 of "
        "the 963 users, who have a single review in the file.",
    ),
)
