"""The exercises of notebook 08: the first k, recall, where a new product starts, when answers are the same."""

import numpy as np

from recsys_teach.exercises.exercise import Exercise

SCORES = np.array([-1.0, 2.0, 0.5, -3.0, 1.5, -0.2, -2.0])  # fewer than three of those not bought are above 0
BOUGHT = np.array([False, True, False, False, True, True, False])
OTHER_SCORES = np.array([-120.0, -700.0, -90.0, -650.0, -1000.0])  # the lowest wasn't bought, and all those are wanted
OTHER_BOUGHT = np.array([False, True, False, False, False])

EXACT = np.array([[1, 2, 3, 4], [5, 6, 7, 8], [1, 5, 9, 2], [3, 6, 2, 8]])
FOUND = np.array([[2, 1, 3, 4], [5, 6, 9, 1], [9, 5, 1, 7], [10, 11, 12, 13]])  # 4, 2, 3 and none of them

OTHER_EXACT = np.array([[10, 20, 30], [40, 50, 60]])
OTHER_FOUND = np.array([[30, 40, 10], [50, 70, 80]])  # 2 and 1 of them

VECTORS = np.array([[1.0, 0.0], [3.0, 2.0], [5.0, 4.0], [0.0, 8.0], [1.0, 1.0], [-4.0, -6.0], [-8.0, 2.0]])
BIASES = np.array([-2.0, 6.0, 1.0, 0.0, -1.0, 9.0, -7.0])
CATEGORIES = np.array(["tents", "tents", "tents", "tents", "tents", "lamps", "lamps"])

OTHER_VECTORS = np.array([[2.0, -1.0, 0.5], [0.0, 3.0, 1.0], [1.0, 1.0, -2.0], [4.0, 5.0, 0.0], [6.0, -3.0, 8.0]])
OTHER_BIASES = np.array([0.4, -1.5, 2.0, 3.0, 0.0])
OTHER_CATEGORIES = np.array(["wok", "pan", "pan", "wok", "pan"])

PAIRS = (  # ids, scores, other ids, other scores, best first; tolerance
    ("abcd", [3, 2, 1.5, 1], "abcd", [3, 2, 1.5, 1], 1e-4),  # the same
    ("abcd", [3, 2, 1.5, 1], "abcd", [3, 2.000001, 1.5, 1], 1e-4),  # rounded otherwise
    ("abcd", [3, 2, 2, 1], "acbd", [3, 2, 2, 1], 1e-4),  # a tie in another order
    ("abcd", [3, 2.00005, 2, 1], "acbd", [3, 2.00005, 2, 1], 1e-4),  # nearly a tie in another order
    ("abcd", [3, 2, 1, 1], "abec", [3, 2, 1, 1], 1e-4),  # cut within a tie
    ("abcd", [3, 2, 1.00005, 1], "abec", [3, 2, 1.00005, 1], 1e-4),  # cut within what is nearly a tie
    ([7, 12, 5], [60, 59.6, 30], [12, 7, 5], [60, 59.7, 30.5], 0.5),  # another tolerance
    ("abcd", [3, 2, 1.5, 1], "bacd", [3, 2, 1.5, 1], 1e-4),  # another order
    ("abcd", [3, 2, 1.5, 1], "abcd", [3.5, 2, 1.5, 1], 1e-4),  # another score
    ("abcd", [3, 2, 2, 1], "abed", [3, 2, 2, 1], 1e-4),  # another product
    ([7, 12, 5], [60, 59, 30], [12, 7, 5], [60, 59, 30], 0.5),  # another order
)


def first_k(scores, bought, k):
    """Where the `k` highest scores are, best first, without what was bought; both `[products]`, bought is a mask."""
    return np.argsort(-np.where(bought, -np.inf, scores))[:k]


def recall(found, exact):
    """The mean share of the exact products that was found; both are ids, `[shoppers, k]`, in any order."""
    return np.mean([np.isin(right, some).mean() for right, some in zip(exact, found)])


def start_of(category, vectors, biases, categories, optimism):
    """Where a new product starts: the mean vector `[dim]` of its category, and a quantile of its category's biases.

    `vectors [products, dim]`, `biases [products]` and `categories [products]` are those of the products that are
    known; `optimism` is which quantile, from 0 to 1.
    """
    own = categories == category
    return vectors[own].mean(axis=0), np.quantile(biases[own], optimism)


def same_answer(ids, scores, other_ids, other_scores, tolerance):
    """Are two lists of products with their scores, each `[k]`, best first, the same up to ties?

    Scores that differ by no more than `tolerance` are equal. Products with equal scores may stand in any order, and
    those whose score equals the last one may be others, since the list may have been cut among equals.
    """
    if not np.allclose(scores, other_scores, rtol=0, atol=tolerance):
        return False
    for score in scores[scores > scores[-1] + tolerance]:
        tied = np.abs(scores - score) <= tolerance
        if set(ids[tied]) != set(other_ids[tied]):
            return False
    return True


def _numbers(start):
    """The numbers of a start, the bias last."""
    return np.concatenate([np.ravel(part) for part in start])


def _start_by(vector_of, bias_of, *, everywhere=False):
    """A wrong answer to 08.3: other means, or other products."""

    def start(category, vectors, biases, categories, optimism):
        own = categories == (categories if everywhere else category)
        return vector_of(vectors[own], axis=0), bias_of(biases[own], optimism)

    return start


def _to_the_last(ids, scores, other_ids, other_scores, tolerance):
    """A wrong answer to 08.4: as if one more product stood below the last."""
    below = (np.append(ids, "z"), np.append(scores, -9), np.append(other_ids, "z"), np.append(other_scores, -9))
    return same_answer(*below, tolerance)


EXERCISES = (
    Exercise(
        number="08.1",
        reference=first_k,
        inputs=((SCORES, BOUGHT, 3), (OTHER_SCORES, OTHER_BOUGHT, 4)),
        mistakes=(
            (
                lambda scores, bought, k: np.argsort(-np.where(bought, 0, scores))[:k],
                "0 isn't low: scores below it come after what was bought. Which number is below all others?",
            ),
            (
                lambda scores, bought, k: np.argsort(-scores)[:k][~bought[np.argsort(-scores)[:k]]],
                "You picked k and then struck out what was bought, so fewer than k are left. Mask first.",
            ),
            (lambda scores, bought, k: np.argsort(np.where(bought, -np.inf, scores))[:k], "Are the lowest the best?"),
            (lambda scores, bought, k: np.argsort(-scores[~bought])[:k], "Those are places in a shorter array."),
            (lambda scores, bought, k: np.argsort(-scores)[:k], "She has some of these at home: where is the mask?"),
        ),
        hint="First give what was bought the score -np.inf (np.where); then np.argsort of the negative scores.",
        right="Mask, then pick: whatever she owns, k products are left, as long as the shop has so many.",
    ),
    Exercise(
        number="08.2",
        reference=recall,
        inputs=((FOUND, EXACT), (OTHER_FOUND, OTHER_EXACT)),
        mistakes=(
            (lambda found, exact: np.mean(found == exact), "Place by place? Found at another place is found, too."),
            (
                lambda found, exact: np.mean([len({*a} & {*b}) / len({*a} | {*b}) for a, b in zip(found, exact)]),
                "That is Jaccard's index, divided by all that is in either list. Divide by what should be found.",
            ),
            (
                lambda found, exact: np.mean([np.isin(two, one).any() for one, two in zip(found, exact)]),
                "That counts a shopper as soon as one product was found. Which share of the k was?",
            ),
            (
                lambda found, exact: np.isin(exact, found).mean(),
                "A product counts as found if it was found for anybody. Look into each shopper's own list.",
            ),
        ),
        hint="For one shopper, np.isin(exact, found) says of each exact product whether it was found; and then means.",
        right="At a recall of 0.958, less than half a product of the exact ten is missing for a shopper on average.",
    ),
    Exercise(
        number="08.3",
        reference=start_of,
        inputs=(
            ("tents", VECTORS, BIASES, CATEGORIES, 0.9),
            ("pan", OTHER_VECTORS, OTHER_BIASES, OTHER_CATEGORIES, 0.25),
        ),
        look=_numbers,
        given="the bias last",
        mistakes=(
            (
                _start_by(np.mean, np.quantile, everywhere=True),
                "That is the same for every category. Something is known of the product: use only its own category.",
            ),
            (
                _start_by(np.mean, lambda biases, optimism: biases.mean()),
                "The bias is the mean of its category's, so optimism does nothing. Which quantile is asked for?",
            ),
            (lambda *a: start_of(*a)[::-1], "The order is turned: first the vector, then the bias."),
            (_start_by(np.sum, np.quantile), "You added the vectors up: a large category would give long ones."),
        ),
        hint="categories == category is a mask of products. Their mean vector needs an axis, the bias np.quantile.",
        right="It starts as its category is, but more popular than most of it: so it has a chance to be shown.",
    ),
    Exercise(
        number="08.4",
        reference=same_answer,
        inputs=tuple(
            (np.array(list(ids)), np.array(scores, float), np.array(list(others)), np.array(theirs, float), tolerance)
            for ids, scores, others, theirs, tolerance in PAIRS
        ),
        look=bool,
        mistakes=(
            (
                lambda ids, scores, other_ids, *_: bool((ids == other_ids).all()),
                "You compare products place by place, and never the scores. Equals may swap; another score is a fault.",
            ),
            (lambda ids, scores, other_ids, *_: set(ids) == set(other_ids), "Sets? Then the order never counts."),
            (
                lambda ids, scores, other_ids, other_scores, tolerance: np.allclose(scores, other_scores, 0, tolerance),
                "The scores agree; but two lists of quite other products could have the same scores.",
            ),
            (lambda a, b, c, d, _: same_answer(a, b, c, d, 0), "You want equality to the last digit: use `tolerance`."),
            (
                _to_the_last,
                "Nearly. Where the last score is shared, the list was cut among equals: there the products may differ.",
            ),
        ),
        hint="First compare the scores. Then, for each score above the last one, the sets of products that have it.",
        right="A test that fails for swapped equals gets switched off; one of sets alone passes a wrong server.",
    ),
)
