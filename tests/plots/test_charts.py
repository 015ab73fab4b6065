"""The axes hold the right data, and the words say the right numbers."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.colors import to_hex
from matplotlib.dates import num2date

from recsys_teach import plots
from recsys_teach.plots import style


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def heights(area):
    """The y values that a filled area runs through."""
    return set(area.get_paths()[0].vertices[:, 1])


def widest(area):
    return area.get_paths()[0].vertices[:, 0].max()


def test_long_tail_marks_the_products_that_hold_half():
    ax, words = plots.long_tail(pd.DataFrame({"product_id": list("ccaaaabbbd")}))
    assert words == "The 2 most reviewed of 4 products hold half of the 10 reviews."
    everything, half = ax.collections
    assert (heights(everything), widest(everything)) == ({0, 4, 3, 2, 1}, 4)
    assert (heights(half), widest(half)) == ({0, 4, 3}, 2)
    assert list(ax.lines[0].get_xdata()) == [2, 2]


@pytest.mark.parametrize(
    ("products", "half"), [("aabb", 1), ("aab", 1), ("abc", 2), ("abcd", 2), ("aaabbcc", 2), ("aaaabbcc", 1)]
)
def test_long_tail_counts_up_to_half_and_no_further(products, half):
    _, words = plots.long_tail(pd.DataFrame({"product_id": list(products)}))
    assert words.startswith(f"The {half} most reviewed of {len(set(products))} products")


def test_rating_shares_are_bars_in_the_order_of_the_stars():
    ax, words = plots.rating_shares(pd.DataFrame({"rating": [5.0, 1.0, 5.0, 4.5, 5.0]}))
    assert [bar.get_height() for bar in ax.patches] == pytest.approx([0.2, 0.2, 0.6])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1", "4.5", "5"]
    assert words == "Stars: 1 (20%), 4.5 (20%), 5 (60%)."


def times(*days):
    return pd.DataFrame({"timestamp": pd.to_datetime(days, utc=True, format="mixed")})


def test_timeline_stacks_the_test_part_on_training_month_by_month():
    train = times("2022-01-03", "2022-01-31 23:59", "2022-02-01")
    test = times("2022-02-07 08:00", "2022-04-30", "2022-04-01")
    ax, words = plots.timeline(train, test)
    lower, upper = ax.containers
    middles = [bar.get_x() + bar.get_width() / 2 for bar in lower]
    assert [f"{num2date(middle):%Y-%m-%d}" for middle in middles] == ["2022-01-01", "2022-02-01", "2022-04-01"]
    assert [bar.get_height() for bar in lower] == [2, 1, 0]
    assert [bar.get_height() for bar in upper] == [0, 1, 2]
    assert [bar.get_y() for bar in upper] == [2, 1, 0]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["train", "test"]
    days = [f"{day:%d %B %Y}" for day in pd.to_datetime(["2022-02-07", "2022-04-30", "2022-02-01"])]
    assert words == f"Test reviews run from {days[0]} to {days[1]}; training goes up to {days[2]}."


BOARD = pd.DataFrame(
    {"hit@10": [0.1, np.nan, 0.25, 0.5], "rmse": [np.nan, 0.9, 0.8, 0.7]},
    index=["popularity", "damped biases", "multitask", "oracle"],
)


def test_ladder_draws_the_models_downwards_and_the_oracle_as_ceiling():
    ax, words = plots.ladder(BOARD)
    bars = sorted(ax.patches, key=lambda bar: -bar.get_y())
    assert [bar.get_width() for bar in bars] == [0.1, 0.25]
    assert [to_hex(bar.get_facecolor()).upper() for bar in bars] == [style.GREY, style.BLUE]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["multitask", "popularity"]
    assert [text.get_text() for text in ax.texts] == ["0.250", "0.100"]
    assert list(ax.lines[0].get_xdata()) == [0.5, 0.5]
    assert ax.get_legend().get_texts()[0].get_text() == "ceiling 0.500"
    assert ax.get_xlabel() == "hit@10"
    assert words == "hit@10: popularity 0.100, multitask 0.250, oracle 0.500."


def test_ladder_shows_any_metric_and_no_ceiling_without_an_oracle():
    ax, words = plots.ladder(BOARD.drop("oracle"), "rmse")
    assert sorted(bar.get_width() for bar in ax.patches) == [0.8, 0.9]
    assert list(ax.lines) == []
    assert words == "rmse: damped biases 0.900, multitask 0.800."


SPREAD = pd.DataFrame(
    {
        "hit@10": [0.1, np.nan, 0.25, 0.5],
        "hit@10 low": [0.08, np.nan, 0.2, 0.4],
        "hit@10 high": [0.13, np.nan, 0.31, 0.6],
        "hit@10 gain": [-0.15, np.nan, 0.0, 0.25],
        "hit@10 gain low": [-0.2, np.nan, 0.0, -0.05],
        "hit@10 gain high": [-0.1, np.nan, 0.0, 0.35],
    },
    index=BOARD.index,
)


def dots(ax):
    """The dots of a chart of intervals from the top: name, value, low, high, colour, and whether they are filled."""
    names = [label.get_text() for label in ax.get_yticklabels()]
    shapes = [line for line in ax.lines if line.get_linestyle() != "--"]
    found = []
    for whisker, dot in zip(shapes[::2], shapes[1::2]):
        (value,), (place,) = dot.get_data()
        assert list(whisker.get_ydata()) == [place, place]
        assert whisker.get_color() == dot.get_color()
        filled = dot.get_markerfacecolor() != "white"
        found.append((place, names[place], value, *whisker.get_xdata(), dot.get_color(), dot.get_marker(), filled))
    return [dot[1:] for dot in sorted(found, reverse=True)]


def test_intervals_draw_a_dot_and_a_whisker_for_each_row_downwards():
    ax, words = plots.intervals(SPREAD)
    assert dots(ax) == [
        ("popularity", 0.1, 0.08, 0.13, style.GREY, "s", True),
        ("multitask", 0.25, 0.2, 0.31, style.BLUE, "o", True),
        ("oracle", 0.5, 0.4, 0.6, style.ORANGE, "*", True),
    ]
    assert [line for line in ax.lines if line.get_linestyle() == "--"] == []
    assert [(text.get_text(), text.xy) for text in ax.texts][::-1] == [
        ("0.100", (0.13, 2)),
        ("0.250", (0.31, 1)),
        ("0.500", (0.6, 0)),
    ]
    assert ax.get_xlabel() == "hit@10"
    assert words == (
        "hit@10, with 95% intervals: popularity 0.100 (0.080 to 0.130), multitask 0.250 (0.200 to 0.310), "
        "oracle 0.500 (0.400 to 0.600)."
    )


def test_gains_have_a_line_at_nothing_and_are_hollow_where_the_interval_includes_it():
    ax, words = plots.intervals(SPREAD, "hit@10 gain")
    (zero,) = (line for line in ax.lines if line.get_linestyle() == "--")
    assert list(zero.get_xdata()) == [0, 0]
    assert [(name, filled) for name, *_, filled in dots(ax)] == [
        ("popularity", True),
        ("multitask", False),  # the rival itself
        ("oracle", False),
    ]
    assert [(text.get_text(), text.xy[0]) for text in ax.texts][::-1] == [
        ("-0.150", -0.2),  # on the far side of 0
        ("+0.000", 0),
        ("+0.250", 0.35),
    ]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["interval includes 0"]
    assert words == (
        "hit@10 gain, with 95% intervals: popularity -0.150 (-0.200 to -0.100), multitask +0.000 (+0.000 to +0.000), "
        "oracle +0.250 (-0.050 to +0.350)."
    )


def test_a_gain_above_nothing_is_filled_whichever_end_is_nearer():
    board = pd.DataFrame({"m gain": [0.2], "m gain low": [0.1], "m gain high": [0.3]}, index=["a"])
    assert [dot[-1] for dot in dots(plots.intervals(board, "m gain")[0])] == [True]


def test_intervals_draw_into_axes_that_exist():
    ax = style.axes("", "")
    assert plots.intervals(SPREAD, ax=ax)[0] is ax
    assert (len(plt.get_fignums()), ax.get_xlabel()) == (1, "hit@10")
    assert [name for name, *_ in dots(ax)] == ["popularity", "multitask", "oracle"]


def test_a_board_without_intervals_is_refused():
    with pytest.raises(ValueError, match="no hit@10 low, hit@10 high: "):
        plots.intervals(BOARD)


POINTS = pd.DataFrame({"hit@10": [0.1, 0.3, 0.2], "rmse": [0.7, 0.9, 0.8]}, index=["1:0", "0:1", "1:1"])


def test_pareto_joins_the_front_and_leaves_dominated_points_hollow():
    floor, ceiling = pd.Series({"hit@10": 0.05, "rmse": 1.0}), pd.Series({"hit@10": 0.4, "rmse": 0.6})
    points = pd.concat([POINTS, pd.DataFrame({"hit@10": [0.15], "rmse": [0.85]}, index=["bad"])])
    ax, words = plots.pareto(points, floor, ceiling)
    drawn = {line.get_label(): line.get_xydata().tolist() for line in ax.lines}
    assert drawn["Pareto front"] == [[0.1, 0.7], [0.2, 0.8], [0.3, 0.9]]
    assert drawn["dominated"] == points.to_numpy().tolist()
    assert ax.lines[0].get_fillstyle() == "none"
    assert (drawn["floor"], drawn["ceiling"]) == ([[0.05, 1.0]], [[0.4, 0.6]])
    assert {text.get_text(): text.xy for text in ax.texts}["bad"] == (0.15, 0.85)
    assert ax.yaxis_inverted()
    assert (
        words == "On the Pareto front, as (hit@10, RMSE): 1:0 (0.100, 0.700), 1:1 (0.200, 0.800), 0:1 (0.300, 0.900)."
    )


def test_pareto_without_a_ceiling_draws_none():
    ax, _ = plots.pareto(POINTS, pd.Series({"hit@10": 0.05, "rmse": 1.0}))
    assert [line.get_label() for line in ax.lines] == ["dominated", "Pareto front", "floor"]
    assert list(ax.collections) == []


def test_pareto_draws_the_intervals_of_a_board_that_has_them_both_ways():
    ends = {"hit@10 low": [0.08, 0.27, 0.19], "hit@10 high": [0.13, 0.31, 0.22]}
    ends |= {"rmse low": [0.68, 0.88, 0.75], "rmse high": [0.71, 0.95, 0.81]}
    floor = pd.Series({"hit@10": 0.05, "rmse": 1.0})
    ax, words = plots.pareto(POINTS.assign(**ends), floor)
    across, along = ([[list(end) for end in one] for one in part.get_segments()] for part in ax.collections)
    assert across == [[[0.08, 0.7], [0.13, 0.7]], [[0.27, 0.9], [0.31, 0.9]], [[0.19, 0.8], [0.22, 0.8]]]
    assert along == [[[0.1, 0.68], [0.1, 0.71]], [[0.3, 0.88], [0.3, 0.95]], [[0.2, 0.75], [0.2, 0.81]]]
    assert words == plots.pareto(POINTS, floor)[1]


def test_pareto_leaves_out_what_has_only_one_of_the_two():
    half = pd.DataFrame({"hit@10": [0.9, np.nan], "rmse": [np.nan, 0.1]}, index=["no stars", "no hits"])
    ax, words = plots.pareto(pd.concat([POINTS, half]), pd.Series({"hit@10": 0.05, "rmse": 1.0}))
    assert ax.lines[0].get_xydata().tolist() == POINTS.to_numpy().tolist()
    assert {text.get_text() for text in ax.texts} == set(POINTS.index)
    assert "no " not in words
    assert plots.on_front(pd.concat([POINTS, half])).tolist() == [True, True, True, False, False]


def test_equal_points_are_both_on_the_front_and_a_tie_in_one_is_decided_by_the_other():
    points = pd.DataFrame({"hit@10": [0.2, 0.2, 0.2, 0.1], "rmse": [0.8, 0.8, 0.9, 0.8]})
    assert plots.on_front(points).tolist() == [True, True, False, False]


def test_lines_draw_every_column_over_the_index():
    table = pd.DataFrame({"retrieval": [3.7, 33.72], "rating": [2.7, 19.04]}, index=pd.Index([0, 6], name="round"))
    ax, words = plots.lines(table, "length of the gradient")
    drawn = {line.get_label(): line.get_xydata().tolist() for line in ax.lines}
    assert drawn == {"retrieval": [[0, 3.7], [6, 33.72]], "rating": [[0, 2.7], [6, 19.04]]}
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("round", "length of the gradient")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["retrieval", "rating"]
    assert all(float(tick).is_integer() for tick in ax.get_xticks())
    assert words == "Length of the gradient: retrieval 3.7 at first, 33.7 at last; rating 2.7 at first, 19 at last."


PRICES = pd.DataFrame({"true stars": [4.0, 4.25, 4.4], "hit@10": [0.312, 0.3, 0.2]}, index=[0, 0.5, 4])


def test_trade_off_joins_named_points_above_a_dashed_floor():
    ax, words = plots.trade_off(PRICES.rename_axis("weight"), floor=("popularity", 0.174))
    line, floor = ax.lines
    assert line.get_xydata().tolist() == [[4.0, 0.312], [4.25, 0.3], [4.4, 0.2]]
    assert (list(floor.get_ydata()), floor.get_linestyle()) == ([0.174, 0.174], "--")
    assert {text.get_text(): text.xy for text in ax.texts} == {"0": (4.0, 0.312), "0.5": (4.25, 0.3), "4": (4.4, 0.2)}
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["at each point: weight", "popularity 0.174"]
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_xscale()) == ("true stars", "hit@10", "linear")
    said, floor_said = words.split("; ")
    assert said == "weight, as (true stars, hit@10): 0 (4, 0.312), 0.5 (4.25, 0.3), 4 (4.4, 0.2)"
    assert floor_said == "the floor, popularity, is at 0.174."


def test_trade_off_shows_a_rival_as_a_square_on_a_logarithmic_scale():
    points = pd.DataFrame({"milliseconds": [0.01, 0.1], "recall": [0.9, 1.0]}, pd.Index([10, 640], name="effort"))
    ax, words = plots.trade_off(points, rival=("exact", 10.0, 1.0), log_x=True)
    ax.figure.canvas.draw()
    _, square = ax.lines
    assert (square.get_xydata().tolist(), square.get_marker(), square.get_label()) == ([[10, 1]], "s", "exact")
    assert ax.get_xscale() == "log"
    assert {"0.01", "0.1", "1", "10"} <= {label.get_text() for label in ax.get_xticklabels()}
    assert words == "effort, as (milliseconds, recall): 10 (0.01, 0.9), 640 (0.1, 1), exact (10, 1)."


def test_feedback_loops_show_hits_on_the_left_and_new_products_on_the_right():
    rounds = pd.DataFrame({"hit@10": [0.3, 0.2], "new": [0.1, 0.5], "new wanted": [0.6, 0.5]}, index=[1, 2])
    left, words = plots.feedback_loops({"EASE": rounds, "other": rounds / 2})
    right = left.figure.axes[1]
    assert [line.get_xydata().tolist() for line in left.lines] == [[[1, 0.3], [2, 0.2]], [[1, 0.15], [2, 0.1]]]
    wanted, ease, _ = right.lines
    assert (wanted.get_ydata().tolist(), wanted.get_linestyle()) == ([0.6, 0.5], "--")
    assert ease.get_ydata() == pytest.approx([0.1, 0.3])  # a mean over the rounds so far, five at most
    assert words == (
        "EASE: hit@10 0.300 at first, 0.200 at last, new 30%; other: hit@10 0.150 at first, 0.100 at last, new 15%; "
        "of what users want, 50% is new."
    )


def test_learning_curves_show_where_the_validation_rows_stop_getting_better():
    curve = pd.DataFrame({"train": [1.1, 0.9, 0.6, 0.5], "validation": [1.2, 1.0, 0.95, 1.05]}, index=[1, 2, 3, 4])
    ax, words = plots.learning_curves(curve)
    drawn = {line.get_label(): line.get_xydata().tolist() for line in ax.lines}
    assert drawn == {
        "train": [[1, 1.1], [2, 0.9], [3, 0.6], [4, 0.5]],
        "validation": [[1, 1.2], [2, 1.0], [3, 0.95], [4, 1.05]],
    }
    assert words == "Training rows: 1.100 down to 0.500. Validation rows: best in epoch 3 (0.950), 1.050 at last."


def test_calibration_draws_the_mean_rating_of_each_bin_of_predictions():
    predicted = np.array([4.0, 1.0, 5.0, 3.5])  # the lower half and the upper half, mixed
    ax, words = plots.calibration(predicted, pd.Series([5.0, 2.0, 4.0, 1.0], index=[7, 3, 1, 0]), bins=2)
    drawn = {line.get_label(): line.get_xydata().tolist() for line in ax.lines}
    assert drawn == {"right on average": [[1.5, 1.5], [4.5, 4.5]], "the model": [[2.25, 1.5], [4.5, 4.5]]}
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted stars", "stars given (mean)")
    assert words == "Where it says 2.25 stars, 1.50 were given on average; where it says 4.50, 4.50."


def test_calibration_has_ten_bins_of_as_many_rows_each():
    predicted = 1 + np.arange(100) / 25
    ax, words = plots.calibration(predicted, pd.Series(6 - predicted))
    means = 1.18 + 0.4 * np.arange(10)
    np.testing.assert_allclose(ax.lines[1].get_xydata(), np.column_stack([means, 6 - means]))
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[1.18, 1.18], [4.82, 4.82]])
    assert words == "Where it says 1.18 stars, 4.82 were given on average; where it says 4.78, 1.22."


def test_calibration_puts_equal_predictions_into_one_bin():
    ax, words = plots.calibration(np.array([2.0, 2.0, 2.0, 4.0]), pd.Series([1.0, 2.0, 5.0, 4.5]), bins=4)
    assert ax.lines[1].get_xydata() == pytest.approx(np.array([[2, 8 / 3], [4, 4.5]]))
    assert words == "Where it says 2.00 stars, 2.67 were given on average; where it says 4.00, 4.50."


def test_reliability_draws_each_models_bins_beside_the_diagonal():
    columns = ["predicted", "bought", "rows"]
    one = pd.DataFrame([(0.01, 0.02, 50), (0.1, 0.08, 50)], columns=columns)
    other = pd.DataFrame([(0.2, 0.0, 50), (0.5, 0.04, 50)], columns=columns)
    ax, words = plots.reliability({"shown": one, "random": other})
    drawn = {line.get_label(): line.get_xydata().tolist() for line in ax.lines}
    assert drawn == {
        "right on average": [[0.01, 0.01], [0.5, 0.5]],
        "shown": [[0.01, 0.02], [0.1, 0.08]],
        "random": [[0.2, 0.0], [0.5, 0.04]],
    }
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert words == (
        "Predicted and bought in the bin of the highest predictions: shown 10.00% and 8.00%, random 50.00% and 4.00%."
    )


def test_the_words_stand_under_the_picture(monkeypatch, capsys):
    monkeypatch.setattr(plt, "show", lambda: print("[the picture]"))  # noqa: T201
    plots.show((plt.gca(), "What it says."))
    assert capsys.readouterr().out == "[the picture]\nWhat it says.\n"
    words = "the model: " + "well-known 0.123, " * 20
    plots.show((plt.gca(), words))
    _, *lines = capsys.readouterr().out.splitlines()
    assert (" ".join(lines), max(map(len, lines)) <= 100) == (words.strip(), True)
    assert all(line.startswith(("the model:", "well-known", "0.123,")) for line in lines)
