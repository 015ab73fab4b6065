"""The weight lab in a page: the facts that `lab.js` shows, as HTML with a script, a picture and a table.

Where scripts run, the page is the whole lab but for training. Where none do, the picture and the table are left.
"""

import base64
import io
import json
import math
from collections.abc import Iterable, Sequence
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd

from recsys_teach import plots
from recsys_teach.lab.sweep import Sweep

SCRIPT = Path(__file__).with_name("lab.js")
SWITCHES = Path(__file__).with_name("switches.js")


def facts(sweep: Sweep) -> dict[str, Any]:
    """Return what the lab shows of a sweep, ready for JSON: an unknown number is None."""
    front = plots.on_front(sweep.board)
    pairs = [
        {
            "name": str(name),
            "weights": list(map(float, weights)),
            "scores": _known(scores),
            "front": bool(front.iloc[row]),
        }
        for row, (weights, (name, scores)) in enumerate(zip(sweep.weights, sweep.board.iterrows()))
    ]
    return {
        "pairs": pairs,
        "floor": _known(sweep.floor),
        "ceiling": None if sweep.ceiling is None else _known(sweep.ceiling),
        "presets": {name: list(weights) for name, weights in sweep.presets.items()},
        "shoppers": [{"user": one.user, "bought": one.bought, "later": one.later} for one in sweep.shoppers],
        "lists": [
            [[[product, _finite(stars)] for product, stars in places] for places in of_pair] for of_pair in sweep.lists
        ],
        "catalogue": {row[0]: list(row[1:]) for row in sweep.catalogue.itertuples(index=False)},
    }


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _known(scores: pd.Series) -> dict[str, float | None]:
    return {str(metric): _finite(value) for metric, value in scores.items()}


def html(sweep: Sweep) -> str:
    """Return the lab as HTML that needs neither a kernel nor a network: picture and table, and a script for both."""
    return _scripted("recsys-lab", SCRIPT, facts(sweep), _picture(sweep) + _table(presets(sweep)))


def _scripted(kind: str, script: Path, data: dict[str, Any], fallback: str) -> str:
    """Return HTML for a page: the fallback, and a script whose `show` replaces it by what it makes of the data."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    name = f"{kind}-{sha256(text.encode()).hexdigest()[:12]}"  # several may be in one page
    start = f"for (const place of document.querySelectorAll('.{name}:not([data-shown])')) {{\n"
    start += f"  place.dataset.shown = true;\n  show(place, {text});\n}}"
    source = script.read_text(encoding="utf-8")
    place = f'<div class="{name} tex2jax_ignore mathjax_ignore">{fallback}</div>'
    return f'{place}\n<script type="module">\n{source}\n{start}\n</script>'


def presets(sweep: Sweep) -> pd.DataFrame:
    """Return the presets' rows of the scoreboard by name; of weights that weren't trained, the row of the nearest."""
    rows = {}
    for name, weights in sweep.presets.items():
        pair = sweep.nearest(*weights)
        rows[name] = pd.concat([pd.Series({"trained with": sweep.board.index[pair]}), sweep.board.iloc[pair]])
    return pd.DataFrame(rows).T


def bundle(sweep: Sweep) -> dict[str, str]:
    """Return by MIME type what a page without a kernel shows: the lab, or the presets as text."""
    return {"text/html": html(sweep), "text/plain": _written(presets(sweep)).to_string()}


def _picture(sweep: Sweep) -> str:
    """Return the Pareto front as an image with its words."""
    both = sweep.board.drop(["rating only", "retrieval only"], errors="ignore")
    _, words = plots.pareto(both, sweep.floor, sweep.ceiling)
    file = io.BytesIO()
    plt.savefig(file, format="png", dpi=100)
    plt.close()
    return f'<img alt="{escape(words)}" src="data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}">'


def _written(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with its numbers as texts."""
    return table.map(lambda value: value if isinstance(value, str) else "none" if pd.isna(value) else f"{value:.3f}")


def _table(table: pd.DataFrame) -> str:
    """Return a table as HTML."""
    lines = [_cells("th", ["", *table.columns])]
    lines += [_cells("th", [name]) + _cells("td", row) for name, *row in _written(table).itertuples()]
    return f"<table><tr>{'</tr><tr>'.join(lines)}</tr></table>"


def _cells(kind: str, texts: Iterable[str] | Sequence[str]) -> str:
    style = "padding:.15em .6em;text-align:right;line-height:1.3"
    return "".join(f'<{kind} style="{style}">{escape(str(text))}</{kind}>' for text in texts)


class Shown:
    """What a notebook shows: HTML, or the same as text."""

    def __init__(self, html: str, text: str):
        self.html, self.text = html, text

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/html": self.html, "text/plain": self.text}


def switches(board: pd.DataFrame, labels: dict[str, str]) -> Shown:
    """Return switches for the repairs of a `repairs.repairs_board` as HTML; a table where no script runs.

    `labels` are the repairs in their order, with what readers call them. The parts are those but `all`.
    """
    parts = [part for part in board.index.unique(level=0) if part != "all"] or ["all"]
    rows = {part: board.loc[part].round(4).itertuples() for part in parts}
    numbers = {part: {name: [*map(float, found)] for name, *found in of} for part, of in rows.items()}
    in_words = "{:+.3f} [{:+.3f}, {:+.3f}]".format
    averages = {
        part: {label: in_words(*numbers[part][f"worth of {repair}"]) for repair, label in labels.items()}
        for part in parts
    }
    data = {"repairs": list(labels.items()), "parts": parts, "board": numbers}
    table = pd.DataFrame(averages)
    return Shown(_scripted("switches", SWITCHES, data, _table(table)), table.to_string())
