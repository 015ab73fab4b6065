"""One style for all pictures of the course, and labels that don't overlap.

The style is made for a projector: 7 inches wide, no text below 12 points, no curve below 2. It is in force while one of
our pictures is drawn, and leaves matplotlib's own settings unchanged. The colours are Okabe & Ito's ("Color Universal
Design", 2008), which colour-blind readers can tell apart; a hatch, a marker or a dash always repeats the colour.
"""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ParamSpec

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from recsys_teach._util import escape_controls

BLUE, ORANGE, GREEN, GREY, PINK = "#0072B2", "#E69F00", "#009E73", "#7F7F7F", "#CC79A7"
COLOURS = (BLUE, ORANGE, GREEN, PINK, "#D55E00", "#56B4E9", "#F0E442", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
WIDTH = 7  # inches
TEXTS = ("font.size", "axes.labelsize", "axes.titlesize", "legend.fontsize", "xtick.labelsize", "ytick.labelsize")
STYLE: dict[Any, Any] = {
    **dict.fromkeys(TEXTS, 12),
    **{"lines.linewidth": 2, "lines.markersize": 8, "lines.markeredgewidth": 2, "hatch.linewidth": 2},
    **{"axes.linewidth": 1.5, "patch.linewidth": 1.5, "legend.frameon": False},
    "text.parse_math": False,  # a $ in a title is a $
}
HATCHED: dict[str, Any] = {"hatch": "//", "edgecolor": "white"}  # told apart from plain bars without their colour
ASIDE = [(8, 0), (-8, 0), (0, 8), (0, -8), (6, 6), (-6, 6), (6, -6), (-6, -6)]  # points, from a point to its name

Picture = tuple[Axes, str]  # the axes, and one line of words that say the same
Arguments = ParamSpec("Arguments")


def styled(draw: Callable[Arguments, Picture]) -> Callable[Arguments, Picture]:
    """Return a function that draws in the course's style and leaves matplotlib's own settings unchanged."""

    @wraps(draw)
    def in_style(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Picture:
        with mpl.rc_context(STYLE):
            ax, words = draw(*args, **kwargs)
        return ax, escape_controls(words)

    return in_style


def axes(x: str, y: str, *, height: float = 3.2) -> Axes:
    """Return the axes of a new figure, `height` inches high, with these labels."""
    _, ax = plt.subplots(figsize=(WIDTH, height), layout="constrained")
    ax.set(xlabel=x, ylabel=y)
    ax.tick_params(labelsize=12, width=1.5)  # ticks are made later, when the style holds no more
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def three(number: float) -> str:
    """Return a number to three digits, for words: 0.0123, 4.57, 1,235."""
    return f"{number:,.0f}" if abs(number) >= 999.5 else f"{number:.3g}"


def name(text: Any) -> str:
    """Return a name from the data as a picture can show it: one line of 28 letters at most.

    A space comes before an underscore at its beginning, or matplotlib would leave it out of legends.
    """
    short = escape_controls(text, 28)
    return f" {short}" if short.startswith("_") else short


def legend_above(ax: Axes, **options) -> None:
    """Put the legend in a row above the axes, where it hides nothing; `options` are those of `Axes.legend`."""
    handles, labels = ax.get_legend_handles_labels()
    options = {"handles": list(dict(zip(labels, handles)).values())} | options  # a label that comes twice is one entry
    if count := len(options["handles"]):
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=count, columnspacing=1.2, borderaxespad=0.2, **options)


def box(ax: Axes, x: float, y: float, text: str, colour: str) -> Text:
    """Draw a text in a box around (x, y)."""
    frame = {"boxstyle": "round,pad=0.35", "facecolor": "white", "edgecolor": colour, "linewidth": 2}
    return ax.text(x, y, text, ha="center", va="center", bbox=frame)


def arrow(ax: Axes, start: Text, end: Text) -> None:
    """Draw an arrow from one box to another, from border to border."""
    look = {"arrowstyle": "-|>", "linewidth": 2, "color": GREY, "shrinkA": 0, "shrinkB": 0}
    look |= {"patchA": start.get_bbox_patch(), "patchB": end.get_bbox_patch()}
    ax.annotate("", end.get_position(), start.get_position(), arrowprops=look)


def name_points(ax: Axes, points: Sequence[tuple[str, float, float]]) -> None:
    """Write each name beside its point (name, x, y) where it touches no line, no marker and no other name.

    A name is left out if there is no such place inside the axes, or none that is clearly nearest to its own point.
    Draw everything else first.
    """
    ax.figure.canvas.figure.draw_without_rendering()  # from here on, places in pixels are final
    taken, named = _pixels_of_lines(ax), list[Bbox]()
    spots = ax.transData.transform([point[1:] for point in points])
    for number, (name, x, y) in enumerate(points):
        for right, up in ASIDE:
            text = ax.annotate(name, (x, y), (right, up), textcoords="offset points")
            text.set_horizontalalignment(("right", "center", "left")[np.sign(right) + 1])
            text.set_verticalalignment(("top", "center", "bottom")[np.sign(up) + 1])
            place = text.get_window_extent()
            free = (_distances(place, taken) > 5 * ax.figure.dpi / 72).all() and not place.count_overlaps(named)
            away = _distances(place, spots)
            clear = 1.5 * away[number] <= np.delete(away, number).min(initial=np.inf)
            if free and clear and ax.bbox.count_contains(place.corners()) == 4:
                named.append(place)
                break
            text.remove()


def _distances(box: Bbox, pixels: np.ndarray) -> np.ndarray:
    """Return the distances of pixels `[pixels, 2]` from a box; 0 inside."""
    outside = np.maximum(np.maximum(box.min - pixels, pixels - box.max), 0)
    return np.hypot(*outside.T)


def _pixels_of_lines(ax: Axes) -> np.ndarray:
    """Return the pixels of these axes' lines, whiskers and markers, `[pixels, 2]`."""
    whiskers = [one for one in ax.collections if isinstance(one, LineCollection)]
    places = [(line.get_transform(), line.get_xydata(), line.get_linestyle() != "None") for line in ax.lines]
    places += [(one.get_transform(), ends, True) for one in whiskers for ends in one.get_segments()]
    pixels = []
    for transform, corners, joined in places:
        corners = transform.transform(corners)
        pixels.append(corners)
        if joined:
            shares = np.linspace(0, 1, 200)[:, None, None]
            pixels.append((corners[:-1] * (1 - shares) + corners[1:] * shares).reshape(-1, 2))
    return np.concatenate(pixels) if pixels else np.empty((0, 2))
