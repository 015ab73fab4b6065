"""Floor, models and ceiling, averaged over seeds on which nothing was chosen: `python benchmarks/honest_numbers.py`.

Options: `--seeds 5` (how many), and which tables: `random time large amazon`. Each table ends with what must be true of
it, and whether it is. Two things were chosen, though: the default shop's popularity skew, so that the textbook loses in
it, and the Amazon model's head and text, on other splits of the same 999 rows.
"""

import argparse
import sys
from collections.abc import Callable
from functools import partial

import pandas as pd

from recsys_teach.baselines import DampedBiases, Oracle, Popularity
from recsys_teach.evaluation import scoreboard
from recsys_teach.files.loading import load_reviews
from recsys_teach.ladder import build_multitask, choose_defaults, fit_ladder, fit_model
from recsys_teach.ranking import DenseHead
from recsys_teach.shop import generate_shop
from recsys_teach.splits import split_at_random, split_by_time

FIRST_SEED = 101
LARGE = {"users": 943, "products": 1_682, "reviews_per_user": 106, "popularity_skew": 1.6, "taste_strength": 5.0}
Claims = dict[str, tuple[float, float]]  # what must be true: value, and the least that it may be


def shop_board(seed: int, kind: str, **size) -> pd.DataFrame:
    """The whole ladder on one shop, sliced if the split is by time."""
    shop = generate_shop(seed=seed, **size)
    split = split_by_time if kind == "time" else partial(split_at_random, seed=seed)
    train, test = split(shop.reviews)
    recommenders, _ = fit_ladder(train, seed=seed, split=split)
    return scoreboard(recommenders | {"oracle": Oracle(shop)}, train, test, slices=kind == "time")


def with_summary(vocabulary, recipe):
    """The ladder's multitask model for text that is known at query time: notebook 07."""
    return build_multitask(vocabulary, recipe, head=DenseHead(start=vocabulary.biases.mean), summary=True)


def amazon_board(seed: int) -> pd.DataFrame:
    """The floor and the repaired model on a random split of the Amazon sample, every product a candidate."""
    train, test = split_at_random(load_reviews("amazon"), seed=seed)
    parts = split_at_random(train, test_share=0.1, seed=seed)
    model = fit_model(with_summary, train, parts, choose_defaults(*parts), seed=seed, max_words=2_000)
    recommenders = {"popularity": Popularity(train), "damped biases": DampedBiases(train), "multitask, text": model}
    return scoreboard(recommenders, train, test, exclude_seen=False, visible=["summary"])


def random_claims(mean: pd.DataFrame) -> Claims:
    """Of the generated shop, split at random."""
    hit, rmse = mean["hit@10"], mean["rmse"]
    return {
        "popularity / textbook, hit@10": (hit["popularity"] / hit["textbook retrieval"], 1),
        "retrieval / oracle, hit@10": (hit["retrieval"] / hit["oracle"], 0.8),
        "retrieval / popularity, hit@10": (hit["retrieval"] / hit["popularity"], 1.6),
        "multitask / retrieval, hit@10": (hit["multitask"] / hit["retrieval"], 1),
        "better specialist or floor / multitask, rmse": (
            min(rmse["ranking"], rmse["damped biases"]) / rmse["multitask"],
            1 / 0.96,
        ),
        "damped biases / ranking, rmse": (rmse["damped biases"] / rmse["ranking"], 1),
    }


def time_claims(mean: pd.DataFrame) -> Claims:
    """Of the generated shop, split by time."""
    hit = mean["hit@10"]
    return {
        f"{model} / popularity, hit@10, {users}": (hit[model, users] / hit["popularity", users], least)
        for model in ("retrieval", "multitask")
        for users, least in (("new users", 0.95), ("warm users", 1.0))
    }


def large_claims(mean: pd.DataFrame) -> Claims:
    """Of a shop of 943 users who write a hundred reviews each."""
    hit, rmse = mean["hit@10"], mean["rmse"]
    return {
        "retrieval / oracle, hit@10": (hit["retrieval"] / hit["oracle"], 0.8),
        "damped biases / ranking, rmse": (rmse["damped biases"] / rmse["ranking"], 1),
        "damped biases / multitask, rmse": (rmse["damped biases"] / rmse["multitask"], 1),
    }


def amazon_claims(mean: pd.DataFrame) -> Claims:
    """Of the Amazon sample."""
    floor, model = mean.loc["popularity"], mean.loc["multitask, text"]
    return {
        "multitask / popularity, hit@1": (model["hit@1"] / floor["hit@1"], 1.15),
        "multitask / popularity, hit@10": (model["hit@10"] / floor["hit@10"], 1),
        "damped biases / multitask, rmse": (mean.loc["damped biases", "rmse"] / model["rmse"], 1),
    }


TABLES: dict[str, tuple[str, Callable, Callable]] = {
    "random": ("generated shop, random split", partial(shop_board, kind="random"), random_claims),
    "time": ("generated shop, split by time", partial(shop_board, kind="time"), time_claims),
    "large": ("943 users, 1,682 products, random split", partial(shop_board, kind="random", **LARGE), large_claims),
    "amazon": ("Amazon sample with text, random split", amazon_board, amazon_claims),
}


def main() -> None:
    """Print each table's means and spread over the seeds, and its claims."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", nargs="*", default=list(TABLES), metavar="table", help=f"of {', '.join(TABLES)}")
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    if unknown := set(arguments.tables) - set(TABLES):
        parser.error(f"there is no table {unknown.pop()!r}: expected some of {', '.join(TABLES)}")
    broken = 0
    seeds = [FIRST_SEED + n for n in range(arguments.seeds)]
    for name in arguments.tables:
        title, board, claims = TABLES[name]
        stacked = pd.concat([board(seed) for seed in seeds], keys=seeds)
        groups = stacked.groupby(level=list(range(1, stacked.index.nlevels)), sort=False)
        mean, spread = groups.mean(), groups.std()
        print(f"\n{title}: mean over seeds {seeds[0]} to {seeds[-1]}\n{mean.round(3).to_string()}")
        print(f"largest standard deviation between seeds: {spread.max().max():.3f}")
        for claim, (value, least) in claims(mean).items():
            broken += value < least
            print(f"{'yes' if value >= least else 'NO '}  {claim}: {value:.3f}, at least {least:.3f}")
    if broken:
        sys.exit(f"{broken} of the claims did not hold")


if __name__ == "__main__":
    main()
