"""Floor, models and ceiling on generated shops, averaged over seeds: `python benchmarks/honest_numbers.py [SEEDS]`."""

import sys

import pandas as pd

from recsys_teach.baselines import Oracle
from recsys_teach.ladder import fit_ladder
from recsys_teach.scoreboard import scoreboard
from recsys_teach.shop import generate_shop
from recsys_teach.splits import Split, split_at_random, split_by_time


def board(seed: int, kind: str) -> pd.DataFrame:
    """The whole ladder on one shop, sliced by warm and new users if the split is by time."""
    shop = generate_shop(seed=seed)
    split: Split = split_at_random(shop.reviews, seed=seed) if kind == "random" else split_by_time(shop.reviews)
    recommenders, _ = fit_ladder(split.train, seed=seed)
    return scoreboard(recommenders | {"oracle": Oracle(shop)}, *split, slices=kind == "time")


def main() -> None:
    """Print the means and their spread over the seeds 101, 102, …, which no setting was chosen on."""
    seeds = [101 + n for n in range(int(sys.argv[1]) if len(sys.argv) > 1 else 3)]
    for kind in ("random", "time"):
        boards = [board(seed, kind) for seed in seeds]
        stacked = pd.concat(boards, keys=seeds)
        levels = list(range(1, stacked.index.nlevels))
        mean, spread = (getattr(stacked.groupby(level=levels, sort=False), what)() for what in ("mean", "std"))
        print(f"\n{kind} split, mean over seeds {seeds}\n{mean.round(3).to_string()}")
        print(f"largest standard deviation between seeds: {spread.max().max():.3f}")


if __name__ == "__main__":
    main()
