"""The exercises of all notebooks by their numbers: `check` an answer, read a `hint` or the `solution`.

And the closing challenge: `challenge` and `submit`.
"""

import os
from typing import Any

from recsys_teach.exercises import (
    nb01_data,
    nb02_towers,
    nb03_retrieval,
    nb04_ranking,
    nb05_multitask,
    nb06_movielens,
    nb07_amazon,
    nb08_serving,
    nb09_scale,
    nb10_histories,
    nb11_two_stages,
    nb12_consequences,
)
from recsys_teach.exercises.exercise import Exercise, Feedback, Folded
from recsys_teach.exercises.final_challenge import challenge as challenge
from recsys_teach.exercises.final_challenge import submit as submit

NOTEBOOKS = (
    *(nb01_data, nb02_towers, nb03_retrieval, nb04_ranking),
    *(nb05_multitask, nb06_movielens, nb07_amazon, nb08_serving, nb09_scale),
    *(nb10_histories, nb11_two_stages, nb12_consequences),
)
EXERCISES: dict[str, Exercise] = {exercise.number: exercise for module in NOTEBOOKS for exercise in module.EXERCISES}
CLOSED = "RECSYS_TEACH_SOLUTIONS"  # set to "closed", or anything but "open", it keeps the solutions folded up


def check(number: str, answer: Any) -> Feedback:
    """Check an answer to the exercise with this number; the feedback says what is wrong with it.

    >>> check("01.1", ...).verdict, check("01.1", lambda places, k: (places <= k).mean()).verdict
    ('not attempted', 'right')

    Raises:
        ValueError: there is no exercise with this number.
    """
    return _exercise(number).check(answer)


def hint(number: str) -> Folded:
    """Return a step towards the solution, folded."""
    return Folded(f"A hint for {number}", _exercise(number).hint)


def solution(number: str) -> Folded:
    """Return a right answer, folded; not if the environment variable `RECSYS_TEACH_SOLUTIONS` is `closed`."""
    exercise = _exercise(number)
    if os.environ.get(CLOSED, "open").strip().lower() not in {"open", ""}:
        return Folded(f"The solution of {number}", "Your teacher has closed the solutions.")
    return Folded(f"The solution of {number}", exercise.source(), code=True)


def _exercise(number: str) -> Exercise:
    try:
        return EXERCISES[number]
    except KeyError:
        raise ValueError(f"there is no exercise {number!r}: there are {', '.join(EXERCISES)}.") from None
