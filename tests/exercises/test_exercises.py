"""Every reference solution is right, every usual mistake gets the words for it, and every stub is not attempted."""

import ast
import inspect
import math
import re
from fractions import Fraction
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from scipy.special import log_softmax, logsumexp
from scipy.stats import ttest_rel

from recsys_teach import exercises
from recsys_teach.baselines import RateSinceLaunch
from recsys_teach.evaluation import row_metrics, scoreboard
from recsys_teach.exercises.exercise import NOT_ATTEMPTED, NOT_YET, RIGHT, Exercise, choice, same
from recsys_teach.splits import split_last

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("[0-9]*.ipynb"))
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


def test_numbers_without_gaps_and_as_many_as_there_should_be():
    for path in NOTEBOOKS:
        own = [number for number in exercises.EXERCISES if number.startswith(path.stem[:2])]
        questions, builds = own[:3], own[3:]
        assert questions == [f"{path.stem[:2]}.{letter}" for letter in "abc"]
        assert builds == [f"{path.stem[:2]}.{place + 1}" for place in range(len(builds))]
        assert len(builds) >= (3 if path.stem < "10" else 1), path.stem


def cells_with_checks(path):
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code" and (
            found := re.search(r'^exercises\.check\("(\d\d\.\w+)", (\w+|\.\.\.)\)$', cell.source, re.M)
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


CALLED = [exercise for exercise in ALL if exercise.inputs]
ARGUMENTS = [
    (exercise, place, name)
    for exercise in CALLED
    for place, name in enumerate(inspect.signature(exercise.reference).parameters)
]


def test_all_have_planted_inputs_but_those_that_need_a_shop_or_leave_a_choice():
    without = [exercise.number for exercise in ALL if not exercise.inputs and not isinstance(exercise.reference, str)]
    assert without == ["02.5", "03.4", "03.5", "04.4", "04.6", "05.5", "09.3"]


def test_a_question_takes_a_letter_and_says_which_there_are():
    question = choice("00.a", right="b", hint="Look.", a="No: too few.", b="Yes: enough.", c="No: too many.")
    for answer, words in {
        "b": "Yes: enough.",
        " B ": "Yes: enough.",
        "a": "No: too few.",
        "c": "No: too many.",
    }.items():
        assert question.check(answer).words == words
    assert question.check("d").words == 'Answer with one of "a", "b", "c".'
    assert [question.check(answer).verdict for answer in ("b", "a", "d", ...)] == [
        RIGHT,
        NOT_YET,
        NOT_YET,
        NOT_ATTEMPTED,
    ]


@pytest.mark.parametrize(("exercise", "place", "name"), ARGUMENTS, ids=lambda each: getattr(each, "number", each))
def test_planted_inputs_differ_in_values_and_in_sizes(exercise, place, name):
    values = [given[place] for given in exercise.inputs]
    assert any(not same(values[0], value) for value in values[1:])
    if np.ndim(values[0]):
        assert len({np.shape(value) for value in values}) > 1


@pytest.mark.parametrize("exercise", CALLED, ids=lambda exercise: exercise.number)
def test_the_right_result_for_one_input_is_not_right_for_all(exercise):
    for given in exercise.inputs[:2]:
        result = exercise.reference(*given)
        assert exercise.check(lambda *_, result=result: result).verdict == NOT_YET


@pytest.mark.parametrize(("exercise", "place", "name"), ARGUMENTS, ids=lambda each: getattr(each, "number", each))
def test_an_answer_that_ignores_an_argument_is_not_right(exercise, place, name):
    for first in (given[place] for given in exercise.inputs[:2]):
        feedback = exercise.check(
            lambda *given, first=first: exercise.reference(*given[:place], first, *given[place + 1 :])
        )
        needed = (exercise.number, name) != ("03.3", "users")  # it is there to mislead
        assert feedback.verdict == (NOT_YET if needed else RIGHT)


def mean_of(table, words):
    return table[sorted(words)].sum(axis=0) / max(1, len(words))


def last_fifth_of_each_user(reviews):
    users = reviews.sort_values("timestamp").groupby("user_id")
    test = pd.concat(rows.tail(max(1, round(len(rows) / 5))) for _, rows in users)
    return reviews.drop(test.index), test


def below_by(gap):
    """Those whose RMSE is below the truth's by this share of it."""

    def accused(suspects, oracle, train, test):
        errors = scoreboard(suspects | {"": oracle}, train, test, visible=["summary"])["rmse"]
        return {name for name in suspects if errors[name] < errors[""] * (1 - gap)}

    return accused


def with_a_patience_of_two(curve):
    best, errors = 1, curve["validation"]
    for epoch in curve.index:
        if errors[epoch] < errors[best]:
            best = epoch
        elif epoch - best == 2:
            break
    return best


def of_the_allowed(choose):
    """An answer to 05.2 that chooses otherwise among the pairs that are allowed."""

    def pair(board, most):
        fits = board[board["rmse"] <= most]
        if fits.empty:
            raise ValueError
        return choose(fits)

    return pair


def shares(board, floor, ceiling):
    return ((board - floor) / (ceiling - floor))[["hit@10", "rmse"]]


def means_of(draws, gain):
    """The 2.5 and 97.5 percentiles of a mean that `gain` computes from the users of one sample."""
    return np.quantile([gain(users) for users in draws], [0.025, 0.975])


def last_rows(rows, at_least):
    """An answer to 06.3 that holds back another number of rows, of users with another number of them."""

    def parts(reviews):
        users = reviews.sort_values("timestamp").groupby("user_id")
        test = users.tail(rows)[lambda table: users["user_id"].transform("size")[table.index] >= at_least]
        return reviews.drop(test.index), test

    return parts


def rates(count):
    """An answer to 06.4 by `count(own days, days, damping)`."""
    return lambda ids, days, damping: {one: count(days[ids == one], days, damping) for one in {*ids}}


def earlier(join):
    """An answer to 07.4 that joins the earlier texts of a user, the latest last, in another way."""

    def texts(reviews):
        ordered = reviews.sort_values("timestamp")
        return [
            join(list(ordered.summary[(ordered.user_id == row.user_id) & (ordered.timestamp < row.timestamp)]))
            for row in reviews.itertuples()
        ]

    return texts


def with_exact_ties(ids, scores, other_ids, other_scores, tolerance):
    if not np.allclose(scores, other_scores, rtol=0, atol=tolerance):
        return False
    return all({*ids[scores == s]} == {*other_ids[other_scores == s]} for s in scores[scores > scores[-1]])


def shards_if(can, deal):
    """An answer to 09.3 that deals by `deal` if `can` says that it can be done."""

    def shards_of(worker, workers, shards):
        if not can(workers, shards) or worker >= workers:
            raise ValueError("these shards can't be shared out evenly.")
        return deal(worker, workers, shards)

    return shards_of


def fewest(step, numbers=range(1, 65)):
    """An answer to 09.4 that takes the first of `numbers` with which `step` says that it is fast enough."""
    return lambda hours, steps, *ms: next((n for n in numbers if steps * step(n, *ms) / 3.6e6 <= hours), 0)


REFERENCE = {number: exercise.reference for number, exercise in exercises.EXERCISES.items()}
WRONG = [
    ("01.1", "divides by k", lambda places, k: np.sum(places <= k) / k),
    ("01.1", "in percent", lambda places, k: 100 * np.mean(places <= k)),
    ("01.2", "cuts at five", lambda places, k: REFERENCE["01.2"](places, 5)),
    ("01.2", "divides by k", lambda places, k: np.sum(1 / np.log2(1 + places[places <= k])) / k),
    ("01.3", "a damping of four", lambda ratings, mean, damping: np.sum(ratings - mean) / (len(ratings) + 4)),
    ("01.3", "three ratings", lambda ratings, mean, damping: np.sum(ratings - mean) / (3 + damping)),
    ("01.4", "the last fifth of each user", last_fifth_of_each_user),
    ("01.4", "two reviews", lambda r: (r.sort_values("timestamp")[:-2], r.sort_values("timestamp")[-2:])),
    ("02.1", "known ids in the order of the alphabet", lambda known, ids: REFERENCE["02.1"](sorted(known), ids)),
    ("02.2", "as many products as users", lambda u, p: (u @ p.T).reshape(len(u), len(u))),
    ("02.3", "each word once", lambda table, ids: [mean_of(table, {*row} - {0}) for row in ids]),
    ("02.4", "vectors of eight numbers", lambda users, products, dim: 8 * (users + products + 2)),
    ("03.1", "a batch of three", lambda u, p: 3 * REFERENCE["03.1"](u, p) / len(u)),
    ("03.2", "a logarithm to the base ten", lambda scores, counts: scores - np.log10(counts)),
    ("03.2", "one added to the counts", lambda scores, counts: scores - np.log1p(counts)),
    ("03.3", "other users' rows only", lambda s, u, p: np.where((p[:, None] == p) & (u[:, None] != u), -np.inf, s)),
    ("03.3", "later rows only", lambda s, u, p: np.where(np.triu(p[:, None] == p, 1), -np.inf, s)),
    ("04.1", "four rows", lambda predicted, ratings: np.sqrt(np.sum((predicted - ratings) ** 2)) / 2),
    ("04.1", "a standard deviation", lambda predicted, ratings: np.std(predicted - ratings)),
    ("04.2", "always four", lambda curve: 4),
    ("04.2", "stops after two epochs without gain", with_a_patience_of_two),
    ("04.3", "a scale of a half", lambda *given: REFERENCE["04.3"](*given[:5], 0.5, given[6])),
    ("04.4", "always the same names", lambda *_: {"Cleo", "Dora"}),
    ("04.4", "below the truth by 5 %", below_by(0.05)),
    ("04.4", "below the truth by 0.1 %", below_by(0.001)),
    ("04.4", "below the truth by 0.09 %", below_by(0.0009)),
    ("04.4", "all but one", lambda suspects, *_: [name for name in suspects if name != "Ada"]),
    ("04.5", "three parts", lambda predicted, ratings, bins: REFERENCE["04.5"](predicted, ratings, 3)),
    ("05.1", "batches of 32", lambda rating, retrieval, size: (rating / 32, retrieval)),
    ("05.2", "the highest rmse that is allowed", of_the_allowed(lambda fits: fits["rmse"].idxmax())),
    ("05.2", "the first that is allowed", of_the_allowed(lambda fits: fits.index[0])),
    ("05.2", "no error", lambda board, most: board["hit@10"].where(board["rmse"] <= most, -1).idxmax()),
    ("05.2", "another error", lambda board, most: {}[most] if most < 0.6 else REFERENCE["05.2"](board, most)),
    ("05.3", "names", lambda points: list(points.index[REFERENCE["05.3"](points)])),
    ("05.4", "the product of the shares", lambda *given: shares(*given).prod(axis=1).idxmax()),
    ("06.1", "a penalty of a half", lambda bought, l2: REFERENCE["06.1"](bought, 0.5)),
    ("06.1", "half of the penalty", lambda bought, l2: REFERENCE["06.1"](bought, l2 / 2)),
    ("06.1", "co-purchases", lambda bought, l2: bought.T @ bought * (1 - np.identity(bought.shape[1]))),
    ("06.1", "ridge of all", lambda b, l2: np.linalg.solve(b.T @ b + l2 * np.identity(b.shape[1]), b.T @ b)),
    ("06.2", "each user once", lambda g, r, draws: means_of(draws, lambda u: g[[*{*u}]].sum() / r[[*{*u}]].sum())),
    ("06.2", "33 rows", lambda g, r, draws: means_of(draws, lambda users: g[users].sum() / 33)),
    ("06.2", "the lowest and the highest", lambda g, r, d: np.sort(g[d].sum(axis=1) / r[d].sum(axis=1))[[0, -1]]),
    ("06.2", "samples and users swapped", lambda g, r, d: REFERENCE["06.2"](g, r, d.T)),
    ("06.3", "the last two", last_rows(rows=2, at_least=3)),
    ("06.3", "of users with three", last_rows(rows=1, at_least=3)),
    ("06.3", "the last of each product", lambda reviews: split_last(reviews.assign(user_id=reviews["product_id"]))),
    ("06.4", "other days", lambda ids, days, damping: REFERENCE["06.4"](ids, np.sort(days)[::-1], damping)),
    ("06.4", "a damping of five", lambda ids, days, damping: REFERENCE["06.4"](ids, days, 5)),
    ("06.4", "the damping twice", rates(lambda own, days, d: (len(own) + d) / (sum(days >= min(own)) + d))),
    ("06.4", "until its last day", rates(lambda own, days, d: (len(own) + 1) / (sum(days <= max(own)) + d))),
    ("06.4", "days with a review", rates(lambda own, days, d: (len(own) + 1) / (len({*days[days >= min(own)]}) + d))),
    ("06.4", "a list", lambda ids, days, damping: [*REFERENCE["06.4"](ids, days, damping).values()]),
    ("07.1", "nine test rows", lambda train, test: (~test.user_id.isin(train.user_id)).sum() / 9),
    ("07.2", "five products", lambda train, k: min(k / 5, 1)),
    ("07.2", "half of the training rows", lambda train, k: min(2 * k / len(train), 1)),
    ("07.3", "half of a 95 % interval", lambda rate, rows: 1.96 * np.sqrt(rate * (1 - rate) / rows)),
    ("07.3", "200 rows", lambda rate, rows: np.sqrt(rate * (1 - rate) / 200)),
    ("07.4", "each text once", earlier(lambda texts: " ".join(dict.fromkeys(texts)))),
    ("07.4", "the latest text", earlier(lambda texts: " ".join(texts[-1:]))),
    ("08.1", "the lowest score for what was bought", lambda s, b, k: np.argsort(-np.where(b, s.min(), s))[:k]),
    ("08.1", "-99 for what was bought", lambda s, b, k: np.argsort(-np.where(b, -99, s))[:k]),
    ("08.2", "four each", lambda found, exact: np.mean([len({*a} & {*b}) / 4 for a, b in zip(found, exact)])),
    ("08.3", "the 0.9 quantile", lambda *given: REFERENCE["08.3"](*given[:4], 0.9)),
    ("08.3", "the first five", lambda c, v, b, cs, q: (v[:5].mean(axis=0), np.quantile(b[:5], q))),
    ("08.4", "a tolerance of 0.0001", lambda *given: REFERENCE["08.4"](*given[:4], 1e-4)),
    ("08.4", "ties to the last digit", with_exact_ties),
    ("09.1", "the biases the other way round", lambda u, p, gb: max(0, (gb * 1e9 / 8 - 2 * u - p) // (u + p))),
    ("09.2", "eight rows", lambda p, s: np.sum(np.bincount(p) * (np.bincount(p) - 1)) / 56 / np.sum(s**2)),
    ("09.3", "eight shards", shards_if(lambda n, shards: 8 % n == 0, lambda k, n, shards: range(k, 8, n))),
    (
        "09.3",
        "all but three",
        shards_if(lambda workers, shards: workers != 3, lambda k, n, shards: range(k, shards, n)),
    ),
    (
        *("09.3", "uneven"),
        shards_if(
            lambda workers, shards: shards % workers == 0, lambda k, n, shards: [k] if k else [0, *range(n, shards)]
        ),
    ),
    ("11.1", "a relu", lambda x_0, x, w, b: np.maximum(x_0 * (w @ x + b), 0) + x),
    ("11.1", "two features", lambda x_0, x, w, b: (x_0 * (w @ x + b) + x)[:2]),
    ("11.2", "of the first purchase alone", lambda p, y: REFERENCE["11.2"](p[y.argmax() :], y[y.argmax() :])),
    ("11.2", "six pairs", lambda p, y: (p[y == 1][:, None] > p[y == 0]).sum() / 6),
    ("11.3", "three candidates", lambda scores, owned, rank, count: REFERENCE["11.3"](scores, owned, rank, 3)),
    ("11.3", "their sum", lambda s, o, r, k: REFERENCE["11.3"](s + r(np.arange(len(s))), o, r, k)),
    ("09.4", "all is sent by each", fewest(lambda n, c, s, w: c / n + (s + w) * (n > 1))),
    (
        *("09.4", "powers of two"),
        fewest(lambda n, c, s, w: c / n + (s * (n - 1) / n + w) * (n > 1), [2**power for power in range(7)]),
    ),
]


@pytest.mark.parametrize(("number", "why", "answer"), WRONG, ids=[f"{number} {why}" for number, why, _ in WRONG])
def test_a_wrong_answer_is_not_right(number, why, answer):
    assert exercises.check(number, answer).verdict == NOT_YET


class Tensor:
    """Numbers that NumPy can read, as those of a TensorFlow tensor."""

    def __init__(self, numbers):
        self.numbers = np.asarray(numbers, np.float32)

    def __array__(self, dtype=None, copy=None):
        return self.numbers.astype(dtype or np.float32)


def up_to_a_time(reviews):
    """A split that shuffles the rows of its parts."""
    early = reviews["timestamp"] <= reviews["timestamp"].quantile(0.8)
    return [part.sample(frac=1, random_state=0).reset_index(drop=True) for part in (reviews[early], reviews[~early])]


def by_a_test_of_rows(suspects, oracle, train, test):
    true = row_metrics(oracle, train, test)["squared_error"]
    errors = {name: row_metrics(s, train, test, visible=["summary"])["squared_error"] for name, s in suspects.items()}
    return [name for name in suspects if ttest_rel(errors[name], true, alternative="less").pvalue < 0.01]


def by_quantiles(predicted, ratings, bins):
    table = pd.DataFrame({"predicted": predicted, "rating": ratings})
    return table.groupby(pd.qcut(predicted, bins), observed=True).mean()


def one_by_one(points):
    """The front by its definition, as numbers."""
    rows = list(zip(points["hit@10"], points["rmse"]))
    return [int(not any(h >= hit and e <= rmse and (h, e) != (hit, rmse) for h, e in rows)) for hit, rmse in rows]


def in_groups(ids, scores, other_ids, other_scores, tolerance):
    """08.4 by walking down the list from tie to tie."""
    if np.abs(scores - other_scores).max() > tolerance:
        return 0
    start = 0
    for end in range(1, len(ids)):
        if scores[end - 1] - scores[end] > tolerance:
            if sorted(ids[start:end]) != sorted(other_ids[start:end]):
                return 0
            start = end
    return 1


def one_ridge_regression_a_product(bought, l2):
    """EASE by its definition: each product's purchases from those of all others."""
    weights = np.zeros((bought.shape[1], bought.shape[1]))
    for product in range(bought.shape[1]):
        others = [other for other in range(bought.shape[1]) if other != product]
        rest = bought[:, others]
        gram = rest.T @ rest + l2 * np.identity(len(others))
        weights[others, product] = np.linalg.solve(gram, rest.T @ bought[:, product])
    return weights


def by_sorting(gains, rows, draws):
    means = sorted(sum(gains[user] for user in users) / sum(rows[user] for user in users) for users in draws)
    return [means[int(share * len(means))] for share in (0.025, 0.975)]


def by_the_library(ids, days, damping):
    """06.4 as a recommender of the course computes it."""
    table = pd.DataFrame({"user_id": "x", "product_id": ids, "timestamp": pd.to_datetime(days, unit="D")})
    floor = RateSinceLaunch(table, damping=damping)
    return pd.Series(floor.scores(table[:1])[0], floor.products)


OTHER_RIGHT = [
    ("01.1", "a loop", lambda places, k: sum(place <= k for place in places) / len(places)),
    ("01.1", "a fraction", lambda places, k: Fraction(int(np.sum(places <= k)), len(places))),
    ("01.1", "a tensor", lambda places, k: Tensor(np.mean(places <= k))),
    ("01.2", "a loop", lambda places, k: sum(math.log(2) / math.log(1 + p) for p in places if p <= k) / len(places)),
    ("01.3", "shrinkage", lambda r, mean, damping: (np.mean(r) - mean) * len(r) / (len(r) + damping)),
    ("01.4", "up to a time, in any order", up_to_a_time),
    (
        "02.1",
        "a series of floats",
        lambda known, ids: pd.Series(ids).map({k: n for n, k in enumerate(known, 1)}).fillna(0),
    ),
    (
        "02.2",
        "a list of lists",
        lambda users, products: [[float(user @ product) for product in products] for user in users],
    ),
    (
        "02.3",
        "a list of arrays",
        lambda table, ids: [mean_of(table, []) if not row.any() else table[row[row > 0]].mean(axis=0) for row in ids],
    ),
    ("02.4", "a float", lambda users, products, dim: float(users * dim + products * dim + 2 * dim)),
    ("03.1", "a tensor", lambda u, p: Tensor(sum(logsumexp(u @ p.T, axis=1) - (u * p).sum(axis=1)))),
    ("03.2", "a constant in each row", lambda s, c: s - np.log(c) + np.arange(len(c))[:, None]),
    ("03.2", "logarithms of probabilities", lambda s, c: log_softmax(s - np.log(c / c.sum()), axis=1)),
    ("03.2", "a list of lists", lambda s, c: (s - np.log(c)).tolist()),
    (
        "03.3",
        "a very large negative number",
        lambda s, u, p: s - 1e9 * ((p[:, None] == p) ^ np.eye(len(p), dtype=bool)),
    ),
    ("04.1", "a norm", lambda predicted, ratings: np.linalg.norm(predicted - ratings) / math.sqrt(len(ratings))),
    ("04.2", "counted from one", lambda curve: int(np.argmin(curve["validation"])) + 1),
    ("04.2", "a float", lambda curve: float(curve["validation"].idxmin())),
    ("04.3", "a list", lambda m, a, b, u, p, s, known: list(m + a + b + s * known * np.einsum("rd,rd->r", u, p))),
    ("04.4", "a test of rows, in any order", by_a_test_of_rows),
    ("04.5", "a table", by_quantiles),
    ("05.1", "a list", lambda rating, retrieval, size: [rating / size, retrieval]),
    (
        "05.2",
        "an error of max",
        lambda board, most: max(
            (h, name) for name, h, e in zip(board.index, board["hit@10"], board["rmse"]) if e <= most
        )[1],
    ),
    ("05.3", "numbers", one_by_one),
    ("05.3", "a series", lambda points: pd.Series(one_by_one(points), points.index).astype("boolean")),
    ("05.4", "the smallest lack", lambda *given: (1 - shares(*given)).max(axis=1).sort_values().index[0]),
    ("06.1", "one ridge regression a product", one_ridge_regression_a_product),
    (
        "06.1",
        "the identity minus",
        lambda b, l2: (
            np.identity(b.shape[1]) - (p := np.linalg.inv(b.T @ b + l2 * np.identity(b.shape[1]))) / np.diag(p)
        ),
    ),
    ("06.1", "a list of lists", lambda bought, l2: REFERENCE["06.1"](bought, l2).tolist()),
    ("06.2", "by sorting", by_sorting),
    ("06.2", "quantiles", lambda g, r, draws: means_of(draws, lambda users: g[users].mean() / r[users].mean())),
    ("06.3", "the library", split_last),
    ("06.3", "the last row of each group, in any order", last_rows(rows=1, at_least=2)),
    ("06.4", "the library, a series", by_the_library),
    ("06.4", "in any order", rates(lambda own, days, d: (len(own) + 1) / (sum(day >= min(own) for day in days) + d))),
    ("07.1", "a loop", lambda train, test: sum(user not in set(train.user_id) for user in test.user_id) / len(test)),
    (
        "07.2",
        "binomials",
        lambda train, k: (
            1 - math.comb(train.product_id.nunique() - 1, k) / max(1, math.comb(train.product_id.nunique(), k))
        ),
    ),
    ("07.3", "of a sample", lambda rate, rows: math.sqrt(rate * (1 - rate) / (rows - 1))),
    ("07.4", "the latest first", earlier(lambda texts: " ".join(texts[::-1]))),
    ("07.4", "a series", lambda reviews: pd.Series(REFERENCE["07.4"](reviews), reviews.index)),
    ("08.1", "a list", lambda s, bought, k: sorted(np.flatnonzero(~bought), key=lambda place: -s[place])[:k]),
    ("08.1", "an index", lambda s, bought, k: pd.Series(s)[~bought].nlargest(k).index),
    ("08.2", "all at once", lambda found, exact: sum(len({*a} & {*b}) for a, b in zip(found, exact)) / exact.size),
    ("08.3", "lists", lambda *given: [part.tolist() for part in REFERENCE["08.3"](*given)]),
    ("08.4", "one and nought, from tie to tie", in_groups),
    ("09.1", "a float", lambda *given: float(REFERENCE["09.1"](*given))),
    ("09.2", "pair by pair", lambda p, s: np.mean([a == b for i, a in enumerate(p) for b in p[:i]]) / (s @ s)),
    (
        "09.3",
        "blocks",
        shards_if(lambda n, shards: shards % n == 0, lambda k, n, shards: np.arange(shards).reshape(n, -1)[k]),
    ),
    ("09.4", "a float", lambda *given: float(REFERENCE["09.4"](*given))),
]


@pytest.mark.parametrize(
    ("number", "how", "answer"), OTHER_RIGHT, ids=[f"{number} {how}" for number, how, _ in OTHER_RIGHT]
)
def test_another_right_answer_is_right(number, how, answer):
    assert exercises.check(number, answer).verdict == RIGHT


PLUS = Exercise(
    number="00.1",
    reference=lambda a, b: a + b,
    inputs=((2, 3), (10, -4)),
    mistakes=((lambda a, b: a * b, "you multiplied <b>"),),
    hint="add & see",
    right="five and six",
)


def unforeseen(answer, exercise=PLUS):
    """What is said about an answer that is neither right nor a usual mistake."""
    lead, words = exercise.check(answer).words.split(" mistakes. ")
    assert lead == "Not right, nor one of the usual"
    return words


def test_what_a_cell_shows_of_an_answer():
    assert repr(PLUS.check(lambda a, b: a + float(b))) == "00.1 right: five and six"
    assert "you multiplied &lt;b&gt;" in PLUS.check(lambda a, b: a * b)._repr_html_()
    assert ">A hint</summary><p>add &amp; see</p>" in PLUS.check(lambda a, b: a * b)._repr_html_()
    assert "summary" not in PLUS.check(lambda a, b: a + b)._repr_html_()
    assert unforeseen(lambda a, b: 7) == "For a = 2, b = 3 it gives 7, where 5 is right."
    assert unforeseen(lambda a, b: 5) == "For a = 10, b = -4 it gives 5, where 6 is right."
    assert repr(PLUS.check(lambda a, b: ...)) == repr(PLUS.check(...))
    assert repr(PLUS.check(lambda a, b: ...)) == "00.1 not attempted: put your answer in the place of the three dots."
    assert repr(PLUS.check(lambda a, b: None)) == "00.1 not attempted: it returns nothing: a function needs return."
    assert repr(PLUS.check(lambda a, b: [..., ...])) == repr(PLUS.check(...))
    assert repr(PLUS.check(lambda a, b: [None, None])) == repr(PLUS.check(lambda a, b: None))
    assert unforeseen(lambda a, b: [[1], [1, 2]]).endswith("gives [[1], [1, 2]], where 5 is right.")
    assert unforeseen(lambda a, b: print if a == 2 else 6).endswith(
        "gives <built-in function print>, where 5 is right."
    )
    assert PLUS.check(lambda a: a).words.startswith("Your answer stopped with TypeError: ")
    assert PLUS.check(lambda a, b: 6 / (a + b - 5)).words == (
        "Your answer stopped with ZeroDivisionError: division by zero (for a = 2, b = 3)"
    )


def test_a_text_is_not_the_number_that_it_shows():
    assert unforeseen(lambda a, b: str(a + b)).endswith("it gives the text '5', where the number 5 is right.")
    assert unforeseen(lambda a, b: [str(a + b)]).endswith("it gives the texts ['5'], where the number 5 is right.")
    name = Exercise(number="00.3", reference=lambda a: f"{a}", inputs=((2,), (3,)), mistakes=(), hint="", right="")
    assert unforeseen(lambda a: a, name) == "For a = 2 it gives the number 2, where the text '2' is right."
    assert unforeseen(lambda a: f"{a} ", name) == "For a = 2 it gives '2 ', where '2' is right."


def test_what_is_shown_as_different_looks_different():
    words = exercises.check("07.3", lambda rate, rows: 1.001 * math.sqrt(rate * (1 - rate) / rows)).words
    assert words.endswith("For rate = 0.43, rows = 200 it gives 0.03504, where 0.03501 is right.")
    assert unforeseen(lambda a, b: np.float32(a + b + 0.1)).endswith(" it gives 5.1, where 5 is right.")
    assert unforeseen(lambda a, b: [a + b]).endswith(" it gives the shape (1,), where a single number is right.")


LIST = Exercise(
    number="00.2",
    reference=lambda rows: [np.ones((rows, 3)), np.ones(rows)],
    inputs=((2,), (40,)),
    mistakes=(),
    hint="",
    right="",
)


def test_parts_of_different_shapes_are_compared_one_by_one():
    assert LIST.check(lambda rows: (np.ones((rows, 3)).tolist(), pd.Series(np.ones(rows)))).verdict == RIGHT
    assert LIST.check(lambda rows: [np.ones((rows, 3)), np.ones(3)]).verdict == NOT_YET
    transposed = unforeseen(lambda rows: [np.ones((3, rows)), np.ones(rows)], LIST)
    assert transposed == "For rows = 2 it gives at [0] the shape (3, 2), where the shape (2, 3) is right."
    zeros = unforeseen(lambda rows: [np.ones((rows, 3)), np.zeros(rows)], LIST)
    assert zeros == "For rows = 2 it gives at [1] [0.0, 0.0], where [1.0, 1.0] is right."


def test_an_answer_may_change_what_it_is_given():
    def product_bias(ratings, mean, damping):
        ratings -= mean
        return ratings.sum() / (len(ratings) + damping)

    assert exercises.check("01.3", product_bias).verdict == RIGHT
    assert exercises.check("01.3", REFERENCE["01.3"]).verdict == RIGHT


def test_an_input_is_shown_as_it_is():
    words = exercises.check("08.4", lambda *_: True).words
    assert "other_scores = [3.0, 2.0, 1.5, 1.0], tolerance = 0.0001 it gives True, where False is right." in words
    words = exercises.check("05.2", lambda board, most: "y" if "y" in board.index else "1/8 : 1").words
    assert "For board = {'index': ['retrieval only', '1/8 : 1', '1 : 1', " in words
    words = exercises.check("05.4", lambda board, floor, ceiling: "q").words
    assert "floor = {'hit@1': 0.01, 'hit@10': 0.18, 'rmse': 0.86}, ceiling = " in words


def test_an_error_in_the_place_of_another_is_named():
    words = exercises.check(
        "05.2", lambda board, most: board[board["rmse"] <= most].sort_values("hit@10").index[-1]
    ).words
    assert words.startswith("Your answer stopped with IndexError: ")
    assert ", where a ValueError is right (for board = " in words
    words = exercises.check("05.2", lambda board, most: REFERENCE["05.2"](board, max(most, 0.78))).words
    assert words.endswith("most = 0.5 it gives '1 : 1', where a ValueError is right.")


def test_of_a_long_result_the_first_difference_is_shown():
    wrong = np.ones((40, 3))
    wrong[25, 1] = 2
    words = unforeseen(lambda rows: [wrong[:rows], np.ones(rows)], LIST)
    assert words == "For rows = 40 it gives at [0][25] [1.0, 2.0, 1.0], where [1.0, 1.0, 1.0] is right."


def test_a_mistake_that_stops_for_one_of_the_inputs_keeps_its_words():
    by_row = exercises.check("02.2", lambda users, products: np.einsum("ud,ud->u", users, products))
    assert by_row.words == "Each user is scored with one product only, that of the same row."


@pytest.mark.parametrize("number", ["01.4", "04.4", "06.2", "06.3", "06.4", "07.4", "08.3", "09.3"])
def test_a_result_of_another_kind_is_no_error_of_the_answer(number):
    assert "stopped" not in exercises.check(number, lambda *_: 7).words


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
    with pytest.raises(ValueError, match=r"no exercise '01.9': there are 01.a, 01.b, 01.c, 01.1, 01.2"):
        function("01.9")


def test_results_are_the_same_whatever_holds_them():
    assert same([1, 2.0], np.array([1.0, 2.0]))
    assert same({"a": np.nan}, {"a": float("nan")})
    assert not same([1, 2], [1, 2, 3])
    assert not same(np.ones(2), np.ones((2, 1)))
    assert not same("a", 1)
    assert not same(["1", "2"], [1, 2])
    assert not same({"a": 1}, {"b": 1})
    assert same(pd.Series([0.5, 1], dtype=object), [Fraction(1, 2), True])
    assert same(np.array([np.ones(2), np.ones(3)], dtype=object), [[1, 1], [1, 1, 1]])
    assert not same([np.ones(2), np.ones(3)], [np.ones(2), np.zeros(3)])
    assert not same([[1], [1, 2]], "[[1], [1, 2]]")
    assert not same({1: "a", 2: "b"}, [1, 2])


def test_a_tower_that_could_not_be_trained_is_told():
    towers = pytest.importorskip("recsys_teach.towers")
    names = {"tf": towers.tf, "ProductTower": towers.ProductTower}
    exercise = next(one for one in ALL if one.number == "02.5")

    def verdict(source):
        exec(source, names)  # what a learner types
        return exercises.check("02.5", names["category_tower"])

    assert verdict(exercise.solution).verdict == RIGHT
    without = exercise.solution.replace('self.columns = (*self.columns, "category")', "pass")
    assert "its `columns` don't say so" in verdict(without).words
    twice = exercise.solution.replace("super().call(features)", 'self.embedding(self.lookup(features["product_id"]))')
    assert verdict(twice).verdict != RIGHT
