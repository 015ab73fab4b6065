"""Retrieval alone against retrieval and a ranker, over five seeds, with intervals: `python benchmarks/two_stages.py`.

Which part of the ranker earns its keep, and which choices do harm; how good its probabilities are; and how long one
request takes. Options: `--seeds 5`, which data (`movielens`, `movielens-time`, `taste`, `habit`, `taste-time`,
`habit-time`), `--store`, which writes notebook 11's tables, and `--latency`, which measures the time alone. As in
`honest_numbers.py`, nothing was chosen on these seeds: epochs, learning rate and number of cross layers were chosen on
validation rows with seed 1, of MovieLens and of both kinds of shop.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from honest_numbers import FIRST_SEED, Rows, as_text, asked, store, together

from recsys_teach import ladder, metrics
from recsys_teach.backend import tf
from recsys_teach.baselines import EASE, ItemKNN, Popularity
from recsys_teach.cli.comparison import SplitKind, hold_back
from recsys_teach.evaluation import row_metrics, row_ranks
from recsys_teach.features import learn_vocabulary
from recsys_teach.files.loading import load_reviews
from recsys_teach.schema import TIMESTAMP, USER
from recsys_teach.shop import generate_shop
from recsys_teach.splits import Split, new_users
from recsys_teach.training import train_model
from recsys_teach.two_stages import GROUPS, REQUESTS, FirstStage, Ranker, Requests, TwoStages, train_ranker

CANDIDATES, SHARE = 100, 0.2  # of the training rows is held back for the ranker
DATA: dict[str, tuple[str, Callable[[int], pd.DataFrame]]] = {
    "movielens": ("random", lambda seed: load_reviews("movielens")),
    "taste": ("random", lambda seed: generate_shop(seed=seed).reviews),
    "habit": ("random", lambda seed: generate_shop(seed=seed, kind="habit").reviews),
    "movielens-time": ("time", lambda seed: load_reviews("movielens")),
    "taste-time": ("time", lambda seed: generate_shop(seed=seed).reviews),
    "habit-time": ("time", lambda seed: generate_shop(seed=seed, kind="habit").reviews),
}
VARIANTS: dict[str, tuple[Any, dict[str, Any]]] = {  # the groups of features, and arguments of the ranker
    "two stages": (GROUPS, {}),
    "without crosses": (GROUPS, {"crosses": 0}),
    "softmax": (GROUPS, {"softmax": True}),
    "without history": ([group for group in GROUPS if group != "history"], {}),
    "scores alone": (["scores"], {}),
}


class Among:
    """A recommender of fewer products than it was fitted on."""

    def __init__(self, source: Any, products: list[str]):
        self.products = products
        self._source, self._columns = source, pd.Index(source.products).get_indexer(pd.Index(products))

    def scores(self, reviews: pd.DataFrame) -> np.ndarray:
        return self._source.scores(reviews)[:, self._columns]


def recipes(train: pd.DataFrame, split: Callable[..., Split], seed: int) -> dict[str, Callable[[pd.DataFrame], Any]]:
    """Return how each source is fitted on a table; settings and epochs are chosen as the ladder chooses them."""
    parts = split(train, test_share=ladder.VALIDATION_SHARE)
    defaults = ladder.choose_defaults(*parts)
    epochs, _ = ladder.find_best_epoch(ladder.build_retrieval, parts, defaults, seed=seed)

    def retrieval(rows: pd.DataFrame) -> Any:
        tf.keras.utils.set_random_seed(seed)
        model = ladder.build_retrieval(learn_vocabulary(rows), defaults)
        settings = {"batch_size": defaults.batch_size, "learning_rate": defaults.learning_rate, "seed": seed}
        train_model(model, rows, epochs=epochs, **settings)
        return model

    qualities = [ladder.quality(fit(parts.train), *parts) for fit in ladder.CLASSICS["EASE"]]
    return {"retrieval": retrieval, "EASE": ladder.CLASSICS["EASE"][int(np.argmax(qualities))], "ItemKNN": ItemKNN}


def part_of(requests: Requests, columns: list[int]) -> Requests:
    """Return the same requests with some of their features."""
    return requests._replace(features=requests.features[:, :, columns])


def metrics_of(probabilities: np.ndarray, requests: Requests, retrieval: np.ndarray) -> pd.DataFrame:
    """Return what `row_metrics` returns of `TwoStages` with these probabilities, without computing features again.

    `retrieval` are the ranks of the first stage: a product that isn't among the candidates keeps its rank.
    """
    scores = np.where(requests.shown, probabilities, -np.inf)
    found = requests.bought.any(axis=1)
    rank = np.where(found, metrics.ranks(scores, np.where(found, requests.bought.argmax(axis=1), -1)), retrieval)
    values = {f"hit@{k}": metrics.hit(rank, k) for k in (1, 10, 50)}
    more = {"ndcg@10": metrics.ndcg(rank, 10), "mrr": metrics.reciprocal_rank(rank), "squared_error": np.nan}
    return pd.DataFrame(values | more)


def one_seed(data: str, seed: int) -> tuple[Rows, pd.DataFrame]:
    """Return the metrics of each test row, by variant, and each variant's AUC, log loss and calibration."""
    kind, reviews = DATA[data]
    split = hold_back(SplitKind(kind), seed)
    train, test = split(reviews(seed))
    past, held_back = split(train, test_share=SHARE)
    held_back = held_back.sample(min(len(held_back), REQUESTS), random_state=seed)
    fits = recipes(train, split, seed)
    earlier, later = ({name: fit(rows) for name, fit in fits.items()} for rows in (past, train))
    before, after = FirstStage(past, earlier), FirstStage(train, later)
    learned, asked = (stage.requests(rows, CANDIDATES) for stage, rows in ((before, held_back), (after, test)))
    alone = {"popularity": Popularity(train), **{name: later[name] for name in ("ItemKNN", "EASE", "retrieval")}}
    values = {name: row_metrics(one, train, test, name=name) for name, one in alone.items()}
    ranks = row_ranks(later["retrieval"], train, test)
    probable = {}

    def add(name: str, learned: Requests, asked: Requests, ranks: np.ndarray, **how: Any) -> Ranker:
        tf.keras.utils.set_random_seed(seed)
        ranker = Ranker(learned, **how)
        train_ranker(ranker, learned, seed=seed)
        found = ranker.probabilities(asked.features, asked.shown)
        values[name] = metrics_of(found, asked, ranks)
        pairs = found[asked.shown], asked.bought[asked.shown]
        names = ("AUC", "log loss", "calibration error")
        measures = (metrics.auc, metrics.log_loss, metrics.calibration_error)
        probable[name] = {measure: of(*pairs) for measure, of in zip(names, measures)}
        return ranker

    names = after.names
    for name, (groups, how) in VARIANTS.items():
        kept = FirstStage(train, later, groups=groups).names
        columns = [names.index(feature) for feature in kept]
        ranker = add(name, part_of(learned, columns), part_of(asked, columns), ranks, **how)
        if name == "two stages":
            some = test.head(200)
            same = row_metrics(TwoStages(after, ranker, candidates=CANDIDATES), train, some)
            assert np.allclose(same["mrr"], values[name]["mrr"][:200]), "the shortcut of this file is wrong"
    columns = [names.index(feature) for feature in names if not feature.startswith(("EASE", "ItemKNN"))]
    add("one source", part_of(learned, columns), part_of(asked, columns), ranks)
    add("random negatives", before.requests(held_back, CANDIDATES, random_negatives=True), asked, ranks)
    seen = FirstStage(past, {name: Among(one, before.products) for name, one in later.items()})
    add("sources that saw the purchase", seen.requests(held_back, CANDIDATES), asked, ranks)
    order = ["EASE", "retrieval", "ItemKNN"]
    stages = (FirstStage(rows, {name: of[name] for name in order}) for rows, of in ((past, earlier), (train, later)))
    learned, asked = (stage.requests(rows, CANDIDATES) for stage, rows in zip(stages, (held_back, test)))
    add("EASE's candidates", learned, asked, row_ranks(later["EASE"], train, test))
    users = test[USER] if data.startswith("movielens") else f"{seed} " + test[USER]
    rows = Rows({name: [frame] for name, frame in values.items()}, users, new_users(train, test))
    table = pd.DataFrame(probable).T.rename_axis("model")
    shown = {"EASE's candidates": asked.bought, "two stages": None}
    table["found"] = np.nan
    table.loc["EASE's candidates", "found"] = shown["EASE's candidates"].any(axis=1).mean()
    table.loc["two stages", "found"] = (ranks <= CANDIDATES).mean()
    return rows, table.assign(seed=seed)


def latency(requests: int = 200) -> pd.DataFrame:
    """Return the milliseconds of one request among ten thousand products, by the sources of the first stage.

    The median and the 95th percentile, on the clock and of the processor: they differ where other programs run.
    """
    size = {"users": 1_000, "products": 11_700, "reviews_per_user": 60.0, "popularity_skew": 0.8}
    shop = generate_shop(**size, seed=FIRST_SEED).reviews
    model = ladder.build_retrieval(learn_vocabulary(shop), ladder.defaults_by_rule(rows=len(shop), new_user_share=0.0))
    sources = {"retrieval": model, "EASE": EASE(shop), "ItemKNN": ItemKNN(shop)}
    asked = shop[[USER, TIMESTAMP]].sample(requests + 20, random_state=0)
    found = {}
    for names in (["retrieval"], list(sources)):
        stage = FirstStage(shop, {name: sources[name] for name in names})
        two = TwoStages(stage, Ranker(stage.requests(shop.head(300), CANDIDATES)), candidates=CANDIDATES)
        took = []
        for row in range(len(asked)):
            one = asked.iloc[row : row + 1]
            start = time.perf_counter(), time.process_time()
            two.scores(one)
            took.append((time.perf_counter() - start[0], time.process_time() - start[1]))
        clock, processor = 1_000 * np.array(took[20:]).T  # without the first ones, which trace the ranker
        quantiles = {"p50": 0.5, "p95": 0.95}
        values = {f"{name}, ms": np.quantile(clock, share) for name, share in quantiles.items()}
        values |= {f"{name}, ms of the processor": np.quantile(processor, share) for name, share in quantiles.items()}
        found[", ".join(names)] = {"products": len(stage.products), **values}
    return pd.DataFrame(found).T.rename_axis("sources")


def tables(data: str, found: list[tuple[Rows, pd.DataFrame]]) -> pd.DataFrame:
    """Print the tables of a data set; return what is stored of it."""
    rows = together(iter([rows for rows, _ in found]))
    print(f"\n{data}: {len(found)} seeds, {rows.new.mean():.0%} of the test rows from new users")
    print(as_text(rows.board()[[name for name in rows.board() if not name.startswith("rmse")]]))
    kept = {}
    for rival in ("retrieval", "EASE", "two stages"):
        board = rows.board(rival)
        for metric in ("ndcg@10", "hit@10"):
            if rival == "retrieval":
                kept |= {f"{metric}{end}": board[f"{metric}{end}"] for end in ("", " low", " high")}
            ends = {f"{metric} over {rival}{end}": board[f"{metric} gain{end}"] for end in ("", " low", " high")}
            kept |= ends
            print(pd.DataFrame(ends).round(4).to_string())
    probable = pd.concat([table for _, table in found]).drop(columns="seed").groupby("model")
    table = pd.DataFrame(kept).rename_axis("model")
    for name, values in probable.mean().items():
        table[name] = values
        table[f"{name} least"], table[f"{name} greatest"] = probable[name].min(), probable[name].max()
    print(table[[name for name in table if not name.startswith(("ndcg", "hit"))]].round(5).to_string(), flush=True)
    return table.reset_index().assign(data=data)


def main() -> None:
    """Print the tables of each data set, and the time of a request."""
    flags = {"store": "put the results in notebook 11's table", "latency": "measure the time of a request alone"}
    arguments = asked(__doc__, DATA, **flags)
    for data in [] if arguments.latency else arguments.names:
        found = tables(data, [one_seed(data, seed) for seed in arguments.seeds])
        if arguments.store:
            store(found, "two_stages", digits=5)
    print(f"\none request\n{latency().round(1).to_string()}")


if __name__ == "__main__":
    main()
