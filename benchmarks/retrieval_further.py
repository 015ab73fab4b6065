"""What the field adds to the five repairs of notebook 03, over five seeds: `python benchmarks/retrieval_further.py`.

Each addition is a small subclass of `RetrievalModel` with all repairs, or another way to choose the epochs. Its
settings are those of the best mean quality on validation rows of seeds 1 to 3, for each data set (split at random);
nothing was chosen on the seeds of the results. Options: `--seeds 5`, which data (see `DATA`), and `--store`, which puts
the results in the table of notebook 03.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pandas as pd
from honest_numbers import Rows, as_text, asked, rows_of, store, together

from recsys_teach import ladder
from recsys_teach.backend import tf
from recsys_teach.baselines import Popularity
from recsys_teach.cli.comparison import SplitKind, hold_back
from recsys_teach.features import Ids, Vocabulary, learn_vocabulary
from recsys_teach.files.loading import load_reviews
from recsys_teach.ladder import Defaults, corrections, find_best_epoch, fit_model
from recsys_teach.retrieval import RetrievalModel
from recsys_teach.schema import PRODUCT
from recsys_teach.shop import generate_shop
from recsys_teach.splits import Split
from recsys_teach.training import train_model

BEHIND = 0.003  # of the quality: settings that are so far behind are given up
LOW = -1e9  # the score of what isn't a negative


class CosineRetrieval(RetrievalModel):
    """Scores cos(u, p) / temperature + bias: the lengths of the vectors say nothing, the temperature says how much."""

    def __init__(self, *towers: Any, temperature: float, **repairs: Any):
        super().__init__(*towers, **repairs)
        self.temperature = temperature

    def query_vectors(self, users: tf.Tensor) -> tf.Tensor:
        return super().query_vectors(tf.math.l2_normalize(users, axis=1) / self.temperature)

    def candidate_vectors(self, products: tf.Tensor, ids: Ids) -> tf.Tensor:
        return super().candidate_vectors(tf.math.l2_normalize(products, axis=1), ids)


class MixedNegatives(RetrievalModel):
    """Adds `uniform` products of the catalogue to the negatives of each batch, drawn with equal chances.

    A batch of B rows then has B - 1 draws by popularity and U uniform ones as negatives of a row, so that a product of
    share Q is drawn with the probability ((B - 1) Q + U / products) / (B - 1 + U) (Yang et al. 2020, "Mixed negative
    sampling for learning two-tower neural networks in recommendations"). With U = 0 it is `RetrievalModel`.
    """

    def __init__(self, *towers: Any, uniform: int = 0, **repairs: Any):
        super().__init__(*towers, **repairs)
        self.uniform = self.kept = uniform

    def mixed_log_q(self, ids: tf.Tensor, batch: tf.Tensor) -> tf.Tensor:
        """Return log Q of the mixture for these product ids, in batches of `batch` rows."""
        others, share = tf.cast(batch, tf.float32) - 1, tf.exp(tf.nn.embedding_lookup(self.log_q, ids))
        return tf.math.log((others * share + self.kept / len(self.products)) / (others + self.kept))

    def sampled_scores(self, users: tf.Tensor, products: tf.Tensor, ids: Ids) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Return each row's own score `[batch]`, those of the batch `[batch, batch]` and of uniform draws, - log Q.

        The cells of a row's own product are `LOW`, wherever it was drawn.
        """
        own, batch = ids[PRODUCT], tf.shape(users)[0]
        drawn = tf.random.uniform([self.uniform], 1, len(self.products) + 1, own.dtype)  # id 0 is the unknown one
        queries, candidates = self.query_vectors(users), self.candidate_vectors(products, ids)
        others = self.candidate_vectors(self.product_tower({PRODUCT: drawn}), {PRODUCT: drawn})
        scores = []
        for vectors, of in ((candidates, own), (others, drawn)):
            corrected = tf.matmul(queries, vectors, transpose_b=True) - self.mixed_log_q(of, batch)
            scores.append(tf.where(own[:, None] == of[None, :], LOW, corrected))
        return tf.reduce_sum(queries * candidates, axis=1), *scores

    def task_loss(self, users: tf.Tensor, products: tf.Tensor, ids: Ids) -> tf.Tensor:
        right, *wrong = self.sampled_scores(users, products, ids)
        right -= self.mixed_log_q(ids[PRODUCT], tf.shape(users)[0])
        return tf.reduce_sum(tf.reduce_logsumexp(tf.concat([right[:, None], *wrong], axis=1), axis=1) - right)


class HardNegatives(MixedNegatives):
    """Of `uniform` products of the catalogue, each row keeps the `hard` ones with the highest scores as negatives.

    They count as if they were all that was drawn, as is usual, so they weigh more than in a softmax over all products.
    """

    def __init__(self, *towers: Any, hard: int, **how: Any):
        super().__init__(*towers, **how)
        self.kept = hard

    def sampled_scores(self, users: tf.Tensor, products: tf.Tensor, ids: Ids) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        right, in_batch, drawn = super().sampled_scores(users, products, ids)
        return right, in_batch, tf.math.top_k(drawn, self.kept).values


class CorrectedLogQ(MixedNegatives):
    """Doesn't count a row's own product as if it had been drawn: it is there with certainty.

    The gradient of -log P(own), where P is the softmax over all products, is that of

        (1 - P(own)) · (log Σ_{c ≠ own} exp(s_c) - s_own)          with 1 - P(own) held constant,

    and the mean of exp(s_c) / Q_c over draws c, 0 where c is the own product, estimates the sum in it, and in P
    (Khrylchenko et al. 2025, "Correcting the logQ correction: revisiting sampled softmax for large-scale retrieval").
    """

    def task_loss(self, users: tf.Tensor, products: tf.Tensor, ids: Ids) -> tf.Tensor:
        right, *wrong = self.sampled_scores(users, products, ids)
        draws = tf.cast(tf.shape(users)[0] - 1 + self.uniform, tf.float32)
        others = tf.reduce_logsumexp(tf.concat(wrong, axis=1), axis=1) - tf.math.log(tf.maximum(draws, 1))
        return tf.reduce_sum(tf.stop_gradient(tf.sigmoid(others - right)) * (others - right))


def build(vocabulary: Vocabulary, defaults: Defaults, *, model: Callable = RetrievalModel, **how: Any) -> Any:
    """Return an untrained model with all repairs, and what `how` adds or changes."""
    return model(*ladder.towers(vocabulary, defaults), **corrections(defaults) | how)


def fit_by_loss(train: pd.DataFrame, parts: Split, defaults: Defaults, *, seed: int) -> RetrievalModel:
    """Return the model with all repairs, after the number of epochs with the least loss on the validation rows."""
    tf.keras.utils.set_random_seed(seed)
    model = build(learn_vocabulary(parts.train), defaults)
    how: dict[str, Any] = {"batch_size": defaults.batch_size, "learning_rate": defaults.learning_rate, "seed": seed}
    losses = train_model(model, parts.train, epochs=defaults.max_epochs, validation=parts.test, **how)
    tf.keras.utils.set_random_seed(seed)
    model = build(learn_vocabulary(train), defaults)
    train_model(model, train, epochs=int(losses["validation"].idxmin()), **how)
    return model


# What each rung chooses from.
SETTINGS: dict[str, list[dict[str, Any]]] = {
    "all repairs": [{}],
    "temperature": [
        {"model": CosineRetrieval, "temperature": temperature, **l2}
        for temperature in (0.2, 0.3, 0.4, 0.5)
        for l2 in ({}, {"l2": 0.0})
    ],
    "mixed negatives": [{"model": MixedNegatives, "uniform": uniform} for uniform in (64, 256)],
    "hard negatives": [
        {"model": HardNegatives, "uniform": uniform, "hard": hard}
        for uniform, hard in ((64, 32), (256, 128), (256, 16))
    ],
    "corrected logQ": [{"model": CorrectedLogQ, "uniform": uniform} for uniform in (0, 64)],
}
DATA: dict[str, tuple[str, Callable[[int], pd.DataFrame]]] = {
    "movielens": ("random", lambda seed: load_reviews("movielens")),
    "movielens-time": ("time", lambda seed: load_reviews("movielens")),
    "taste": ("random", lambda seed: generate_shop(seed=seed).reviews),
    "taste-time": ("time", lambda seed: generate_shop(seed=seed).reviews),
    "habit": ("random", lambda seed: generate_shop(seed=seed, kind="habit").reviews),
}


def parts_of(data: str, seed: int) -> tuple[Split, Split, Defaults]:
    """Return a data set's split, that of its training rows, and the defaults."""
    kind, load = DATA[data]
    split = hold_back(SplitKind(kind), seed)
    whole = split(load(seed))
    parts = split(whole.train, test_share=ladder.VALIDATION_SHARE)
    return whole, parts, ladder.choose_defaults(*parts)


def choose(data: str) -> dict[str, dict[str, Any]]:
    """Return the settings of each rung with the best mean quality on the validation rows of seeds 1 to 3.

    Those that are `BEHIND` the best of their rung after a seed aren't tried with the next. Prints all.
    """
    left = {rung: {named(how): [] for how in some} for rung, some in SETTINGS.items()}
    for seed in (1, 2, 3):
        _, parts, defaults = parts_of(data.removesuffix("-time"), seed)
        for rung, some in left.items():
            for how in SETTINGS[rung]:
                if named(how) in some:
                    epochs, quality = find_best_epoch(partial(build, **how), parts, defaults, seed=seed)
                    some[named(how)].append(quality)
                    print(f"{data}, seed {seed}, {named(how)}: {quality:.5f} after {epochs} epochs", flush=True)
            least = (1 - BEHIND) * max(sum(found) for found in some.values())
            left[rung] = {name: found for name, found in some.items() if sum(found) >= least}
    best = {rung: max(some, key=lambda name: sum(some[name])) for rung, some in left.items()}
    print(f"{data}: {best}", flush=True)
    return {rung: next(how for how in SETTINGS[rung] if named(how) == best[rung]) for rung in SETTINGS}


def named(how: dict[str, Any]) -> str:
    """Return settings as text."""
    return ", ".join(getattr(value, "__name__", f"{name} {value}") for name, value in how.items()) or "all repairs"


def rungs(data: str, chosen: dict[str, dict[str, Any]], seeds: list[int], seconds: dict[str, float]) -> Iterator[Rows]:
    """Yield the rows of all rungs for each seed, and add the seconds of their trainings up."""
    fits: dict[str, Callable] = {rung: partial(fit_model, partial(build, **how)) for rung, how in chosen.items()}
    fits["epochs by validation loss"] = fit_by_loss
    for seed in seeds:
        (train, test), parts, defaults = parts_of(data, seed)
        fitted: dict[str, Any] = {"popularity": Popularity(train)}
        for name, fit in fits.items():
            start = time.perf_counter()
            fitted[name] = fit(train, parts, defaults, seed=seed)
            seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - start
        rows = rows_of(fitted, train, test)
        yield rows if data.startswith("movielens") else rows._replace(users=f"{seed} " + rows.users)


def main() -> None:
    """Print a table for each data set: numbers, gains over all repairs, seconds of a training."""
    arguments = asked(__doc__, DATA, store="put the results in the table of notebook 03")
    seeds = arguments.seeds
    for data in arguments.names:
        seconds: dict[str, float] = {}
        rows = together(rungs(data, choose(data), seeds, seconds))
        board = rows.board("all repairs")
        kept = [name for name in board if name.startswith("hit@10")]
        print(f"\n{data}: seeds {seeds[0]} to {seeds[-1]}\n{as_text(rows.board())}", flush=True)
        print(board[kept].assign(seconds=pd.Series(seconds) / len(seeds)).round(4).to_string(), flush=True)
        if arguments.store:
            store(board[kept].rename_axis("retrieval").reset_index().assign(data=data), "retrieval")


if __name__ == "__main__":
    main()
