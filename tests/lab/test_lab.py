"""The weight lab without a browser: its presets, the facts that its page shows, and trainings."""

import base64
import html
import json
import math
import re
import threading

import numpy as np
import pytest
from planted_lab import PAIRS, SPECIALISTS, SWEEP, WITH_ORACLE, planted

from recsys_teach.lab import page
from recsys_teach.lab.sweep import ORIGINAL
from recsys_teach.lab.view import WeightLab


def test_presets():
    fixed = {"rating only": (1, 0), "retrieval only": (0, 1), "the original's ratio": ORIGINAL}
    assert SWEEP.presets == fixed | {"best of both": (0.25, 1)}  # 0.75 of the hits, 0.54 of the stars: more than 0.5
    assert WITH_ORACLE.presets["best of both"] == (4, 1)  # the oracle itself
    assert SPECIALISTS.presets["best of both"] == (0.25, 1)
    unlucky = planted([(0.0, 1.0), (0.5, 1.0)])  # both have worse stars than the floor, the first by far
    assert unlucky.presets["best of both"] == (0.5, 1)


def test_facts_by_hand():
    facts = page.facts(WITH_ORACLE)
    pair = facts["pairs"][2]
    assert (pair["name"], pair["weights"], pair["front"]) == ("0.25 : 1", [0.25, 1.0], True)
    assert pair["scores"]["hit@10"] == 0.75
    assert pair["scores"]["rmse"] == pytest.approx(math.sqrt(0.125))
    assert [one["front"] for one in facts["pairs"]] == [True, True, True, False, True]
    assert facts["floor"]["hit@10"] == 0
    assert facts["ceiling"]["rmse"] == pytest.approx(math.sqrt(0.005))
    assert "".join(product for product, _ in facts["lists"][2][0]) == "pfghijklmn"  # a, …, e are ann's already
    np.testing.assert_allclose([stars for _, stars in facts["lists"][2][0][:3]], [4 + 0.6 - 1.1, 4.5, 4])
    assert facts["shoppers"][0] == {"user": "ann", "bought": list("edcba"), "later": ["f", "p"]}
    assert facts["catalogue"]["a"] == ["<script>a", "<i>toys"]


def test_facts_of_specialists_say_nothing_about_what_they_do_not_do():
    first, second, *_ = page.facts(SPECIALISTS)["pairs"]
    assert (first["scores"]["hit@10"], second["scores"]["rmse"]) == (None, None)
    assert [first["front"], second["front"]] == [False, False]


@pytest.mark.parametrize("sweep", [SWEEP, planted(PAIRS[:2]), SPECIALISTS], ids=["all", "two", "specialists"])
def test_a_page_without_scripts_has_a_table_and_a_picture(sweep):
    lab = WeightLab(sweep)
    bundle = lab._repr_mimebundle_()
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == lab.widget.model_id
    table, script = bundle["text/html"].split("<script", 1)
    picture = re.search('src="data:image/png;base64,([^"]+)"', table)[1]
    for text in (table.replace(picture, ""), bundle["text/plain"]):
        assert all(name in html.unescape(text) for name in sweep.presets)
        assert "nan" not in text
    assert script.count("</script") == 1  # the titles of this shop hold more of them
    assert "mathjax_ignore" in table
    assert base64.b64decode(picture).startswith(b"\x89PNG\r\n\x1a\n")


def told(lab):
    return [lab.widget.training[name] for name in ("runs", "epoch", "epochs", "text")]


def test_training_adds_a_pair():
    calls, clicked = [], threading.Event()

    def trainer(weights, after_epoch):
        assert clicked.wait(60)
        after_epoch(2)
        calls.append((weights, told(lab)))
        return planted(weights)

    lab = WeightLab(SWEEP, trainer, epochs=2)
    assert (lab.widget.trains, told(lab), lab.weights) == (True, [False, 0, 2, ""], (0.25, 1))
    for _ in range(2):  # twice, before the browser knows that the button is switched off
        lab.widget._handle_custom_msg({"train": [2, 1]}, [])
    clicked.set()
    lab.thread.join()
    assert calls == [([(2, 1)], [True, 2, 2, "Training 2 : 1 …"])]
    assert told(lab) == [False, 0, 2, "Trained 2 : 1: the point is in the picture."]
    assert (len(lab.sweep.weights), lab.widget.facts) == (6, page.facts(lab.sweep))
    assert lab.widget.facts["pairs"][5]["scores"]["rmse"] == pytest.approx(math.sqrt(10 / 4))


@pytest.mark.parametrize("words", ["Training failed: no rows <b>", "Cancelled: 1 : 0.5"])
def test_training_that_adds_nothing(words):
    def trainer(weights, after_epoch):
        if "failed" in words:
            raise ValueError("no rows <b>")
        lab.widget._handle_custom_msg({"cancel": True}, [])
        after_epoch(1)
        return planted(PAIRS[:1])

    lab = WeightLab(SWEEP, trainer)
    before = json.dumps(lab.widget.facts)
    lab.train(1, 0.5)
    lab.thread.join()
    assert told(lab)[0] is False
    assert told(lab)[3].startswith(words)
    assert (lab.sweep, json.dumps(lab.widget.facts)) == (SWEEP, before)


def test_a_lab_without_a_trainer_trains_nothing():
    lab = WeightLab(SWEEP)
    lab.widget._handle_custom_msg({"train": [1, 1]}, [])
    assert (lab.widget.trains, lab.thread) == (False, None)
