"""One model and a stack of eleven, trained in turns on the default generated shop: `python benchmarks/sweep_time.py`.

It fails if the stack takes more than 2.5 times as long, or if the pair (0.4, 1) in it isn't the model trained alone.
Both start from scratch each time, so the tracing of their graphs is part of what is timed.
"""

import statistics
import sys
import time

import pandas as pd

from recsys_teach.backend import tf
from recsys_teach.features import Vocabulary, learn_vocabulary
from recsys_teach.heads import FactorHead
from recsys_teach.multitask import MultitaskModel
from recsys_teach.scoreboard import scoreboard
from recsys_teach.shop import generate_shop
from recsys_teach.splits import split_at_random
from recsys_teach.stacking import StackedModel
from recsys_teach.sweep import Factors
from recsys_teach.towers import ProductTower, UserTower
from recsys_teach.training import train_model

ROUNDS, MOST_TIMES, MOST_DIFFERENCE = 5, 2.5, 1e-3
PAIR = (0.4, 1.0)
WEIGHTS = [(0.0, 1.0), *((2.0**power, 1.0) for power in range(-6, 2)), PAIR, (1.0, 0.0)]  # 11 pairs
CORRECTIONS = {"log_q": True, "remove_accidental_hits": True, "product_bias": True, "l2": 0.1}  # nobody is forgotten:
# which users would be is drawn anew by every model, and then no two are the same


def untrained(vocabulary: Vocabulary) -> MultitaskModel:
    """The ladder's multitask model, always of the same first parameters."""
    tf.keras.utils.set_random_seed(0)
    towers = UserTower(vocabulary), ProductTower(vocabulary)
    weights = dict(zip(("rating_weight", "retrieval_weight"), PAIR))
    return MultitaskModel(*towers, **weights, head=FactorHead(vocabulary), **CORRECTIONS)


def main() -> None:
    """Print the medians of the times and of their ratios, and how far apart the two models of one pair are."""
    train, test = split_at_random(generate_shop().reviews, seed=0)
    vocabulary = learn_vocabulary(train)
    seconds: list[tuple[float, float]] = []
    furthest = pd.Series(0.0, ["hit@10", "rmse"])
    for number in range(1 + ROUNDS):  # the first one is to warm up
        models, times = [], []
        for build in (untrained, lambda words: StackedModel(untrained(words), WEIGHTS)):
            start = time.perf_counter()
            models.append(build(vocabulary))
            train_model(models[-1], train, epochs=6, batch_size=256)
            times.append(time.perf_counter() - start)
        alone, stack = models
        tables = (table[WEIGHTS.index(PAIR)] for table in stack.tables())
        head = alone.ranking.head
        same = Factors(vocabulary.users, vocabulary.products, *tables, head.mean, head.spread * head.scale)
        board = scoreboard({"alone": alone, "in the stack": same}, train, test)[furthest.index]
        furthest = furthest.combine(board.diff().iloc[-1].abs(), max)
        seconds += [tuple(times)] if number else []
    one, eleven = (statistics.median(column) for column in zip(*seconds))
    ratio = statistics.median(stack / alone for alone, stack in seconds)
    print(f"median of {ROUNDS}: one model {one:.2f} s, a stack of {len(WEIGHTS)} {eleven:.2f} s; ratio {ratio:.2f}")
    print(f"largest differences of {PAIR}: hit@10 {furthest['hit@10']:.6f}, rmse {furthest['rmse']:.6f}")
    if ratio > MOST_TIMES or furthest.max() > MOST_DIFFERENCE:
        sys.exit(f"expected a ratio of {MOST_TIMES} and differences of {MOST_DIFFERENCE} at the most")


if __name__ == "__main__":
    main()
