"""The exercises of notebook 10: what a history may hold; the mean of vectors, and what was bought before."""

import numpy as np

from recsys_teach.exercises.exercise import Exercise, choice

VECTORS = np.array([[9.0, 9.0], [1.0, 0.0], [0.0, 2.0], [4.0, 4.0], [-3.0, 6.0]])
OTHER_VECTORS = np.array([[5.0, 5.0, 5.0], [1.0, 2.0, 3.0], [-1.0, 0.0, 7.0]])

PRODUCTS, DAYS = np.array(["tent", "wok", "kite", "lamp", "rope", "tent"]), np.array([3, 1, 3, 0, 9, 12])
OTHER_PRODUCTS, OTHER_DAYS = np.array(["soap", "mat", "ball"]), np.array([5, 5, 4])


def history_vector(history, vectors):
    """Return the mean of the vectors of the products in a history, `[dim]`; zeros if there are none.

    history: ids of products, `[n]`, where 0 means no product; vectors: of all ids, `[ids, dim]`.
    """
    known = history[history > 0]
    return vectors[known].mean(axis=0) if len(known) else np.zeros(vectors.shape[1])


def bought_before(products, days):
    """Return for each purchase of one user the set of products that the user bought on earlier days, a list of sets.

    products and days are those of the purchases, `[n]` each, in any order.
    """
    return [set(products[days < day]) for day in days]


def _as_sets(result):
    """Return a list of sets of texts, also of other collections."""
    return [sorted({str(product) for product in some}) for some in result]


EXERCISES = (
    choice(
        "10.a",
        right="c",
        hint="What would the tower have to learn to be right in every training row? Would that help in the shop?",
        a="The vectors would change little. But what the model learns from them would.",
        b="Histories of different lengths are no problem: a mean has no length.",
        c="The answer would be among the inputs. The model would learn to recommend what is in the history, and in the "
        "shop that is excluded.",
    ),
    choice(
        "10.b",
        right="a",
        hint="A user has a training row in May and a test row in March. What is in the history of the one in May?",
        a="The test row of March is earlier than the training row of May, so it is in its history: the model is "
        "trained with it. In a random split, take the user's other training rows.",
        b="Earlier purchases are honest at the time of a row. But which rows may training see in this split?",
        c="There are times in both parts of a random split. Look at what a training row's history may hold.",
    ),
    choice(
        "10.c",
        right="b",
        hint="Which of these tables has a row that training has changed, for a product that nobody has bought?",
        a="All new products share row 0 of the table of ids, so their vectors would all be the same.",
        b="Other products of its category were bought, so the category's vector is trained.",
        c="Nobody has bought them, so nobody has rated them. A missing number counts as the mean, for all alike.",
    ),
    Exercise(
        number="10.1",
        reference=history_vector,
        inputs=(
            (np.array([3, 1, 0, 0]), VECTORS),
            (np.array([0, 0]), OTHER_VECTORS),
            (np.array([2, 2, 0, 1, 0]), OTHER_VECTORS),
        ),
        mistakes=(
            (
                lambda history, vectors: vectors[history].mean(axis=0),
                "You count the zeros, too, with row 0 of the table. They stand for no product: leave them out.",
            ),
            (
                lambda history, vectors: vectors[history[history > 0]].mean(axis=0),
                "For an empty history, the mean of nothing is NaN. Return zeros there.",
            ),
            (
                lambda history, vectors: vectors[history[history > 0]].sum(axis=0),
                "This is the sum: who bought much would have a long vector. Take the mean.",
            ),
            (
                lambda history, vectors: vectors[history[history > 0]].sum(axis=0) / len(history),
                "You divide by the length with the zeros. Divide by the number of products.",
            ),
        ),
        hint="history[history > 0] leaves the products. Take the mean of their rows of `vectors`, if there are any.",
        right="A user without purchases gets zeros: then what is left is the vector that all unknown users share.",
    ),
    Exercise(
        number="10.2",
        reference=bought_before,
        inputs=((PRODUCTS, DAYS), (OTHER_PRODUCTS, OTHER_DAYS)),
        look=_as_sets,
        given="as sorted lists",
        mistakes=(
            (
                lambda products, days: [set(products[days <= day]) for day in days],
                "You include the same day, and with it the purchase itself: the answer would be in its own history.",
            ),
            (
                lambda products, days: [set(products[days <= day]) - {own} for own, day in zip(products, days)],
                "Others of the same day are in it. We don't know which of them came first, so leave all of them out.",
            ),
            (
                lambda products, days: [set(products[:place]) for place in range(len(days))],
                "You take the rows above. But the purchases are in any order: compare the days.",
            ),
            (
                lambda products, days: [set(products) - {own} for own in products],
                "These are all other purchases, also those that came later. Compare the days.",
            ),
        ),
        hint="For one purchase, `days < day` is a mask of those before it. Do this for each day of `days`.",
        right="`earlier_purchases` does the same for all users, keeps the order, and at most the last fifty.",
    ),
)
