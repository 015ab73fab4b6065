"""Exercises: the right answer, the usual mistakes, and the feedback on an answer.

An exercise has a right answer and the usual mistakes: answers of the same kind, each with words that help. An answer
is called with planted inputs, and its results are compared with the results of these. There are two inputs or more
that differ in everything, since a wrong answer may be right for one input by coincidence.
"""

import inspect
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from html import escape
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from recsys_teach._util import escape_math

NOT_ATTEMPTED, NOT_YET, RIGHT = "not attempted", "not yet", "right"
DOTS = "put your answer in the place of the three dots."
NOTHING = "it returns nothing: a function needs return."
COLOURS = {NOT_ATTEMPTED: "#7F7F7F", NOT_YET: "#E69F00", RIGHT: "#009E73"}
LONG = 250  # characters of a value in a sentence


def _itself(answer: Any) -> Any:
    return answer


@dataclass(frozen=True)
class Stopped:
    """The result of an answer that raised an error."""

    error: Exception

    def __repr__(self) -> str:
        return f"{_error(self)}: {self.error}"


@dataclass(frozen=True, kw_only=True)
class Exercise:
    """One exercise.

    Args:
        number: of the notebook and the exercise, such as `"03.2"`.
        reference: a right answer, a function or a value.
        mistakes: the usual wrong answers, each with its feedback.
        hint: a step towards the solution, for learners who don't know how to begin.
        right: what a right answer means.
        inputs: the arguments of each call of an answer. An answer gets copies, since it may change them.
        look: takes the result of a call, and returns the part of it that is compared.
        probe: takes an answer, and returns what is compared, if calling it with `inputs` isn't enough.
        also: other right answers with another result, if the exercise leaves a choice.
        verdict: takes the result of the probe, and returns what is wrong with it, or None. It replaces the comparison
            where there are many right answers, such as any model that is good enough.
        given: how a result was looked at or probed, for a sentence ("after a softmax of each row").
        solution: text of the solution; without it, the source of `reference`.
    """

    number: str
    reference: Any
    mistakes: tuple[tuple[Any, str], ...]
    hint: str
    right: str
    inputs: tuple[tuple[Any, ...], ...] = ()
    look: Callable[[Any], Any] = _itself
    probe: Callable[[Any], Any] = _itself
    also: tuple[Any, ...] = ()
    verdict: Callable[[Any], str | None] | None = None
    given: str = ""
    solution: str = ""

    def results(self, answer: Any) -> list[Any]:
        """Return the results of an answer: one for each of the inputs, or the one of the probe."""
        if not self.inputs:
            return [_attempt(self.probe, answer)]
        return [self._looked_at(_attempt(answer, *deepcopy(given))) for given in self.inputs]

    def _looked_at(self, result: Any) -> Any:
        if empty(result) or isinstance(result, Stopped):
            return result
        looked = _attempt(self.look, result)
        return result if isinstance(looked, Stopped) else looked  # a result of another kind is compared as it is

    def complaint(self, results: list[Any]) -> str | None:
        """Return what is wrong with an answer that has these results, or None."""
        if self.verdict is not None:
            return _stop(results[0]) if isinstance(results[0], Stopped) else self.verdict(results[0])
        if any(same(results, self.results(right)) for right in (self.reference, *self.also)):
            return None
        for mistake, words in self.mistakes:
            if same(results, self.results(mistake)):
                return words
        return self._unforeseen(results)

    def _unforeseen(self, results: list[Any]) -> str:
        """Return what the answer gives for the first input for which it isn't right."""
        expected = self.results(self.reference)
        place = next(place for place, result in enumerate(results) if not same(result, expected[place]))
        given = zip(inspect.signature(self.reference).parameters, self.inputs[place]) if self.inputs else ()
        call = ", ".join(f"{name} = {_planted(value)}" for name, value in given)
        if isinstance(results[place], Stopped):
            instead = f", where a {_error(expected[place])} is right" if isinstance(expected[place], Stopped) else ""
            return _stop(results[place]) + instead + (f" (for {call})" if call else "")
        lead = (f"For {call} it gives" if call else "It gives") + (f", {self.given}," if self.given else "")
        return f"Not right, nor one of the usual mistakes. {lead} {_difference(results[place], expected[place])}."

    def check(self, answer: Any) -> "Feedback":
        """Return the feedback on this answer."""
        if empty(answer):
            return Feedback(self, NOT_ATTEMPTED, DOTS)
        results = self.results(answer)
        if empty(results):
            return Feedback(self, NOT_ATTEMPTED, NOTHING if _none(results) else DOTS)
        words = self.complaint(results)
        return Feedback(self, RIGHT, self.right) if words is None else Feedback(self, NOT_YET, words)

    def source(self) -> str:
        """Return the text of the solution."""
        return self.solution or inspect.getsource(self.reference).strip()


def choice(number: str, *, right: str, hint: str, **answers: str) -> Exercise:
    """Return a question with several answers, of which one is right: `answers` explains each by its letter."""
    wrong = {letter: words for letter, words in answers.items() if letter != right}
    letters = ", ".join(f'"{letter}"' for letter in answers)
    return Exercise(
        number=number,
        reference=right,
        mistakes=tuple(wrong.items()),
        hint=hint,
        right=answers[right],
        probe=lambda answer: str(answer).strip().lower(),
        verdict=lambda letter: None if letter == right else wrong.get(letter, f"Answer with one of {letters}."),
    )


@dataclass(frozen=True)
class Feedback:
    """The feedback on an answer, shown by a cell that ends with it; `verdict` is one of the three constants."""

    exercise: Exercise
    verdict: str
    words: str

    def __repr__(self) -> str:
        return f"{self.exercise.number} {self.verdict}: {self.words}"

    def _repr_html_(self) -> str:
        head = f"<b>{self.exercise.number} · {self.verdict}</b>: {escape(self.words)}"
        fold = "" if self.verdict == RIGHT else folded("A hint", self.exercise.hint)
        style = f"border-left: 4px solid {COLOURS[self.verdict]}; padding: 0 1em"
        return escape_math(f'<div style="{style}">{head}{fold}</div>')


@dataclass(frozen=True)
class Folded:
    """Text or code that a page shows folded."""

    title: str
    text: str
    code: bool = False

    def __repr__(self) -> str:
        return f"{self.title}:\n{self.text}"

    def _repr_html_(self) -> str:
        return escape_math(folded(self.title, self.text, code=self.code))


def folded(title: str, text: str, *, code: bool = False) -> str:
    """Return text or code under a title that unfolds it, as HTML."""
    tag = "pre" if code else "p"
    summary = f'<summary style="cursor: pointer; display: list-item">{escape(title)}</summary>'  # with its triangle
    return f"<details>{summary}<{tag}>{escape(text)}</{tag}></details>"


def empty(answer: Any) -> bool:
    """Return whether an answer is missing: the dots of a stub, or None."""
    if isinstance(answer, tuple | list) and len(answer):
        return all(empty(part) for part in answer)
    return answer is None or answer is ...


def same(one: Any, other: Any) -> bool:
    """Return whether two results are equal, be they lists, arrays, series or tensors."""
    if isinstance(one, Stopped) or isinstance(other, Stopped):
        return isinstance(one, Stopped) and isinstance(other, Stopped) and type(one.error) is type(other.error)
    one, other = (list(each) if _holds_objects(each) else each for each in (one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(same(left, right) for left, right in zip(one, other))
    left, right = _array(one), _array(other)
    if left.shape != right.shape or _kind(left) != _kind(right):  # "1" isn't 1
        return False
    if _kind(left) == "number":
        return bool(np.allclose(left.astype(float), right.astype(float), rtol=1e-4, atol=1e-6, equal_nan=True))
    return left.astype(str).tolist() == right.astype(str).tolist()


def _holds_objects(result: Any) -> bool:
    return isinstance(result, np.ndarray | pd.Series) and result.ndim > 0 and result.dtype == object


def _none(result: Any) -> bool:
    return all(map(_none, result)) if isinstance(result, tuple | list) else result is None


def _attempt(function: Callable, *given: Any) -> Any:
    try:
        return function(*given)
    except Exception as error:  # whatever a learner's code may raise
        return Stopped(error)


def _error(stopped: Stopped) -> str:
    return type(stopped.error).__name__


def _stop(stopped: Stopped) -> str:
    return f"Your answer stopped with {stopped}"


def _array(result: Any) -> np.ndarray:
    """Return a result as an array; numbers and texts in an array of objects get their own type."""
    try:
        array = np.asarray(result)
    except ValueError:  # parts of different lengths
        array = np.empty((), object)
        array[()] = result
    if array.dtype.kind == "O":
        parts = array.ravel().tolist()
        if all(isinstance(part, Real | np.bool_) for part in parts):
            return array.astype(float)
        if all(isinstance(part, str | bytes) for part in parts):
            return array.astype(str)
    return array


def _kind(array: np.ndarray) -> str:
    return "number" if array.dtype.kind in "biuf" else "text" if array.dtype.kind in "US" else "object"


def _difference(result: Any, expected: Any) -> str:
    """Return both results side by side, or how types or shapes differ; of long ones, the first part that differs."""
    if isinstance(expected, Stopped):
        return f"{_cut(_short(result, 3))}, where a {_error(expected)} is right"
    arrays = _array(result), _array(expected)
    kinds = {_kind(array) for array in arrays}
    if kinds == {"number", "text"}:  # '0.6' and 0.6
        return "{}, where {} right".format(_named(arrays[0]), _named(arrays[1]) + (" are" if arrays[1].ndim else " is"))
    if kinds == {"number"} and arrays[0].shape != arrays[1].shape:
        shapes = [f"the shape {array.shape}" if array.ndim else "a single number" for array in arrays]
        return f"{shapes[0]}, where {shapes[1]} is right"
    pairs = ([_short(each, digits) for each in (result, expected)] for digits in range(3, 17))
    texts = next((pair for pair in pairs if pair[0] != pair[1]), ["something else", _short(expected)])
    if "object" in kinds or max(map(len, texts)) > LONG:
        parts = [_parts(each) for each in (result, expected)]
        if parts[0] and len(parts[0]) == len(parts[1]):
            place = next(place for place, pair in enumerate(zip(*parts)) if not same(*pair))
            inner = _difference(parts[0][place], parts[1][place])
            return f"at [{place}]{inner[3:]}" if inner.startswith("at [") else f"at [{place}] {inner}"
    return f"{_cut(texts[0])}, where {_cut(texts[1])} is right"


def _named(array: np.ndarray) -> str:
    name = "boolean" if array.dtype.kind == "b" else _kind(array)
    return f"the {name}{'s' if array.ndim else ''} {_cut(_short(array, 3))}"


def _parts(result: Any) -> list[Any]:
    return list(result) if isinstance(result, list | tuple) else list(array) if (array := _array(result)).ndim else []


def _short(result: Any, digits: int | None = None) -> str:
    """Return a result in one line, rounded to this number of digits."""
    array = _array(result)
    if array.dtype.kind == "f" and digits is not None:
        array = array.astype(float).round(digits)
    return " ".join(repr(array.tolist()).split())


def _cut(text: str) -> str:
    return text if len(text) <= LONG else f"{text[:LONG]}…"


def _planted(value: Any) -> str:
    """Return an input in one line."""
    if isinstance(value, pd.DataFrame):
        numbered = isinstance(value.index, pd.RangeIndex) and value.index.name is None
        value = (value if numbered else value.reset_index()).to_dict("list")
    value = value.to_dict() if isinstance(value, pd.Series) else value
    return _cut(_short(value))
