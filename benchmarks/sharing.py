"""The ladder of sharing on real and generated data, over five seeds: `python benchmarks/sharing.py`.

From two models that share nothing to two tasks that share everything, and three ways to weigh the tasks. Options:
`--seeds 5`, which data (`movielens`, `taste`, `no-taste`), and `--store`, which writes notebook 05's table. As in
`honest_numbers.py`, nothing was chosen on these seeds.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pandas as pd
from honest_numbers import Rows, as_text, asked, rows_of, store, together

from recsys_teach import ladder
from recsys_teach.features import Vocabulary
from recsys_teach.files.loading import load_reviews
from recsys_teach.ladder import Defaults, build_multitask, corrections, find_best_epoch, fit_model
from recsys_teach.multitask import MultitaskModel
from recsys_teach.ranking import FactorHead, RankingModel
from recsys_teach.retrieval import RetrievalModel
from recsys_teach.sharing import RATING, RETRIEVAL, JointModel, expert_towers
from recsys_teach.shop import generate_shop
from recsys_teach.splits import Split, split_at_random

WEIGHTS = (0.25, 0.5, 1.0)  # of the rating task, by variance of the ratings, to 1


def one_dot_product(vocabulary: Vocabulary, defaults: Defaults) -> MultitaskModel:
    """Both tasks read the same dot product."""
    return build_multitask(vocabulary, defaults, head=FactorHead(vocabulary))


def learned_weights(vocabulary: Vocabulary, defaults: Defaults) -> MultitaskModel:
    """The head learns a weight for each dimension."""
    return build_multitask(vocabulary, defaults, head=FactorHead(vocabulary, pull=ladder.PULL))


def experts(vocabulary: Vocabulary, defaults: Defaults, **how: int) -> JointModel:
    """Both tasks read the same embeddings, each through a mixture of experts; regularised as the specialists are."""
    pairs = expert_towers(vocabulary, dim=defaults.dim, **how)
    rating = {"rating_weight": ladder.RATING_WEIGHT / vocabulary.rating_spread**2}
    rating["l2"] = ladder.RATING_WEIGHT * defaults.l2
    return JointModel(
        RetrievalModel(*pairs[RETRIEVAL], **corrections(defaults)),
        RankingModel(*pairs[RATING], head=FactorHead(vocabulary), **rating),
    )


def uncertainty(vocabulary: Vocabulary, defaults: Defaults) -> JointModel:
    """The default, with weights that are learned from each task's noise."""
    pair = ladder.towers(vocabulary, defaults)
    ranking = RankingModel(*pair, head=ladder.build_shared_head(vocabulary, defaults))
    return JointModel(RetrievalModel(*pair, **corrections(defaults)), ranking, uncertainty=True)


def fit_with_chosen_weight(train: pd.DataFrame, parts: Split, defaults: Defaults, *, seed: int) -> MultitaskModel:
    """Return the default with the one of `WEIGHTS` whose best epoch is best on the validation rows."""
    builds = {weight: partial(build_multitask, rating_weight=weight) for weight in WEIGHTS}
    found = {weight: find_best_epoch(build, parts, defaults, seed=seed)[1] for weight, build in builds.items()}
    weight = max(found, key=found.__getitem__)
    print(f"seed {seed}: weight {weight:g}", flush=True)
    return fit_model(builds[weight], train, parts, defaults, seed=seed)


def floor(name: str) -> Callable:
    """Return a function that fits this classic as the ladder does."""
    return lambda train, parts, defaults, seed: ladder.fit_classic(ladder.CLASSICS[name], train, parts)


RUNGS: dict[str, Callable] = {
    "popularity": floor("popularity"),
    "damped biases": floor("damped biases"),
    "retrieval only": partial(fit_model, ladder.build_retrieval),
    "rating only": partial(fit_model, ladder.build_ranking),
    "one dot product": partial(fit_model, one_dot_product),
    "weighted dimensions": partial(fit_model, learned_weights),
    "own vectors": partial(fit_model, build_multitask),
    "MMoE": partial(fit_model, partial(experts, shared=3)),
    "PLE": partial(fit_model, partial(experts, shared=2, own=1)),
    "own vectors, uncertainty": partial(fit_model, uncertainty),
    "own vectors, chosen weight": fit_with_chosen_weight,
}
DATA: dict[str, Callable[[int], pd.DataFrame]] = {
    "taste": lambda seed: generate_shop(seed=seed).reviews,
    "no-taste": lambda seed: generate_shop(seed=seed, taste_strength=0.0).reviews,
    "movielens": lambda seed: load_reviews("movielens"),
}


def rungs(data: str, seeds: list[int], seconds: dict[str, float]) -> Iterator[Rows]:
    """Yield the rows of all rungs for each seed, and add the seconds of their trainings up."""
    for seed in seeds:
        train, test = split_at_random(DATA[data](seed), seed=seed)
        parts = split_at_random(train, test_share=ladder.VALIDATION_SHARE, seed=seed)
        defaults = ladder.choose_defaults(*parts)
        fitted: dict[str, Any] = {}
        for name, fit in RUNGS.items():
            start = time.perf_counter()
            fitted[name] = fit(train, parts, defaults, seed=seed)
            seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - start
        rows = rows_of(fitted, train, test)
        yield rows if data == "movielens" else rows._replace(users=f"{seed} " + rows.users)


def main() -> None:
    """Print a table for each data set: numbers, gains over the specialists, seconds of a training."""
    arguments = asked(__doc__, DATA, store="put the results in the table of notebook 05")
    seeds = arguments.seeds
    for data in arguments.names:
        seconds: dict[str, float] = {}
        rows = together(rungs(data, seeds, seconds))
        board = rows.board(["retrieval only", "rating only"])
        board["fit seconds"] = pd.Series(seconds) / len(seeds)
        print(f"\n{data}: seeds {seeds[0]} to {seeds[-1]}\n{as_text(rows.board())}", flush=True)
        kept = [name for name in board if name.startswith(("hit@10", "rmse"))]
        print(board[[*kept, "fit seconds"]].round(4).to_string(), flush=True)
        if arguments.store:
            store(board[kept].rename_axis("sharing").reset_index().assign(data=data), "sharing")


if __name__ == "__main__":
    main()
