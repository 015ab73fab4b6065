"""Texts as a stranger might write them, to be shown and never run, and reviews that hold them in every column."""

HACK = "window.hacked=1"
TEXTS = (
    f"<script>{HACK}</script>",
    f'<img src=x onerror="{HACK}">',
    f'"><svg onload="{HACK}">',
    f"'><iframe srcdoc='<script>parent.{HACK}</script>'></iframe>",
    f"</textarea></title></style></script><script>{HACK}</script>",
    f'<a href="javascript:{HACK}">link</a>',
    f"[link](javascript:{HACK}) ![picture](http://elsewhere.invalid/a.png)",
    rf"$\href{{javascript:{HACK}}}{{x}}$",
    r"$5 and $6",
    r"$$\frac{1}{2}$$",
    r"\(a_1\) and \[b^2\]",
    r"\begin{equation}c\end{equation}",
    "{{7*7}} {% raw %} ${7*7}",
    "&lt;b&gt; &amp; &#60;i&#62;",
    "[bold red]rich[/] [link=http://elsewhere.invalid]link[/link]",
    "x" * 300,
)
