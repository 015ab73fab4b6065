"""Layer 3: what an exercise is, and what is said about an answer to it.

An exercise knows a right answer and the usual mistakes: answers of the same kind, each with the words that help the
one who made it. An answer is *probed*, mostly by calling it with planted numbers, and what comes out is compared with
what comes out of these.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from recsys_teach.verbatim import without_formulas

NOT_ATTEMPTED, NOT_YET, RIGHT = "not attempted", "not yet", "right"
DOTS = "put your answer in the place of the three dots."
NOTHING = "it returns nothing: a function needs return."
COLOURS = {NOT_ATTEMPTED: "#7F7F7F", NOT_YET: "#E69F00", RIGHT: "#009E73"}


def _itself(answer: Any) -> Any:
    return answer


@dataclass(frozen=True, kw_only=True)
class Exercise:
    """One exercise.

    Args:
        number: of the notebook and the exercise, such as `"03.2"`.
        reference: a right answer, a function or a value.
        mistakes: the usual wrong answers, each with what is said about it.
        hint: a step towards the solution, for one who doesn't know how to begin.
        right: what a right answer means.
        probe: an answer → what of it is compared. It makes its inputs anew each time, for an answer may change them.
        verdict: what came out of the probe → what is wrong with it, None if nothing is. Where there are many right
            answers (a model that is good enough), this takes the place of the comparison.
        given: what the probe gives to an answer, or does with it, as the beginning of a sentence ("For k = 5"): it is
            shown to who makes a mistake that nobody foresaw.
        solution: what is shown as the solution; without it, the source of `reference`.
    """

    number: str
    reference: Any
    mistakes: tuple[tuple[Any, str], ...]
    hint: str
    right: str
    probe: Callable[[Any], Any] = _itself
    verdict: Callable[[Any], str | None] | None = None
    given: str = ""
    solution: str = ""

    def complaint(self, result: Any) -> str | None:
        """What is wrong with an answer of which the probe made `result`; None if nothing is."""
        if self.verdict is not None:
            return self.verdict(result)
        expected = self.probe(self.reference)
        if same(result, expected):
            return None
        for mistake, words in self.mistakes:
            if same(result, self.probe(mistake)):
                return words
        lead = f"{self.given} it" if self.given else "It"
        return f"Not right, nor one of the usual mistakes. {lead} gives {_difference(result, expected)}."

    def check(self, answer: Any) -> "Feedback":
        """What there is to say about this answer."""
        if empty(answer):
            return Feedback(self, NOT_ATTEMPTED, DOTS)
        try:
            result = self.probe(answer)
        except Exception as error:  # whatever a learner's code may raise
            return Feedback(self, NOT_YET, f"Your answer stopped with {type(error).__name__}: {error}")
        if empty(result):
            return Feedback(self, NOT_ATTEMPTED, NOTHING if _none(result) else DOTS)
        words = self.complaint(result)
        return Feedback(self, RIGHT, self.right) if words is None else Feedback(self, NOT_YET, words)

    def source(self) -> str:
        """The solution, to be shown."""
        return self.solution or inspect.getsource(self.reference).strip()


@dataclass(frozen=True)
class Feedback:
    """What is said about an answer; a cell that ends with it shows it. `verdict` is one of the three constants."""

    exercise: Exercise
    verdict: str
    words: str

    def __repr__(self) -> str:
        return f"{self.exercise.number} {self.verdict}: {self.words}"

    def _repr_html_(self) -> str:
        head = f"<b>{self.exercise.number} · {self.verdict}</b>: {escape(self.words)}"
        fold = "" if self.verdict == RIGHT else folded("A hint", self.exercise.hint)
        style = f"border-left: 4px solid {COLOURS[self.verdict]}; padding: 0 1em"
        return without_formulas(f'<div style="{style}">{head}{fold}</div>')


@dataclass(frozen=True)
class Folded:
    """Words, or code, that a page keeps folded until somebody wants to see them."""

    title: str
    text: str
    code: bool = False

    def __repr__(self) -> str:
        return f"{self.title}:\n{self.text}"

    def _repr_html_(self) -> str:
        return without_formulas(folded(self.title, self.text, code=self.code))


def folded(title: str, text: str, *, code: bool = False) -> str:
    """Text, or code, under a title that unfolds it, as HTML."""
    tag = "pre" if code else "p"
    summary = f'<summary style="cursor: pointer; display: list-item">{escape(title)}</summary>'  # with its triangle
    return f"<details>{summary}<{tag}>{escape(text)}</{tag}></details>"


def empty(answer: Any) -> bool:
    """Is there no answer: the dots of a stub, or nothing?"""
    if isinstance(answer, tuple | list) and len(answer):
        return all(empty(part) for part in answer)
    return answer is None or answer is ...


def same(one: Any, other: Any) -> bool:
    """Are two results equal, whatever holds the numbers: a list, an array, a series or a tensor?"""
    if isinstance(one, dict | list | tuple) and isinstance(other, dict | list | tuple):
        if isinstance(one, dict) and isinstance(other, dict):
            return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
        return len(one) == len(other) and all(same(left, right) for left, right in zip(one, other))
    left, right = _array(one), _array(other)
    if left.shape != right.shape:
        return False
    if {left.dtype.kind, right.dtype.kind} <= set("biuf"):
        return bool(np.allclose(left.astype(float), right.astype(float), rtol=1e-4, atol=1e-6, equal_nan=True))
    if (left.dtype.kind in "biuf") != (right.dtype.kind in "biuf"):
        return False  # "1" isn't 1
    return left.astype(str).tolist() == right.astype(str).tolist()


def _none(result: Any) -> bool:
    return all(map(_none, result)) if isinstance(result, tuple | list) else result is None


def _array(result: Any) -> np.ndarray:
    try:
        return np.asarray(result)
    except ValueError:  # parts of different lengths
        return np.array(str(result))


def _difference(result: Any, expected: Any) -> str:
    """Both, side by side, or their shapes, if these differ."""
    one, other = _array(result), _array(expected)
    numbers = {one.dtype.kind, other.dtype.kind} <= set("biuf")
    if numbers and one.shape != other.shape and one.ndim and other.ndim:
        return f"the shape {one.shape}, where {other.shape} is right"
    return f"{_short(result)}, where {_short(expected)} is right"


def _short(result: Any) -> str:
    array = _array(result)
    array = array.round(3) if array.dtype.kind == "f" else array
    text = str(array.tolist() if array.dtype.kind in "biuf" else result)
    return text if len(text) < 160 else text[:157] + "..."
