"""The exercises of notebook 02: three questions, numbers for ids, scores, means of words, parameters, a tower."""

from types import SimpleNamespace

import numpy as np

from recsys_teach.exercises.exercise import Exercise, choice, empty

USERS = np.array([[1.0, 0.0], [0.5, 2.0], [-1.0, 1.0]])
PRODUCTS = np.array([[2.0, 0.0], [1.0, 1.0], [0.0, 3.0]])  # of different lengths, so that a cosine is something else
OTHER_USERS = np.array([[0.5, -1.0, 2.0], [3.0, 0.0, 1.0]])
OTHER_PRODUCTS = np.array([[1.0, 1.0, -1.0], [0.0, 2.0, 0.5], [-2.0, 1.0, 0.0], [4.0, 0.0, 1.0]])
TABLE = np.array([[9.0, 9.0], [1.0, 2.0], [3.0, 6.0], [-2.0, 4.0]])  # row 0 isn't zero, as in an embedding
TEXTS = np.array([[1, 2, 0], [3, 0, 0], [1, 1, 2], [0, 0, 0]])  # one of them has no words
OTHER_TABLE = np.array([[-5.0, 1.0, 7.0], [2.0, 0.0, 1.0], [4.0, -3.0, 0.0], [1.0, 1.0, 6.0], [0.0, 8.0, -2.0]])
OTHER_TEXTS = np.array([[4, 1, 1, 3, 0], [2, 0, 0, 0, 0], [0, 0, 0, 0, 0]])
DIM = 8
TENT, LAMP, NEW_TENT, NEW_LAMP, NEW_PAN = range(5)
ASKED = {
    "product_id": np.array(["tent", "lamp", "new tent", "new lamp", "new pan"], dtype=object),
    "category": np.array(["camping", "camping", "camping", "camping", "cooking"], dtype=object),
}


def numbers(known, ids):
    """A number for each of `ids`: 1, 2, … for the `known` ones, in their order, and 0 for every unknown id."""
    places = {name: place for place, name in enumerate(known, 1)}
    return [places.get(name, 0) for name in ids]


def scores(users, products):
    """The dot product of each user with each product; users `[users, dim]`, products `[products, dim]`."""
    return users @ products.T


def mean_of_words(table, ids):
    """The mean of each text's word vectors `[texts, dim]`; ids `[texts, words]` are rows of `table`, 0 only pads."""
    is_word = (ids != 0)[:, :, None]
    return (table[ids] * is_word).sum(axis=1) / np.maximum(is_word.sum(axis=1), 1)


def parameter_count(users, products, dim):
    """How many parameters two towers have together that read ids alone and return vectors of length `dim`."""
    return (users + 1 + products + 1) * dim


def category_tower(vocabulary, categories, dim):
    """A product tower that reads `product_id` and `category`, strings `[n]` each, and returns vectors `[n, dim]`."""
    of_product, of_category = _lookup(vocabulary.products, dim), _lookup(categories, dim)
    return lambda features: of_product(features["product_id"]) + of_category(features["category"])


WITH_KERAS = """def category_tower(vocabulary, categories, dim):
    class CategoryTower(ProductTower):
        def __init__(self):
            super().__init__(vocabulary, dim=dim)
            self.columns = (*self.columns, "category")
            self.category_lookup = tf.keras.layers.StringLookup(vocabulary=categories)
            self.category_embedding = tf.keras.layers.Embedding(len(categories) + 1, dim)

        def call(self, features):
            category = self.category_lookup(features["category"])
            return super().call(features) + self.category_embedding(category)

    return CategoryTower()"""


def _lookup(known, dim):
    """A stand-in for a lookup and its embedding: strings `[n]` → vectors `[n, dim]`."""
    table = np.random.default_rng(len(known)).standard_normal((len(known) + 1, dim))
    return lambda names: table[numbers(known, names)]


def _vectors(answer):
    """The vectors of known and unknown products; if the answer returns no tower, what it returns instead."""
    known = ASKED["product_id"][:NEW_TENT]
    vocabulary = SimpleNamespace(products=list(known), catalogue=lambda: {"product_id": known})
    tower = answer(vocabulary, ["camping", "cooking"], DIM)
    if empty(tower) or not callable(tower) or isinstance(tower, type):
        return tower
    vectors = tower({name: values.copy() for name, values in ASKED.items()})
    if not empty(vectors) and hasattr(tower, "preprocess"):  # as it is trained: with ids that were looked up before
        if "category" not in tower.columns:
            return COLUMNS
        if not np.allclose(vectors, tower(tower.preprocess(ASKED))):
            return ASKED_TWICE
    return vectors if empty(vectors) else np.asarray(vectors)


COLUMNS = "It reads the category, but its `columns` don't say so: it would get no category in training and scoring."
ASKED_TWICE = "In training the ids are looked up before `call`: let super().call(features) read product_id."
NO_TOWER = "A tower is called with features and returns vectors. What you return can't be called."
CLASS = "You return the class, not a tower: return CategoryTower()."
SHAPE = "The vectors aren't [n, dim]: did you put two of them side by side instead of adding, or forget dim?"
IGNORED = "Two unknown products of different categories get the same vector: the category isn't read."
REPLACED = (
    "Two known products of one category get the same vector: the id is lost. Add the category to the id's vector."
)
APART = "Two unknown products of one category differ: all unknown ids share a row, and so does a category."


def _wrong_with(vectors):
    if isinstance(vectors, str):
        return vectors
    if not isinstance(vectors, np.ndarray):
        return CLASS if isinstance(vectors, type) else NO_TOWER
    if vectors.shape != (len(ASKED["category"]), DIM):
        return SHAPE
    if np.allclose(vectors[TENT], vectors[LAMP]):
        return REPLACED
    if np.allclose(vectors[NEW_TENT], vectors[NEW_PAN]):
        return IGNORED
    return None if np.allclose(vectors[NEW_TENT], vectors[NEW_LAMP]) else APART


def _unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _sum(table, ids):
    return (table[ids] * (ids != 0)[:, :, None]).sum(axis=1)


EXERCISES: tuple[Exercise, ...] = (
    choice(
        "02.a",
        right="c",
        hint="Which number does the lookup return for this id, and which rows did training change?",
        a="StringLookup raises no error: every id that isn't in the vocabulary gets the number 0.",
        b="Only if training taught row 0 so, as notebook 03 does. By itself, no training row has the number 0.",
        c="The id gets the number 0, and training never changed row 0: the list is random, the same for all new users.",
        d="The tower knows nothing about this user, so no user is the most similar one.",
    ),
    choice(
        "02.b",
        right="a",
        hint="How often does each of the two run when there are a million products, and one request?",
        a="A network that reads both vectors has to run for every product, a dot product can use a search index.",
        b="A network can compute more. Large shops use one in the second step, for the few products that are left.",
        c="The vectors under the dot product are trained, too. What differs is the work for each request.",
    ),
    choice(
        "02.c",
        right="b",
        hint="Write down two scores of this user, and multiply both by ten.",
        a="A long *product* vector moves a product up for many users. The user's vector is the same for all products.",
        b="All scores of this user are multiplied by ten, so their order stays. (A predicted rating would change.)",
        c="They stay below 0, and now further below. Multiplying by ten changes no order.",
    ),
    Exercise(
        number="02.1",
        reference=numbers,
        inputs=(
            (["Cem", "Anna", "Ben"], ["Anna", "Zoe", "Cem", "Anna", "Yan", "Ben"]),
            (["wok", "tent", "pan", "kite"], ["kite", "hat", "pan", "kite", "wok"]),
        ),
        mistakes=(
            (
                lambda k, i: [n for n in numbers(k, i) if n],
                "Your list is shorter than ids: an unknown id is in it, too, as 0.",
            ),
            (
                lambda k, i: [n - 1 for n in numbers(k, i)],
                "You count from 0. Known ids begin at 1: 0 is for unknown ids.",
            ),
            (lambda k, i: [n or -1 for n in numbers(k, i)], "A table has no row -1. Unknown ids have row 0."),
            (
                lambda k, i: numbers(list(dict.fromkeys([*k, *i])), i),
                "Unknown ids have no rows of their own: all are 0.",
            ),
        ),
        hint="Make a dictionary from known id to number with enumerate(known, 1). Then use its method .get(id, 0).",
        right="Every id has a row in the table. All unknown ids share row 0.",
    ),
    Exercise(
        number="02.2",
        reference=scores,
        inputs=((USERS, PRODUCTS), (OTHER_USERS, OTHER_PRODUCTS)),
        mistakes=(
            (lambda u, p: _unit(u) @ _unit(p).T, "That is the cosine. In a dot product the lengths count as well."),
            (
                lambda u, p: p @ u.T,
                "The right numbers, but transposed: users should be the rows, products the columns.",
            ),
            (lambda u, p: (u * p).sum(axis=1), "Each user is scored with one product only, that of the same row."),
        ),
        hint="users is [users, dim], products is [products, dim]. To get [users, products], dim has to meet dim.",
        right="One matrix product scores everybody with everything. Row u holds all scores of user u.",
    ),
    Exercise(
        number="02.3",
        reference=mean_of_words,
        inputs=((TABLE, TEXTS), (OTHER_TABLE, OTHER_TEXTS)),
        mistakes=(
            (
                lambda t, i: t[i].mean(axis=1),
                "Your mean includes padding: number 0 has a row as well, but it isn't a word.",
            ),
            (_sum, "That is the sum: a text with every word twice would have a vector twice as long."),
            (lambda t, i: _sum(t, i) / i.shape[1], "Your sum leaves padding out, but you still divide by all places."),
            (
                lambda t, i: np.where(i.any(axis=1)[:, None], mean_of_words(t, i), np.nan),
                "A text without words gives 0 / 0 = NaN, and NaN spreads to the loss and the weights. Return zeros.",
            ),
        ),
        hint="ids != 0 is True for words. Add up the rows of words only, and divide by their number (at least 1).",
        right="Texts with the same words have the same vector, however much padding follows.",
    ),
    Exercise(
        number="02.4",
        reference=parameter_count,
        inputs=((700, 90, 8), (45, 1_200, 20)),
        mistakes=(
            (lambda u, p, dim: (u + p) * dim, "Each table has one row more than there are known ids. What is it for?"),
            (lambda u, p, dim: (u + p + 1) * dim, "There are two tables, and each has a row 0 of its own."),
            (lambda u, p, dim: u + p + 2, "That is the number of rows. How many numbers are in a row?"),
        ),
        hint="A tower that reads ids alone is one table. How many rows does it have, with row 0? How long is each?",
        right="The towers of this notebook have 60,352 parameters, more than twice the number of training rows.",
    ),
    Exercise(
        number="02.5",
        reference=category_tower,
        probe=_vectors,
        verdict=_wrong_with,
        solution=WITH_KERAS,
        mistakes=(
            (lambda v, c, dim: category_tower(v, c, 2 * dim), SHAPE),
            (lambda v, c, dim: SimpleNamespace, CLASS),
            (lambda v, c, dim: lambda features: _lookup(v.products, dim)(features["product_id"]), IGNORED),
            (lambda v, c, dim: lambda features: _lookup(c, dim)(features["category"]), REPLACED),
        ),
        hint="In __init__: a StringLookup and an Embedding of the categories, as attributes of self. In call: add the "
        "category's vector to the result of super().call(features).",
        right="A new product no longer has the vector of all other new products: it has that of its category.",
    ),
)
