"""The weight lab on a shop of three shoppers and twenty products, worked out by hand; no TensorFlow, no browser."""

import base64
import math
import re
import threading

import numpy as np
import pandas as pd
import pytest
from ipywidgets import BoundedFloatText, Button, Dropdown, SelectionSlider

from recsys_teach import lab_page
from recsys_teach.lab import MAX_WEIGHT, ORIGINAL, LabState
from recsys_teach.lab_view import WeightLab
from recsys_teach.sweep import Factors, assemble_sweep

USERS = ["ann", "bob", "<script>cy"]  # with tastes 1, -1, 0
PRODUCTS = list("abcdefghijklmnopqrst")
OWNED = {"ann": "abcde", "bob": "fghij", "<script>cy": "klmnopqrst"}
COLUMNS = ["user_id", "product_id", "rating"]
TRAIN = pd.DataFrame([(user, p, 4.0) for user, bought in OWNED.items() for p in bought], columns=COLUMNS)
TRAIN = TRAIN.assign(title="<script>" + TRAIN["product_id"], category="<i>toys")
TEST = pd.DataFrame([("ann", "f", 5.0), ("ann", "p", 3.0), ("bob", "a", 4.0), ("bob", "t", 4.0)], columns=COLUMNS)
FLOOR = math.sqrt(0.5)  # popularity: all tied, so no hits; damped biases: 4 stars to everyone, off by 1, 1, 0, 0

# What is added to a score of 2.0 for a, 1.9 for b, … 0.1 for t; to the products' tastes; to the stars. Hits, RMSE:
MODELS = {
    (1.0, 0.0): ({}, {"p": -1.2}, {"f": 1.0, "p": -0.3}),  # from 0.1 for a to 2.0 for t: 1 of 4, √(0.01 / 4)
    (0.0, 1.0): ({"t": 1.05}, {"p": 1.2}, {}),  # 4 of 4, √(3.56 / 4)
    (0.25, 1.0): ({}, {"p": 1.2}, {"f": 0.5, "p": -1.1}),  # 3 of 4, √(0.5 / 4)
    (1.0, 1.0): ({}, {}, {"f": 0.75, "p": -0.75}),  # 2 of 4, √(0.125 / 4)
    (4.0, 1.0): ({}, {}, {"f": 0.9, "p": -0.9}),  # 2 of 4, √(0.02 / 4)
    (2.0, 1.0): ({}, {}, {"f": -2.0}),  # 2 of 4, √(10 / 4): worse than all others
    (0.5, 1.0): ({}, {"p": 1.2}, {"f": -0.1, "p": -0.6}),  # 3 of 4, √(2.21 / 4): a little worse than the floor
}
PAIRS = list(MODELS)[:5]


def tables(pair):
    lifts, tastes, stars = (pd.Series(part, PRODUCTS, dtype=float).fillna(0) for part in MODELS[pair])
    base = np.arange(20, 0, -1) / 10
    scores = (base[::-1] if pair == (1.0, 0.0) else base) + lifts
    users = np.array([[0, 0], [1, 0], [-1, 0], [0, 0]], dtype=float)
    return users, np.vstack([np.zeros(3), np.stack([tastes, stars, scores], axis=1)])


def planted(pairs=PAIRS, oracle=None):
    users, products = (np.stack(part) for part in zip(*map(tables, pairs)))
    facts = {"mean": 4.0, "taste": 0.5, "users": USERS, "products": PRODUCTS, "train": TRAIN, "test": TEST}
    return assemble_sweep(np.array(pairs), users, products, **facts, oracle=oracle)


class Truth(Factors):
    """An oracle with 2 hits of 4 and an RMSE of 0.1."""

    def ratings(self, reviews):
        return TEST["rating"].to_numpy() + 0.1


ORACLE = Truth(USERS, PRODUCTS, *tables((1.0, 1.0)), 4.0, 0.5)


SWEEP = planted()


@pytest.fixture
def state():
    return LabState(SWEEP)


@pytest.fixture
def lab():
    return WeightLab(SWEEP)


@pytest.mark.parametrize("pair", PAIRS)
def test_trained_pairs(state, pair):
    state.set_weights(*pair)
    assert (PAIRS[state.pair], state.is_trained) == (pair, True)


NEAREST = {(0.5, 0.5): (1, 1), (3, 0): (1, 0), (0, 3): (0, 1), (1e-300, 1000): (0, 1)}
NEAREST |= {(0.45, 1): (0.25, 1), (0.55, 1): (1, 1)}  # the middle of the logarithms is 0.5, of the ratios 0.625
NEAREST |= {(512, 0.5): (4, 1), (1000, 0.25): (1, 0)}  # 2^10 and almost 2^12; the specialist stands at 2^20


@pytest.mark.parametrize(("weights", "nearest"), NEAREST.items())
def test_nearest_pairs(state, weights, nearest):
    state.set_weights(*weights)
    assert (PAIRS[state.pair], state.is_trained) == (nearest, False)


@pytest.mark.parametrize("bad", [(-1, 1), (1, math.nan), (math.inf, 1), (1, MAX_WEIGHT + 1), (0, 0)])
def test_bad_weights_change_nothing(state, bad):
    before = dict(vars(state), trail=list(state.trail))
    with pytest.raises(ValueError, match=r"^(the \w+ weight is|both weights are 0)[^\n]*\.$"):
        state.set_weights(*bad)
    assert vars(state) == before


def test_presets_and_the_start(state):
    fixed = {"rating only": (1, 0), "retrieval only": (0, 1), "the original's 0.5 : 0.5": ORIGINAL}
    assert state.presets == fixed | {"best of both": (0.25, 1)}  # 0.75 of the hits, 0.54 of the stars: more than 0.5
    assert (state.rating_weight, state.retrieval_weight) == (0.25, 1)
    assert LabState(planted(oracle=ORACLE)).presets["best of both"] == (4, 1)  # all of both; (0.25, 1): 0.58
    unlucky = LabState(planted([(0.0, 1.0), (0.5, 1.0)]))  # both have worse stars than the floor, the first by far
    assert unlucky.presets["best of both"] == (0.5, 1)


def test_trail_without_repetitions(state):
    for weights in [(1, 1), (0.9, 1), (0.5, 0.5), (4, 1), (1, 1)]:
        state.set_weights(*weights)
    assert [PAIRS[pair] for pair in state.trail] == [(0.25, 1), (1, 1), (4, 1), (1, 1)]


def test_top_by_hand(state):
    first = state.top()
    assert "".join(first["product_id"]) == "pfghi"  # a, …, e are ann's already; p: 0.5 + 1.2, f: 1.5
    np.testing.assert_allclose(first["stars"], [4 + 0.6 - 1.1, 4.5, 4, 4, 4])
    assert list(first["bought"]) == [True, True, False, False, False]
    assert list(first["move"]) == [0, 0, 0, 0, 0]
    for weights in [(1, 1), (4, 1)]:  # two models, the same list: what moved last stays on show
        state.set_weights(*weights)
        assert "".join(state.top()["product_id"]) == "fghij"
        np.testing.assert_array_equal(state.top()["move"], [1, 1, 1, 1, np.nan])
    state.set_weights(0.25, 1)
    np.testing.assert_array_equal(state.top()["move"], [np.nan, -1, -1, -1, -1])
    assert "".join(state.top(99)["product_id"]) == "pfghijklmnoqrst"


def test_shoppers(state):
    assert state.shoppers == USERS  # 2 purchases later, 2, none
    assert ["".join(state.bought_before(last)["product_id"]) for last in (5, 2)] == ["edcba", "ed"]
    state.set_weights(1, 1)
    state.set_shopper("bob")
    assert "".join(state.top()["product_id"]) == "abcde"
    assert list(state.top()["move"]) == [0, 0, 0, 0, 0]
    with pytest.raises(ValueError, match="'eve' is none of this lab's shoppers"):
        state.set_shopper("eve")
    assert state.shopper == "bob"


def test_row_by_hand(state):
    row = state.row()
    assert list(row.columns) == ["model", "floor", "difference"]
    np.testing.assert_allclose(row.loc["hit@10"], [0.75, 0, 0.75])
    np.testing.assert_allclose(row.loc["rmse"], [math.sqrt(0.125), FLOOR, math.sqrt(0.125) - FLOOR])
    ceiling = LabState(planted(oracle=ORACLE)).row()["ceiling"]
    np.testing.assert_allclose(ceiling[["hit@10", "rmse"]], [0.5, 0.1])


def test_add_shows_the_new_pair(state):
    state.set_weights(2, 1)
    assert not state.is_trained
    state.add(planted([(2.0, 1.0)]))
    assert (state.pair, state.is_trained, len(state.sweep.weights), state.trail[-1]) == (5, True, 6, 5)
    assert state.row().loc["rmse", "model"] == pytest.approx(math.sqrt(10 / 4))


def test_page_in_words_and_escaped(state):
    svg = lab_page.Scatter(state).svg(state)
    assert 'aria-label="0.25 : 1: hit@10 0.750, RMSE 0.354 stars"' in svg
    assert "+0.750 better" in lab_page.row(state)
    assert "-0.354 better" in lab_page.row(state)
    assert "nearest" not in lab_page.row(state)
    state.set_weights(0, 3)
    assert "the trained pair nearest to 0 : 3" in lab_page.row(state)
    assert "+0.236 worse" in lab_page.row(state)
    state.set_shopper("<script>cy")
    shown = lab_page.recommendations(state)
    assert "For &lt;script&gt;cy, who bought: &lt;script&gt;t (&lt;i&gt;toys)" in shown
    assert "<b>&lt;script&gt;a</b> · &lt;i&gt;toys · 4.0 ★" in shown
    assert not re.search("<script|<i>", shown)


@pytest.mark.parametrize("pairs", [PAIRS, PAIRS[:2]], ids=["all", "specialists"])
def test_static_bundle(pairs):
    state = LabState(planted(pairs))
    table = lab_page.presets(state)
    assert list(table.index) == list(state.presets)
    assert list(table["trained with"][:2]) == ["rating only", "retrieval only"]
    np.testing.assert_allclose(list(table["hit@10"][:2]), [0.25, 1])
    bundle = lab_page.static_bundle(state)
    assert base64.b64decode(bundle["image/png"]).startswith(b"\x89PNG\r\n\x1a\n")
    assert "<table" in bundle["text/html"]
    assert all("best of both" in bundle[kind] for kind in ("text/html", "text/plain"))


def shown(lab):
    return (*(box.value for box in lab.boxes.values()), lab.row.value, lab.list.value, lab.picture.value)


def inside(widget):
    return [widget, *(inner for child in getattr(widget, "children", ()) for inner in inside(child))]


def test_ratio_moves_everything(lab):
    assert [pair for _, pair in lab.ratio.options] == [1, 2, 3, 4, 0]
    before = shown(lab)
    lab.ratio.value = 0
    assert all(old != new for old, new in zip(before, shown(lab)))
    assert shown(lab)[:2] == (1, 0)
    assert "rating only: hit@10 0.250" in lab.picture.value
    lab.shopper.value = "bob"
    assert "For bob" in lab.list.value


def test_boxes_sliders_and_presets_move_the_state(lab):
    lab.boxes["rating weight"].value = 3.9
    assert (lab.state.rating_weight, lab.state.retrieval_weight, lab.ratio.value) == (3.9, 1, 4)
    assert lab.sliders["rating weight"].value == 4
    lab.sliders["retrieval weight"].value = 0.0
    assert (shown(lab)[:2], lab.ratio.value) == ((3.9, 0), 0)
    for button, weights in zip(lab.presets, [(1, 0), (0, 1), ORIGINAL, (0.25, 1)]):
        button.click()
        assert (lab.state.rating_weight, lab.state.retrieval_weight) == shown(lab)[:2] == weights


def test_both_weights_0_are_refused_in_the_lab(lab):
    lab.presets[0].click()
    for control in (lab.boxes["rating weight"], lab.sliders["rating weight"]):
        control.value = 0.0
        assert "both weights are 0" in lab.status.value
        assert (shown(lab)[:2], control.value) == ((1, 0), 1)
        lab.presets[0].click()
        assert lab.status.value == ""


def test_controls_have_names_and_the_lab_has_stand_ins(lab):
    kinds = (Button, BoundedFloatText, SelectionSlider, Dropdown)
    controls = [widget for widget in inside(lab.box) if isinstance(widget, kinds)]
    assert len(controls) == 4 + 2 * 2 + 1 + 2 + 1  # presets, weights, ratio, training, shopper
    assert all(control.description for control in controls)
    assert lab.train.disabled
    bundle = lab._repr_mimebundle_()
    assert bundle.pop("application/vnd.jupyter.widget-view+json")["model_id"] == lab.box.model_id
    assert set(bundle) == {"image/png", "text/html", "text/plain"}


def trained_by(trainer):
    lab = WeightLab(SWEEP, lambda weights, after_epoch: trainer(lab, weights, after_epoch), epochs=2)
    lab.boxes["rating weight"].value = 2.0
    before = lab.picture.value.count("<circle")
    lab.train.click()
    lab.thread.join()
    assert (lab.train.disabled, lab.cancel.disabled, lab.progress.layout.visibility) == (False, True, "hidden")
    return lab, lab.picture.value.count("<circle") - before


def test_training_adds_a_point():
    def trainer(lab, weights, after_epoch):
        assert (lab.train.disabled, lab.cancel.disabled) == (True, False)
        after_epoch(2)
        return planted(weights)

    lab, new_points = trained_by(trainer)
    assert "Trained 2 : 1" in lab.status.value
    assert (new_points, lab.progress.value) == (1, 2)
    assert [pair for _, pair in lab.ratio.options] == [1, 2, 3, 5, 4, 0]
    assert (lab.ratio.value, lab.state.is_trained, shown(lab)[:2]) == (5, True, (2, 1))
    height = float(re.search(r'class="you" cx="[\d.]+" cy="([\d.]+)"', lab.picture.value)[1])
    assert lab_page.TOP < height < lab_page.HEIGHT - lab_page.BOTTOM  # worse than all others, and still in the picture
    lab.ratio.value = 1
    assert shown(lab)[:2] == (0, 1)


def test_training_that_fails_or_is_cancelled_adds_nothing():
    def fails(lab, weights, after_epoch):
        raise ValueError("no rows <b>")

    def cancelled(lab, weights, after_epoch):
        lab.cancel.click()
        after_epoch(1)
        return planted(weights)

    for trainer, words in ((fails, "no rows &lt;b&gt;"), (cancelled, "Cancelled: 2 : 1")):
        lab, new_points = trained_by(trainer)
        assert words in lab.status.value
        assert (new_points, len(lab.ratio.options), lab.state.sweep) == (0, 5, SWEEP)
        lab.ratio.value = 0
        assert shown(lab)[:2] == (1, 0)


def test_a_second_click_trains_nothing_twice():
    calls, go = [], threading.Event()

    def trainer(weights, after_epoch):
        calls.append(weights)
        assert go.wait(60)
        return planted([(2.0, 1.0)])

    lab = WeightLab(SWEEP, trainer)
    lab.train.click()
    first = lab.thread
    lab.train.click()
    assert lab.thread is first
    go.set()
    first.join()
    assert len(calls) == 1
