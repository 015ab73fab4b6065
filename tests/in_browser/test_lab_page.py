"""The weight lab in a page without a kernel, opened from disk and offline: what it computes, shows and lets be done."""

import math
import re

import hostile
import pandas as pd
import pytest
from browser import SCREENSHOTS, launch, need, new_page
from planted_lab import MODELS, PAIRS, SPECIALISTS, SWEEP, planted
from playwright.sync_api import expect, sync_playwright

from recsys_teach.lab import page as lab_page
from recsys_teach.lab.repairs import COMBINATIONS, REPAIRS, name_of
from recsys_teach.lab.sweep import ORIGINAL, Sweep

NEAREST = {(0.5, 0.5): (1, 1), (3, 0): (1, 0), (0, 3): (0, 1), (1e-300, 1000): (0, 1)}
NEAREST |= {(0.45, 1): (0.25, 1), (0.55, 1): (1, 1)}  # the middle of the logarithms is 0.5, of the ratios 0.625
NEAREST |= {(5e-324, 1000): (0, 1), (1000, 5e-324): (1, 0)}  # whose ratio is no float
NEAREST |= {(512, 0.5): (4, 1), (1000, 0.25): (1, 0)}  # 2^10 and almost 2^12; the specialist stands at 2^20
FUNCTIONS = "isTrained, moves, nearest, place, refusal, show, ticks, trade"


@pytest.fixture(scope="module")
def browser():
    need("page")
    with sync_playwright() as play:
        browser = launch(play)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def script(browser):
    """A page that knows the script's functions as `lab`."""
    page = new_page(browser)
    source = lab_page.SCRIPT.read_text(encoding="utf-8")
    page.add_script_tag(type="module", content=f"{source}\nwindow.lab = {{ {FUNCTIONS} }};")
    page.wait_for_function("window.lab")
    return page


@pytest.fixture
def open_lab(browser, tmp_path):
    """What opens the lab of a sweep from a file, without a network; errors of the page fail the test."""
    errors, opened = [], []

    def open_page(sweep, **options):
        file = tmp_path / f"{len(opened)}.html"
        head = '<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        dark = "<style>@media (prefers-color-scheme: dark) { body { background: #111; color: #eee } }</style>"
        file.write_text(f"{head}{dark}<body>{lab_page.html(sweep)}", encoding="utf-8")
        page = new_page(browser, **options)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: errors.extend({request.url} - {file.as_uri()}))
        page.goto(file.as_uri())
        opened.append(page)
        return page

    yield open_page
    for page in opened:
        page.close()
    assert errors == []


@pytest.mark.parametrize(("weights", "nearest"), [*zip(PAIRS, PAIRS), *NEAREST.items()])
def test_the_trained_pair_for_any_weights(script, weights, nearest):
    pairs = lab_page.facts(SWEEP)["pairs"]
    pair = script.evaluate("([pairs, weights]) => lab.nearest(pairs, weights)", [pairs, weights])
    assert PAIRS[pair] == nearest == PAIRS[SWEEP.nearest(*weights)]
    trained = script.evaluate("([pair, weights]) => lab.isTrained(pair, weights)", [pairs[pair], weights])
    assert trained == (weights in PAIRS)


@pytest.mark.parametrize("bad", [(-1, 1), (1, math.nan), (math.inf, 1), (1, 1001), (0, 0)])
def test_bad_weights_are_refused(script, bad):
    why = script.evaluate("weights => lab.refusal(weights)", bad)
    assert re.fullmatch(r"(The \w+ weight is|Both weights are 0)[^\n]*\.", why)
    assert script.evaluate("lab.refusal([0, 1000])") == ""


def test_moves_of_a_list(script):
    assert script.evaluate('lab.moves(["p", "f", "g"], ["f", "g", "h"])') == [1, 1, None]
    assert script.evaluate('lab.moves([], ["f"])') == [0]


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ((0.3, 0.9), (0.28, 0.8), "From a to b: bought 0.100 stars of RMSE, and cost 0.020 of hit@10."),
        ((0.3, 0.9), (0.32, 0.8), "From a to b: bought 0.020 of hit@10 and 0.100 stars of RMSE, and cost nothing."),
        ((0.3, 0.9), (0.3, 0.9), "From a to b: changed neither score."),
        ((0.3, 0.9), (0.2, None), "From a to b: bought nothing, and cost 0.100 of hit@10; it predicts no stars."),
        ((0.3, None), (None, 0.8), "From a to b: it recommends nothing."),
    ],
)
def test_what_a_move_bought_and_cost(script, old, new, sentence):
    pairs = [
        {"name": name, "scores": dict(zip(("hit@10", "rmse"), scores))} for name, scores in (("a", old), ("b", new))
    ]
    assert script.evaluate("([from, to]) => lab.trade(from, to)", pairs) == sentence


def test_ticks_are_round(script):
    assert script.evaluate("lab.ticks(0.31, 0.42)") == pytest.approx([0.32, 0.34, 0.36, 0.38, 0.4, 0.42])
    assert script.evaluate("lab.ticks(-0.001, 0.11)") == pytest.approx([0, 0.02, 0.04, 0.06, 0.08, 0.1])
    assert script.evaluate("lab.ticks(0.8, 1.4)") == pytest.approx([0.8, 0.9, 1, 1.1, 1.2, 1.3, 1.4])


def shown(page):
    you = page.locator("svg circle.you")
    texts = [page.locator(place).inner_text() for place in (".lab-row", ".lab-list", ".lab-said")]
    return you.get_attribute("cx"), page.locator("svg[role=img]").get_attribute("aria-label"), *texts


def press(page, *keys):
    page.get_by_label("ratio", exact=True).focus()
    for key in keys:
        page.keyboard.press(key)


def test_by_keyboard(open_lab):
    page = open_lab(SWEEP)
    before = shown(page)
    assert before[1] == "0.25 : 1: hit@10 0.750, RMSE 0.354 stars"
    assert all(words in before[2] for words in ("+0.750 better", "-0.354 better"))
    assert "For ann, who bought: <script>e (<i>toys); <script>d" in before[3]
    press(page, "Home")
    after = shown(page)
    assert all(old != new for old, new in zip(before, after))
    assert after[1].startswith("retrieval only: hit@10 1.000, RMSE 0.943")
    assert after[4] == "From 0.25 : 1 to retrieval only: bought 0.250 of hit@10, and cost 0.590 stars of RMSE."
    press(page, "ArrowRight", "ArrowRight")  # by way of 0.25 : 1, whose list is p, f, g, h, i
    assert shown(page)[1].startswith("1 : 1: ")
    assert page.get_by_label("ratio", exact=True).get_attribute("aria-valuetext") == "1 : 1"
    listed = page.locator(".lab-list li").all_inner_texts()
    assert [one.split("★")[1].removesuffix(" ").split(" ")[-1] for one in listed] == ["▲\u00a01"] * 4 + [
        "new"
    ]  # f, g, h, i, j
    assert listed[0] == "<script>f · <i>toys · 4.8 ★ ✓ bought later ▲\u00a01"  # 4 + 0.75
    page.get_by_label("shopper", exact=True).select_option("bob")
    assert "For bob, who bought:" in page.locator(".lab-list").inner_text()
    assert page.locator(".lab-list li").first.inner_text().startswith("<script>a")


def test_the_same_lab_twice_in_one_page(open_lab, tmp_path):
    page = open_lab(SWEEP)
    (tmp_path / "0.html").write_text(lab_page.html(SWEEP) * 2, encoding="utf-8")
    page.reload()
    expect(page.locator(".recsys-lab")).to_have_count(2)
    page.get_by_label("ratio", exact=True).nth(1).press("Home")
    names = [row.inner_text().split("\n")[0] for row in page.locator(".lab-row b").all()]
    assert names == ["0.25 : 1", "retrieval only"]


def test_boxes_presets_and_refusals(open_lab):
    page = open_lab(SWEEP)
    rating, retrieval = (page.get_by_label(f"{name} weight", exact=True) for name in ("rating", "retrieval"))
    rating.fill("3.9")
    rating.press("Tab")
    expect(page.locator(".lab-row")).to_contain_text("4 : 1 (the trained pair nearest to 3.9 : 1)")
    retrieval.fill("0")
    retrieval.press("Tab")
    expect(page.locator(".lab-row b").first).to_have_text("rating only (the trained pair nearest to 3.9 : 0)")
    rating.fill("0")
    rating.press("Tab")
    expect(page.locator(".lab-status")).to_contain_text("Not done: Both weights are 0")
    expect(rating).to_have_value("3.9")
    for name, (first, second) in SWEEP.presets.items():
        page.get_by_role("button", name=name).click()
        assert float(rating.input_value()) == pytest.approx(first, rel=1e-2)
        assert float(retrieval.input_value()) == second
    assert SWEEP.presets["the original's ratio"] == ORIGINAL
    expect(page.get_by_role("button", name="Train exactly these weights")).to_be_disabled()
    expect(page.locator(".lab-status")).to_have_text("Training needs a running notebook.")


def test_specialists_leave_out_what_they_do_not_do(open_lab):
    page = open_lab(SPECIALISTS)
    assert page.locator("svg circle").count() == 3 + 1  # and the ring
    press(page, "Home")
    expect(page.locator("svg")).to_contain_text("you, not in the picture: retrieval only")
    expect(page.locator(".lab-list")).to_contain_text("It predicts no stars.")
    assert "★" not in page.locator(".lab-list").inner_text()
    press(page, "End")
    expect(page.locator(".lab-list")).to_contain_text("It recommends nothing: it predicts stars only.")
    assert page.locator(".lab-list li").count() == 0
    assert page.locator("svg circle").count() == 3
    assert "NaN" not in page.locator(".recsys-lab").inner_html()


def test_a_training_is_asked_of_the_kernel_and_its_pair_is_shown(script):
    script.evaluate(
        """facts => {
            document.body.replaceChildren(document.createElement("div"));
            window.asked = [];
            const kernel = { moved() {}, train: weights => asked.push(weights), cancel: () => asked.push("cancel") };
            window.shown = lab.show(document.body.firstChild, facts, kernel);
        }""",
        lab_page.facts(SWEEP),
    )
    rating = script.get_by_label("rating weight", exact=True)
    rating.fill("2")
    rating.press("Tab")
    script.get_by_role("button", name="Train exactly these weights").click()
    script.evaluate("shown.training({ runs: true, epoch: 1, epochs: 2, text: 'Training 2 : 1 …' })")
    expect(script.get_by_label("epochs")).to_have_js_property("value", 1)
    script.get_by_role("button", name="Cancel").click()
    assert script.evaluate("asked") == [[2, 1], "cancel"]
    script.evaluate("facts => shown.take(facts)", lab_page.facts(SWEEP.joined(planted([(2.0, 1.0)]))))
    script.evaluate("shown.training({ runs: false, epoch: 0, epochs: 2, text: 'Trained 2 : 1' })")
    expect(script.locator(".lab-row b").first).to_have_text("2 : 1")
    assert script.locator("svg circle:not(.you)").count() == len(PAIRS) + 1
    assert script.locator("svg").get_attribute("aria-label").endswith(f"RMSE {math.sqrt(10 / 4):.3f} stars")


@pytest.mark.parametrize("sweep", [planted(list(MODELS)), Sweep.load("movielens")], ids=["planted", "movielens"])
def test_a_phone_in_the_dark(open_lab, sweep, request):
    page = open_lab(sweep, viewport={"width": 390, "height": 1300}, color_scheme="dark", reduced_motion="reduce")
    press(page, "Home", "ArrowRight", "ArrowRight", "ArrowRight")
    page.screenshot(path=SCREENSHOTS / f"lab-phone-{request.node.callspec.id}.png")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate("getComputedStyle(document.querySelector('svg text')).fill") == "rgb(238, 238, 238)"
    assert page.evaluate("getComputedStyle(document.querySelector('circle.you')).transitionDuration") == "0s"


def test_no_name_in_the_picture_lies_on_another(open_lab):
    for width in (390, 1100):
        page = open_lab(Sweep.load("movielens"), viewport={"width": width, "height": 1200}, reduced_motion="reduce")
        for _ in range(12):
            press(page, "ArrowLeft")
            boxes = page.locator("svg text").evaluate_all(
                "texts => texts.map(text => { const { left, right, top, bottom } = text.getBoundingClientRect();"
                " return [left, top, right, bottom, text.textContent]; })"
            )
            for number, one in enumerate(boxes):
                for other in boxes[:number]:
                    across = min(one[2], other[2]) - max(one[0], other[0])
                    down = min(one[3], other[3]) - max(one[1], other[1])
                    assert min(across, down) <= 3, (one[4], other[4])  # a line of text is higher than its letters


def test_strangers_texts_stay_texts(open_lab):
    page = open_lab(hostile.sweep())
    press(page, "Home", "End")
    for user in page.locator("select option").all_text_contents():
        page.get_by_label("shopper", exact=True).select_option(label=user)
    titles = page.locator(".lab-list bdi").all_text_contents()
    assert set(titles) <= {*hostile.ALL}
    assert page.evaluate("window.hacked") is None
    assert page.locator(".recsys-lab :is(script, img, iframe, a)").count() == 0


def test_the_switches_say_what_each_repair_adds(browser):
    """hit@10 is .1, .04 more with logQ, .02 more with a product bias, and .03 more with both."""
    names = [name_of(some) for some in COMBINATIONS]
    hits = [0.1 + 0.04 * int(one[0]) + 0.02 * int(one[4]) + 0.03 * int(one[0]) * int(one[4]) for one in names]
    rows = dict(zip(names, hits)) | {f"worth of {repair}": 0.05 for repair in REPAIRS}
    board = pd.DataFrame({"hit@10": rows, "hit@10 low": rows, "hit@10 high": rows})
    page = new_page(browser, viewport={"width": 390, "height": 600})
    page.set_content(lab_page.switches(pd.concat({"warm users": board}), dict(zip(REPAIRS, "abcde"))).html)
    expect(page.locator("p")).to_have_text("hit@10 with these repairs: warm users 0.100 [0.100, 0.100]")
    here = page.locator("td:nth-child(2)")
    assert here.all_inner_texts() == ["+0.040", "+0.000", "+0.000", "+0.000", "+0.020"]
    page.get_by_label("e").press("Space")
    assert here.all_inner_texts() == ["+0.070", "+0.000", "+0.000", "+0.000", "+0.020"]
    page.get_by_label("a").press("Space")
    expect(page.locator("p")).to_have_text("hit@10 with these repairs: warm users 0.190 [0.190, 0.190]")
    assert here.all_inner_texts() == ["+0.070", "+0.000", "+0.000", "+0.000", "+0.050"]
    assert page.locator("td:nth-child(3)").first.inner_text() == "+0.050 [+0.050,\u00a0+0.050]"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.close()
