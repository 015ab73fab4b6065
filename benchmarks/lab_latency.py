"""From a key press to the picture in the weight lab: `python benchmarks/lab_latency.py` (needs Chromium).

Fifty presses on the ratio slider of MovieLens' lab, in a page without a kernel: milliseconds from the key's event to
the frame after the picture has changed.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from playwright.sync_api import sync_playwright

from recsys_teach.lab.page import html
from recsys_teach.lab.sweep import Sweep

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from browser import launch, new_page

PRESSES = 50
LISTEN = """() => {
    window.took = [];
    let pressed = 0;
    document.addEventListener("keydown", () => { pressed = performance.now(); }, true);
    new MutationObserver(() => {
        if (!pressed) return;
        const start = pressed;
        pressed = 0;
        requestAnimationFrame(() => setTimeout(() => took.push(performance.now() - start)));
    }).observe(document.querySelector("svg[role=img]"), { attributes: true, subtree: true, childList: true });
}"""


def main() -> None:
    """Print the median, the 95th percentile and the maximum."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        file = Path(folder, "lab.html")
        file.write_text(f'<!doctype html><meta charset="utf-8">{html(Sweep.load("movielens"))}', encoding="utf-8")
        page = new_page(launch(play))
        page.goto(file.as_uri())
        page.get_by_label("ratio", exact=True).press("Home")
        page.evaluate(LISTEN)
        for press in range(PRESSES):
            page.keyboard.press("ArrowRight" if press // 8 % 2 == 0 else "ArrowLeft")
            page.wait_for_function("count => took.length >= count", arg=press + 1)
        took = page.evaluate("took")
    middle, late = np.percentile(took, [50, 95])
    print(f"{len(took)} presses: median {middle:.0f} ms, 95th percentile {late:.0f} ms, at most {max(took):.0f} ms")
    print(f"the page: {file.name}, {len(html(Sweep.load('movielens'))) / 1000:.0f} kB")


if __name__ == "__main__":
    main()
