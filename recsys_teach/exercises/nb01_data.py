"""The exercises of notebook 01: three questions, metrics by hand, a damped bias, a split by time."""

import numpy as np
import pandas as pd

from recsys_teach.exercises.exercise import Exercise, choice

PLACES = (  # clear hits, one at the edge, one beyond it, a new product
    (np.array([1.0, 2.0, 5.0, 6.0, np.inf, 3.0]), 5),
    (np.array([7.0, 1.0, 4.0, 8.0, 2.0, 9.0, 5.0, np.inf]), 4),
)


def hit_rate(places, k):
    """The share of test rows whose product is at place `k` or before it; places `[rows]`, 1 is the first."""
    return np.mean(places <= k)


def ndcg(places, k):
    """The mean of 1 / log2(1 + place) over all rows, with 0 where the place is beyond `k`; places `[rows]`."""
    return np.mean(np.where(places <= k, 1 / np.log2(1 + places), 0))


def product_bias(ratings, mean, damping):
    """What a product gets above the mean, in stars, damped; ratings `[its ratings]`."""
    return np.sum(ratings - mean) / (len(ratings) + damping)


def last_fifth(reviews):
    """Training part and test part of a table of reviews: the latest fifth is the test part."""
    ordered = reviews.sort_values("timestamp")
    cut = round(0.8 * len(ordered))
    return ordered[:cut], ordered[cut:]


def _diary(days, users):
    """Reviews that aren't in the order of time, and more of them early than late."""
    times = pd.Timestamp("2023-01-01", tz="UTC") + pd.to_timedelta([day**2 for day in days], unit="D")
    return pd.DataFrame({"user_id": users, "product_id": [f"p{day}" for day in days], "timestamp": times})


DIARIES = (  # ten, of which a has the latest two; fifteen, where the latest three are one of c's and two of b's
    (_diary([3, 9, 1, 7, 5, 0, 8, 2, 6, 4], list("aabbaaabab")),),
    (_diary([24, 11, 17, 26, 10, 30, 13, 20, 12, 28, 15, 22, 14, 18, 16], list("abccabacbbaccba")),),
)


def _products(parts):
    """Which products an answer puts into which part."""
    return "one table" if isinstance(parts, pd.DataFrame) else [sorted(part["product_id"]) for part in parts]


def _in_file_order(reviews):
    cut = round(0.8 * len(reviews))
    return reviews[:cut], reviews[cut:]


def _at_random(reviews):
    test = reviews.sample(frac=0.2, random_state=0)
    return reviews.drop(test.index), test


def _last_of_each_user(reviews):
    test = reviews.sort_values("timestamp").groupby("user_id").tail(1)
    return reviews.drop(test.index), test


def _by_the_clock(reviews):
    times = reviews["timestamp"]
    cut = times.min() + 0.8 * (times.max() - times.min())
    return reviews[times <= cut], reviews[times > cut]


def _swapped(reviews):
    return last_fifth(reviews)[::-1]


def _first_fifth(reviews):
    return _in_file_order(reviews.sort_values("timestamp", ascending=False))


EXERCISES = (
    choice(
        "01.a",
        right="c",
        hint="What would a list that is the same for everybody reach on these test rows?",
        a="hit@10 isn't the share of a list that is bought. It is the share of test rows whose product is in the list.",
        b="Bestsellers alone are five times as good as chance here. Compare with the floor, not with chance.",
        c="A hit rate means something only beside the floor, and if there is one the ceiling, on the same test rows.",
        d="Nobody reaches a half here, not even the oracle. There is no fixed value that is good.",
    ),
    choice(
        "01.b",
        right="b",
        hint="Look at the table of the three splits. What is next month's question?",
        a="The sample is unbiased, but for another question: the shop has to predict the future, and new users come.",
        b="The question is about the future and about all visitors. A split by time asks it; a random split doesn't.",
        c="The size is usual. A bootstrap interval says whether there are enough rows; it doesn't mend the question.",
    ),
    choice(
        "01.c",
        right="d",
        hint="For each feature, ask: is its value known at the moment when the prediction is needed?",
        a="The summary is written after the purchase, by somebody who knows the stars already.",
        b="All rows include the test rows, and this very review. Compute the mean from training rows.",
        c="This number isn't known before the year has ended. It looks harmless, and it is a leak.",
        d="Earlier reviews are known when the prediction is needed. Training and serving compute it in the same way.",
    ),
    Exercise(
        number="01.1",
        reference=hit_rate,
        inputs=PLACES,
        mistakes=(
            (lambda places, k: np.mean(places < k), "Place k itself is still on the list: does your answer count it?"),
            (lambda places, k: np.sum(places <= k), "That counts the hits. A rate is their share of all test rows."),
            (lambda places, k: np.sum(places <= k) / k, "You divided by k. How many test rows are there?"),
            (lambda places, k: np.mean(places[places <= k]), "That is the mean place of the hits, not their share."),
        ),
        hint="A comparison gives True or False for each row, and the mean of these is the share of True.",
        right="hit@10 is a mean of yes and no: each test row counts the same, at whatever place of the ten.",
    ),
    Exercise(
        number="01.2",
        reference=ndcg,
        inputs=PLACES,
        mistakes=(
            (
                lambda places, k: np.mean(np.where(places <= k, 1 / np.log(1 + places), 0)),
                "Place one doesn't gain 1 in your answer. The logarithm has base 2: log2, not log.",
            ),
            (
                lambda places, k: np.mean(1 / np.log2(1 + places)),
                "A place beyond k gains 0, but your answer still adds something there.",
            ),
            (
                lambda places, k: np.mean(1 / np.log2(1 + places[places <= k])),
                "You took the mean over the hits only. A miss counts too, with 0.",
            ),
            (
                lambda places, k: np.mean(np.where(places <= k, 1 / places, 0)),
                "That is 1 / place, as in MRR. The gain of nDCG falls more slowly: 1 / log2(1 + place).",
            ),
        ),
        hint="Two steps: the gain of each place, 1 / log2(1 + place), or 0 beyond k (np.where); then the mean of all.",
        right="Place one gains 1, place two 0.63, place ten 0.29. With one right answer a row, this is all of nDCG.",
    ),
    Exercise(
        number="01.3",
        reference=product_bias,
        inputs=((np.array([5.0, 5.0, 4.0]), 3.9, 4.0), (np.array([2.0, 3.0, 1.0, 4.0, 2.0]), 3.2, 10.0)),
        mistakes=(
            (
                lambda ratings, mean, damping: np.mean(ratings - mean),
                "That is the plain mean difference: it trusts three ratings as much as three hundred.",
            ),
            (
                lambda ratings, mean, damping: np.sum(ratings) / (len(ratings) + damping),
                "Subtract the mean of all products first: a bias is what this product gets *above* it.",
            ),
            (
                lambda ratings, mean, damping: np.mean(ratings) - mean + damping,
                "Damping isn't added to the bias. It is a number of further ratings, in the denominator.",
            ),
            (
                lambda ratings, mean, damping: np.sum(ratings - mean) / (len(ratings) + 5),
                "Right for a damping of 5. But damping is an argument, and here it has another value.",
            ),
            (
                lambda ratings, mean, damping: (np.sum(ratings) + damping * mean) / (len(ratings) + damping),
                "That is a damped mean. The bias is its difference to the mean of all products.",
            ),
        ),
        hint="Add up the differences of the ratings to the mean. Divide by the number of ratings plus the damping.",
        right="Ratings of 5, 5 and 4 are 0.77 above a mean of 3.9 on average. With a damping of 4, three of seven "
        "ratings are real, and the bias is 3/7 of that: 0.33.",
    ),
    Exercise(
        number="01.4",
        reference=last_fifth,
        inputs=DIARIES,
        look=_products,
        given="by the products in its parts",
        mistakes=(
            (_in_file_order, "These are the last rows of the table, not the latest reviews: sort by timestamp first."),
            (_at_random, "That is a random fifth, so training sees reviews that are later than test rows."),
            (_last_of_each_user, "These are the last reviews of each user. Cut once, at one time for all users."),
            (_by_the_clock, "That is the last fifth of the *time*. It should be the latest fifth of the *reviews*."),
            (
                lambda reviews: last_fifth(reviews)[1],
                "That is one table. Return both: the training part, the test part.",
            ),
            (_swapped, "The parts are swapped: return the training part first, then the test part."),
            (
                _first_fifth,
                "Your test part is the oldest fifth, so training is later than the test. Which way did you sort?",
            ),
        ),
        hint="Sort by timestamp, find the row where the last fifth begins, and return the rows before it and the rest.",
        right="No test review is older than any training review. So the split asks the question of a running shop.",
    ),
)
