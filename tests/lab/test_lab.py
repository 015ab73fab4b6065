"""The weight lab on a shop of three shoppers and twenty products, worked out by hand; no TensorFlow, no browser."""

import base64
import math
import re
import threading

import numpy as np
import pandas as pd
import pytest
from ipywidgets import BoundedFloatText, Button, Dropdown, SelectionSlider

from recsys_teach._util import escape_math
from recsys_teach.lab import page
from recsys_teach.lab.state import MAX_WEIGHT, ORIGINAL, LabState, Place
from recsys_teach.lab.sweep import Factors, Sweep
from recsys_teach.lab.view import WeightLab

USERS = ["ann", "bob", "<script>cy"]  # with tastes 1, -1, 0
PRODUCTS = list("abcdefghijklmnopqrst")
OWNERS = np.repeat(USERS, [5, 5, 10])  # ann owns a, …, e
TRAIN = pd.DataFrame({"user_id": OWNERS, "product_id": PRODUCTS, "rating": 4.0, "category": "<i>toys"})
TRAIN["title"] = "<script>" + TRAIN["product_id"]
TEST = pd.DataFrame({"user_id": ["ann", "ann", "bob", "bob"], "product_id": list("fpat"), "rating": [5.0, 3, 4, 4]})
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
NEAREST = {(0.5, 0.5): (1, 1), (3, 0): (1, 0), (0, 3): (0, 1), (1e-300, 1000): (0, 1)}
NEAREST |= {(0.45, 1): (0.25, 1), (0.55, 1): (1, 1)}  # the middle of the logarithms is 0.5, of the ratios 0.625
NEAREST |= {(5e-324, 1000): (0, 1), (1000, 5e-324): (1, 0)}  # whose ratio is no float
NEAREST |= {(512, 0.5): (4, 1), (1000, 0.25): (1, 0)}  # 2^10 and almost 2^12; the specialist stands at 2^20


def tables(pair):
    lifts, tastes, stars = (pd.Series(part, PRODUCTS, dtype=float).fillna(0) for part in MODELS[pair])
    scores = np.arange(20, 0, -1)[:: -1 if pair == (1.0, 0.0) else 1] / 10 + lifts
    users = np.array([[0, 0], [1, 0], [-1, 0], [0, 0]], dtype=float)
    return users, np.vstack([np.zeros(3), np.stack([tastes, stars, scores], axis=1)]), np.array([0.5])


def factors(pair):
    return Factors(USERS, PRODUCTS, *tables(pair), 4.0)


def planted(pairs=PAIRS, oracle=None):
    return Sweep.from_recommenders({pair: factors(pair) for pair in pairs}, TRAIN, TEST, oracle=oracle)


class Specialist:
    """A recommender that does one of the two only."""

    products = PRODUCTS

    def __init__(self, pair):
        rating_weight, retrieval_weight = pair
        if retrieval_weight:
            self.scores = factors(pair).scores
        if rating_weight:
            self.ratings = factors(pair).ratings


SWEEP = planted()
WITH_ORACLE = planted(oracle=factors((4.0, 1.0)))
SPECIALISTS = Sweep.from_recommenders({pair: Specialist(pair) for pair in PAIRS}, TRAIN, TEST)


@pytest.fixture
def state():
    return LabState(SWEEP)


@pytest.mark.parametrize(("weights", "nearest"), [*zip(PAIRS, PAIRS), *NEAREST.items()])
def test_the_trained_pair_for_any_weights(state, weights, nearest):
    state.set_weights(*weights)
    assert (PAIRS[state.pair], state.is_trained) == (nearest, weights in PAIRS)


@pytest.mark.parametrize("bad", [(-1, 1), (1, math.nan), (math.inf, 1), (1, MAX_WEIGHT + 1), (0, 0)])
def test_bad_weights_change_nothing(state, bad):
    before = dict(vars(state), trail=list(state.trail))
    with pytest.raises(ValueError, match=r"^(the \w+ weight is|both weights are 0)[^\n]*\.$"):
        state.set_weights(*bad)
    assert vars(state) == before


def test_presets_and_trail(state):
    fixed = {"rating only": (1, 0), "retrieval only": (0, 1), "the original's ratio": ORIGINAL}
    assert state.presets == fixed | {"best of both": (0.25, 1)}  # 0.75 of the hits, 0.54 of the stars: more than 0.5
    assert LabState(WITH_ORACLE).presets["best of both"] == (4, 1)  # the oracle itself
    unlucky = LabState(planted([(0.0, 1.0), (0.5, 1.0)]))  # both have worse stars than the floor, the first by far
    assert unlucky.presets["best of both"] == (0.5, 1)
    for weights in [(1, 1), (0.9, 1), (0.5, 0.5), (4, 1), (1, 1)]:
        state.set_weights(*weights)
    assert [PAIRS[pair] for pair in state.trail] == [(0.25, 1), (1, 1), (4, 1), (1, 1)]


def top(state, k=5):
    return pd.DataFrame(state.top(k), columns=Place._fields)


def test_top_by_hand(state):
    first = top(state)
    assert "".join(first["product_id"]) == "pfghi"  # a, …, e are ann's already; p: 0.5 + 1.2, f: 1.5
    np.testing.assert_allclose(first["stars"], [4 + 0.6 - 1.1, 4.5, 4, 4, 4])
    assert list(first["bought"]) == [True, True, False, False, False]
    assert list(first["move"]) == [0, 0, 0, 0, 0]
    for weights in [(1, 1), (4, 1)]:  # two models, the same list: what moved last stays on show
        state.set_weights(*weights)
        assert "".join(top(state)["product_id"]) == "fghij"
        np.testing.assert_array_equal(top(state)["move"], [1, 1, 1, 1, np.nan])
    state.set_weights(0.25, 1)
    np.testing.assert_array_equal(top(state)["move"], [np.nan, -1, -1, -1, -1])
    assert "".join(top(state, 99)["product_id"]) == "pfghijklmn"  # a sweep holds ten


def test_shoppers(state):
    assert ["".join(title[-1] for title, _ in state.bought_before(last)) for last in (5, 2)] == ["edcba", "ed"]
    state.set_weights(1, 1)
    state.set_shopper("bob")
    assert "".join(top(state)["product_id"]) == "abcde"
    assert list(top(state)["move"]) == [0, 0, 0, 0, 0]
    with pytest.raises(ValueError, match="'eve' is none of this lab's shoppers"):
        state.set_shopper("eve")
    assert (state.shoppers, state.shopper) == (USERS, "bob")


def test_rows_by_hand_and_a_new_pair(state):
    assert list(state.row().columns) == ["model", "floor", "difference"]
    np.testing.assert_allclose(state.row().loc["hit@10"], [0.75, 0, 0.75])
    np.testing.assert_allclose(state.row().loc["rmse"], [math.sqrt(0.125), FLOOR, math.sqrt(0.125) - FLOOR])
    np.testing.assert_allclose(LabState(WITH_ORACLE).row()["ceiling"][["hit@10", "rmse"]], [0.5, math.sqrt(0.005)])
    state.set_weights(2, 1)
    assert not state.is_trained
    state.add(planted([(2.0, 1.0)]))
    assert (state.pair, state.is_trained, len(state.sweep.weights), state.trail[-1]) == (5, True, 6, 5)
    assert state.row().loc["rmse", "model"] == pytest.approx(math.sqrt(10 / 4))


def test_page_in_words_and_escaped(state):
    assert 'aria-label="0.25 : 1: hit@10 0.750, RMSE 0.354 stars"' in page.Scatter(state).svg(state)
    assert all(words in page.row(state) for words in ("<b>0.25 : 1</b>", "+0.750 better", "-0.354 better"))
    state.set_weights(0, 3)
    assert all(words in page.row(state) for words in ("the trained pair nearest to 0 : 3)", "+0.236 worse"))
    state.set_shopper("<script>cy")
    html = page.recommendations(state)
    bought = "<bdi>&lt;script&gt;t</bdi> (<bdi>&lt;i&gt;toys</bdi>)"
    assert f"For <bdi>&lt;script&gt;cy</bdi>, who bought: {bought}" in html
    assert "<b><bdi>&lt;script&gt;a</bdi></b> · <bdi>&lt;i&gt;toys</bdi> · 4.0 ★" in html
    assert not re.search("<script|<i>", html)


def test_the_lab_of_specialists_leaves_out_what_they_do_not_do():
    lab = WeightLab(SPECIALISTS)
    assert lab.state.presets["best of both"] == (0.25, 1)
    points = [circle[:40] for circle in lab.picture.value.split("<circle")[1:]]
    assert (len(points), lab.picture.value.count("you: 0.25 : 1")) == (3 + 1, 1)  # and the ring
    lab.ratio.value = 1  # retrieval only
    assert "nan" not in "".join(shown(lab)[2:])
    assert "you, not in the picture: retrieval only: hit@10 1.000, no RMSE" in lab.picture.value
    assert "<td>none</td>" in re.sub(" style=[^>]*", "", lab.row.value)
    assert "★" not in lab.list.value
    assert "It predicts no stars." in lab.list.value
    lab.ratio.value = 0  # rating only
    assert "nan" not in "".join(shown(lab)[2:])
    assert "you, not in the picture: rating only: no hit@10, RMSE 0.050 stars" in lab.picture.value
    assert "<li>" not in lab.list.value
    assert "It recommends nothing: it predicts stars only." in lab.list.value
    lab.ratio.value = 3
    assert (lab.list.value.count("★"), lab.list.value.count("▲ 1")) == (5, 4)  # since the last list, not since none
    assert lab.picture.value.count("<circle") == len(points)
    png = base64.b64decode(page.static_bundle(lab.state)["image/png"])
    assert png.startswith(b"\x89PNG")
    table = page.presets(lab.state)
    assert table[["hit@10", "rmse"]].isna().to_numpy().tolist() == [[True, False], [False, True], *[[False, False]] * 2]


@pytest.mark.parametrize("sweep", [planted(), planted(PAIRS[:2])], ids=["all", "specialists"])
def test_static_bundle(sweep):
    lab = WeightLab(sweep)
    table = page.presets(lab.state)
    assert list(table.index) == list(lab.state.presets)
    assert list(table["hit@10"][:2]) == [0.25, 1]
    bundle = lab._repr_mimebundle_()
    assert bundle.pop("application/vnd.jupyter.widget-view+json")["model_id"] == lab.box.model_id
    static = page.static_bundle(lab.state)
    assert bundle == static | {"text/html": escape_math(static["text/html"])}
    assert base64.b64decode(bundle["image/png"]).startswith(b"\x89PNG\r\n\x1a\n")
    assert "<table" in bundle["text/html"]
    assert all("best of both" in bundle[kind] for kind in ("text/html", "text/plain"))


def shown(lab):
    return (*(box.value for box in lab.boxes.values()), lab.row.value, lab.list.value, lab.picture.value)


def inside(widget):
    return [widget, *(inner for child in getattr(widget, "children", ()) for inner in inside(child))]


def test_controls():
    lab = WeightLab(SWEEP)
    kinds = (Button, BoundedFloatText, SelectionSlider, Dropdown)
    controls = [widget for widget in inside(lab.box) if isinstance(widget, kinds)]
    assert len(controls) == 4 + 2 * 2 + 2 + 2 + 1  # presets, weights, ratio, training, shopper
    assert all(control.description for control in controls)
    assert lab.train.disabled
    before = shown(lab)
    lab.ratio.value = 0
    assert all(old != new for old, new in zip(before, shown(lab)))
    assert "rating only: hit@10 0.250" in lab.picture.value
    lab.shopper.value = "bob"
    assert "For <bdi>bob</bdi>" in lab.list.value
    lab.boxes["rating weight"].value, lab.boxes["retrieval weight"].value = 3.9, 1
    assert (lab.state.rating_weight, lab.state.retrieval_weight, lab.ratio.value) == (3.9, 1, 4)
    assert lab.sliders["rating weight"].value == 4
    lab.sliders["retrieval weight"].value = 0.0
    assert (shown(lab)[:2], lab.ratio.value) == ((3.9, 0), 0)
    for button, weights in zip(lab.presets, [(1, 0), (0, 1), ORIGINAL, (0.25, 1)]):
        button.click()
        assert (lab.state.rating_weight, lab.state.retrieval_weight) == shown(lab)[:2] == weights


def test_both_weights_0_are_refused_in_the_lab():
    lab = WeightLab(SWEEP)
    for control in (lab.boxes["rating weight"], lab.sliders["rating weight"]):
        lab.presets[0].click()
        assert lab.status.value == ""
        control.value = 0.0
        assert "both weights are 0" in lab.status.value
        assert (shown(lab)[:2], control.value) == ((1, 0), 1)


def test_training_adds_a_point():
    calls, clicked = [], threading.Event()

    def trainer(weights, after_epoch):
        assert clicked.wait(60)
        calls.append((weights, lab.train.disabled, lab.cancel.disabled))
        after_epoch(2)
        return planted(weights)

    lab = WeightLab(SWEEP, trainer, epochs=2)
    lab.boxes["rating weight"].value = 2.0
    points = lab.picture.value.count("<circle")
    lab.train.click()
    lab.train.click()  # twice, before the browser knows that the button is switched off
    clicked.set()
    lab.thread.join()
    assert calls == [([(2, 1)], True, False)]
    assert "Trained 2 : 1" in lab.status.value
    assert (lab.picture.value.count("<circle") - points, lab.progress.value) == (1, 2)
    assert [pair for _, pair in lab.ratio.options] == [1, 2, 3, 5, 4, 0]
    assert (lab.ratio.value, lab.state.is_trained, shown(lab)[:2]) == (5, True, (2, 1))
    height = float(re.search(r'class="you" cx="[\d.]+" cy="([\d.]+)"', lab.picture.value)[1])
    assert page.TOP < height < page.HEIGHT - page.BOTTOM  # in the picture, though worse than all others


@pytest.mark.parametrize("words", ["no rows &lt;b&gt;", "Cancelled: 1 : 0.5"])
def test_training_that_adds_nothing(words):
    def trainer(weights, after_epoch):
        if words.startswith("no"):
            raise ValueError("no rows <b>")
        lab.cancel.click()
        after_epoch(1)
        return planted(PAIRS[:1])

    lab = WeightLab(SWEEP, trainer)
    lab.state.set_weights(1, 0.5)
    lab.train.click()
    lab.thread.join()
    assert words in lab.status.value
    assert (lab.train.disabled, lab.cancel.disabled, lab.progress.layout.visibility) == (False, True, "hidden")
    assert (len(lab.ratio.options), lab.state.sweep) == (5, SWEEP)
    lab.ratio.value = 0  # the lab goes on
    assert shown(lab)[:2] == (1, 0)
