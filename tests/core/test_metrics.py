"""Metrics by hand, and against slow plain-Python or SciPy oracles."""

import math

import numpy as np
import pytest
from scipy.stats import rankdata

from recsys_teach import metrics as module
from recsys_teach.metrics import (
    auc,
    calibration_error,
    hit,
    log_loss,
    ndcg,
    ranks,
    reciprocal_rank,
    reliability,
    squared_error,
)

INF = math.inf


@pytest.mark.parametrize(
    ("scores", "target", "rank"),
    [
        ([0.9, 0.5, 0.1], 0, 1),
        ([0.9, 0.5, 0.1], 2, 3),
        ([0.1, 0.5, 0.9], 0, 3),
        ([0.9, -INF, 0.1], 2, 2),
        ([-5.0, -INF, -INF], 0, 1),
        ([INF, 0.5, 0.1], 1, 2),
        ([3, 2, 1], 1, 2),
    ],
)
def test_the_rank_counts_what_is_ahead(scores, target, rank):
    assert ranks(np.array([scores]), np.array([target])).tolist() == [rank]


@pytest.mark.parametrize(("target", "rank"), [(0, 2), (1, 2), (2, 4), (3, 4)])
def test_ties_count_against_the_model(target, rank):
    assert ranks(np.array([[0.9, 0.9, 0.4, 0.4]]), np.array([target])).tolist() == [rank]


def test_a_constant_scorer_ranks_everything_last():
    assert ranks(np.zeros((7, 7)), np.arange(7)).tolist() == [7] * 7


@pytest.mark.parametrize(("scores", "target"), [([1.0, -INF], 1), ([1.0, 2.0], -1), ([-INF, -INF], 0)])
def test_a_target_out_of_the_race_has_no_rank_and_scores_nothing(scores, target):
    rank = ranks(np.array([scores]), np.array([target]))
    assert rank.tolist() == [INF]
    assert [metric.tolist() for metric in (hit(rank, 50), ndcg(rank, 10), reciprocal_rank(rank))] == [[0]] * 3


def planted():
    """Few distinct scores, so many ties; a quarter of them -inf; some targets unknown."""
    rng = np.random.default_rng(5)
    scores = rng.integers(0, 6, (400, 15)).astype(float)
    scores[rng.random(scores.shape) < 0.25] = -INF
    return scores, rng.integers(-1, 15, 400)


def test_ranks_agree_with_scipy():
    scores, target = planted()
    worst_of_ties = rankdata(-scores, method="max", axis=1)
    expected = [
        INF if column < 0 or scores[row, column] == -INF else worst_of_ties[row, column]
        for row, column in enumerate(target)
    ]
    assert 0 < expected.count(INF) < len(expected) / 2
    np.testing.assert_array_equal(ranks(scores, target), expected)


def test_ranks_of_several_targets_a_row():
    scores, target = planted()
    row = np.random.default_rng(6).integers(40, size=400)
    np.testing.assert_array_equal(ranks(scores[:40], target, row=row), ranks(scores[row], target))


def test_several_targets_by_hand():
    scores = np.array([[0.9, 0.5, -INF], [0.5, 0.5, 0.1]], np.float32)
    target, row = np.array([1, 1, 0, 2, 2, -1]), np.array([0, 1, 0, 1, 0, 1])
    assert ranks(scores, target, row=row).tolist() == [2, 2, 1, 3, INF, INF]


@pytest.mark.parametrize("several", [False, True])
def test_what_is_left_out_counts_as_minus_infinity(several):
    scores, target = planted()
    row = np.random.default_rng(6).integers(40, size=400) if several else None
    scores = scores[:40] if several else scores
    cells = np.nonzero(np.random.default_rng(6).random(scores.shape) < 0.2)
    masked, before = scores.copy(), scores.copy()
    masked[cells] = -INF
    expected = ranks(masked, target, row=row)
    assert (expected != ranks(scores, target, row=row)).mean() > 0.3
    np.testing.assert_array_equal(ranks(scores, target, row=row, left_out=cells), expected)
    np.testing.assert_array_equal(scores, before)


@pytest.mark.parametrize(("left_out", "rank"), [([], 3), ([0], 2), ([0, 1], 1), ([3], 3), ([2], INF), ([0, 2], INF)])
def test_left_out_by_hand(left_out, rank):
    columns = np.array(left_out, int)
    scores, cells = np.array([[0.9, 0.5, 0.4, 0.1]], np.float32), (np.zeros_like(columns), columns)
    assert ranks(scores, np.array([2]), left_out=cells).tolist() == [rank]
    twice = ranks(scores, np.array([2, 2]), row=np.array([0, 0]), left_out=cells)
    assert twice.tolist() == [rank, rank]


@pytest.mark.parametrize("cached", [1, 15, 31, 10**6])
def test_ranks_do_not_depend_on_how_much_is_looked_at_together(monkeypatch, cached):
    scores, target = planted()
    whole = ranks(scores, target)
    monkeypatch.setattr(module, "CACHED", cached)
    np.testing.assert_array_equal(ranks(scores, target), whole)
    np.testing.assert_array_equal(ranks(scores.astype(np.float32), target), whole)


def test_metrics_agree_with_going_down_the_list():
    scores, target = planted()
    rank = ranks(scores, target)
    for row, column in enumerate(target):
        candidates = [c for c in range(15) if scores[row, c] > -INF]
        listed = sorted(candidates, key=lambda c: (-scores[row, c], c == column))  # among ties the target comes last
        gains = [float(c == column) for c in listed]
        assert hit(rank, 3)[row] == sum(gains[:3])
        dcg = sum(gain / math.log2(place + 2) for place, gain in enumerate(gains[:5]))
        assert ndcg(rank, 5)[row] == pytest.approx(dcg)
        assert reciprocal_rank(rank)[row] == pytest.approx(sum(gain / (place + 1) for place, gain in enumerate(gains)))


def test_hit_includes_the_last_place():
    assert hit(np.array([1.0, 10.0, 11.0, INF]), 10).tolist() == [1, 1, 0, 0]


def test_ndcg_by_hand():
    gains = ndcg(np.array([1.0, 2.0, 3.0, 7.0, 8.0, INF]), 7)
    np.testing.assert_allclose(gains, [1, 0.6309297535714575, 0.5, 1 / 3, 0, 0])


def test_reciprocal_rank_by_hand():
    assert reciprocal_rank(np.array([1.0, 4.0, 100.0, INF])).tolist() == [1, 0.25, 0.01, 0]


def test_squared_error_by_hand():
    assert squared_error(np.array([4.5, 1.0, 3.0]), np.array([5.0, 4.0, 3.0])).tolist() == [0.25, 9, 0]


@pytest.mark.parametrize(
    ("scores", "target"),
    [(np.zeros(3), np.zeros(3, int)), (np.zeros((3, 2)), np.zeros(2, int)), (np.zeros((3, 2)), np.zeros((3, 1), int))],
)
def test_ranks_refuse_shapes_that_do_not_fit(scores, target):
    with pytest.raises(ValueError, match=r"expected scores \[rows, products\] and target \[rows\], got") as caught:
        ranks(scores, target)
    assert f"{scores.shape} and {target.shape}" in str(caught.value)


def test_squared_error_refuses_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match=r"one prediction a rating, got \(3, 1\) for \(3,\)"):
        squared_error(np.zeros((3, 1)), np.zeros(3))


def test_the_auc_is_the_share_of_pairs_in_the_right_order():
    # 0.7 is above 0.2 and 0.4, and below 0.8; 0.4 is above 0.2, ties with 0.4, and is below 0.8: 2 + 1.5 of 6
    predicted, bought = np.array([0.7, 0.4, 0.2, 0.4, 0.8]), np.array([1, 1, 0, 0, 0])
    assert auc(predicted, bought) == pytest.approx(3.5 / 6)
    assert auc(-predicted, bought) == pytest.approx(2.5 / 6)
    assert auc(predicted.reshape(5, 1), bought.reshape(5, 1) == 1) == pytest.approx(3.5 / 6)


def test_the_auc_agrees_with_scipys_rank_sum():
    rng = np.random.default_rng(4)
    predicted, bought = rng.integers(0, 9, 300) / 9, rng.random(300) < 0.2
    rank_sum = rankdata(predicted)[bought].sum()
    ones, zeros = bought.sum(), (~bought).sum()
    assert auc(predicted, bought) == pytest.approx((rank_sum - ones * (ones + 1) / 2) / (ones * zeros))


def test_the_auc_needs_both_outcomes_and_only_sees_the_order():
    assert math.isnan(auc(np.array([0.5]), np.array([1])))
    assert math.isnan(auc(np.array([0.5]), np.array([0])))
    assert auc(np.full(7, 0.3), np.arange(7) == 2) == 0.5
    assert auc(np.array([100.0, -3.0]), np.array([1, 0])) == 1


def test_the_log_loss_by_hand():
    predicted, bought = np.array([[0.8, 0.5], [0.1, 0.5]]), np.array([[1, 0], [0, 1]])
    assert log_loss(predicted, bought) == pytest.approx(-math.log(0.8 * 0.5 * 0.9 * 0.5) / 4)
    assert log_loss(np.array([1.0, 0.0]), np.array([1, 0])) == pytest.approx(0, abs=1e-6)
    assert log_loss(np.array([0.0]), np.array([1])) == pytest.approx(7 * math.log(10))


def test_reliability_has_bins_of_as_many_rows_and_keeps_equal_probabilities_together():
    predicted = np.array([0.9, 0.1, 0.2, 0.1, 0.5, 0.7])
    table = reliability(predicted, np.array([1, 0, 1, 0, 1, 0]), bins=3)
    assert table["predicted"].tolist() == pytest.approx([0.1, 0.35, 0.8])
    assert table["bought"].tolist() == pytest.approx([0, 1, 0.5])
    assert table["rows"].tolist() == [2, 2, 2]
    # at distances 0.1, 0.65 and 0.3
    assert calibration_error(predicted, np.array([1, 0, 1, 0, 1, 0]), bins=3) == pytest.approx(1.05 / 3)
    one = reliability(np.full(4, 0.25), np.array([0, 0, 1, 0]))
    assert (one.index.tolist(), one["bought"].tolist(), one["rows"].tolist()) == ([1], [0.25], [4])


def test_the_calibration_error_weighs_bins_by_their_rows():
    predicted = np.array([0.5, 0.5, 0.5, 0.9])  # 0.5 takes three of four places
    assert calibration_error(predicted, np.array([1, 1, 0, 0]), bins=4) == pytest.approx(3 / 4 / 6 + 0.9 / 4)


@pytest.mark.parametrize("metric", [auc, log_loss, reliability, calibration_error])
def test_metrics_of_probabilities_refuse_other_shapes(metric):
    with pytest.raises(ValueError, match=r"got \(2,\) for \(3,\)"):
        metric(np.zeros(2), np.zeros(3))
    with pytest.raises(ValueError, match="a prediction for each row"):
        metric(np.zeros(0), np.zeros(0))
