"""Layer 4: the exercises of all notebooks by their numbers: `check` an answer, ask for a `hint` or the `solution`.

And the closing challenge: `challenge` and `submit`.
"""

import os
from typing import Any

from recsys_teach import (
    exercises_amazon,
    exercises_data,
    exercises_floor,
    exercises_multitask,
    exercises_ranking,
    exercises_retrieval,
    exercises_scale,
    exercises_serving,
    exercises_towers,
)
from recsys_teach.challenge import challenge as challenge
from recsys_teach.challenge import submit as submit
from recsys_teach.exercise import Exercise, Feedback, Folded

EXERCISES: dict[str, Exercise] = {
    exercise.number: exercise
    for module in (
        *(exercises_data, exercises_towers, exercises_retrieval, exercises_floor, exercises_ranking),
        *(exercises_multitask, exercises_amazon, exercises_serving, exercises_scale),
    )
    for exercise in module.EXERCISES
}
CLOSED = "RECSYS_TEACH_SOLUTIONS"  # set to "closed", or anything but "open", it keeps the solutions folded up


def check(number: str, answer: Any) -> Feedback:
    """Is this answer to the exercise with this number right? If not, what is wrong with it?

    >>> check("01.1", ...).verdict, check("01.1", lambda places, k: (places <= k).mean()).verdict
    ('not attempted', 'right')

    Raises:
        ValueError: there is no exercise with this number.
    """
    return _exercise(number).check(answer)


def hint(number: str) -> Folded:
    """A step towards the solution, to be unfolded."""
    return Folded(f"A hint for {number}", _exercise(number).hint)


def solution(number: str) -> Folded:
    """A right answer, to be unfolded; not where the environment variable `RECSYS_TEACH_SOLUTIONS` is `closed`."""
    exercise = _exercise(number)
    if os.environ.get(CLOSED, "open").strip().lower() not in {"open", ""}:
        return Folded(f"The solution of {number}", "Your teacher has closed the solutions.")
    return Folded(f"The solution of {number}", exercise.source(), code=True)


def _exercise(number: str) -> Exercise:
    try:
        return EXERCISES[number]
    except KeyError:
        raise ValueError(f"there is no exercise {number!r}: there are {', '.join(EXERCISES)}.") from None
