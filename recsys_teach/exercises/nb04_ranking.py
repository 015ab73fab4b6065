"""The exercises of notebook 04: errors of stars, early stopping, the factor head, a leak, calibration, a model."""

from functools import cache
from types import SimpleNamespace

import numpy as np
import pandas as pd

from recsys_teach.baselines import DampedBiases, Oracle
from recsys_teach.evaluation import beats_oracle, scoreboard
from recsys_teach.exercises.exercise import Exercise, choice, empty
from recsys_teach.schema import PRODUCT, RATING, SUMMARY, USER
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
    """The stars of each row; biases and known `[rows]`, users and products `[rows, dim]`; known: both ids are known."""
    taste = scale * np.sum(users * products, axis=1)
    return mean + user_bias + product_bias + np.where(known, taste, 0)


def leaking(suspects, oracle, train, test):
    """The names of the suspects that are better than the truth by more than luck, as a set; suspects by name."""
    return {name for name, suspect in suspects.items() if beats_oracle(suspect, oracle, train, test)}


def calibration_table(predicted, ratings, bins):
    """For each of `bins` equal parts of the rows, the lowest first: mean prediction, mean rating; `[bins, 2]`."""
    order = np.argsort(predicted)
    parts = np.array_split(order, bins)
    return np.array([[predicted[part].mean(), ratings[part].mean()] for part in parts])


def stars_model(users, products, mean, l2):
    """An untrained `tfrs.Model` that predicts mean + b_u + b_p + u · p; users and products are the known ids."""
    from recsys_teach import tf, tfrs

    class Factors(tfrs.Model):
        def __init__(self):
            super().__init__()
            self.user_tower, self.product_tower = tower(users), tower(products)
            self.user_bias, self.product_bias = tower(users, 1), tower(products, 1)

        def call(self, rows):
            taste = tf.reduce_sum(self.user_tower(rows["user_id"]) * self.product_tower(rows["product_id"]), axis=1)
            biases = self.user_bias(rows["user_id"]) + self.product_bias(rows["product_id"])
            return mean + biases[:, 0] + taste

        def compute_loss(self, rows, training=False):
            vectors = self.user_tower(rows["user_id"]), self.product_tower(rows["product_id"])
            squares = sum(tf.reduce_sum(each**2) for each in vectors)
            return tf.reduce_sum((self(rows) - rows["rating"]) ** 2) + l2 * squares

    return Factors()


def tower(ids, dim=32):
    """An untrained tower, as the notebook writes it: ids `[n]` → vectors `[n, dim]`."""
    from recsys_teach import tf

    lookup = tf.keras.layers.StringLookup(vocabulary=ids)
    return tf.keras.Sequential([lookup, tf.keras.layers.Embedding(len(ids) + 1, dim)])


def _curve(train, validation):
    epochs = pd.RangeIndex(1, len(train) + 1, name="epoch")
    return pd.DataFrame({"train": train, "validation": validation}, epochs)


CURVES = (  # the first has two equally good epochs; in the second, the error rises twice before the best one
    (_curve([0.85, 0.80, 0.74, 0.66, 0.60, 0.52, 0.55], [0.90, 0.87, 0.88, 0.86, 0.86, 0.91, 0.95]),),
    (_curve([1.4, 1.2, 1.1, 1.0, 0.9, 0.8, 0.7, 0.6], [1.5, 1.32, 1.33, 1.34, 1.3, 1.25, 1.27, 1.31]),),
)


class _Skims:
    """Mixes damped biases with the mean stars of reviews whose summary starts with the same word: a leak."""

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
    """Four recommenders of stars by name, each with `ratings(reviews) -> [rows]`. Some of them leak."""

    def knows_people(reviews: pd.DataFrame) -> np.ndarray:
        """The true means plus small noise; with this seed the noise happens to be nearer to the ratings."""
        return shop.expected_rating(reviews) + np.random.default_rng(61).normal(0, 0.025, len(reviews))

    cheats = {"Cleo": _Skims(train, 0.25), "Dora": _Skims(train, 0.8)}
    return {"Ada": DampedBiases(train), "Ben": SimpleNamespace(ratings=knows_people)} | cheats


def _other_staff(shop, train):
    """Three others: Eva leaks a little in every row, Finn is lucky by more than that, Gus is honest."""
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
    """A wrong answer: the suspects whose RMSE is below the truth's by this share of it."""

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


MEAN, L2 = 3.5, 0.5
PAIRS = pd.DataFrame(
    {
        USER: ["Ada", "Ada", "Ada", "Ben", "Ben", "Ben"],
        PRODUCT: ["tent", "wok", "kite", "tent", "wok", "kite"],
        RATING: [5.0, 2.0, 4.0, 1.0, 3.0, 3.0],
    }
)
NO_MODEL = "Return an instance of your class, which is a tfrs.Model: return Factors()."
NO_TOWERS = "Name the towers of the vectors self.user_tower and self.product_tower, as in the notebook."
SHAPE = "`call` returns the shape {}, where the stars of 6 rows have the shape [6] or [6, 1]."
READS_RATING = "`call` reads the rating, which isn't known when the prediction is needed. Only the loss may read it."
NO_TASTE = "Without the vectors the stars are the same, so they don't contain u · p."
OTHER_TASTE = "The part of the stars that the vectors add isn't u · p, the sum of u * p over the dimensions."
NO_USER_BIAS = "Without the vectors all users give the same stars: b_u, from tower(users, 1), is missing."
NO_PRODUCT_BIAS = "Without the vectors all products get the same stars: b_p, from tower(products, 1), is missing."
NO_MEAN = "The untrained model predicts stars that are far from `mean`: add it in `call`."
BROADCAST = (
    "The loss compares each prediction with every rating of the batch: a shape [batch, 1] minus a shape [batch] is "
    "[batch, batch]. Make both shapes equal."
)
AVERAGED = "The loss is the mean over the batch. Sum the squared errors, so that they are on the scale of the penalty."
NO_PENALTY = "The loss is right but for the penalty: add l2 times the sum of the squares of both vectors."
ONE_PENALTY = "The penalty contains the vectors of one tower only. Add the squares of both."
OTHER_LOSS = "The stars are right, the loss isn't. For a batch of 6 rows it is {:.4f}, where {:.4f} is right."
UNTRAINED = "Stars and loss are right, but after training the RMSE is {:.3f}, and that of damped biases {:.3f}."


def _complaint(model):
    """What is wrong with an untrained model of two users and three products, or None."""
    from recsys_teach import tf
    from recsys_teach.features import column_tensors

    if isinstance(model, type) or not hasattr(model, "compute_loss"):
        return NO_MODEL
    rows = column_tensors(PAIRS)
    shape = tf.convert_to_tensor(model(rows)).shape.as_list()
    for part in model.submodules:
        if isinstance(part, tf.keras.Sequential) and not part.built:
            part(tf.constant(["Ada"]))  # a tower that `call` doesn't use has no weights yet
    if shape not in ([6], [6, 1]):
        return SHAPE.format(shape)
    if not (hasattr(model, "user_tower") and hasattr(model, "product_tower")):
        return NO_TOWERS
    for weights in model.trainable_variables:
        weights.assign(10 * weights)  # as far from 0 as after training
    stars, vectors = np.ravel(model(rows)), [model.user_tower(rows[USER]), model.product_tower(rows[PRODUCT])]
    if not np.array_equal(stars, np.ravel(model(rows | {RATING: rows[RATING] + 1}))):
        return READS_RATING
    loss = float(tf.reduce_sum(model.compute_loss(rows, training=True)))
    for weights in (*model.user_tower.trainable_variables, *model.product_tower.trainable_variables):
        weights.assign(tf.zeros_like(weights))
    return _wrong_stars(stars, np.ravel(model(rows)), *vectors) or _wrong_loss(loss, stars, *vectors)


def _wrong_stars(stars, without_vectors, users, products):
    """What is wrong with the stars of PAIRS; users and products are the vectors."""
    taste, table = stars - without_vectors, without_vectors.reshape(2, 3)  # users by products
    if np.allclose(taste, 0):
        return NO_TASTE
    if not np.allclose(taste, np.sum(users * products, axis=1), atol=1e-4):
        return OTHER_TASTE
    if np.allclose(table[0], table[1]):
        return NO_USER_BIAS
    if np.allclose(table[:, :1], table):
        return NO_PRODUCT_BIAS
    return None if np.abs(table - MEAN).max() < 1.5 else NO_MEAN  # untrained biases are 0.5 at most


def _wrong_loss(loss, stars, users, products):
    """What is wrong with the loss of PAIRS."""
    ratings = PAIRS[RATING].to_numpy()
    errors, mixed = (stars - ratings) ** 2, (stars[:, None] - ratings) ** 2
    penalties = [L2 * np.sum(np.square(vectors)) for vectors in (users, products)]
    usual = (
        (errors.sum() + sum(penalties), None),
        (errors.sum(), NO_PENALTY),
        *((errors.sum() + penalty, ONE_PENALTY) for penalty in penalties),
        *((some + penalty, BROADCAST) for some in (mixed.sum(), mixed.mean()) for penalty in (0, sum(penalties))),
        *((errors.mean() + penalty, AVERAGED) for penalty in (0, sum(penalties), sum(penalties) / len(errors))),
    )
    right = usual[0][0]
    return next((words for value, words in usual if np.isclose(loss, value)), OTHER_LOSS.format(loss, right))


@cache
def _small_shop():
    """The training and the test rows of another shop, a small one."""
    return split_at_random(generate_shop(users=300, products=80, seed=4).reviews, seed=0)


def _trained(answer):
    """What is wrong with the model that an answer builds; if nothing, its RMSE after training, and the floor's."""
    model = answer(["Ada", "Ben"], ["tent", "wok", "kite"], MEAN, L2)
    if empty(model):
        return model
    complaint = _complaint(model)
    if complaint is not None:
        return complaint
    from recsys_teach import train_model
    from recsys_teach.features import column_tensors

    train, test = _small_shop()
    floor = DampedBiases(train)
    model = answer(sorted(train[USER].unique()), sorted(train[PRODUCT].unique()), floor.mean, 0.1)
    model(column_tensors(train[:1]))
    rng = np.random.default_rng(0)
    for weights in model.trainable_variables:
        weights.assign(rng.uniform(-0.05, 0.05, weights.shape))  # the same start, whatever Keras' seed is
    train_model(model, train, epochs=5, batch_size=64)
    predicted = np.ravel(model(column_tensors(test.drop(columns=RATING))))
    return [root_mean_squared_error(stars, test[RATING]) for stars in (predicted, floor.ratings(test))]


def _wrong_with(result):
    if isinstance(result, str):
        return result
    yours, floor = result
    return None if yours < floor else UNTRAINED.format(yours, floor)


def _variant(*, stars=None, loss=None):
    """An answer whose model differs from the right one in its `call` or its `compute_loss`."""

    def build(users, products, mean, l2):
        model = stars_model(users, products, mean, l2)
        if stars:
            model.call = lambda rows: stars(model, rows, mean)
        if loss:
            model.compute_loss = lambda rows, training=False: loss(model, rows, l2)
        return model

    return build


def _parts(model, rows):
    """The vectors u and p `[rows, dim]`, the biases b_u and b_p `[rows, 1]`."""
    towers = model.user_tower, model.product_tower, model.user_bias, model.product_bias
    return [each(rows[column]) for each, column in zip(towers, (USER, PRODUCT, USER, PRODUCT))]


def _stars(weigh):
    """A `call` whose stars are `weigh(mean, u, p, b_u, b_p)`."""
    return lambda model, rows, mean: weigh(mean, *_parts(model, rows))


def _dot(u, p):
    return (u * p) @ np.ones((u.shape[1], 1), np.float32)


def _errors(model, rows):
    return _squared(model(rows) - rows[RATING])


def _squared(values):
    """The sum of the squares of a tensor of any shape."""
    from recsys_teach import tf

    return tf.reduce_sum(values**2)


WRONG_MODELS = (
    (lambda *given: type(stars_model(*given)), NO_MODEL),
    (_variant(stars=_stars(lambda m, u, p, a, b: m + a + b + u * p)), SHAPE.format([6, 32])),
    (_variant(stars=lambda model, rows, mean: rows[RATING]), READS_RATING),
    (_variant(stars=_stars(lambda m, u, p, a, b: m + a + b)), NO_TASTE),
    (_variant(stars=_stars(lambda m, u, p, a, b: m + a + b + 0.5 * _dot(u, p))), OTHER_TASTE),
    (_variant(stars=_stars(lambda m, u, p, a, b: m + b + _dot(u, p))), NO_USER_BIAS),
    (_variant(stars=_stars(lambda m, u, p, a, b: m + a + _dot(u, p))), NO_PRODUCT_BIAS),
    (_variant(stars=_stars(lambda m, u, p, a, b: a + b + _dot(u, p))), NO_MEAN),
    (_variant(loss=lambda model, rows, l2: _squared(model(rows)[:, None] - rows[RATING])), BROADCAST),
    (_variant(loss=lambda model, rows, l2: _errors(model, rows) / len(PAIRS)), AVERAGED),
    (_variant(loss=lambda model, rows, l2: _errors(model, rows)), NO_PENALTY),
    (_variant(loss=lambda model, rows, l2: _errors(model, rows) + l2 * _squared(_parts(model, rows)[0])), ONE_PENALTY),
)


EXERCISES = (
    choice(
        "04.a",
        right="b",
        hint="How sure can you be of each mean? The answer should use all that the ratings say, and no more.",
        a="This hides good new products, and a product with 51 reviews still counts as much as one with 5,000.",
        b="This is damping. One rating moves the damped mean a little, 200 ratings move it nearly all the way.",
        c="The median of a single five is five, too. It also takes few values, so most products are equal.",
        d="This ranks by popularity. A product that many people bought and disliked would be near the top.",
    ),
    choice(
        "04.b",
        right="b",
        hint="You chose this setting *because* its error on these rows is low. What part did luck have in that?",
        a="It would be, if you had tried one setting. The lowest of 200 errors is partly luck with these rows.",
        b="The winner is good and lucky. New rows don't repeat the luck. The test rows, used once, tell you how much.",
        c="The same model on other rows doesn't get better. More training rows could help, but that is another model.",
    ),
    choice(
        "04.c",
        right="c",
        hint="How many products must each of the two steps score for one user, and how quickly?",
        a="They can: many ranking models are trained on clicks. The kind of label isn't the reason.",
        b="Often it is more accurate, as here. But then ranking would use it as well, and many rankers don't.",
        c="A dense network must run for every pair. With a dot product an index finds the best of millions quickly.",
        d="Both can overfit, and both can be regularised. The reason is the number of pairs.",
    ),
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
            (lambda c: c["train"].idxmin(), "The training error goes on falling while the model memorises noise."),
            (lambda c: c["validation"].min(), "That is the lowest error. Which epoch is it in?"),
            (
                lambda c: c.index[(c["validation"].diff() > 0).argmax() - 1],
                "In one curve the error rises and then falls again, below its first minimum.",
            ),
            (
                lambda c: c["validation"][::-1].idxmin(),
                "In one curve two epochs are equally good: take the earlier, which costs less.",
            ),
        ),
        hint="Which column holds rows that the model didn't learn from? pandas has idxmin.",
        right="You train this many epochs on all training rows. The test rows had no part in the choice.",
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
                "In some rows the user or the product is unknown, and your stars contain a taste there.",
            ),
            (
                lambda m, u, p, x, y, s, k: m + u + p + s * (x @ y.T),
                "That multiplies every user with every product. Multiply row by row.",
            ),
            (
                lambda *a: factor_stars(*a) * a[6],
                "Where the user or the product is unknown, leave out the taste only: mean and biases stay.",
            ),
            (lambda *a: factor_stars(0, *a[1:]), "The mean is missing: every row starts at it."),
        ),
        hint="np.sum(users * products, axis=1) is the dot product of each row. np.where puts 0 where `known` is False.",
        right="For an unknown user or product, the model predicts what damped biases predict.",
    ),
    Exercise(
        number="04.4",
        reference=leaking,
        probe=_accused,
        given="in two shops",
        mistakes=(
            (_worst, "That is the largest leak only. Another suspect leaks a little."),
            (
                _below(0),
                "One of these has an RMSE just below the truth's, which can be luck. Compare user by user.",
            ),
            (
                _below(0.05),
                "A leak can lower the RMSE by less than 5 %. Compare user by user: no limit for the mean will do.",
            ),
            (lambda s, *rest: set(s) - leaking(s, *rest), "Those are honest: an empty answer of beats_oracle is good."),
        ),
        hint="Call beats_oracle for each suspect. It returns a dictionary, which is empty if the suspect is honest.",
        right="Cleo reads only a part of the summary, and that is a leak. Ben was lucky, and luck isn't a leak.",
    ),
    Exercise(
        number="04.5",
        reference=calibration_table,
        inputs=PREDICTIONS,
        mistakes=(
            (
                lambda p, r, b: _of(r, p, r, b),
                "That is sorted by rating. Then even a perfect model looks too cautious. Sort by prediction.",
            ),
            (
                lambda p, r, b: _of(np.arange(len(p)), p, r, b),
                "The rows aren't sorted, so every part contains low and high predictions.",
            ),
            (
                lambda p, r, b: _of(p, p, r[p.argsort().argsort()], b),
                "The ratings are in another order than the predictions: sort both in the same way.",
            ),
            (lambda p, r, b: _of(-p, p, r, b), "The highest predictions come first in yours: begin with the lowest."),
            (lambda p, r, b: _of(p, p, r, b)[:, ::-1], "The columns are swapped: the prediction comes first."),
            (_equally_wide, "Your parts are equally wide, so some have few rows. Each should have as many rows."),
        ),
        hint="np.argsort(predicted) is an order of the rows, np.array_split cuts it into parts. Each has two means.",
        right="If the two columns agree, the predictions are calibrated: for rows like these, and on average.",
    ),
    Exercise(
        number="04.6",
        reference=stars_model,
        probe=_trained,
        verdict=_wrong_with,
        mistakes=WRONG_MODELS,
        hint="Begin with `Stars` of the notebook. Two more towers, of length 1, are the biases. The sum of u * p over "
        "axis 1 has the shape [batch], a bias has [batch, 1].",
        right="You have written matrix factorisation. After training, its RMSE is below that of damped biases.",
    ),
)
