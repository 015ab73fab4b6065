"""The exercises of notebook 09: how long vectors, shuffled enough, shards for workers, how many workers."""

from collections.abc import Callable
from typing import Any

import numpy as np

from recsys_teach.exercises.exercise import Exercise

BATCH, SHARES = np.array([0, 0, 1, 3, 3, 3, 2, 1]), np.array([0.4, 0.3, 0.2, 0.1])
OTHER_BATCH, OTHER_SHARES = np.array([2, 0, 2, 1, 2]), np.array([0.25, 0.15, 0.6])
MEMORIES = (3e6, 1e6, 1.05), (1e6, 3e6, 0.52), (2e6, 2e6, 0.1), (3e6, 1e6, 0.02)  # users, products, GB
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

TWICE = "A shard that two workers read is trained on twice in every epoch: deal each shard out once."
UNREAD = "There are shards that nobody reads: each must be somebody's, however many workers there are."
NO_LIST = "What a worker reads is a list of numbers, and yours returns something else."
NO_SHARD = "Of six shards yours deals out others than 0 to 5. How many there are is an argument: `shards`."
UNEVEN = "Some workers read more shards than others: all should have as many."
THREE = (
    "Three can't share eight shards evenly, nor four six, and yours deals them out all the same: raise a ValueError."
)
BEYOND = "Workers are counted from 0: there is no worker 4 of 4, and yours gives it shards. Raise here as well."
SPEECHLESS = "It raises, and doesn't say why. Who started three workers needs a sentence: what is expected?"


def longest_vectors(users, products, gigabytes):
    """The largest `dim` with which all tables fit into that memory (GB of 10⁹ bytes) in training; 0 if none does."""
    numbers = gigabytes * 1e9 / (4 * 2)
    return max(0, int((numbers - users - 2 * products) // (users + products)))


def same_twice(products, shares):
    """How often two rows of a batch have the same product, as a multiple of what a random sample gives.

    products: the id of each row, `[rows]`, from 0; shares: of all training rows, those of each product, `[products]`.
    """
    counts = np.bincount(products)
    pairs = np.sum(counts * (counts - 1)) / (len(products) * (len(products) - 1))
    return pairs / np.sum(shares**2)


def shards_of(worker, workers, shards):
    """The numbers of the shards, from 0, that this worker reads; a ValueError where they can't be shared out evenly."""
    if shards % workers or not 0 <= worker < workers:
        raise ValueError(f"worker {worker} of {workers} can't share {shards} shards: expected a divisor of {shards}.")
    return list(range(worker, shards, workers))


def workers_needed(hours, steps, computing, sending, waiting):
    """The fewest workers, of 1 to 64, that do an epoch of `steps` steps in `hours` or less; 0 if no number does.

    Milliseconds a step: one takes `computing`; `n` workers computing / n, (n - 1) / n of `sending`, and `waiting`.
    """
    for n in range(1, 65):
        step = computing / n + (sending * (n - 1) / n + waiting if n > 1 else 0)
        if steps * step / 3.6e6 <= hours:
            return n
    return 0


def _deals(answer: Callable) -> Any:
    """The shards of each worker, for each number of shards and workers; its words where that can't be."""
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
    try:
        answer(worker, workers, shards)
    except ValueError as error:
        return str(error)
    return None


def _wrong_deal(result: Any) -> str | None:
    """Many deals are right: what is wrong with this one?"""
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
    """An answer to 09.4 that reckons with `step(n, computing, sending, waiting)`; `best` of the numbers that do."""
    numbers = range(1, 65)
    return lambda hours, steps, *ms: best([n for n in numbers if steps * step(n, *ms) / 3.6e6 <= hours], default=0)


EXERCISES = (
    Exercise(
        number="09.1",
        reference=longest_vectors,
        inputs=MEMORIES,
        mistakes=(
            (lambda u, p, gb: longest_vectors(u, p, 2 * gb), "Adagrad keeps a number for each number: where is it?"),
            (
                lambda u, p, gb: gb * 1e9 / 8 // (u + p),
                "Biases are numbers, too: one of a user, two of a product.",
            ),
            (lambda u, p, gb: max(0, gb * 1e9 / 8 // (u + p) - 1), "A product has two biases, one in each task."),
            (lambda u, p, gb: longest_vectors(u, p, gb * 2**30 / 1e9), "You took 2³⁰, for GiB. A GB is 10⁹ bytes."),
            (lambda u, p, gb: (gb * 1e9 / 8 - u - 2 * p) // (u + p), "Where nothing fits, it isn't less than 0."),
        ),
        hint="Four bytes a number, and Adagrad's: how many numbers fit? Take the biases off, and share out the rest.",
        right="Half as long vectors, nearly twice as many ids: that is often the cheapest way to one machine.",
    ),
    Exercise(
        number="09.2",
        reference=same_twice,
        inputs=((BATCH, SHARES), (OTHER_BATCH, OTHER_SHARES)),
        mistakes=(
            (
                lambda p, s: np.mean(p[:, None] == p) / np.sum(s**2),
                "Each row is compared with itself, too, and agrees.",
            ),
            (
                lambda p, s: same_twice(p, s) * np.sum(s**2),
                "That is how often. How often would a random sample's agree?",
            ),
            (lambda p, s: same_twice(p, s) * (len(p) - 1) / len(p), "A row has n - 1 others beside it, and not n."),
            (lambda p, s: same_twice(p, s) * np.sum(s**2) * len(s), "1 / products would hold if all sold alike."),
        ),
        hint="A product that comes up c times (np.bincount) makes c (c - 1) of the n (n - 1) pairs. Sum them up, and "
        "divide their share by the chance that two random rows agree, which the shares of the products tell.",
        right="A random sample has 1 on average, and logQ corrects for just that. The first eight rows of the check "
        "have 0.6, by luck.",
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
        hint="range(start, stop, step) deals like cards. Evenly: shards % workers is 0.",
        right="Each shard once, everybody as many: like cards, as `stream` deals them, or in blocks, which is as good.",
    ),
    Exercise(
        number="09.4",
        reference=workers_needed,
        inputs=PLANS,
        mistakes=(
            (
                _planner(lambda n, c, s, w: c / n + s * (n - 1) / n),
                "Nobody waits in yours. That is how clusters are sold.",
            ),
            (
                _planner(lambda n, c, s, w: c / n + s * (n - 1) / n + w),
                "One alone has nobody to wait for. Yours waits.",
            ),
            (_planner(lambda n, c, s, w: (c + s + w) / n if n > 1 else c), "Only the computing is divided by n."),
            (_planner(lambda n, c, s, w: c / n + w * (n > 1)), "The sending is missing: (n - 1) / n of it a step."),
            (lambda hours, *plan: workers_needed(hours / 1000, *plan), "An hour has 3.6 million milliseconds."),
            (_planner(lambda n, c, s, w: c / n + (s * (n - 1) / n + w) * (n > 1), max), "Fewer would do it as well."),
        ),
        hint="For n from 1 to 64: milliseconds a step (one alone neither sends nor waits), times the steps, in hours.",
        right="The fewest are the cheapest, too: n workers cost n times their hours, and that only grows with n.",
    ),
)
