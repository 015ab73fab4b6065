"""What the field adds to the five repairs of notebook 03, over five seeds: `python benchmarks/retrieval_further.py`.

Each addition is a small subclass of `RetrievalModel` with all repairs, or another way to choose the epochs. Its
settings are chosen on the validation rows of each training part, as the classics' are, from short lists that were made
with seeds 1 to 3; nothing was chosen on the seeds of the results. Options: `--seeds 5`, which data (see `DATA`),
`--choose`, which prints the quality of all settings on the validation rows of seeds 1 to 3 instead, and `--store`,
which puts the results in the table of notebook 03.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd
from honest_numbers import FIRST_SEED, Rows, as_text, rows_of, together

from recsys_teach import ladder
from recsys_teach.backend import tf
from recsys_teach.baselines import Popularity
from recsys_teach.cli.comparison import SplitKind, hold_back
from recsys_teach.features import Ids, Vocabulary, learn_vocabulary
from recsys_teach.files.loading import load_reviews
from recsys_teach.ladder import Defaults, corrections, find_best_epoch
from recsys_teach.retrieval import RetrievalModel
from recsys_teach.schema import PRODUCT
from recsys_teach.shop import generate_shop
from recsys_teach.splits import Split
from recsys_teach.training import train_model

STORED = Path(ladder.__file__).parent / "lab" / "retrieval.csv"
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


def fit_best(
    settings: list[dict[str, Any]], train: pd.DataFrame, parts: Split, defaults: Defaults, *, seed: int
) -> Any:
    """Return the model with the settings whose best epoch is best on the validation rows, trained on all rows."""
    found = [find_best_epoch(partial(build, **how), parts, defaults, seed=seed) for how in settings]
    epochs, quality = max(found, key=lambda one: one[1])
    how = settings[found.index((epochs, quality))]
    print(f"seed {seed}: {_named(how)}, {epochs} epochs", flush=True)
    tf.keras.utils.set_random_seed(seed)
    model = build(learn_vocabulary(train), defaults, **how)
    how = {"batch_size": defaults.batch_size, "learning_rate": defaults.learning_rate}
    train_model(model, train, epochs=epochs, seed=seed, **how)
    return model


def _named(how: dict[str, Any]) -> str:
    """Return a setting as text."""
    numbers = [f"{name} {value:g}" for name, value in how.items() if name != "model"]
    return ", ".join([how.get("model", RetrievalModel).__name__, *numbers])


# What each rung chooses from on validation rows; the lists are what was best of more on seeds 1 to 3.
SETTINGS: dict[str, list[dict[str, Any]]] = {
    "all repairs": [{}],
    "temperature": [{"model": CosineRetrieval, "temperature": value} for value in (0.2, 0.3, 0.4, 0.5)],
    "temperature, no L2": [{"model": CosineRetrieval, "temperature": value, "l2": 0.0} for value in (0.2, 0.3, 0.4)],
    "mixed negatives": [{"model": MixedNegatives, "uniform": uniform} for uniform in (64, 256)],
    "hard negatives": [
        {"model": HardNegatives, "uniform": uniform, "hard": hard}
        for uniform, hard in ((64, 32), (256, 16), (256, 128))
    ],
    "corrected logQ": [{"model": CorrectedLogQ}],
    "corrected logQ, mixed negatives": [{"model": CorrectedLogQ, "uniform": uniform} for uniform in (64, 256)],
}
RUNGS: dict[str, Callable] = {
    "popularity": lambda train, parts, defaults, seed: ladder.fit_classic([Popularity], train, parts),
    "epochs by validation loss": fit_by_loss,
    **{name: partial(fit_best, settings) for name, settings in SETTINGS.items()},
}
DATA: dict[str, tuple[str, Callable[[int], pd.DataFrame]]] = {
    "movielens": ("random", lambda seed: load_reviews("movielens")),
    "taste": ("random", lambda seed: generate_shop(seed=seed).reviews),
    "habit": ("random", lambda seed: generate_shop(seed=seed, kind="habit").reviews),
    "movielens-time": ("time", lambda seed: load_reviews("movielens")),
    "taste-time": ("time", lambda seed: generate_shop(seed=seed).reviews),
}


def parts_of(data: str, seed: int) -> tuple[Split, Split, Defaults]:
    """Return a data set's split, that of its training rows, and the defaults."""
    kind, load = DATA[data]
    split = hold_back(SplitKind(kind), seed)
    whole = split(load(seed))
    parts = split(whole.train, test_share=ladder.VALIDATION_SHARE)
    return whole, parts, ladder.choose_defaults(*parts)


def choose(data: str) -> pd.DataFrame:
    """Return the quality (nDCG) of each setting on the validation rows of seeds 1 to 3, and its mean gain."""
    found: dict[str, dict[int, float]] = {}
    for seed in (1, 2, 3):
        _, parts, defaults = parts_of(data, seed)
        for how in chain(*SETTINGS.values()):
            epochs, quality = find_best_epoch(partial(build, **how), parts, defaults, seed=seed)
            found.setdefault(_named(how), {})[seed] = quality
            print(f"{data} {seed} {_named(how)}: {quality:.5f}, {epochs} epochs", flush=True)
    table = pd.DataFrame(found).T
    return table.assign(gain=(table - table.iloc[0]).mean(axis=1))


def rungs(data: str, seeds: list[int], seconds: dict[str, float]) -> Iterator[Rows]:
    """Yield the rows of all rungs for each seed, and add the seconds of their trainings up."""
    for seed in seeds:
        (train, test), parts, defaults = parts_of(data, seed)
        fitted: dict[str, Any] = {}
        for name, fit in RUNGS.items():
            start = time.perf_counter()
            fitted[name] = fit(train, parts, defaults, seed=seed)
            seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - start
        rows = rows_of(fitted, train, test)
        yield rows if data.startswith("movielens") else rows._replace(users=f"{seed} " + rows.users)


def store(board: pd.DataFrame, data: str) -> None:
    """Put the board of a data set in the table of notebook 03, in the place of an earlier one."""
    stored = [board.rename_axis("retrieval").reset_index().assign(data=data).round(4)]
    if STORED.exists():
        before = pd.read_csv(STORED)
        stored.insert(0, before[before["data"] != data])
    pd.concat(stored).to_csv(STORED, index=False)


def main() -> None:
    """Print a table for each data set: numbers, gains over all repairs, seconds of a training."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="*", default=list(DATA), help=f"of {', '.join(DATA)}")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--choose", action="store_true", help="print the settings' quality on validation rows instead")
    parser.add_argument("--store", action="store_true", help="put the results in the table for the notebook")
    arguments = parser.parse_args()
    seeds = [FIRST_SEED + n for n in range(arguments.seeds)]
    for data in arguments.data:
        if arguments.choose:
            print(f"\n{data}\n{choose(data).round(5).to_string()}", flush=True)
            continue
        seconds: dict[str, float] = {}
        rows = together(rungs(data, seeds, seconds))
        board = rows.board("all repairs")
        kept = [name for name in board if name.startswith("hit@10")]
        print(f"\n{data}: seeds {seeds[0]} to {seeds[-1]}\n{as_text(rows.board())}", flush=True)
        print(board[kept].assign(seconds=pd.Series(seconds) / len(seeds)).round(4).to_string(), flush=True)
        if arguments.store:
            store(board[kept], data)


if __name__ == "__main__":
    main()
