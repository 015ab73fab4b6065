"""What each of the five repairs of retrieval is worth, over all orders: `python benchmarks/repairs.py`.

All 32 combinations are trained in one run, each to its own best epoch on validation rows, over five seeds. A repair's
worth in 03's order is what it adds to those before it; its Shapley value is what it adds on average over all orders.
Options: `--seeds 5`, which data (`shop-by-time`, `movielens`), and `--store`, which writes notebook 03's table. As in
`honest_numbers.py`, nothing was chosen on these seeds.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import numpy as np
import pandas as pd
from honest_numbers import Rows, asked, store, together

from recsys_teach import ladder
from recsys_teach.evaluation import row_metrics
from recsys_teach.features import learn_vocabulary
from recsys_teach.files.loading import load_reviews
from recsys_teach.lab.repairs import COMBINATIONS, Vectors, board_of_combinations, name_of, train_repairs
from recsys_teach.schema import USER
from recsys_teach.shop import generate_shop
from recsys_teach.splits import Split, new_users, split_at_random, split_by_time

DATA: dict[str, tuple[Callable[[int], pd.DataFrame], Callable[..., Split]]] = {
    "shop-by-time": (lambda seed: generate_shop(seed=seed).reviews, split_by_time),
    "movielens": (lambda seed: load_reviews("movielens"), split_at_random),
}


def train_to_their_best(train: pd.DataFrame, parts: Split, *, seed: int) -> dict[str, Vectors]:
    """Train all combinations twice, as `ladder.fit_model` does: to find each one's best epoch, then on all rows."""
    defaults = ladder.choose_defaults(*parts)
    settings = {"l2": defaults.l2, "unknown_user_dropout": defaults.unknown_user_dropout, "dim": defaults.dim}
    settings |= {"batch_size": defaults.batch_size, "learning_rate": defaults.learning_rate, "seed": seed}
    best = np.zeros(len(COMBINATIONS)), np.zeros(len(COMBINATIONS), int)

    def remember(epoch: int, found: list[Vectors]) -> None:
        for number, model in enumerate(found):
            quality = ladder.quality(model, *parts)
            if quality > best[0][number]:
                best[0][number], best[1][number] = quality, epoch
        if epoch >= best[1].max() + 4:
            raise StopIteration

    with suppress(StopIteration):
        train_repairs(
            learn_vocabulary(parts.train), parts.train, epochs=defaults.max_epochs, after_epoch=remember, **settings
        )
    at_best: dict[str, Vectors] = {}

    def keep(epoch: int, found: list[Vectors]) -> None:
        at_best.update({name_of(COMBINATIONS[number]): found[number] for number in np.flatnonzero(best[1] == epoch)})

    train_repairs(learn_vocabulary(train), train, epochs=int(best[1].max()), after_epoch=keep, **settings)
    print(f"seed {seed}: epochs {dict(zip(map(name_of, COMBINATIONS), best[1].tolist()))}", flush=True)
    return at_best


def rows_of_combinations(data: str, seeds: list[int]) -> Iterator[Rows]:
    """Yield the rows of all combinations for each seed."""
    make, split = DATA[data]
    for seed in seeds:
        start = time.perf_counter()
        how = {"seed": seed} if split is split_at_random else {}
        train, test = split(make(seed), **how)
        found = train_to_their_best(train, split(train, test_share=ladder.VALIDATION_SHARE, **how), seed=seed)
        metrics = {
            name: [row_metrics(one, train, test, name=name)[["hit@10", "squared_error"]]] for name, one in found.items()
        }
        print(f"seed {seed}: {time.perf_counter() - start:.0f} s", flush=True)
        rows = Rows(metrics, test[USER], new_users(train, test))
        yield rows if data == "movielens" else rows._replace(users=f"{seed} " + rows.users)


def main() -> None:
    """Print a table for each data set: the hits of every combination, and what each repair is worth."""
    arguments = asked(__doc__, DATA, store="put the results in the table of notebook 03")
    seeds = arguments.seeds
    for data in arguments.names:
        rows = together(rows_of_combinations(data, seeds))
        metrics = {some: rows.values[name_of(some)][0] for some in COMBINATIONS}
        board = board_of_combinations([metrics], rows.users, rows.new).round(4)
        print(f"\n{data}: seeds {seeds[0]} to {seeds[-1]}\n{board.to_string()}", flush=True)
        if arguments.store:
            store(board.reset_index().assign(data=data), "repairs")


if __name__ == "__main__":
    main()
