"""Texts as a stranger might write them, and reviews and a sweep that hold them wherever there is room for a text."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from recsys_teach.lab.sweep import Factors, Sweep

HACK = "window.hacked=1"
TEXTS = (
    f"<script>{HACK}</script>",
    f'<img src=x onerror="{HACK}">',
    f'"><svg onload="{HACK}">',
    f"'><iframe srcdoc='<script>parent.{HACK}</script>'></iframe>",
    f"</bdi></textarea></title></style></script><script>{HACK}</script>",
    f'<a href="javascript:{HACK}">link</a>',
    f"[link](javascript:{HACK}) ![picture](http://elsewhere.invalid/a.png)",
    rf"$\href{{javascript:{HACK}}}{{x}}$",
    "between $5 and $6",
    r"$$\frac{1}{2}$$",
    r"\(a_1\) and \[b^2\]",
    r"\begin{equation}c\end{equation}",
    "{{7*7}} {% raw %} ${7*7}",
    "&lt;b&gt; &amp; &#60;i&#62;",
    "[bold red]rich[/] [link=http://elsewhere.invalid]link[/link]",
    "_under_ **stars** `code`",
    "x" * 300,
)
STEERING = (
    "\x1b[31mred\x1b[0m \x1b]8;;http://elsewhere.invalid\x1b\\link\x07",
    "two\nlines\rand\tmore",
    "a\u202egnp.exe",
)
ALL = (*TEXTS, *STEERING)


def reviews(these: Sequence[str] = ALL) -> pd.DataFrame:
    """Everyone has bought every second product; ids, titles, categories and summaries are all of these texts."""
    size = len(these)
    pairs = [(user, product) for user in range(size) for product in range(user % 2, size, 2)]
    users, products = zip(*pairs)
    pick = np.array(these, dtype=object)
    texts = {"user_id": pick[list(users)], "product_id": pick[list(products)], "title": pick[list(products)]}
    texts |= {"category": pick[[product // 2 for product in products]], "summary": pick[list(users)]}
    return pd.DataFrame(texts).assign(rating=[1.0 + (user + product) % 5 for user, product in pairs])


def sweep(these: Sequence[str] = ALL) -> Sweep:
    """Two models of these reviews that nobody trained; the purchases of the first product are held back, but one."""
    table = reviews(these)
    later = (table["product_id"] == these[0]) & (table["user_id"] != these[0])
    rng = np.random.default_rng(0)
    users, products = (rng.normal(size=(2, 1 + len(these), 4 + more)) for more in (1, 2))
    models = {
        pair: Factors(list(these), list(these), users[number], products[number], np.full(4, 0.2), 3.0)
        for number, pair in enumerate([(0.5, 1.0), (1.0, 1.0)])
    }
    return Sweep.from_recommenders(models, table[~later], table[later])
