"""The exercises of notebook 12: three questions, a popularity penalty, a Gini coefficient, an estimate by IPS."""

import numpy as np

from recsys_teach.exercises.exercise import Exercise, choice

SCORES = np.array([[4.0, 1.0, 2.5, 0.5], [10.0, 30.0, 20.0, 80.0], [-1.0, -0.5, 0.25, 0.0]])
COUNTS = np.array([30, 2, 0, 7])
OTHER_SCORES = np.array([[0.2, 0.9, 0.4, 0.3, 0.1], [5.0, 1.0, 1.5, 7.0, 3.0]])
OTHER_COUNTS = np.array([1, 55, 12, 3, 3])

SHOWN = np.array([4, 0, 1, 9, 0, 2])
OTHER_SHOWN = np.array([50, 3, 12, 0])

BOUGHT = np.array([True, False, True, True, False, True, False, True])
PROPENSITY = np.array([1.0, 0.5, 0.125, 0.5, 0.25, 0.25, 1.0, 0.5])
IN_BOTH = np.array([True, True, True, False, True, True, False, True])
OTHER_BOUGHT = np.array([False, True, True, False, True])
OTHER_PROPENSITY = np.array([0.2, 1.0, 0.1, 0.1, 0.4])
OTHER_IN_BOTH = np.array([True, True, True, False, True])


def penalised(scores, counts, weight):
    """The scores of each user, standardised, less weight times the standardised log of the purchases.

    `scores [users, products]` are those of a recommender, `counts [products]` how often each product was bought. Use
    log(1 + count). Returns `[users, products]`.
    """
    mean, spread = scores.mean(axis=1, keepdims=True), scores.std(axis=1, keepdims=True)
    logs = np.log1p(counts)
    return (scores - mean) / spread - weight * (logs - logs.mean()) / logs.std()


def gini(shown):
    """The Gini coefficient of `shown [products]`, how often each product was shown: 0 if all equally often."""
    n = len(shown)
    places = np.arange(1, n + 1)
    return ((2 * places - n - 1) * np.sort(shown)).sum() / (n * shown.sum())


def ips(bought, propensity, in_both, visits):
    """The estimated purchases per visit from the new lists, from a log of the old ones.

    Each exposure has a place in the three arrays: was the product `bought`, how likely was it to be shown
    (`propensity`), and is it `in_both`, the old list and the new one? `visits` is the number of visits in the log.
    """
    return (in_both * bought / propensity).sum() / visits


def _standardised(values, **how):
    return (values - values.mean(**how)) / values.std(**how)


def _rows(scores):
    return _standardised(scores, axis=1, keepdims=True)


def _gini(shown, *, order=np.sort, first=1, over=None):
    n = len(shown)
    places = np.arange(first, n + first)
    return ((2 * places - n - 1) * order(shown)).sum() / (over or n * shown.sum())


EXERCISES = (
    choice(
        "12.a",
        right="c",
        hint="Which products could be bought last month, and who decided that?",
        a="An interval says how much luck with the users there is. It says nothing about products that nobody saw.",
        b="Lists that are new may be better or worse. From these purchases alone you can't tell.",
        c="People can buy only what they find, and A decided what they found. B's other products had no chance to be "
        "bought, so they count as misses. You need exploration in the log, or an A/B test.",
    ),
    choice(
        "12.b",
        right="a",
        hint="Which weight does a product get that was never shown?",
        a="Where the propensity is 0, no exposure can carry the weight. What these products would have sold is "
        "missing, and more visits bring none of it. IPS needs a log in which all products of the new lists had a "
        "chance.",
        b="More visits make the estimate steadier, but it stays too low: the products that were never shown have no "
        "exposures to be weighted.",
        c="A weight of 1 / 0 never occurs in the sum, since a product with propensity 0 is in no logged list.",
    ),
    choice(
        "12.c",
        right="b",
        hint="What does it cost, when, and what could be found?",
        a="It didn't in the shop of habits, where a product that sells well to some says little about others. Measure "
        "it.",
        b="It costs from the first day on and pays later, if there is something to be found that sells, and if enough "
        "visitors are left to buy it.",
        c="Random places found too little to pay, in these rounds. Thompson sampling found more with as many places.",
    ),
    Exercise(
        number="12.1",
        reference=penalised,
        inputs=((SCORES, COUNTS, 0.5), (OTHER_SCORES, OTHER_COUNTS, 2.0)),
        mistakes=(
            (
                lambda scores, counts, weight: scores - weight * _standardised(np.log1p(counts)),
                "The scores aren't standardised, so one weight means something else for each recommender.",
            ),
            (
                lambda scores, counts, weight: _standardised(scores) - weight * _standardised(np.log1p(counts)),
                "You standardised with one mean for all users. Each row of scores has its own mean and deviation: "
                "axis=1, keepdims=True.",
            ),
            (
                lambda scores, counts, weight: _standardised(scores, axis=0) - weight * _standardised(np.log1p(counts)),
                "You standardised each product over the users, which takes away what makes a product good for many. "
                "Standardise each row: axis=1.",
            ),
            (
                lambda scores, counts, weight: _rows(scores) - weight * np.log1p(counts),
                "The scores are standardised, the log of the purchases isn't.",
            ),
            (
                lambda scores, counts, weight: _rows(scores) - weight * _standardised(counts),
                "The log is missing: take log(1 + count), or a few very popular products decide everything.",
            ),
            (
                lambda scores, counts, weight: _rows(scores) + weight * _standardised(np.log1p(counts)),
                "You added the popularity. Subtract it: popular products should go down.",
            ),
        ),
        hint="np.log1p(counts) is log(1 + counts). The mean of each row is scores.mean(axis=1, keepdims=True), and its "
        "standard deviation is scores.std(axis=1, keepdims=True).",
        right="Because both parts are standardised, a weight has the same meaning for EASE, for ItemKNN and for two "
        "towers: a product that is one deviation more popular needs a score that is `weight` deviations better.",
    ),
    Exercise(
        number="12.2",
        reference=gini,
        inputs=((SHOWN,), (OTHER_SHOWN,)),
        mistakes=(
            (
                lambda shown: _gini(shown, order=lambda values: values),
                "The numbers have to be in ascending order: np.sort.",
            ),
            (
                lambda shown: _gini(shown, order=lambda values: np.sort(values)[::-1]),
                "You sorted them in descending order, so the sign is wrong.",
            ),
            (lambda shown: _gini(shown, first=0), "Count the places from 1: np.arange(1, n + 1)."),
            (
                lambda shown: _gini(shown, over=shown.sum()),
                "You divided by the sum only. Divide by n times the sum.",
            ),
            (
                lambda shown: _gini(shown[shown > 0]),
                "You left out the products that were never shown. They are the most unequal ones: keep them.",
            ),
            (
                lambda shown: (shown > 0).mean(),
                "That is the coverage: the share of the products that were shown at all.",
            ),
        ),
        hint="With n = len(shown) and i = np.arange(1, n + 1), sum (2 i - n - 1) * np.sort(shown). Divide by n times "
        "the sum of shown.",
        right="0 is a window in which all products are shown equally often, and near 1 one product has them all. "
        "Coverage counts a product that was shown once like one that was shown a thousand times; the Gini coefficient "
        "doesn't.",
    ),
    Exercise(
        number="12.3",
        reference=ips,
        inputs=((BOUGHT, PROPENSITY, IN_BOTH, 4), (OTHER_BOUGHT, OTHER_PROPENSITY, OTHER_IN_BOTH, 3)),
        mistakes=(
            (
                lambda bought, propensity, in_both, visits: (in_both * bought).sum() / visits,
                "The propensities are missing, so what was shown for certain counts as much as what was shown by luck.",
            ),
            (
                lambda bought, propensity, in_both, visits: (bought / propensity).sum() / visits,
                "You counted products that aren't in the new list. Multiply by in_both.",
            ),
            (
                lambda bought, propensity, in_both, visits: (in_both * bought * propensity).sum() / visits,
                "You multiplied by the propensity. Divide by it: what was rarely shown has to count more.",
            ),
            (
                lambda bought, propensity, in_both, visits: (in_both * bought / propensity).mean(),
                "That is a mean over exposures. Divide the sum by the number of visits.",
            ),
            (
                lambda bought, propensity, in_both, visits: (in_both * bought / propensity).sum(),
                "That is the number of purchases in all visits. Divide by the number of visits.",
            ),
            (
                lambda bought, propensity, in_both, visits: (
                    (in_both * bought / propensity).sum() / (in_both / propensity).sum()
                ),
                "You divided by the sum of the weights: that is SNIPS, for one place. Divide by the number of visits.",
            ),
        ),
        hint="Each exposure has the weight 1 / propensity if it is in both lists, and 0 if it isn't. Sum weight times "
        "bought, and divide by visits.",
        right="An exposure with propensity 1/125 stands for 125 that weren't made. That makes the estimate right on "
        "average, and it makes it uncertain: a few purchases decide it.",
    ),
)
