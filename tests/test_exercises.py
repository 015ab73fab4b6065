"""Every reference solution is right, every usual mistake gets the words for it, and every stub is not attempted."""

import ast
import inspect
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest

from recsys_teach import exercises
from recsys_teach.exercise import NOT_ATTEMPTED, NOT_YET, RIGHT, Exercise, same

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("0*.ipynb"))
ALL = list(exercises.EXERCISES.values())
MISTAKES = [(exercise, *mistake) for exercise in ALL for mistake in exercise.mistakes]
each_exercise = pytest.mark.parametrize("exercise", ALL, ids=lambda exercise: exercise.number)


@each_exercise
def test_the_reference_is_right(exercise):
    feedback = exercises.check(exercise.number, exercise.reference)
    assert (feedback.verdict, feedback.words) == (RIGHT, exercise.right)


@pytest.mark.parametrize(
    ("exercise", "mistake", "words"),
    MISTAKES,
    ids=[f"{exercise.number} {words[:30]}" for exercise, _, words in MISTAKES],
)
def test_a_usual_mistake_is_told_what_it_is(exercise, mistake, words):
    feedback = exercises.check(exercise.number, mistake)
    assert feedback.verdict == NOT_YET
    assert feedback.words.startswith(words)  # numbers may follow


@each_exercise
def test_it_knows_two_mistakes_or_more_each_with_its_own_words(exercise):
    words = [words for _, words in exercise.mistakes]
    assert len(set(words)) == len(words) >= 2


@each_exercise
def test_a_stub_is_not_attempted(exercise):
    stub = (lambda *_, **__: ...) if callable(exercise.reference) else ...
    assert exercises.check(exercise.number, stub).verdict == NOT_ATTEMPTED
    assert exercises.check(exercise.number, None).verdict == NOT_ATTEMPTED


@each_exercise
def test_an_answer_of_another_kind_is_told_so(exercise):
    nonsense = (lambda *_, **__: "a fish") if callable(exercise.reference) else "a fish"
    assert exercises.check(exercise.number, nonsense).verdict == NOT_YET


def test_numbers_without_gaps_at_least_three_a_notebook():
    for path in NOTEBOOKS:
        own = [number for number in exercises.EXERCISES if number.startswith(path.stem[:2])]
        assert own == [f"{path.stem[:2]}.{place + 1}" for place in range(len(own))]
        assert len(own) >= 3, path.stem


def cells_with_checks(path):
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code" and (
            found := re.search(r'^exercises\.check\("([\d.]+)", (\w+)\)$', cell.source, re.M)
        ):
            yield cell, *found.groups()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_asks_all_of_its_exercises_with_stubs(path):
    numbers = [number for _, number, _ in cells_with_checks(path)]
    assert numbers == [number for number in exercises.EXERCISES if number.startswith(path.stem[:2])]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_stub_is_named_and_described_as_its_reference_and_stored_as_not_attempted(path):
    for cell, number, answer in cells_with_checks(path):
        reference = exercises.EXERCISES[number].reference
        if callable(reference):
            assert answer == reference.__name__
            (stub,) = [node for node in ast.parse(cell.source).body if isinstance(node, ast.FunctionDef)]
            assert ast.get_docstring(stub) == inspect.getdoc(reference)
            assert [argument.arg for argument in stub.args.args] == list(inspect.signature(reference).parameters)
        assert "not attempted" in cell.outputs[-1]["data"]["text/plain"]


PLUS = Exercise(
    number="00.1",
    reference=lambda a, b: a + b,
    probe=lambda answer: answer(2, 3),
    mistakes=((lambda a, b: a * b, "you multiplied <b>"),),
    given="For a = 2 and b = 3",
    hint="add & see",
    right="five",
)


def test_what_a_cell_shows_of_an_answer():
    assert repr(PLUS.check(lambda a, b: 5.0)) == "00.1 right: five"
    assert "you multiplied &lt;b&gt;" in PLUS.check(lambda a, b: 6)._repr_html_()
    assert ">A hint</summary><p>add &amp; see</p>" in PLUS.check(lambda a, b: 6)._repr_html_()
    assert "summary" not in PLUS.check(lambda a, b: 5)._repr_html_()
    assert PLUS.check(lambda a, b: 7).words == (
        "Not right, nor one of the usual mistakes. For a = 2 and b = 3 it gives 7, where 5 is right."
    )
    assert repr(PLUS.check(lambda a, b: ...)) == repr(PLUS.check(...))
    assert repr(PLUS.check(lambda a, b: ...)) == "00.1 not attempted: put your answer in the place of the three dots."
    assert repr(PLUS.check(lambda a, b: None)) == "00.1 not attempted: it returns nothing: a function needs return."
    assert repr(PLUS.check(lambda a, b: [..., ...])) == repr(PLUS.check(...))
    assert repr(PLUS.check(lambda a, b: [None, None])) == repr(PLUS.check(lambda a, b: None))
    assert PLUS.check(lambda a, b: [[1], [1, 2]]).words.endswith("gives [[1], [1, 2]], where 5 is right.")
    assert PLUS.check(lambda a: a).words.startswith("Your answer stopped with TypeError: ")


LIST = Exercise(
    number="00.2", reference=lambda: np.ones((2, 3)), mistakes=(), hint="", right="", probe=lambda answer: answer()
)


def test_an_unforeseen_shape_is_named():
    assert LIST.check(lambda: np.ones((3, 2))).words.endswith("It gives the shape (3, 2), where (2, 3) is right.")
    assert LIST.check(lambda: np.zeros((2, 3))).words.endswith("where [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]] is right.")


def test_hint_and_solution_unfold():
    assert ">A hint for 01.1</summary><p>" in exercises.hint("01.1")._repr_html_()
    shown = exercises.solution("01.1")._repr_html_()
    assert ">The solution of 01.1</summary><pre>def hit_rate(places, k):" in shown
    assert "places &lt;= k" in shown


@pytest.mark.parametrize("word", ["closed", "Closed", "1"])
def test_a_teacher_can_close_the_solutions(word, monkeypatch):
    monkeypatch.setenv(exercises.CLOSED, word)
    assert repr(exercises.solution("01.1")) == "The solution of 01.1:\nYour teacher has closed the solutions."


@pytest.mark.parametrize("function", [exercises.hint, exercises.solution, lambda number: exercises.check(number, 1)])
def test_a_number_that_is_none_names_those_that_are(function):
    with pytest.raises(ValueError, match=r"no exercise '01.9': there are 01.1, 01.2"):
        function("01.9")


def test_results_are_the_same_whatever_holds_them():
    assert same([1, 2.0], np.array([1.0, 2.0]))
    assert same({"a": np.nan}, {"a": float("nan")})
    assert not same([1, 2], [1, 2, 3])
    assert not same(np.ones(2), np.ones((2, 1)))
    assert not same("a", 1)
    assert not same(["1", "2"], [1, 2])
    assert not same({"a": 1}, {"b": 1})
