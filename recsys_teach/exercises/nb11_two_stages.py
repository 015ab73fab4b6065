"""The exercises of notebook 11: negatives, probabilities, vectors, a cross layer, the AUC, the final list."""

import numpy as np

from recsys_teach.exercises.exercise import Exercise, choice

CROSSES = (
    (np.array([1.0, 2.0]), np.array([3.0, -1.0]), np.array([[0.5, 1.0], [-2.0, 0.25]]), np.array([0.1, -0.3])),
    (
        np.array([2.0, -1.0, 0.5]),
        np.array([1.0, 4.0, -2.0]),
        np.array([[1.0, 0.0, 2.0], [0.5, -1.0, 0.0], [3.0, 1.0, 1.0]]),
        np.array([0.0, 2.0, 1.0]),
    ),
)
ROWS = (
    (np.array([0.9, 0.4, 0.4, 0.1, 0.7]), np.array([1, 1, 0, 0, 0])),
    (np.array([0.2, 0.3, 0.3, 0.8, 0.6, 0.5, 0.3]), np.array([0, 1, 0, 1, 0, 1, 1])),
)


def _backwards(columns):
    """A ranker that likes products with small numbers."""
    return -np.asarray(columns, float)


def _near_five(columns):
    """A ranker that likes product 5 best, then 6, 4, 7 …"""
    return -np.abs(np.asarray(columns, float) - 5.2)


LISTS = (
    (np.array([0.3, 0.9, 0.1, 0.8, 0.5]), np.array([1]), _backwards, 3),
    (np.array([0.6, 0.2, 0.9, 0.1, 0.8, 0.7, 0.3]), np.array([4, 0]), _near_five, 4),
)


def cross(x_0, x, weights, bias):
    """The next layer, [features]: x_0 ⊙ (W x + b) + x."""
    return x_0 * (weights @ x + bias) + x


def auc(predicted, bought):
    """The share of the pairs of a 1 and a 0 in `bought` in which the 1 has the higher prediction; a tie is a half."""
    difference = predicted[bought == 1][:, None] - predicted[bought == 0]
    return np.mean((difference > 0) + (difference == 0) / 2)


def final_list(scores, owned, rank, count):
    """The columns of the `count` best products that aren't owned, in the ranker's order, the best first.

    `scores [products]` are retrieval's, `owned` the columns of what the user has. `rank(columns)` returns the ranker's
    score for each of these columns.
    """
    left = scores.astype(float)
    left[owned] = -np.inf
    candidates = np.argsort(-left)[:count]
    return candidates[np.argsort(-rank(candidates))]


def _pairs(predicted, bought, compare):
    return compare(predicted[bought == 1][:, None], predicted[bought == 0])


def _of_all(scores, owned, rank, count):
    everything = np.setdiff1d(np.arange(len(scores)), owned)
    return everything[np.argsort(-rank(everything))][:count]


def _bought_left(scores, owned, rank, count):
    candidates = np.argsort(-scores)[:count]
    return candidates[np.argsort(-rank(candidates))]


def _taken_out_late(scores, owned, rank, count):
    candidates = np.argsort(-scores)[:count]
    candidates = candidates[~np.isin(candidates, owned)]
    return candidates[np.argsort(-rank(candidates))]


def _retrievals_order(scores, owned, rank, count):
    left = scores.astype(float)
    left[owned] = -np.inf
    return np.argsort(-left)[:count]


def _places(scores, owned, rank, count):
    return np.argsort(-rank(_retrievals_order(scores, owned, rank, count)))


EXERCISES: tuple[Exercise, ...] = (
    choice(
        "11.a",
        right="c",
        hint="What does a request show to the ranker, when the shop is open?",
        a="More rows wouldn't help: they are rows of another task.",
        b="They are easy to tell from the purchase, and that is the fault: such negatives teach little more than "
        "retrieval's score and popularity.",
        c="When the shop is open, all candidates are products that retrieval thinks good. A ranker has to learn what "
        "separates the purchase from *these*, and from how many of them nothing is bought.",
    ),
    choice(
        "11.b",
        right="a",
        hint="Which of the three metrics only depends on the order of the predictions?",
        a="Halving keeps the order, so the AUC stays. The probabilities no longer match the shares, so the log loss "
        "the calibration error change.",
        b="Then a ranker could say 0.01 everywhere without a loss. The log loss depends on the level.",
        c="The AUC compares predictions in pairs, and halving both of a pair doesn't change which one is higher.",
    ),
    choice(
        "11.c",
        right="b",
        hint="What happens to all dot products if you turn all vectors by the same angle?",
        a="Both towers have the same size before and after; that isn't the reason.",
        b="Training only fixes dot products. Another training ends with axes that mean something else, so weights that "
        "were learned for the old axes are noise for the new ones.",
        c="The vectors of training rows do know these rows. But here the vectors of the second fit would be the input, "
        "and the ranker's training has ended by then.",
    ),
    Exercise(
        number="11.1",
        reference=cross,
        inputs=CROSSES,
        mistakes=(
            (lambda x_0, x, w, b: x * (w @ x + b) + x, "You multiply with x. The first factor is x_0 in all layers."),
            (lambda x_0, x, w, b: x_0 * (w @ x + b), "Without + x, a layer forgets what the layers before it found."),
            (lambda x_0, x, w, b: x_0 * (w @ x + b) + x_0, "You add x_0. What is added is the layer's input, x."),
            (lambda x_0, x, w, b: x_0 @ (w @ x + b) + x, "A dot product is one number. ⊙ multiplies place by place."),
            (lambda x_0, x, w, b: x_0 * (w * x + b).sum(axis=0) + x, "W x is a matrix product, in NumPy `@`."),
            (lambda x_0, x, w, b: x_0 * (x @ w + b) + x, "You took the transpose of W: row i of W makes number i."),
            (
                lambda x_0, x, w, b: x_0 * (w @ x) + b + x,
                "The bias belongs into the parentheses: x_0 multiplies it, too.",
            ),
        ),
        hint="One line: `@` is the matrix product, `*` multiplies place by place.",
        right="After one layer there are products of two features, after two layers products of three. With W and b of "
        "0 a layer changes nothing, which is where training starts here.",
    ),
    Exercise(
        number="11.2",
        reference=auc,
        inputs=ROWS,
        mistakes=(
            (
                lambda p, y: np.mean(_pairs(p, y, np.greater)),
                "A tie counts as half a pair. Yours counts it as lost.",
            ),
            (
                lambda p, y: np.mean(_pairs(p, y, np.greater_equal)),
                "A tie counts as half a pair. Yours counts it as won, so a constant prediction would be perfect.",
            ),
            (lambda p, y: 1 - auc(p, y), "Yours is the share of the pairs in the wrong order."),
            (lambda p, y: np.mean((p > 0.5) == y), "That is the accuracy at one threshold. The AUC has none."),
            (
                lambda p, y: auc(p, y) * (y == 1).sum() * (y == 0).sum(),
                "You counted pairs. The AUC is a share of them.",
            ),
            (
                lambda p, y: np.sum(_pairs(p, y, np.greater)) / len(p) ** 2,
                "Divide by the pairs of a 1 and a 0, not by all pairs of rows.",
            ),
        ),
        hint="`predicted[bought == 1][:, None] - predicted[bought == 0]` is a table of all such pairs.",
        right="0.5 is chance, whatever the share of purchases is. The table of pairs is slow for many rows: the "
        "package sorts them instead.",
    ),
    Exercise(
        number="11.3",
        reference=final_list,
        inputs=LISTS,
        mistakes=(
            (_of_all, "Your ranker ordered the whole shop. It only sees what retrieval hands over."),
            (_bought_left, "What the user owns is still among the candidates."),
            (_taken_out_late, "You removed what is owned from the candidates, so there are too few. Remove it before."),
            (_retrievals_order, "These are the candidates, in retrieval's order. The ranker has no say yet."),
            (_places, "These are places in the list of candidates. Return the columns of the products."),
            (lambda *given: final_list(*given)[::-1], "The best comes last. Sort from high to low."),
        ),
        hint="First a copy of the scores with -inf for what is owned; then np.argsort of the negative scores, cut to "
        "`count`; then np.argsort once more, of the ranker's negative scores, to index the candidates.",
        right="Two sorts are the whole of it. What isn't among the candidates can't be recommended, however much the "
        "ranker would like it.",
    ),
)
