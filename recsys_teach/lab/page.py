"""The page of the weight lab: turns a `LabState` into HTML.

The scatter is drawn as SVG, which a browser repaints in a few milliseconds; text has the colour of the page, so it can
be read in a dark theme, and no information is in colour alone.
"""

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from recsys_teach import plots
from recsys_teach.lab.state import LabState
from recsys_teach.lab.sweep import BOTH
from recsys_teach.plots.style import BLUE, GREY, ORANGE, PINK

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 540, 360, 62, 46, 16, 24  # pixels


class Scatter:
    """Draws hit@10 against RMSE: floor, ceiling, all trained pairs, the Pareto front, your point and your trail.

    Pairs that have one of the two only are no points.
    """

    def __init__(self, state: LabState):
        board = state.sweep.board
        floor, ceiling = state.sweep.floor[BOTH], state.sweep.ceiling
        corners = [board[BOTH].dropna(), floor.to_frame().T]
        if ceiling is not None:
            corners.append(ceiling[BOTH].to_frame().T)
        spread = pd.concat(corners).astype(float)
        margin = 0.08 * (spread.max() - spread.min()).clip(lower=1e-6)
        self.low, self.high = spread.min() - margin, spread.max() + margin
        self.places = {
            pair: self.xy(point) for pair, (_, point) in enumerate(board[BOTH].iterrows()) if point.notna().all()
        }
        self.still = [*self._axes(), self._baseline(floor, "floor", GREY, square=True)]
        if ceiling is not None:
            self.still.append(self._baseline(ceiling, "ceiling", ORANGE, square=False))
        front = plots.on_front(board)
        line = _line(sorted(place for pair, place in self.places.items() if front.iloc[pair]))
        self.still.append(f'<polyline points="{line}" fill="none" stroke="{BLUE}" stroke-width="2"/>')
        self.points = []
        for pair, (x, y) in self.places.items():
            fill, name = BLUE if front.iloc[pair] else "none", board.index[pair]
            look = f'r="5" fill="{fill}" stroke="{BLUE}" stroke-width="2"'
            self.points.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" {look}/>')
            if name in ("rating only", "retrieval only"):
                self.points.append(_text(x, y + 19, name, anchor="middle" if x > LEFT + 40 else "start"))

    def xy(self, point: pd.Series) -> tuple[float, float]:
        """Return the pixels of a point; up and right are better."""
        across, up = (point[BOTH] - self.low) / (self.high - self.low)
        return LEFT + float(across) * (WIDTH - LEFT - RIGHT), TOP + float(up) * (HEIGHT - TOP - BOTTOM)

    def svg(self, state: LabState) -> str:
        """Return the picture, with a description in words (`aria-label`)."""
        board, pair = state.sweep.board, state.pair
        name, (hits, error) = str(board.index[pair]), board[BOTH].iloc[pair]
        known = ["no hit@10" if np.isnan(hits) else f"hit@10 {hits:.3f}"]
        known.append("no RMSE" if np.isnan(error) else f"RMSE {error:.3f} stars")
        words = f"{name}: {', '.join(known)}"
        trail = _line(self.places[visited] for visited in state.trail[-12:] if visited in self.places)
        dotted = f'stroke="{PINK}" stroke-width="2" stroke-dasharray="2 4" stroke-linecap="round"'
        shapes = [*self.still, f'<polyline class="trail" points="{trail}" fill="none" {dotted}/>', *self.points]
        if pair in self.places:
            x, y = self.places[pair]
            ring = f'r="11" fill="none" stroke="{PINK}" stroke-width="4"'
            shapes.append(f'<circle class="you" cx="{x:.1f}" cy="{y:.1f}" {ring}/>')
            shapes.append(_text(x, y - 18, f"you: {name}", anchor="end" if x > WIDTH - 110 else "middle", bold=True))
        else:
            shapes.append(_text(WIDTH / 2, TOP + 12, f"you, not in the picture: {words}", anchor="middle", bold=True))
        return (
            f'<svg role="img" aria-label="{escape(words)}" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
            f'height="{HEIGHT}" style="max-width:100%;height:auto;font:13px sans-serif">{"".join(shapes)}</svg>'
        )

    def _axes(self) -> list[str]:
        shapes = [
            f'<path d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}" fill="none" stroke="currentColor"/>',
            _text(WIDTH - RIGHT, HEIGHT - 8, "hit@10: right is better →", anchor="end"),
            f'<g transform="rotate(-90 14 {TOP})">{_text(14, TOP, "RMSE in stars: up is better →", anchor="end")}</g>',
        ]
        for share in (0.1, 0.5, 0.9):
            value = self.low + share * (self.high - self.low)
            x, y = self.xy(value)
            shapes.append(_text(x, HEIGHT - BOTTOM + 17, f"{value['hit@10']:.2f}", anchor="middle"))
            shapes.append(_text(LEFT - 6, y + 4, f"{value['rmse']:.2f}", anchor="end"))
        return shapes

    def _baseline(self, point: pd.Series, name: str, colour: str, *, square: bool) -> str:
        x, y = self.xy(point)
        lines = (
            f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}M{x:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="{colour}" '
            'stroke-dasharray="5 5" opacity=".7"/>'
        )
        turn = "" if square else f' transform="rotate(45 {x:.1f} {y:.1f})"'
        mark = f'<rect x="{x - 6:.1f}" y="{y - 6:.1f}" width="12" height="12" fill="{colour}"{turn}/>'
        return lines + mark + _text(x - 10, y + (-10 if square else 20), name, anchor="end")


def _line(places: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def _text(x: float, y: float, words: str, *, anchor: str = "start", bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="currentColor"{weight}>{escape(words)}</text>'


def row(state: LabState) -> str:
    """Return the row of the scoreboard, with the difference to the floor in words and signs."""
    lines = [
        (metric, _number(model), _number(floor), _compared(difference, metric), *map(_number, ceiling))
        for metric, model, floor, difference, *ceiling in state.row().itertuples()
    ]
    pair, name = state.pair, escape(str(state.sweep.board.index[state.pair]))
    if not state.is_trained:
        name += f" (the trained pair nearest to {state.rating_weight:.3g} : {state.retrieval_weight:.3g})"
    cells = _table(["model", "floor", "to the floor", "ceiling"][: len(lines[0]) - 1], lines)
    return f'<div class="lab-row" data-pair="{pair}"><b>{name}</b>{cells}</div>'


def recommendations(state: LabState) -> str:
    """Return the shopper's first five products, their moves since the list before, and the shopper's purchases."""
    lines = []
    for place in state.top():
        sign = "new" if np.isnan(place.move) else f"▲ {place.move:.0f}" if place.move > 0 else ""
        sign = f"▼ {-place.move:.0f}" if place.move < 0 else sign
        stars = "" if np.isnan(place.stars) else f" · {place.stars:.1f} ★"
        mark = " ✓ bought later" if place.bought else ""
        name = f"<b>{_foreign(place.title or place.product_id)}</b> · {_foreign(place.category)}"
        lines.append(f"<li>{name}{stars}{mark} <b>{sign}</b></li>")
    hits, error = state.sweep.board[BOTH].iloc[state.pair]
    missing = "It recommends nothing: it predicts stars only." if np.isnan(hits) else ""
    missing = missing or ("It predicts no stars." if np.isnan(error) else "")
    owned = [f"{_foreign(t)} ({_foreign(c)})" if c else _foreign(t) for t, c in state.bought_before()]
    return (
        '<div class="lab-list" style="line-height:1.5;overflow-wrap:anywhere">'
        f"For {_foreign(state.shopper)}, who bought: {'; '.join(owned)}"
        f'<ol style="margin:.4em 0;line-height:1.6;padding-left:2em">{"".join(lines)}</ol>{missing}</div>'
    )


def _foreign(text: str) -> str:
    """Return text from the data as HTML; right-to-left text doesn't reverse the words beside it."""
    return f"<bdi>{escape(text)}</bdi>"


def presets(state: LabState) -> pd.DataFrame:
    """Return the presets' rows of the scoreboard by name, for pages without a kernel."""
    own = LabState(state.sweep)
    rows = {}
    for name, weights in own.presets.items():
        own.set_weights(*weights)
        rows[name] = pd.concat(
            [pd.Series({"trained with": own.sweep.board.index[own.pair]}), own.sweep.board.iloc[own.pair]]
        )
    return pd.DataFrame(rows).T


def static_picture(state: LabState) -> bytes:
    """Return the Pareto front as a PNG, for pages without a kernel."""
    both = state.sweep.board.drop(["rating only", "retrieval only"], errors="ignore")
    plots.pareto(both, state.sweep.floor, state.sweep.ceiling)
    file = io.BytesIO()
    plt.savefig(file, format="png", dpi=100)
    plt.close()
    return file.getvalue()


def static_bundle(state: LabState) -> dict[str, str]:
    """Return by MIME type what a page without a kernel shows: a picture, a table, and the table as text."""
    table = presets(state).map(lambda value: _number(value) if isinstance(value, float) else value)
    return {
        "image/png": base64.b64encode(static_picture(state)).decode(),
        "text/html": _table(table.columns, table.itertuples()),
        "text/plain": table.to_string(),
    }


def _number(value: float) -> str:
    return "none" if np.isnan(value) else f"{value:.3f}"


def _compared(difference: float, metric: str) -> str:
    """Return the difference to the floor with its sign, and in a word."""
    if np.isnan(difference):
        return ""
    gain = -difference if metric == "rmse" else difference
    return f"{difference:+.3f} {'better' if gain > 0 else 'worse' if gain < 0 else 'equal'}"


def _table(columns: Iterable[str], rows: Iterable[Sequence]) -> str:
    """Return a table as HTML; the first of each row is its name. (Pandas' own takes longer than all else of a move.)"""
    lines = [_cells("th", ["", *columns]), *(_cells("th", row[:1]) + _cells("td", row[1:]) for row in rows)]
    return f"<table><tr>{'</tr><tr>'.join(lines)}</tr></table>"


def _cells(kind: str, texts: Iterable) -> str:
    style = "padding:.15em .6em;text-align:right;line-height:1.3"
    return "".join(f'<{kind} style="{style}">{escape(str(text))}</{kind}>' for text in texts)
