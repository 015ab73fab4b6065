"""Rows a second in training, ours against the textbook's loop: `python benchmarks/training_speed.py`.

Ours is the ladder's multitask model in `train_model`. The textbook's is written here the way the published tutorials
have it: strings are looked up inside the towers, in every step; `FactorizedTopK` ranks the products while training;
batches of 32; plain Keras `fit` with Adagrad(0.1). Both learn from the same rows of a shop of 943 users and 1,682
products. It fails if ours is less than 80 times as fast.

Only the steady state counts: what is traced and what is cached happens in an epoch before. The textbook's batches are
cached too and only a part of them is timed (`BATCHES`), for a whole epoch takes minutes; that part then runs at the
speed of the whole. Ours runs whole epochs. Between the two, its changes are made one after the other.
"""

import time

import numpy as np
from honest_numbers import LARGE
from side_by_side import REPEATS, Row, ratios, report, seconds

from recsys_teach.backend import tf, tfrs
from recsys_teach.features import learn_vocabulary, string_tensors
from recsys_teach.ladder import build_multitask, choose_defaults
from recsys_teach.schema import PRODUCT, RATING, USER
from recsys_teach.shop import generate_shop
from recsys_teach.splits import split_at_random
from recsys_teach.towers import ProductTower, UserTower, training_rows
from recsys_teach.training import STEPS_AT_ONCE, many_steps, row_numbers, train_model

AT_LEAST = 80
DIM, TEXTBOOK_BATCH, SMALL_BATCH = 32, 32, 256
BATCHES = {"the textbook's loop": 300, "no FactorizedTopK while training": 1_000}  # timed; of the others, all
EPOCHS = 3  # timed, of ours
REVIEWS = generate_shop(seed=0, **LARGE).reviews
VOCABULARY = learn_vocabulary(REVIEWS)


def tower(ids: list[str], lookup: bool) -> tf.keras.Model:
    """A lookup, unless what it gets is ids already, and an embedding."""
    layers = [tf.keras.layers.StringLookup(vocabulary=ids, mask_token=None)] if lookup else []
    return tf.keras.Sequential([*layers, tf.keras.layers.Embedding(len(ids) + 1, DIM)])


class Textbook(tfrs.Model):
    """The tutorials' multitask model."""

    def __init__(self, *, lookup: bool = True, top_k: bool = True):
        super().__init__()
        self.user_model, self.product_model = tower(VOCABULARY.users, lookup), tower(VOCABULARY.products, lookup)
        dense = tf.keras.layers.Dense
        self.rating_model = tf.keras.Sequential([dense(32, activation="relu"), dense(16, activation="relu"), dense(1)])
        self.rating_task = tfrs.tasks.Ranking(
            loss=tf.keras.losses.MeanSquaredError(), metrics=[tf.keras.metrics.RootMeanSquaredError()]
        )
        candidates = tf.data.Dataset.from_tensor_slices(VOCABULARY.products).batch(128)
        metric = [tfrs.metrics.FactorizedTopK(candidates.map(self.product_model))] if top_k else None
        self.retrieval_task = tfrs.tasks.Retrieval(metrics=metric)

    def compute_loss(self, features, training=False):
        users, products = self.user_model(features[USER]), self.product_model(features[PRODUCT])
        stars = self.rating_model(tf.concat([users, products], axis=1))
        return self.rating_task(labels=features[RATING], predictions=stars) + self.retrieval_task(users, products)


class Loop:
    """A textbook model in Keras `fit`, traced and its batches cached; `rate()` is one more epoch's rows a second."""

    def __init__(self, model: tfrs.Model, data: tf.data.Dataset):
        model.compile(optimizer=tf.keras.optimizers.Adagrad(0.1))
        self.epoch = lambda: model.fit(data, epochs=1, verbose=0)
        self.epoch()
        self.rows = sum(len(batch[RATING]) for batch in data)

    def rate(self) -> float:
        return self.rows / seconds(self.epoch)


class Gathered(Loop):
    """The same as in `train_model`: a hundred steps are one call, and each gathers its batch by number."""

    def __init__(self, model: tfrs.Model, rows: dict):
        self.rows = len(rows[RATING])
        model.compile(optimizer=tf.keras.optimizers.Adagrad(0.1), steps_per_execution=STEPS_AT_ONCE)
        steps = many_steps(model, model.train_step, rows, tf.keras.metrics.Mean("loss"))
        model.make_train_function = lambda: steps
        numbers, batches = row_numbers(self.rows, SMALL_BATCH, np.random.default_rng(0)), -(-self.rows // SMALL_BATCH)
        self.epoch = lambda: model.fit(numbers, steps_per_epoch=batches, verbose=0)
        self.epoch()


def plain(rows: dict, batch_size: int, most: int = -1) -> tf.data.Dataset:
    """The tutorials' batches, shuffled once and cached; the first `most` of them."""
    data = tf.data.Dataset.from_tensor_slices(rows).shuffle(100_000, seed=0)
    return data.batch(batch_size).take(most).cache()


def our_rate() -> float:
    """Rows a second of the ladder's model in `train_model`, from the end of its first epoch to that of its last."""
    recipe, ends = choose_defaults(*split_at_random(REVIEWS, test_share=0.1)), []
    settings = {"batch_size": recipe.batch_size, "learning_rate": recipe.learning_rate}
    after = {"after_epoch": lambda epoch: ends.append(time.perf_counter())}
    train_model(build_multitask(VOCABULARY, recipe), REVIEWS, epochs=1 + EPOCHS, **settings, **after)
    return EPOCHS * len(REVIEWS) / (ends[-1] - ends[0])


def main() -> None:
    """Print the rates, and the factor of each change."""
    names = string_tensors(REVIEWS, [USER, PRODUCT])
    ids = training_rows(REVIEWS, UserTower(VOCABULARY), ProductTower(VOCABULARY))
    named = names | {RATING: ids[RATING]}
    first, second = BATCHES
    loops = {
        first: Loop(Textbook(), plain(named, TEXTBOOK_BATCH, BATCHES[first])),
        second: Loop(Textbook(top_k=False), plain(named, TEXTBOOK_BATCH, BATCHES[second])),
        f"batches of {SMALL_BATCH}": Loop(Textbook(top_k=False), plain(named, SMALL_BATCH)),
        "ids instead of strings": Loop(Textbook(top_k=False, lookup=False), plain(ids, SMALL_BATCH)),
        "a hundred steps in one call, batches gathered": Gathered(Textbook(top_k=False, lookup=False), ids),
    }
    rate = {name: loop.rate for name, loop in loops.items()} | {"our model, corrections and recipe": our_rate}
    rounds = [{name: measure() for name, measure in rate.items()} for _ in range(1 + REPEATS)]
    rates = {name: [turn[name] for turn in rounds[1:]] for name in rate}  # the first round was to warm up
    last = list(rates)[-1]
    middle = {name: f"{sorted(values)[REPEATS // 2]:,.0f} rows/s" for name, values in rates.items()}
    notes = [
        f"Training speed: {len(REVIEWS):,} reviews, of which {BATCHES[first] * TEXTBOOK_BATCH:,} are timed in the "
        f"textbook's loop and all, {EPOCHS} times, in ours; tracing isn't counted. "
        "Where the spread of a step reaches across 1, this doesn't tell whether it matters: its epochs are short.",
    ]
    factor = ratios(rates[last], rates[first])
    what = f"training, {len(REVIEWS):,} rows"
    rows = [Row(what, middle[last], f"{middle[first]}: {first}", factor, at_least=AT_LEAST, notes=notes)]
    for before, name in zip(list(rates), list(rates)[1:]):
        against = f"{middle[before]}: {'the step before' if before != first else first}"
        rows.append(Row(f"of which: {name}", middle[name], against, ratios(rates[name], rates[before])))
    report(__file__, rows)


if __name__ == "__main__":
    main()
