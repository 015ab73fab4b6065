"""Progress bars can be switched off, also in notebooks, where tqdm by itself doesn't hear of it."""

import pytest
from tqdm import notebook, std

from recsys_teach import _util


@pytest.mark.parametrize("tqdm", [std.tqdm, notebook.tqdm], ids=["terminal", "notebook"])
@pytest.mark.parametrize(("value", "shown", "drawn"), [("1", True, False), (None, True, True), (None, False, False)])
def test_a_bar_is_drawn_unless_somebody_said_no(monkeypatch, tqdm, value, shown, drawn):
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    if value:
        monkeypatch.setenv("TQDM_DISABLE", value)
    monkeypatch.setattr(_util, "tqdm", tqdm)
    bar = _util.progress_bar(range(3), shown=shown)
    assert bar.disable is not drawn
    assert list(bar) == [0, 1, 2]
    assert bar.n == (3 if drawn else 0)
