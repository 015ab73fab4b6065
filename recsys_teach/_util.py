"""Helpers that several rooms share: escaping text, sentences about bad data, atomic writes, progress bars.

Escaping. HTML is escaped where HTML is made. Two things are left: a $, in which a page's MathJax finds a formula, and
control characters, which steer a terminal or reverse the words beside them (Boucher & Anderson, "Trojan Source",
2021).

In a notebook, importing this module makes pandas' tables safe in the same way. The option `display.html.use_mathjax`
would be enough for the classic notebook, but not for JupyterLab, which only heeds a class that pandas 3 writes.
"""

import os
import re
import secrets
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

# Control characters, ends of lines, embeddings and overrides of the direction, halves of surrogate pairs.
CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
UNFINISHED = ".unfinished-"


def escape_controls(text: object, most: int | None = None) -> str:
    r"""Return text in one line with control characters written as escapes, cut to `most` characters.

    >>> escape_controls("a \x1b[31mred\x1b[0m tent\n"), escape_controls("x" * 99, 5)
    ('a \\x1b[31mred\\x1b[0m tent\\n', 'xxxx…')
    """
    plain = CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), str(text))
    return plain if most is None or len(plain) <= most else f"{plain[: most - 1]}…"


def escape_math(html: str) -> str:
    """Return escaped HTML in an element that MathJax skips; each version of MathJax heeds one of the two classes."""
    return f'<div class="tex2jax_ignore mathjax_ignore">{html}</div>'


def _table_html(frame: Any) -> str | None:
    html = frame._repr_html_()
    return None if html is None else escape_math(html)


if kernel := getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)():
    tables = kernel.display_formatter.formatters["text/html"]
    if pd.DataFrame not in tables:  # a formatter that somebody else has registered stays
        tables.for_type(pd.DataFrame, _table_html)


def shown(value: Any) -> str:
    """Return a value as error messages quote it: one line, and only the beginning of a long one.

    >>> shown("3\\n4"), shown(4.5), len(shown("x" * 10_000_000))
    ("'3\\\\n4'", "'4.5'", 83)
    """
    text = str(value)
    return repr(text if len(text) <= 80 else text[:80] + "…")


def listed(names: Iterable[Any]) -> str:
    """Return names as one text, with commas between them.

    >>> listed(["user_id", "stars"]), listed(["a\\tb"])
    ('user_id, stars', 'a\\\\tb')
    """
    return escape_controls(", ".join(map(str, names)), 500)


def one_line(text: str) -> str:
    """Return another library's message in one line, with only the beginning of long lines."""
    return "; ".join(escape_controls(line, 120) for line in text.splitlines()[:4]).strip("; .")


def named(path: str | os.PathLike) -> Path:
    """Return the path, resolved if it ends in no name, as "." does: then there can be something beside it."""
    path = Path(path)
    return path if path.name not in ("", "..") else path.resolve()


def same_everywhere(rows: int, column: str, value: str) -> str:
    """Return what to say of a table that has only one user, or only one product."""
    remedy = f"a recommender needs at least two {column.removesuffix('_id')}s to tell apart."
    return f"all {rows:,} reviews have the same {column} {shown(value)}: {remedy}"


def refuse(
    bad: pd.Series | np.ndarray,
    source: str,
    found: str,
    expected: str,
    values: pd.Series | None = None,
    first: int = 0,
) -> None:
    """Raise a ValueError if any row is bad; its sentence says how many, which ones, and the first of the `values`.

    Rows are counted from `first`.
    """
    if bad.any():
        rows = np.asarray(bad).nonzero()[0]
        if values is not None:
            found += f" (the first is {shown(values.iloc[rows[0]])})"
        named = ", ".join(map(str, first + rows[:5])) + (", …" if len(rows) > 5 else "")
        count = f"{len(rows):,} row" + ("s" if len(rows) > 1 else "")
        raise ValueError(f"{source}: {count} with {found}, counted from 0: {named}; {expected}")


@contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary name to write to, and rename it to `path` when the block has ended.

    Whatever stops the block (a full disk, Ctrl-C, the end of the process), `path` stays as it was. Several processes
    may do so at once; the last one's file stays.

    Raises:
        OSError: the file can't be written, in one sentence.
    """
    path = Path(path)
    unfinished = path.with_name(f"{UNFINISHED}{path.name}-{secrets.token_hex(4)}")
    try:
        yield unfinished
        unfinished.replace(path)
    except OSError as error:
        message = (
            f"{path} can't be written ({reason_of(error)}): make room there, or name another; nothing was changed."
        )
        raise OSError(message) from error
    finally:
        with suppress(OSError):  # or it would hide the first error
            unfinished.unlink(missing_ok=True)  # it is gone if all went well


def reason_of(error: Exception) -> str:
    """Return the system's reason for a failed write, without what Python or TensorFlow puts around it.

    >>> reason_of(OSError(28, "No space left on device", "a/b"))
    'No space left on device'
    >>> reason_of(Exception("{{node}} a/b.tempstate7; No space left on device [Op:SaveV2]"))
    'No space left on device'
    """
    said = getattr(error, "strerror", None) or (str(error).splitlines() or [type(error).__name__])[0]
    return said.split("; ")[-1].split(" [Op")[0]


@contextmanager
def deferred_interrupt() -> Iterator[Callable[[], None]]:
    """Yield a function that raises KeyboardInterrupt if Ctrl-C was pressed since; a second Ctrl-C raises it at once.

    Code that must not be interrupted anywhere calls it where that is safe. TensorFlow is such code: cut off in the
    middle of its tracing, it can't trace anything until Python is started again. Only the main thread hears of Ctrl-C.
    """
    pressed = threading.Event()

    def note(number: int, frame: Any) -> None:
        if pressed.is_set():
            raise KeyboardInterrupt
        pressed.set()

    def raise_if_pressed() -> None:
        if pressed.is_set():
            pressed.clear()
            raise KeyboardInterrupt

    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if usual and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, note)
        try:
            yield raise_if_pressed
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        raise_if_pressed()
    else:
        yield raise_if_pressed


def progress_bar(items: Iterable | None = None, *, shown: bool = True, **options: Any) -> tqdm:
    """Return a `tqdm` bar that appears after two seconds and leaves nothing behind; none with TQDM_DISABLE=1.

    In notebooks, tqdm itself doesn't heed that variable. `options` are those of `tqdm`.
    """
    disable = not shown or bool(os.environ.get("TQDM_DISABLE"))
    return tqdm(items, leave=False, delay=2, disable=disable, **options)
