"""All pictures of the course can be read on a projector, without colours, and leave matplotlib as it was."""

from itertools import combinations
from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.colors import to_rgb
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from recsys_teach import plots
from recsys_teach.plots import charts, diagrams, style
from recsys_teach.shop import CATALOGUE, generate_shop
from recsys_teach.splits import split_by_time


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def split():
    return split_by_time(generate_shop().reviews)


def tower(column, ids, dim=32, text=None, words=0, layer_sizes=()):
    """What a tower of this size tells of itself."""
    table = SimpleNamespace(input_dim=words + 2, output_dim=dim)
    layers = [SimpleNamespace(units=size, activation=np.tanh) for size in layer_sizes]
    return SimpleNamespace(
        columns=(column, text) if text else (column,),
        embedding=SimpleNamespace(input_dim=ids + 1, output_dim=dim),
        parts={text: SimpleNamespace(embedding=table)} if text else {},
        dense=layers,
    )


# The numbers that notebooks 03, 05 and 08 show: points as crowded as the course's.
STEPS = ["random", "popularity", "textbook", "+ logQ", "+ no accidental hits", "+ unknown-user dropout", "oracle"]
BOARD = pd.DataFrame({"hit@10": [0.029, 0.124, 0.082, 0.173, 0.173, 0.19, 0.26]}, index=STEPS)
SPREAD = BOARD.assign(**{"hit@10 low": BOARD["hit@10"] - 0.012, "hit@10 high": BOARD["hit@10"] + 0.013})
GAIN = (SPREAD - 0.173).set_axis([f"hit@10 gain{end}" for end in ("", " low", " high")], axis=1)
PAIRS = ["1/256 : 1", "1/64 : 1", "1/16 : 1", "1/8 : 1", "0.25 : 1", "0.4 : 1", "1 : 1", "2 : 1", "4 : 1"]
POINTS = pd.DataFrame(
    {
        "hit@10": [0.301, 0.302, 0.304, 0.307, 0.309, 0.312, 0.306, 0.285, 0.239],
        "rmse": [0.8, 0.79, 0.786, 0.783, 0.779, 0.776, 0.77, 0.782, 0.817],
    },
    index=PAIRS,
)
ENDS = {
    f"{metric} {end}": POINTS[metric] + side * width
    for end, side in (("low", -1), ("high", 1))
    for metric, width in (("hit@10", 0.006), ("rmse", 0.01))
}
WITH_ENDS = POINTS.assign(**ENDS)
FLOOR, CEILING = pd.Series({"hit@10": 0.174, "rmse": 0.863}), pd.Series({"hit@10": 0.367, "rmse": 0.692})
PULL = pd.DataFrame({"retrieval": [3.7, 16.5, 25.4, 28.8], "rating": [2.7, 11.7, 16.4, 18.0]}).rename_axis("round")
PRICE = pd.DataFrame(
    {"true stars": [3.99, 4.075, 4.138, 4.229, 4.322, 4.382], "hit@10": [0.312, 0.308, 0.304, 0.289, 0.255, 0.201]},
    index=pd.Index([0, 0.25, 0.5, 1, 2, 4.0], name="stars_weight"),
)
RECALL = pd.DataFrame(
    {
        "milliseconds": [0.011, 0.018, 0.018, 0.028, 0.051, 0.099, 0.202],
        "recall@10": [0.958, 0.986, 0.991, 0.995, 0.999, 1.0, 1.0],
    },
    index=pd.Index([10, 20, 40, 80, 160, 320, 640], name="effort"),
)
CURVE = pd.DataFrame({"train": [1.1, 0.9, 0.6, 0.5], "validation": [1.2, 1.0, 0.95, 1.05]}, index=[1, 2, 3, 4])
ROUNDS = pd.DataFrame(
    {"hit@10": np.linspace(0.12, 0.11, 30), "new": np.linspace(0.2, 0.28, 30), "new wanted": 0.6}, index=range(1, 31)
)
LOOPS = {
    name: ROUNDS + shift for shift, name in enumerate(["popularity", "EASE", "EASE, 3 random", "EASE, 3 Thompson"])
}
SHARES = pd.DataFrame({"predicted": np.linspace(0.01, 0.4, 10), "bought": np.linspace(0.01, 0.1, 10)})
RELIABILITY = {"two stages": SHARES.assign(predicted=SHARES["bought"] + 0.01), "random negatives": SHARES}
USER_TOWER, PRODUCT_TOWER = tower("user_id", 1_334), tower("product_id", 373)
TALL_TOWER = tower("user_id", 250_000, 128, "summary", 10_000, (256, 32))
WORD_TOWER = tower("product_id", 373, 32, "title", 200)


def matrix(train):
    names = dict(zip(train["product_id"], train["title"]))
    return diagrams.in_batch_matrix(list(train["user_id"][:12]), list(train["product_id"][:12]), names=names)


def cloud():
    vectors = np.random.default_rng(0).standard_normal((2, 80, 8))
    return diagrams.embeddings(*vectors, [*CATALOGUE] * 10)


PICTURES = {
    "long_tail": lambda train, test: plots.long_tail(train),
    "rating_shares": lambda train, test: plots.rating_shares(train),
    "timeline": plots.timeline,
    "ladder": lambda train, test: plots.ladder(BOARD),
    "intervals": lambda train, test: plots.intervals(SPREAD),
    "intervals, gain": lambda train, test: plots.intervals(GAIN, "hit@10 gain"),
    "lines": lambda train, test: plots.lines(PULL, "length of the gradient"),
    "learning_curves": lambda train, test: plots.learning_curves(CURVE),
    "trade_off, floor": lambda train, test: plots.trade_off(PRICE, floor=("popularity", 0.174)),
    "trade_off, rival": lambda train, test: plots.trade_off(RECALL, rival=("exact", 0.91, 1), log_x=True),
    "feedback_loops": lambda train, test: plots.feedback_loops(LOOPS),
    "reliability": lambda train, test: plots.reliability(RELIABILITY),
    "calibration": lambda train, test: plots.calibration(np.linspace(1, 5, len(test)), test["rating"]),
    "pareto": lambda train, test: plots.pareto(POINTS, FLOOR, CEILING),
    "pareto, intervals": lambda train, test: plots.pareto(WITH_ENDS, FLOOR, CEILING),
    "two_towers": lambda train, test: diagrams.two_towers(USER_TOWER, PRODUCT_TOWER),
    "two_towers, tall": lambda train, test: diagrams.two_towers(TALL_TOWER, WORD_TOWER),
    "in_batch_matrix": lambda train, test: matrix(train),
    "embeddings": lambda train, test: cloud(),
}
every_picture = pytest.mark.parametrize("draw", PICTURES.values(), ids=PICTURES)


def drawn_texts(figure, monkeypatch):
    """The texts that a reader sees: those that are drawn."""
    seen = []
    draw = Text.draw
    monkeypatch.setattr(Text, "draw", lambda self, *args, **kwargs: (seen.append(self), draw(self, *args, **kwargs))[1])
    figure.canvas.draw()
    return [text for text in dict.fromkeys(seen) if text.get_visible() and text.get_text().strip()]


def test_every_public_picture_is_among_those_tested():
    functions = {
        name
        for module in (charts, diagrams)
        for name, function in vars(module).items()
        if getattr(function, "__module__", "") == module.__name__ and not name.startswith("_")
    }
    assert functions - {"show", "on_front"} == {name.split(",")[0] for name in PICTURES}


@every_picture
def test_texts_are_large_and_curves_thick_whatever_the_reader_has_set(draw, split, monkeypatch):
    with mpl.rc_context({"font.size": 6, "xtick.labelsize": 5, "legend.fontsize": 5, "lines.linewidth": 0.5}):
        ax, _ = draw(*split)
        texts = drawn_texts(ax.figure, monkeypatch)
    assert len(texts) >= 4
    assert {text.get_text(): text.get_fontsize() for text in texts if text.get_fontsize() < 12} == {}
    assert [text.get_text() for text in texts if "^" in text.get_text()] == []  # an exponent is smaller than its text
    assert all(line.get_linewidth() >= 2 for axes in ax.figure.axes for line in axes.lines)
    assert ax.figure.get_size_inches()[0] == 7


@every_picture
def test_no_text_stands_on_another_or_leaves_the_picture(draw, split, monkeypatch):
    ax, _ = draw(*split)
    boxes = [(text.get_text(), text.get_window_extent()) for text in drawn_texts(ax.figure, monkeypatch)]
    assert [(one, two) for (one, a), (two, b) in combinations(boxes, 2) if a.overlaps(b)] == []
    # notebooks store a picture up to its last text, so a little outside is still seen; see `bbox_inches`
    page = ax.figure.bbox.padded(0.1 * ax.figure.dpi)
    assert [text for text, box in boxes if page.count_contains(box.corners()) < 4] == []


@every_picture
def test_a_picture_leaves_the_settings_of_matplotlib_as_they_were(draw, split):
    with mpl.rc_context({"font.size": 7, "xtick.labelsize": 7, "lines.linewidth": 1, "hatch.linewidth": 1}):
        before = dict(mpl.rcParams)
        draw(*split)
        assert dict(mpl.rcParams) == before


@every_picture
def test_the_words_are_one_line_with_a_number(draw, split):
    _, words = draw(*split)
    assert words.endswith(".")
    assert "\n" not in words
    assert any(letter.isdigit() for letter in words)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0.01234, "0.0123"),
        (4.567, "4.57"),
        (0, "0"),
        (999, "999"),
        (999.7, "1,000"),
        (1234.6, "1,235"),
        (-2e6, "-2,000,000"),
    ],
)
def test_numbers_in_words_have_three_digits_and_no_exponent(number, words):
    assert style.three(number) == words


def test_a_legend_stands_above_the_axes(split):
    for draw in (plots.timeline, PICTURES["pareto"], PICTURES["in_batch_matrix"]):
        ax, _ = draw(*split)
        ax.figure.canvas.draw()
        assert ax.get_legend().get_window_extent().y0 >= ax.bbox.y1


@pytest.mark.parametrize("second", ["timeline", "ladder"])
def test_bars_of_two_kinds_differ_in_their_hatch(split, second):
    ax, _ = PICTURES[second](*split)
    hatches = {(bar.get_facecolor(), bar.get_hatch()) for bar in ax.patches}
    assert len(hatches) == len({hatch for _, hatch in hatches}) == 2


def test_lines_differ_in_markers_and_dashes():
    ax, _ = plots.lines(pd.DataFrame(np.eye(4)), "height")
    assert len({line.get_marker() for line in ax.lines}) == 4
    assert len({line.get_linestyle() for line in ax.lines}) == 4


def test_names_stand_beside_their_points_or_not_at_all():
    ax = style.axes("x", "y")
    ax.plot([0, 10], [0, 10], "o")
    style.name_points(ax, [("low", 0, 0), ("high", 10, 10)])
    assert {text.get_text(): text.xy for text in ax.texts} == {"low": (0, 0), "high": (10, 10)}
    twins = style.axes("x", "y")
    twins.plot([0, 10], [0, 10], "o")
    style.name_points(twins, [("twin", 0, 0), ("other twin", 0, 0), ("high", 10, 10)])
    assert [text.get_text() for text in twins.texts] == ["high"]
    crowded = style.axes("x", "y")
    crowded.plot(*np.meshgrid(np.arange(60), np.arange(30)), "o", color="black")
    style.name_points(crowded, [("nowhere", 30, 15)])
    assert list(crowded.texts) == []


def test_long_names_that_would_meet_in_the_middle_do_not():
    ax = style.axes("x", "y")
    ax.plot([0, 10], [0, 0], "o")
    with mpl.rc_context({"font.size": 12}):
        style.name_points(ax, [("from the left, with a name as long as this", 0, 0), ("from the right" * 3, 10, 0)])
    boxes = [text.get_window_extent() for text in ax.texts]
    assert ax.texts[0].get_text().startswith("from the left")  # the first has its place, the second a free one or none
    assert not any(one.overlaps(two) for one, two in combinations(boxes, 2))


@pytest.mark.parametrize("picture", ["pareto", "pareto, intervals"])
def test_names_touch_no_point_of_the_crowded_front(split, picture):
    ax, _ = PICTURES[picture](*split)
    ax.figure.canvas.draw()
    points = ax.transData.transform(POINTS.to_numpy())
    names = {text.get_text(): text.get_window_extent() for text in ax.texts}
    assert {"1 : 1", "0.4 : 1", "2 : 1", "4 : 1"} <= set(names)
    radius = 5 * ax.figure.dpi / 72  # of a marker of 8 points, and its edge
    assert [name for name, box in names.items() if box.padded(radius).count_contains(points)] == []
    whiskers = [ends for part in ax.collections for ends in part.get_segments()]
    assert len(whiskers) == (2 * len(POINTS) if picture == "pareto, intervals" else 0)
    for ends in map(ax.transData.transform, whiskers):
        assert [name for name, box in names.items() if box.count_overlaps([Bbox(ends)])] == []
    for name, box in names.items():  # and the nearest point is its own, the next one clearly farther away
        middle = (box.corners().min(axis=0) + box.corners().max(axis=0)) / 2
        edges = np.maximum(np.abs(points - middle) - [box.width / 2, box.height / 2], 0)
        away = pd.Series(np.linalg.norm(edges, axis=1), PAIRS).sort_values()
        assert away.index[0] == name
        assert away.iloc[1] > 1.4 * away.iloc[0]


def luminance(colour):
    """Relative luminance as WCAG 2 defines it."""
    parts = np.array(to_rgb(colour))
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]


@every_picture
def test_texts_stand_out_from_white(draw, split, monkeypatch):
    ax, _ = draw(*split)
    for text in drawn_texts(ax.figure, monkeypatch):
        assert 1.05 / (luminance(text.get_color()) + 0.05) > 4.5, text.get_text()
