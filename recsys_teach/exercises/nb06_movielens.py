"""The exercises of notebook 06: three questions, EASE, an interval over users, a split, a rate since launch."""

import numpy as np
import pandas as pd

from recsys_teach.exercises.exercise import Exercise, choice

BOUGHT = np.array([[1, 1, 0], [1, 1, 1], [0, 1, 0], [1, 0, 0], [1, 1, 0]])  # five users, three products
OTHER_BOUGHT = np.array(
    [[1, 0, 1, 0], [0, 1, 0, 1], [1, 1, 1, 0], [0, 0, 1, 0], [1, 0, 0, 1], [0, 1, 0, 0], [1, 0, 1, 1]]
)

GAINS = np.array([1, 1, 2, -1, -3, 1])  # users with few rows gain the most for each row
ROWS = np.array([1, 2, 20, 1, 6, 3])
OTHER_GAINS = np.array([0, 4, -1, 2, 0, 1, -2, 1])
OTHER_ROWS = np.array([3, 30, 1, 2, 5, 1, 9, 4])
DRAWS = np.random.default_rng(0).integers(6, size=(41, 6))  # of 41 numbers, the 2.5 and 97.5 percentiles are two
OTHER_DRAWS = np.random.default_rng(1).integers(8, size=(81, 8))


def ease(bought, l2):
    """The weights B of EASE, `[products, products]`; bought `[users, products]` has a 1 for a purchase, 0 elsewhere."""
    inverse = np.linalg.inv(bought.T @ bought + l2 * np.identity(bought.shape[1]))
    weights = -inverse / np.diag(inverse)  # NumPy divides column j by the j-th number of the diagonal
    np.fill_diagonal(weights, 0)
    return weights


def interval(gains, rows, draws):
    """The 2.5 and the 97.5 percentile of the mean gain per test row, over samples of users.

    `gains [users]` has each user's hits of the model minus the rival's, `rows [users]` the number of their test rows,
    `draws [samples, users]` the numbers of the users in each sample, counted from 0.
    """
    means = gains[draws].sum(axis=1) / rows[draws].sum(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return low, high


def hold_back_last(reviews):
    """Training part and test part of a table of reviews: the test part has the last one of each user with two or more.

    The columns are `user_id`, `product_id` and `timestamp`, and the rows are in any order.
    """
    ordered = reviews.sort_values("timestamp")
    has_earlier = ordered.duplicated("user_id")
    has_later = ordered.duplicated("user_id", keep="last")
    last = has_earlier & ~has_later
    return ordered[~last], ordered[last]


def rate_since_launch(product_ids, days, damping):
    """A dictionary: product → (its reviews + 1) / (reviews of all products since its first day + damping).

    `product_ids [reviews]` and `days [reviews]` are those of each review, in any order. The reviews of the first day
    itself count, too.
    """
    rates = {}
    for product in np.unique(product_ids):
        own = product_ids == product
        since = days >= days[own].min()
        rates[product] = (own.sum() + 1) / (since.sum() + damping)
    return rates


def _diary(rows):
    """Reviews of these rows: user, product, day."""
    reviews = pd.DataFrame(rows, columns=["user_id", "product_id", "day"])
    return reviews.assign(timestamp=pd.Timestamp("2018-01-01", tz="UTC") + pd.to_timedelta(reviews.pop("day"), "D"))


DIARY = _diary(  # cy and eve have one review each, and cy's is the latest of all
    [
        *[("ann", "Heat", 9), ("bob", "Alien", 3), ("ann", "Alien", 2), ("cy", "Heat", 30), ("ann", "Fargo", 5)],
        *[("bob", "Heat", 8), ("dan", "Fargo", 12), ("eve", "Alien", 4), ("bob", "Fargo", 6), ("dan", "Alien", 11)],
    ]
)
OTHER_DIARY = _diary(
    [
        *[("hal", "Ran", 50), ("gus", "Ran", 40), ("ida", "M", 7), ("hal", "M", 10), ("gus", "M", 90)],
        *[("hal", "Up", 20), ("kim", "Up", 60), ("gus", "Up", 70)],
    ]
)

PRODUCTS = np.array(["b", "a", "a", "b", "c", "a", "d", "b", "b", "a", "c"])  # d has one review, on the last day
DAYS = np.array([4, 2, 1, 2, 4, 1, 9, 9, 7, 4, 9])
OTHER_PRODUCTS = np.array(["x", "y", "z", "x", "y", "x", "x"])
OTHER_DAYS = np.array([30, 25, 30, 10, 12, 12, 10])


def _ease(bought, l2, *, minus=True, divide="columns", zeros=True, plain=False, everywhere=False):
    """EASE with something left out or done otherwise."""
    l2_term = 0 if plain else l2 if everywhere else l2 * np.identity(bought.shape[1])
    inverse = np.linalg.inv(bought.T @ bought + l2_term)
    diagonal = np.diag(inverse)
    weights = inverse / {"columns": diagonal, "rows": diagonal[:, None], "nothing": 1.0}[divide]
    weights = -weights if minus else weights
    return weights * (1 - np.identity(len(weights))) if zeros else weights


def _means(gains, rows, draws):
    return gains[draws].sum(axis=1) / rows[draws].sum(axis=1)


def _middle(means, percentiles=(2.5, 97.5)):
    return tuple(np.percentile(means, percentiles))


def _bell_curve(*given):
    means = _means(*given)
    return means.mean() - 1.96 * means.std(), means.mean() + 1.96 * means.std()


def _rows(parts):
    """Which rows an answer puts into which part."""
    if isinstance(parts, pd.DataFrame):
        return "one table"
    return [sorted(f"{user}: {film}" for user, film in zip(part["user_id"], part["product_id"])) for part in parts]


def _by_place(reviews, keep="last"):
    """The last (or the first) row of each user with two or more, in the order of the table."""
    test = reviews.duplicated("user_id", keep=False) & ~reviews.duplicated("user_id", keep=keep)
    return reviews[~test], reviews[test]


def _with_those_of_one(reviews):
    test = reviews.sort_values("timestamp").groupby("user_id").tail(1)
    return reviews.drop(test.index), test


def _without_those_of_one(reviews):
    return hold_back_last(reviews[reviews.duplicated("user_id", keep=False)])


def _latest_fifth(reviews):
    ordered = reviews.sort_values("timestamp")
    cut = round(0.8 * len(ordered))
    return ordered[:cut], ordered[cut:]


def _rates(result):
    """The rate of each product, rounded; of a series or a dictionary."""
    return {str(product): round(float(rate), 6) for product, rate in dict(result).items()}


def _rate_by(rate):
    """An answer to 06.4 with another rate: `rate(days of the product's reviews, all days, damping)`."""
    return lambda ids, days, damping: {each: rate(days[ids == each], days, damping) for each in np.unique(ids)}


EXERCISES = (
    choice(
        "06.a",
        right="b",
        hint="Which matrix B makes XB equal to X?",
        a="With B = I, the error is 0. A small λ is too cheap to prevent that, so the diagonal doesn't stay small.",
        b="With B = I, XB is X: the error is 0, and nothing is learned about the other products. B_jj = 0 makes each "
        "product depend on the others. Such a trivial solution is a danger for every model that predicts its own "
        "input.",
        c="Popular products aren't the problem. Look for the matrix B with the smallest error ‖X - XB‖²: it predicts "
        "each product from that product itself.",
    ),
    choice(
        "06.b",
        right="c",
        hint="Which true differences would fit these data?",
        a="An interval that includes 0 doesn't show that the difference is 0. A may be ahead by 0.010, which would be "
        "two and a half times what you saw.",
        b="If you call A better whenever most of the interval is above 0, you will often take luck for a difference. "
        "An interval excludes 0, or it doesn't.",
        c="A may be a little behind, or ahead by up to 0.010: all of that fits these data. Report the interval, not "
        "only the verdict. If the answer matters, test on more users.",
    ),
    choice(
        "06.c",
        right="a",
        hint="A model puts the right product at place 50 of ten thousand. How many of a hundred random products are "
        "above it?",
        a="Place 50 of ten thousand is a miss among all products. Among a hundred random ones it is nearly always the "
        "first place. So the sampled metric hardly sees how good the top of the list is, and a model with a worse top "
        "can win (Krichene and Rendle 2020).",
        b="The order may change as well. Among a hundred random products, place 50 of ten thousand and place 1 are "
        "nearly the same, so the sampled metric rewards another quality: few very bad places, not a good top.",
        c="It can. A product at place 50 of ten thousand is a miss among all, and nearly always a hit among a hundred "
        "random ones.",
    ),
    Exercise(
        number="06.1",
        reference=ease,
        inputs=((BOUGHT, 0.5), (OTHER_BOUGHT, 2.0)),
        mistakes=(
            (
                lambda bought, l2: _ease(bought, l2, divide="rows"),
                "You divided row i by P_ii. Divide column j by P_jj: column j has the weights that predict product j.",
            ),
            (
                lambda bought, l2: _ease(bought, l2, zeros=False),
                "The diagonal is -1, where it should be 0: a product must not predict itself.",
            ),
            (
                lambda bought, l2: _ease(bought, l2, minus=False),
                "The sign is wrong: products that are often bought together should have a positive weight.",
            ),
            (
                lambda bought, l2: _ease(bought, l2, minus=False, zeros=False),
                "That is P with each column divided by P_jj. The minus is missing, and the zeros on the diagonal.",
            ),
            (
                lambda bought, l2: _ease(bought, l2, divide="nothing"),
                "That is -P with a zero diagonal. Each column j has to be divided by P_jj.",
            ),
            (
                lambda bought, l2: _ease(bought, l2, plain=True),
                "l2 is missing. Add it to the diagonal of XᵀX before you invert it.",
            ),
            (
                lambda bought, l2: _ease(bought, l2, everywhere=True),
                "You added l2 to every cell. l2 · I has l2 on the diagonal only: multiply l2 by np.identity.",
            ),
            (
                lambda bought, l2: _ease(bought.T, l2),
                "Your weights are [users, users], because you inverted XXᵀ. Invert XᵀX: [products, products].",
            ),
        ),
        hint="np.linalg.inv inverts a matrix, and np.identity(n) is I. If you divide a matrix by an array, NumPy "
        "divides column j by the array's number j. np.fill_diagonal(B, 0) sets the diagonal.",
        right="That is the whole training of EASE: one inverse, with no epochs and no seed. The scores of a user are "
        "their row of X times B.",
    ),
    Exercise(
        number="06.2",
        reference=interval,
        inputs=((GAINS, ROWS, DRAWS), (OTHER_GAINS, OTHER_ROWS, OTHER_DRAWS)),
        mistakes=(
            (
                lambda gains, rows, draws: _middle((gains / rows)[draws].mean(axis=1)),
                "That is a mean of the users' means, in which all users count alike. Hit rates are means over rows: "
                "divide the sample's sum of gains by its sum of rows.",
            ),
            (
                lambda gains, rows, draws: _middle(gains[draws].mean(axis=1)),
                "You divided by the number of users: that is the gain per user. Divide by the sample's number of rows.",
            ),
            (
                lambda gains, rows, draws: _middle(gains[draws].sum(axis=1) / rows.sum()),
                "You divided by the rows of all users. A sample has some users twice and others not at all, so each "
                "sample has its own number of rows.",
            ),
            (
                lambda *given: _middle(_means(*given), (5, 95)),
                "Those are the 5 and 95 percentiles, which have 90 % of the samples between them. Take 2.5 and 97.5.",
            ),
            (
                lambda *given: _middle(_means(*given), (0.025, 0.975)),
                "np.percentile expects percent: 2.5 and 97.5. np.quantile expects 0.025 and 0.975.",
            ),
            (
                lambda gains, rows, draws: (gains.sum() / rows.sum(),) * 2,
                "Both ends are the mean gain of the test rows: you didn't use the draws.",
            ),
            (
                lambda gains, rows, draws: gains.sum() / rows.sum(),
                "That is one number, the mean gain itself. Compute it for each sample, and return two percentiles.",
            ),
            (
                lambda gains, rows, draws: _middle(gains / rows),
                "Those are percentiles of single users' gains. The mean of a sample varies much less than they do.",
            ),
            (
                _bell_curve,
                "Mean ± 1.96 standard deviations is an approximation, for samples that look like a bell curve. Take "
                "the percentiles.",
            ),
            (lambda *given: interval(*given)[::-1], "The order is wrong: return the low end first."),
        ),
        hint="gains[draws] has the gains of each sample's users, [samples, users]. Sum them with axis=1, do the same "
        "for rows, and divide. Then np.percentile.",
        right="If the interval lies above 0, the lead is more than luck with the users. If 0 is inside, these data "
        "can't tell which one is better. That doesn't mean that the two are equally good.",
    ),
    Exercise(
        number="06.3",
        reference=hold_back_last,
        inputs=((DIARY,), (OTHER_DIARY,)),
        look=_rows,
        given="as the users and products of both parts",
        mistakes=(
            (
                _with_those_of_one,
                "Your test part has users with one review. They have nothing left for training, so they are new.",
            ),
            (
                _without_those_of_one,
                "Users with one review are in neither part. Their reviews belong to the training part.",
            ),
            (
                _by_place,
                "You took each user's last row in the table. The rows are in any order: sort by timestamp first.",
            ),
            (
                lambda reviews: _by_place(reviews.sort_values("timestamp"), keep="first"),
                "You hold the first review of each user back, and train on later ones. Take the last one.",
            ),
            (
                _latest_fifth,
                "That is the latest fifth of all reviews, as in 01.4. Here, each user with two or more gives one row.",
            ),
            (
                lambda reviews: (reviews, hold_back_last(reviews)[1]),
                "The test rows are in the training part as well. Leave them out of it.",
            ),
            (
                lambda reviews: hold_back_last(reviews)[::-1],
                "The parts are swapped: return the training part first, then the test part.",
            ),
            (
                lambda reviews: hold_back_last(reviews)[1],
                "That is one table. Return two: the training part and the test part.",
            ),
        ),
        hint='Sort by timestamp. duplicated("user_id") is then true where the user has an earlier review, and with '
        'keep="last" where the user has a later one.',
        right="Every test row has a known user, as in many papers. But some training rows are later than some test "
        "rows. A shop that is open has no such rows; the split by time of 01.4 avoids them.",
    ),
    Exercise(
        number="06.4",
        reference=rate_since_launch,
        inputs=((PRODUCTS, DAYS, 5), (OTHER_PRODUCTS, OTHER_DAYS, 20)),
        look=_rates,
        mistakes=(
            (
                _rate_by(lambda own, days, damping: len(own) / np.sum(days >= own.min())),
                "The + 1 and the damping are missing: a product whose first review is the latest of all has a rate "
                "of 1, the highest there is.",
            ),
            (
                _rate_by(lambda own, days, damping: (len(own) + 1) / np.sum(days >= own.min())),
                "The damping is missing: add it to the number of reviews since the product's first day.",
            ),
            (
                _rate_by(lambda own, days, damping: len(own) / (np.sum(days >= own.min()) + damping)),
                "Add 1 to the number of the product's own reviews.",
            ),
            (
                _rate_by(lambda own, days, damping: (len(own) + 1) / (days.max() - own.min() + 1 + damping)),
                "You divided by a number of days. Count the reviews of all products in these days.",
            ),
            (
                _rate_by(lambda own, days, damping: (len(own) + 1) / (days.max() - own.min() + damping)),
                "You divided by days, from the first review to the latest one. Count the reviews in this time.",
            ),
            (
                _rate_by(lambda own, days, damping: (len(own) + 1) / (np.sum(days > own.min()) + damping)),
                "You left the first day out. Its reviews count, too: >= instead of >.",
            ),
            (
                _rate_by(lambda own, days, damping: (len(own) + 1) / (len(days) + damping)),
                "You divided by all reviews, so the order is that of popularity. Count them from the first day on.",
            ),
            (
                _rate_by(lambda own, days, damping: (len(own) + 1) / (np.sum(days >= own[0]) + damping)),
                "You took the day of the product's first row. The rows are in any order: take its smallest day.",
            ),
        ),
        hint="For each product: own = product_ids == product says which reviews are its own, and days[own].min() is "
        "its first day. Then count the reviews with days >= this day.",
        right="Popularity counts the reviews of all years, so a new film can't be popular. With a damping of 200, ten "
        "reviews out of the latest 200 are worth more here than fifty out of 10,000. Which floor is the better one? "
        "Score both on validation rows.",
    ),
)
