"""The exercises of notebook 09: losses, GPUs and shuffling; vectors for a memory, random batches, shards, workers."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from recsys_teach.exercises.exercise import Exercise, choice

BATCH, SHARES = np.array([0, 0, 1, 3, 3, 3, 2, 1]), np.array([0.4, 0.3, 0.2, 0.1])
OTHER_BATCH, OTHER_SHARES = np.array([2, 0, 2, 1, 2]), np.array([0.25, 0.15, 0.6])
MEMORIES = (3e6, 1e6, 2.1), (1e6, 3e6, 1.01), (2e6, 2e6, 0.2), (3e6, 1e6, 0.02)  # users, products, GB
# hours, steps, computing, sending, waiting: one does it; four; none, since waiting alone takes 5 hours; 48; 2; 64
PLANS = (
    (2, 1e6, 7.1, 1, 18),
    (1, 1e6, 7.2, 0.4, 1),
    (1, 1e6, 7.2, 0.4, 18),
    (1, 1e6, 100, 0.5, 1),
    (1, 1e6, 4, 3, 0.05),
    (1, 3.6e6, 64, 0, 0),
)
DEALS = (8, (1, 2, 4, 8)), (6, (1, 2, 3, 6))  # shards, and for how many workers

TWICE = "Two workers read the same shard, so every epoch trains on it twice. Give each shard to one worker."
UNREAD = "No worker reads some of the shards. Give each shard to a worker, for every number of workers."
NO_LIST = "Return a list of numbers: the shards that this worker reads. Yours returns something else."
NO_SHARD = "With six shards, yours returns numbers other than 0 to 5. Use the argument `shards`."
UNEVEN = "Some workers read more shards than others. Give the same number to each."
THREE = "Three workers can't divide eight shards evenly, nor four workers six. Raise a ValueError in these cases."
BEYOND = "Workers are numbered from 0, so there is no worker 4 of 4, but yours gives it shards. Raise a ValueError."
SPEECHLESS = "It raises a ValueError without a reason. Say what you expected, so that the user knows what to change."


def longest_vectors(users, products, gigabytes):
    """Return the largest `dim` whose tables fit into that memory (GB of 10⁹ bytes) in training; 0 if none does."""
    numbers = gigabytes * 1e9 / (4 * 2)
    return max(0, int((numbers - users - 2 * products) // (2 * (users + products))))


def same_twice(products, shares):
    """Return how often two rows of a batch have the same product, as a multiple of what a random sample gives.

    products: the id of each row, `[rows]`, from 0; shares: of all training rows, those of each product, `[products]`.
    """
    counts = pd.Series(products).value_counts()
    pairs = (counts * (counts - 1)).sum() / (len(products) * (len(products) - 1))
    return pairs / (shares**2).sum()


def shards_of(worker, workers, shards):
    """Return the numbers of this worker's shards, from 0; raise a ValueError if they can't be divided evenly."""
    if shards % workers or not 0 <= worker < workers:
        raise ValueError(f"worker {worker} of {workers} can't share {shards} shards: expected a divisor of {shards}.")
    return list(range(worker, shards, workers))


def workers_needed(hours, steps, computing, sending, waiting):
    """Return the fewest workers, of 1 to 64, that do an epoch of `steps` steps in `hours`; 0 if no number does.

    Milliseconds a step: one takes `computing`; `n` workers computing / n, (n - 1) / n of `sending`, and `waiting`.
    """
    for n in range(1, 65):
        step = computing / n + (sending * (n - 1) / n + waiting if n > 1 else 0)
        if steps * step / 3.6e6 <= hours:
            return n
    return 0


def _deals(answer: Callable) -> Any:
    """Return the shards of each worker for each of `DEALS`, and what the answer raises where they can't be divided."""
    own = answer(0, 2, 8)
    if isinstance(own, str) or not np.iterable(own):
        return own
    dealt = [
        (shards, [[int(shard) for shard in answer(k, workers, shards)] for k in range(workers)])
        for shards, numbers in DEALS
        for workers in numbers
    ]
    return dealt, [_refusal(answer, 0, 3, 8), _refusal(answer, 0, 4, 6)], _refusal(answer, 4, 4, 8)


def _refusal(answer: Callable, worker: int, workers: int, shards: int) -> str | None:
    """Return the text of the ValueError that the answer raises, or None."""
    try:
        answer(worker, workers, shards)
    except ValueError as error:
        return str(error)
    return None


def _wrong_deal(result: Any) -> str | None:
    """Return what is wrong with these shards, or None: there are many right ways to divide them."""
    if not isinstance(result, tuple):
        return NO_LIST
    dealt, uneven, beyond = result
    for shards, workers in dealt:
        read = [shard for own in workers for shard in own]
        if len(set(read)) < len(read):
            return TWICE
        if set(read) - set(range(shards)):
            return NO_SHARD
        if len(read) < shards:
            return UNREAD
        if len({len(own) for own in workers}) > 1:
            return UNEVEN
    if None in uneven or beyond is None:
        return THREE if None in uneven else BEYOND
    return None if all(len(words.split()) > 3 for words in uneven) else SPEECHLESS


def _first_takes_the_rest(worker, workers, shards):
    return [worker] if worker else [0, *range(workers, shards)]


def _speechless(worker, workers, shards):
    try:
        return shards_of(worker, workers, shards)
    except ValueError:
        raise ValueError from None


def _planner(step: Callable, best: Callable = min) -> Callable:
    """Return an answer to 09.4 that computes with `step(n, computing, sending, waiting)` and takes the `best` n."""
    numbers = range(1, 65)
    return lambda hours, steps, *ms: best([n for n in numbers if steps * step(n, *ms) / 3.6e6 <= hours], default=0)


EXERCISES = (
    choice(
        "09.a",
        right="b",
        hint="How many products does each row's own product compete with, in either batch size?",
        a="A row of the larger batch has 4,095 negatives, the other 255. Its task is harder, so its loss is higher, "
        "even for the same model.",
        b="The number of negatives is part of the loss. An untrained model has about log(256) = 5.5 and "
        "log(4,096) = 8.3. Compare the ranks of both models on the same validation rows instead.",
        c="Both losses are already those of one row. They differ because the softmax is over more products.",
    ),
    choice(
        "09.b",
        right="d",
        hint="What takes the memory here: the rows of a batch, or the tables? And which tables does each worker of a "
        "data parallel training hold?",
        a="A batch takes some megabytes. The tables take 60 GB, whatever the batch size is.",
        b="In data parallel training, each GPU holds all tables. Four GPUs with 24 GB each hold tables of 24 GB.",
        c="These shards are parts of the training rows. They don't change the size of the model.",
        d="Then no GPU has to hold all tables. Shorter vectors, or fewer rows by hashing rare ids, help as well.",
    ),
    choice(
        "09.c",
        right="a",
        hint="What does `shuffle` move here: rows or batches? The order of the two calls decides.",
        a="`batch` comes first, so `shuffle` can only reorder whole batches. Each batch holds one product, or a few, "
        "and its in-batch negatives are worth little. Shuffle first, then batch.",
        b="The buffer holds 10,000 batches and returns them one at a time, each as it is. No row changes its batch.",
        c="That would be `rows.shuffle(10_000).batch(256)`. It is better, but not enough for this file either.",
    ),
    Exercise(
        number="09.1",
        reference=longest_vectors,
        inputs=MEMORIES,
        mistakes=(
            (
                lambda u, p, gb: longest_vectors(u, p, 2 * gb),
                "Adagrad keeps one more number for each number. Count it, too.",
            ),
            (
                lambda u, p, gb: max(0, int((gb * 1e9 / 8 - u - 2 * p) // (u + p))),
                "Each user and product has two vectors: one that both tasks share, and its own for stars.",
            ),
            (
                lambda u, p, gb: gb * 1e9 / 8 // (2 * (u + p)),
                "The biases are missing: a user has one, a product two.",
            ),
            (
                lambda u, p, gb: max(0, (gb * 1e9 / 8 - u - p) // (2 * (u + p))),
                "A product has two biases, one in each task.",
            ),
            (lambda u, p, gb: longest_vectors(u, p, gb * 2**30 / 1e9), "You took 2³⁰ bytes. Here, a GB is 10⁹ bytes."),
            (
                lambda u, p, gb: (gb * 1e9 / 8 - u - 2 * p) // (2 * (u + p)),
                "Yours is negative for a memory that is too small. Return 0 there.",
            ),
        ),
        hint="A number takes 4 bytes, and Adagrad's number takes 4 more. How many numbers fit? Subtract the biases, "
        "and divide the rest by the number of vectors.",
        right="With vectors of half the length, nearly twice as many ids fit. That is often the cheapest way to stay "
        "on one machine.",
    ),
    Exercise(
        number="09.2",
        reference=same_twice,
        inputs=((BATCH, SHARES), (OTHER_BATCH, OTHER_SHARES)),
        mistakes=(
            (
                lambda p, s: np.mean(p[:, None] == p) / np.sum(s**2),
                "You compare each row with itself, too. Count pairs of different rows only.",
            ),
            (
                lambda p, s: same_twice(p, s) * np.sum(s**2),
                "That is how often two rows have the same product. Divide it by how often two random rows do.",
            ),
            (
                lambda p, s: same_twice(p, s) * (len(p) - 1) / len(p),
                "A batch of n rows has n (n - 1) pairs of different rows, and not n².",
            ),
            (
                lambda p, s: same_twice(p, s) * np.sum(s**2) * len(s),
                "You divide by 1 / products. That would be right if all products were bought equally often.",
            ),
        ),
        hint="A product that is in c rows (value_counts of a series counts them) makes c (c - 1) of the n (n - 1) "
        "pairs. Add these up for all products, and divide their share by the probability that two random rows have the "
        "same product.",
        right="A random sample has 1 on average, and the logQ correction assumes that. The first eight rows of the "
        "check have 0.6, by chance.",
    ),
    Exercise(
        number="09.3",
        reference=shards_of,
        probe=_deals,
        verdict=_wrong_deal,
        mistakes=(
            (lambda worker, workers, shards: list(range(shards)), TWICE),
            (lambda worker, workers, shards: shards // workers, NO_LIST),
            (lambda worker, workers, shards: [worker], UNREAD),
            (lambda worker, workers, shards: list(range(worker, 8, workers)), NO_SHARD),
            (_first_takes_the_rest, UNEVEN),
            (lambda worker, workers, shards: list(range(worker, shards, workers)), THREE),
            (lambda worker, workers, shards: shards_of(worker % workers, workers, shards), BEYOND),
            (_speechless, SPEECHLESS),
        ),
        hint="range(start, stop, step) counts in steps. The shards can be divided evenly if shards % workers is 0.",
        right="Each shard has one worker, and all workers read the same number of shards. You may take every n-th "
        "shard, as `stream` does, or blocks of shards.",
    ),
    Exercise(
        number="09.4",
        reference=workers_needed,
        inputs=PLANS,
        mistakes=(
            (
                _planner(lambda n, c, s, w: c / n + s * (n - 1) / n),
                "Several workers also wait in every step: add `waiting`.",
            ),
            (
                _planner(lambda n, c, s, w: c / n + s * (n - 1) / n + w),
                "One worker alone doesn't wait. Add `waiting` only for two or more.",
            ),
            (
                _planner(lambda n, c, s, w: (c + s + w) / n if n > 1 else c),
                "Only the computing is divided by n. Waiting isn't, and the sending is (n - 1) / n of `sending`.",
            ),
            (
                _planner(lambda n, c, s, w: c / n + w * (n > 1)),
                "The sending is missing: add (n - 1) / n of it to each step.",
            ),
            (lambda hours, *plan: workers_needed(hours / 1000, *plan), "An hour has 3.6 million milliseconds."),
            (
                _planner(lambda n, c, s, w: c / n + (s * (n - 1) / n + w) * (n > 1), max),
                "A smaller number of workers is fast enough, too. Return the smallest.",
            ),
        ),
        hint="For each n from 1 to 64, compute the milliseconds of a step (one worker neither sends nor waits). "
        "Multiply them by the number of steps, and convert them to hours.",
        right="The smallest number is also the cheapest: you pay for n workers for the hours of an epoch, and that "
        "grows with n.",
    ),
)
