"""The exercises of notebook 04: errors of stars, early stopping, the factor head, a leak, calibration."""

from functools import cache
from types import SimpleNamespace

import numpy as np
import pandas as pd

from recsys_teach.baselines import DampedBiases, Oracle
from recsys_teach.evaluation import beats_oracle, scoreboard
from recsys_teach.exercises.exercise import Exercise
from recsys_teach.schema import RATING, SUMMARY
from recsys_teach.shop import generate_shop
from recsys_teach.splits import split_at_random

BIASES = np.array([0.3, -0.2, 0.4]), np.array([0.2, 0.1, -0.6])  # three rows' users, three rows' products
VECTORS = np.array([[1.0, 2.0], [0.5, -1.0], [3.0, 1.0]]), np.array([[2.0, 0.5], [1.0, 1.0], [1.0, -2.0]])
OTHER_BIASES = np.array([-0.5, 0.1]), np.array([0.7, 0.4])
OTHER_VECTORS = np.array([[0.2, 1.0, -1.0], [2.0, 0.3, 0.1]]), np.array([[1.0, 0.4, 0.6], [0.5, -2.0, 1.0]])


PREDICTIONS = (  # predicted, ratings, bins
    (
        np.array([3.1, 4.6, 3.0, 3.4, 3.2, 4.1, 3.3, 3.6, 3.9, 3.5, 4.4, 3.7]),
        np.array([4.0, 5, 2, 3, 3, 3, 5, 4, 5, 2, 4, 3]),
        3,
    ),
    (np.array([4.9, 2.0, 3.9, 2.6, 3.4, 2.9, 4.4, 3.6]), np.array([5.0, 1, 3, 4, 3, 2, 5, 4]), 4),
)


def root_mean_squared_error(predicted, ratings):
    """The root of the mean squared error, in stars; predicted and ratings `[rows]`."""
    return np.sqrt(np.mean((predicted - ratings) ** 2))


def best_epoch(curve):
    """How many epochs to train for; columns `train` and `validation` hold the errors, the index the epochs from 1."""
    return curve["validation"].idxmin()


def factor_stars(mean, user_bias, product_bias, users, products, scale, known):
    """The stars of each row; biases `[rows]`, users and products `[rows, dim]`, known `[rows]`: both are known."""
    taste = scale * np.sum(users * products, axis=1)
    return mean + user_bias + product_bias + np.where(known, taste, 0)


def leaking(suspects, oracle, train, test):
    """The set of the names of those who are better than the truth by more than luck; suspects by name."""
    return {name for name, suspect in suspects.items() if beats_oracle(suspect, oracle, train, test)}


def calibration_table(predicted, ratings, bins):
    """For each of `bins` equal parts of the rows, the lowest first: mean prediction, mean rating; `[bins, 2]`."""
    order = np.argsort(predicted)
    parts = np.array_split(order, bins)
    return np.array([[predicted[part].mean(), ratings[part].mean()] for part in parts])


def _curve(train, validation):
    epochs = pd.RangeIndex(1, len(train) + 1, name="epoch")
    return pd.DataFrame({"train": train, "validation": validation}, epochs)


CURVES = (  # the first has two equally good epochs; in the second, the error rises twice before the best one
    (_curve([0.85, 0.80, 0.74, 0.66, 0.60, 0.52, 0.55], [0.90, 0.87, 0.88, 0.86, 0.86, 0.91, 0.95]),),
    (_curve([1.4, 1.2, 1.1, 1.0, 0.9, 0.8, 0.7, 0.6], [1.5, 1.32, 1.33, 1.34, 1.3, 1.25, 1.27, 1.31]),),
)


class _Skims:
    """Damped biases, and to some degree what the first word of the row's own summary gives away."""

    def __init__(self, train: pd.DataFrame, share: float):
        self.biases, self.share = DampedBiases(train), share
        self.stars = train[RATING].groupby(self._word(train)).mean()

    @staticmethod
    def _word(reviews: pd.DataFrame) -> pd.Series:
        return reviews[SUMMARY].str.extract(r"(\w+)")[0]

    def ratings(self, reviews: pd.DataFrame) -> np.ndarray:
        stars = self._word(reviews).map(self.stars).fillna(self.biases.mean)
        return (1 - self.share) * self.biases.ratings(reviews) + self.share * stars.to_numpy(float)


def staff(shop, train):
    """Four who predict stars, by name: each has `ratings(reviews) -> [rows]`. Some of them may be cheating."""

    def knows_people(reviews: pd.DataFrame) -> np.ndarray:
        """The true means of the stars, but for a little, and not what they gave; with this seed, by luck, nearer."""
        return shop.expected_rating(reviews) + np.random.default_rng(61).normal(0, 0.025, len(reviews))

    cheats = {"Cleo": _Skims(train, 0.25), "Dora": _Skims(train, 0.8)}
    return {"Ada": DampedBiases(train), "Ben": SimpleNamespace(ratings=knows_people)} | cheats


def _other_staff(shop, train):
    """Three others: Eva peeps a little at every row, Finn is lucky by more than that, Gus is honest."""
    skims = _Skims(train, 1.0)

    def peeps(reviews: pd.DataFrame) -> np.ndarray:
        return 0.999 * shop.expected_rating(reviews) + 0.001 * skims.ratings(reviews)

    def knows_people(reviews: pd.DataFrame) -> np.ndarray:
        return shop.expected_rating(reviews) + np.random.default_rng(147).normal(0, 0.05, len(reviews))

    eva, finn = SimpleNamespace(ratings=peeps), SimpleNamespace(ratings=knows_people)
    return {"Gus": DampedBiases(train), "Finn": finn, "Eva": eva}


@cache
def _shops():
    """Two shops: the suspects, the truth, and the training and test rows of each."""
    shops = (staff, generate_shop()), (_other_staff, generate_shop(users=300, products=80, seed=5))
    parts = [split_at_random(shop.reviews, seed=seed) for seed, (_, shop) in enumerate(shops)]
    return [(hired(shop, split.train), Oracle(shop), *split) for (hired, shop), split in zip(shops, parts)]


def _accused(answer):
    """The names that an answer returns in each shop."""
    named = [answer(dict(some), oracle, train.copy(), test.copy()) for some, oracle, train, test in _shops()]
    return [sorted(map(str, some)) if np.iterable(some) and not isinstance(some, str) else some for some in named]


def _below(share):
    """A wrong answer: those whose RMSE is below the truth's by this share of it."""

    def below(suspects, oracle, train, test):
        errors = scoreboard(suspects | {"oracle": oracle}, train, test, visible=[SUMMARY])["rmse"]
        return set(errors.index[errors < (1 - share) * errors["oracle"]])

    return below


def _worst(suspects, _, train, test):
    return {scoreboard(suspects, train, test, visible=[SUMMARY])["rmse"].idxmin()}


def _of(keys, predicted, ratings, bins):
    return np.array([[predicted[p].mean(), ratings[p].mean()] for p in np.array_split(np.argsort(keys), bins)])


def _equally_wide(predicted, ratings, bins):
    bin_of = np.digitize(predicted, np.linspace(predicted.min(), predicted.max(), bins + 1)[1:-1])
    return np.array([[predicted[bin_of == b].mean(), ratings[bin_of == b].mean()] for b in range(bins)])


EXERCISES = (
    Exercise(
        number="04.1",
        reference=root_mean_squared_error,
        inputs=(
            (np.array([4.5, 4, 3, 1]), np.array([5.0, 4, 2, 3])),
            (np.array([2.5, 4.2, 3.8, 5, 4.4, 3.1]), np.array([1.0, 4, 3, 5, 2, 3])),
        ),
        mistakes=(
            (lambda p, r: np.mean((p - r) ** 2), "That is the mean squared error, in squared stars: take its root."),
            (lambda p, r: np.abs(np.mean(p - r)), "Square each error first, and then take the mean."),
            (lambda p, r: np.mean(np.abs(p - r)), "That is the mean absolute error. Square the errors first."),
            (lambda p, r: np.std(p - r), "np.std subtracts the mean error first, and that is part of the error."),
            (lambda p, r: np.sqrt(np.sum((p - r) ** 2)), "The root of the sum grows with every row: take a mean."),
        ),
        hint="From the inside out: the errors, their squares, the mean of these, its root.",
        right="Because of the squares, one error of two stars costs as much as four errors of one star.",
    ),
    Exercise(
        number="04.2",
        reference=best_epoch,
        inputs=CURVES,
        mistakes=(
            (lambda c: np.argmin(c["validation"]), "That counts from 0. The table's index counts epochs from 1."),
            (lambda c: c["train"].idxmin(), "The training error goes on falling while noise is learned by heart."),
            (lambda c: c["validation"].min(), "That is the lowest error. Which epoch is it in?"),
            (lambda c: c.index[(c["validation"].diff() > 0).argmax() - 1], "After the first rise it falls once more."),
            (
                lambda c: c["validation"][::-1].idxmin(),
                "In one curve two epochs are equally good: the earlier costs less.",
            ),
        ),
        hint="One of the two columns was not learned from. pandas' idxmin gives the index of the smallest value.",
        right="You train on all training rows for so many epochs; the test rows had no say in it.",
    ),
    Exercise(
        number="04.3",
        reference=factor_stars,
        inputs=(
            (3.9, *BIASES, *VECTORS, 0.5, np.array([True, False, True])),
            (3.2, *OTHER_BIASES, *OTHER_VECTORS, 2.0, np.array([False, True])),
        ),
        mistakes=(
            (lambda *a: factor_stars(*(*a[:5], 1, a[6])), "The dot product isn't multiplied by `scale`."),
            (
                lambda *a: factor_stars(*(*a[:6], True)),
                "In some rows somebody is unknown, and yours adds a taste there.",
            ),
            (lambda m, u, p, x, y, s, k: m + u + p + s * (x @ y.T), "That is every user by every product."),
            (lambda *a: factor_stars(*a) * a[6], "Where one is unknown the floor stays. Only the taste goes."),
            (lambda *a: factor_stars(0, *a[1:]), "Every row starts at the mean."),
        ),
        hint="The dot products of the rows are np.sum(users * products, axis=1); np.where puts 0 where one is unknown.",
        right="For a stranger the model falls back on the floor: it says no more than it knows.",
    ),
    Exercise(
        number="04.4",
        reference=leaking,
        probe=_accused,
        given="in two shops",
        mistakes=(
            (_worst, "The worst. Another leaks a little."),
            (_below(0), "One of these is below the truth by a hair, which is luck: how sure can you be, row by row?"),
            (
                _below(0.05),
                "A leak can be smaller than 5 %, and still be in every row: how sure can you be, row by row?",
            ),
            (lambda s, *rest: set(s) - leaking(s, *rest), "Those are innocent: an empty answer accuses nobody."),
        ),
        hint="Ask beats_oracle about each of them. What it returns is a dictionary: empty if there is nothing to tell.",
        right="Cleo only skims the summary, which is enough. Ben knows people and was lucky, and luck isn't a leak.",
    ),
    Exercise(
        number="04.5",
        reference=calibration_table,
        inputs=PREDICTIONS,
        mistakes=(
            (lambda p, r, b: _of(r, p, r, b), "Sorted by rating, even a perfect model looks too timid. Sort by what?"),
            (lambda p, r, b: _of(np.arange(len(p)), p, r, b), "Cut before it is sorted, every part is a mixture."),
            (lambda p, r, b: _of(p, p, r[p.argsort().argsort()], b), "The ratings must move with their predictions."),
            (lambda p, r, b: _of(-p, p, r, b), "The highest predictions come first in yours: begin with the lowest."),
            (lambda p, r, b: _of(p, p, r, b)[:, ::-1], "The columns are swapped: the prediction comes first."),
            (_equally_wide, "Your parts are equally wide, so some hold few rows. They should hold equally many."),
        ),
        hint="np.argsort(predicted) is an order of the rows, and np.array_split cuts it into parts. Two means a part.",
        right="If the two columns agree, the stars can be believed, for rows like these, and on average.",
    ),
)
