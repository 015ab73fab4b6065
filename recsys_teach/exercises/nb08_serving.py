"""The exercises of notebook 08: two towers, cosine, half an update; the first k, recall, cold start, equal answers."""

import numpy as np

from recsys_teach.exercises.exercise import Exercise, choice

SCORES = np.array([-1.0, 2.0, 0.5, -3.0, 1.5, -0.2, -2.0])  # of the products not bought, fewer than three are above 0
BOUGHT = np.array([False, True, False, False, True, True, False])
OTHER_SCORES = np.array(
    [-120.0, -700.0, -90.0, -650.0, -1000.0]
)  # the lowest wasn't bought; k is the number of products that weren't
OTHER_BOUGHT = np.array([False, True, False, False, False])

EXACT = np.array([[1, 2, 3, 4], [5, 6, 7, 8], [1, 5, 9, 2], [3, 6, 2, 8]])
FOUND = np.array([[2, 1, 3, 4], [5, 6, 9, 1], [9, 5, 1, 7], [10, 11, 12, 13]])  # 4, 2, 3 and 0 of the exact products

OTHER_EXACT = np.array([[10, 20, 30], [40, 50, 60]])
OTHER_FOUND = np.array([[30, 40, 10], [50, 70, 80]])  # 2 and 1 of the exact products

VECTORS = np.array([[1.0, 0.0], [3.0, 2.0], [5.0, 4.0], [0.0, 8.0], [1.0, 1.0], [-4.0, -6.0], [-8.0, 2.0]])
BIASES = np.array([-2.0, 6.0, 1.0, 0.0, -1.0, 9.0, -7.0])
CATEGORIES = np.array(["tents", "tents", "tents", "tents", "tents", "lamps", "lamps"])

OTHER_VECTORS = np.array([[2.0, -1.0, 0.5], [0.0, 3.0, 1.0], [1.0, 1.0, -2.0], [4.0, 5.0, 0.0], [6.0, -3.0, 8.0]])
OTHER_BIASES = np.array([0.4, -1.5, 2.0, 3.0, 0.0])
OTHER_CATEGORIES = np.array(["wok", "pan", "pan", "wok", "pan"])

PAIRS = (  # ids, scores, other ids, other scores, best first; tolerance
    ("abcd", [3, 2, 1.5, 1], "abcd", [3, 2, 1.5, 1], 1e-4),  # the same
    ("abcd", [3, 2, 1.5, 1], "abcd", [3, 2.000001, 1.5, 1], 1e-4),  # a rounding error
    ("abcd", [3, 2, 2, 1], "acbd", [3, 2, 2, 1], 1e-4),  # a tie in another order
    ("abcd", [3, 2.00005, 2, 1], "acbd", [3, 2.00005, 2, 1], 1e-4),  # nearly a tie in another order
    ("abcd", [3, 2, 1, 1], "abec", [3, 2, 1, 1], 1e-4),  # the list ends in a tie
    ("abcd", [3, 2, 1.00005, 1], "abec", [3, 2, 1.00005, 1], 1e-4),  # the list nearly ends in a tie
    ([7, 12, 5], [60, 59.6, 30], [12, 7, 5], [60, 59.7, 30.5], 0.5),  # another tolerance
    ("abcd", [3, 2, 1.5, 1], "bacd", [3, 2, 1.5, 1], 1e-4),  # another order
    ("abcd", [3, 2, 1.5, 1], "abcd", [3.5, 2, 1.5, 1], 1e-4),  # another score
    ("abcd", [3, 2, 2, 1], "abed", [3, 2, 2, 1], 1e-4),  # another product
    ([7, 12, 5], [60, 59, 30], [12, 7, 5], [60, 59, 30], 0.5),  # another order
)


def first_k(scores, bought, k):
    """Return the indices of the `k` highest scores, best first, without what was bought; both are `[products]`."""
    return np.argsort(-np.where(bought, -np.inf, scores))[:k]


def recall(found, exact):
    """Return the mean share of the exact products that was found; both are ids, `[users, k]`, in any order."""
    return np.mean([np.isin(right, some).mean() for right, some in zip(exact, found)])


def start_of(category, vectors, biases, categories, optimism):
    """Return the first vector of a new product, `[dim]`, and its first bias.

    `vectors [products, dim]`, `biases [products]` and `categories [products]` are those of the known products.
    The vector is the mean of its category's, the bias the quantile `optimism`, from 0 to 1, of its category's.
    """
    own = categories == category
    return vectors[own].mean(axis=0), np.quantile(biases[own], optimism)


def same_answer(ids, scores, other_ids, other_scores, tolerance):
    """Return whether two lists of products with their scores, each `[k]`, best first, are the same up to ties.

    Scores that differ by no more than `tolerance` are equal. Products with equal scores may be in any order. Products
    whose score equals the last one may be others, since the list may end in the middle of a tie.
    """
    if not np.allclose(scores, other_scores, rtol=0, atol=tolerance):
        return False
    for score in scores[scores > scores[-1] + tolerance]:
        tied = np.abs(scores - score) <= tolerance
        if set(ids[tied]) != set(other_ids[tied]):
            return False
    return True


def _numbers(start):
    """Return the vector and the bias as one array, the bias last."""
    return np.concatenate([np.ravel(part) for part in start])


def _start_by(vector_of, bias_of, *, everywhere=False):
    """Return a wrong answer to 08.3: another mean or quantile, or the products of all categories."""

    def start(category, vectors, biases, categories, optimism):
        own = categories == (categories if everywhere else category)
        return vector_of(vectors[own], axis=0), bias_of(biases[own], optimism)

    return start


def _to_the_last(ids, scores, other_ids, other_scores, tolerance):
    """Return a wrong answer to 08.4: one that compares the last tie as strictly as the others."""
    below = (np.append(ids, "z"), np.append(scores, -9), np.append(other_ids, "z"), np.append(other_scores, -9))
    return same_answer(*below, tolerance)


EXERCISES = (
    choice(
        "08.a",
        right="b",
        hint="A request brings a new user. Which of the computations need to know who that user is?",
        a="The number of parameters isn't the reason: the other network may have as few, and is still slow.",
        b="For a request, one user vector and one dot product for each product are left to compute. A network that "
        "reads both together has to run once for each product, so it is used to rank a few dozen candidates.",
        c="The towers hardly run at the same time: the products' vectors were computed long before the request.",
        d="The dot product has no parameters, but the vectors have, and they were trained and have to be loaded.",
    ),
    choice(
        "08.b",
        right="c",
        hint="Take the user (1, 0) and the products (3, 3) and (2, 0). Which is first by dot product, which by cosine?",
        a="Two products in the same direction have the same cosine with every user, but the longer one has the larger "
        "dot product (if it is positive). So the order can change.",
        b="Dividing by the user's length would only change the scale of that user's scores. But the products are "
        "divided as well, each by its own length, and that changes the order.",
        c="Search by dot product instead (often called inner product), or train with vectors of length one. With a "
        "product bias it is worse still: the bias isn't part of a direction.",
        d="The search may be faster, but it searches for something else: each product is divided by another number.",
    ),
    choice(
        "08.c",
        right="a",
        hint="Rotate all vectors of a model, those of the users and those of the products, by the same angle. Which "
        "scores change?",
        a="Rotating all vectors changes no score, so each training ends in directions of its own. User and product "
        "vectors belong together: export both as one version.",
        b="A score needs both vectors, and the order depends on the user's as well. But here the two don't fit.",
        c="The tastes are the same, but they are in other coordinates: scores are computed within one training only.",
        d="The old products are the problem: their vectors are yesterday's, and today's users don't fit to them.",
    ),
    Exercise(
        number="08.1",
        reference=first_k,
        inputs=((SCORES, BOUGHT, 3), (OTHER_SCORES, OTHER_BOUGHT, 4)),
        mistakes=(
            (
                lambda scores, bought, k: np.argsort(-np.where(bought, 0, scores))[:k],
                "0 isn't low enough: products with scores below 0 now come after the bought ones. Which number is "
                "below all others?",
            ),
            (
                lambda scores, bought, k: np.argsort(-scores)[:k][~bought[np.argsort(-scores)[:k]]],
                "You took k products and then removed the bought ones, so fewer than k are left. Mask first.",
            ),
            (
                lambda scores, bought, k: np.argsort(np.where(bought, -np.inf, scores))[:k],
                "These are the products with the lowest scores, and np.argsort starts with the lowest. Negate them.",
            ),
            (
                lambda scores, bought, k: np.argsort(-scores[~bought])[:k],
                "scores[~bought] is a shorter array, and your indices belong to it. Keep the length and use a mask.",
            ),
            (
                lambda scores, bought, k: np.argsort(-scores)[:k],
                "Some of these products were bought already. Use `bought` before you sort.",
            ),
        ),
        hint="First set the scores of bought products to -np.inf (np.where). Then np.argsort the negative scores.",
        right="You mask first and pick then, so k products are left however many the user has bought.",
    ),
    Exercise(
        number="08.2",
        reference=recall,
        inputs=((FOUND, EXACT), (OTHER_FOUND, OTHER_EXACT)),
        mistakes=(
            (
                lambda found, exact: np.mean(found == exact),
                "You compare place by place. A product that was found at another place counts, too.",
            ),
            (
                lambda found, exact: np.mean([len({*a} & {*b}) / len({*a} | {*b}) for a, b in zip(found, exact)]),
                "This is Jaccard's index: you divide by the number of products in either list. Divide by the number "
                "of exact ones.",
            ),
            (
                lambda found, exact: np.mean([np.isin(two, one).any() for one, two in zip(found, exact)]),
                "You count a user as soon as one product was found. Compute which share of the k was found.",
            ),
            (
                lambda found, exact: np.isin(exact, found).mean(),
                "You count a product as found if it was found for any user. Compare each user's own two lists.",
            ),
        ),
        hint="For one user, np.isin(exact, found) says of each exact product whether it was found. Then take means.",
        right="With a recall of 0.958, less than half a product of a user's exact ten is missing on average.",
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
                "This start is the same for every category. Use only the products of the new product's category.",
            ),
            (
                _start_by(np.mean, lambda biases, optimism: biases.mean()),
                "Your bias is the mean of the category's biases, so `optimism` has no effect. Use np.quantile.",
            ),
            (lambda *a: start_of(*a)[::-1], "The order is wrong: return the vector first, then the bias."),
            (
                _start_by(np.sum, np.quantile),
                "You added the vectors, so a large category gives a long vector. Take their mean.",
            ),
        ),
        hint="categories == category is a mask of products. Take the mean of their vectors along an axis, and "
        "np.quantile of their biases.",
        right="It starts with the taste of its category, and more popular than most of it, so it has a chance.",
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
                "You compare the products place by place, and never the scores. Products with equal scores may swap, "
                "and another score is a fault.",
            ),
            (
                lambda ids, scores, other_ids, *_: set(ids) == set(other_ids),
                "You compare sets, so another order is never a fault. It is one if the scores differ.",
            ),
            (
                lambda ids, scores, other_ids, other_scores, tolerance: np.allclose(scores, other_scores, 0, tolerance),
                "You compare the scores only. Two lists of different products can have the same scores.",
            ),
            (
                lambda a, b, c, d, _: same_answer(a, b, c, d, 0),
                "You expect equal scores to the last digit. Scores within `tolerance` count as equal.",
            ),
            (
                _to_the_last,
                "Nearly right. If the last score is shared, the list ended in a tie: there, the products may differ.",
            ),
        ),
        hint="First compare the scores. Then compare, for each score above the last one, the sets of products with it.",
        right="A test that fails when equal scores swap gets switched off; a test of sets accepts a wrong order.",
    ),
)
