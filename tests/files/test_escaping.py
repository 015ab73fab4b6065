"""Strangers' text is text: in HTML, pictures and a terminal it is shown, and nothing in it is run."""

import re
import runpy
from html.parser import HTMLParser
from types import SimpleNamespace

import hostile
import IPython
import numpy as np
import pandas as pd
import pytest
from hostile import ALL, STEERING, TEXTS
from IPython.core.formatters import DisplayFormatter
from matplotlib import pyplot as plt
from matplotlib.text import Text
from typer.testing import CliRunner

from recsys_teach import _util
from recsys_teach._util import escape_controls
from recsys_teach.cli import commands
from recsys_teach.exercises import final_challenge
from recsys_teach.exercises.exercise import NOT_YET, Feedback, Folded
from recsys_teach.files.loading import load_reviews
from recsys_teach.lab.widgets import WithFallback
from recsys_teach.plots import diagrams
from recsys_teach.schema import check_reviews

HARMLESS = [f"text {number}" for number in range(len(ALL))]


class Parsed(HTMLParser):
    """The elements that some HTML opens, each with its attributes, and the text between them."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.text = [], ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, attrs))

    def handle_data(self, data):
        self.text += data

    def handle_comment(self, data):
        self.elements.append(("comment", data))

    handle_decl = handle_pi = unknown_decl = handle_comment


@pytest.fixture
def tables(monkeypatch):
    """How a notebook shows a table once this file is imported."""
    kernel = SimpleNamespace(display_formatter=DisplayFormatter())
    monkeypatch.setattr(IPython, "get_ipython", lambda: kernel)
    with pd.option_context("display.max_colwidth", None, "display.max_rows", None):
        runpy.run_path(_util.__file__)
        yield kernel.display_formatter.formatters["text/html"]


def certificate(these):
    lines = pd.DataFrame({"all": [0.1, 0.2, 0.3, 0.5]}, index=["floor", "yours", "ceiling", "gap closed"])
    return final_challenge.Certificate(
        " ".join(these), pd.concat({"hit@10": lines, "rmse": lines}, axis=1)
    )._repr_html_()


SHOWN = {
    "feedback": lambda these: Feedback(final_challenge.CHALLENGE, NOT_YET, " ".join(these))._repr_html_(),
    "a hint": lambda these: Folded(" ".join(these), " ".join(these))._repr_html_(),
    "a solution": lambda these: Folded("", " ".join(these), code=True)._repr_html_(),
    "a certificate": certificate,
}


@pytest.mark.parametrize("make", SHOWN.values(), ids=SHOWN)
def test_html_with_strangers_texts_has_the_elements_of_harmless_ones(make):
    ours, theirs = Parsed(make(HARMLESS)), Parsed(make(ALL))
    assert theirs.elements == ours.elements
    assert all(text in theirs.text for text in ALL if "\r" not in text)


@pytest.mark.parametrize("frame", [hostile.reviews, lambda these: pd.DataFrame([range(len(these))], columns=these)])
def test_tables_of_a_notebook_hold_text_and_no_formulas(tables, frame):
    ours, theirs = Parsed(tables(frame(HARMLESS))), Parsed(tables(frame(ALL)))
    assert theirs.elements == ours.elements
    assert theirs.elements[0] == ("div", [("class", "tex2jax_ignore mathjax_ignore")])
    assert all(text in theirs.text for text in (*TEXTS, r"two\nlines\rand\tmore"))


def test_whoever_shows_tables_already_goes_on(monkeypatch):
    formatter = DisplayFormatter()
    formatter.formatters["text/html"].for_type_by_name("pandas", "DataFrame", lambda frame: "theirs")
    formatter.formatters["text/html"].for_type_by_name("pandas.core.frame", "DataFrame", lambda frame: "theirs")
    monkeypatch.setattr(IPython, "get_ipython", lambda: SimpleNamespace(display_formatter=formatter))
    runpy.run_path(_util.__file__)
    assert formatter.formatters["text/html"](pd.DataFrame([1])) == "theirs"


def test_a_notebook_without_html_stays_without(tables):
    with pd.option_context("display.notebook_repr_html", False):
        assert tables(pd.DataFrame([1])) is None


def test_no_formulas_are_looked_for_in_what_stands_for_a_widget():
    box = SimpleNamespace(model_id="7")
    html = WithFallback(box, "$a$", "a")._repr_mimebundle_()["text/html"]
    everything = [html, *(make(HARMLESS) for make in SHOWN.values())]
    assert all(one.startswith('<div class="tex2jax_ignore mathjax_ignore">') for one in everything)


@pytest.fixture
def pictures():
    """Two pictures whose names are strangers' texts, and the words of both."""
    vectors, few = np.random.default_rng(0).normal(size=(len(ALL), 4)), ALL[8:]
    drawn = [diagrams.in_batch_matrix(few, few), diagrams.embeddings(vectors, vectors, ALL)]
    yield [(ax.figure.figure, words) for ax, words in drawn]
    plt.close("all")


@pytest.mark.filterwarnings("error")  # such as: there is no glyph for an escape
def test_pictures_show_names_as_they_are_and_each_in_one_line(pictures):
    for figure, words in pictures:
        figure.canvas.draw()
        texts = [text for text in figure.findobj(Text) if text.get_text()]
        shown = [text.get_text() for text in texts]
        assert not any(text.get_parse_math() for text in texts if "$" in text.get_text())
        for name in (
            "between $5 and $6",
            r"\(a_1\) and \[b^2\]",
            " _under_ **stars** `code`",
            r"two\nlines\rand\tmore",
        ):
            assert name in shown
        assert max(len(name) for name in shown if "xxx" in name) == 28
        assert words == escape_controls(words)
    (legend,) = figure.legends
    assert len(legend.get_texts()) == len(ALL)


def test_what_steers_is_written_as_its_escape():
    assert escape_controls(STEERING[0]) == r"\x1b[31mred\x1b[0m \x1b]8;;http://elsewhere.invalid\x1b\link\x07"
    assert escape_controls("a\u202eb\u2066c\u2028d\x9be\ud800") == r"a\u202eb\u2066c\u2028d\x9be\ud800"
    for plain in ("Tent «Øre» 帐篷 \N{CAMPING} خيمة", "\\x1b", "", "no-break\u00a0space, joiner\u200d"):
        assert escape_controls(plain) == plain
    assert escape_controls("x" * 28, 28) == "x" * 28
    assert escape_controls("x" * 29, 28) == "x" * 27 + "…"


def bad_rating(folder):
    hostile.reviews().assign(rating=STEERING[0]).to_csv(folder / "a.csv", index=False)
    return folder / "a.csv"


def bad_columns(folder):
    hostile.reviews().rename(columns={"user_id": STEERING[0]}).to_csv(folder / "a.csv", index=False)
    return folder / "a.csv"


def bad_name(folder):
    return folder / f"a{STEERING[2]}\x1b[31m.csv"


@pytest.mark.parametrize("command", [["compare"], ["prepare", "out"]], ids=lambda command: command[0])
@pytest.mark.parametrize("bad", [bad_rating, bad_columns, bad_name])
def test_an_error_s_sentence_cannot_steer_the_terminal(command, bad, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(commands.app, [command[0], str(bad(tmp_path)), *command[1:]])
    assert result.exit_code == 2
    assert result.output.startswith("error: ")
    assert r"\x1b" in result.output
    assert result.output.removesuffix("\n") == escape_controls(result.output.removesuffix("\n"))


@pytest.mark.parametrize("bad", [bad_rating, bad_columns])
def test_neither_can_that_of_a_traceback(bad, tmp_path):
    with pytest.raises(ValueError, match="x1b") as error:
        load_reviews(bad(tmp_path))
    assert str(error.value) == escape_controls(error.value)
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_texts_come_out_of_a_file_as_they_went_in(form, tmp_path):
    written, path = hostile.reviews(), tmp_path / f"<img src=x onerror={hostile.HACK}>.{form}"
    if form == "csv":
        written.to_csv(path, index=False)
    elif form == "jsonl":
        written.to_json(path, orient="records", lines=True)
    else:
        written.to_parquet(path)
    read = load_reviews(path)
    assert read.to_dict("list") == {column: list(written[column]) for column in read}


def test_half_a_character_is_refused_with_its_row(tmp_path):
    half = "pair \ud83d"
    frame = pd.DataFrame({"user_id": ["a", "b"], "product_id": ["p", "q"], "rating": [1, 2]})
    frame["title"] = pd.Series(["whole \N{CAMPING}", half], dtype=object)
    sentence = r"1 row with a title that is no plain text (the first is 'pair \ud83d'), counted from 0: 1;"
    with pytest.raises(ValueError, match=re.escape(sentence)):
        check_reviews(frame)
    (tmp_path / "a.jsonl").write_text('{"a": "\\ud83c\\udfd5"}\n{"user_id": "pair \\ud83d"}\n')
    with pytest.raises(ValueError, match="line 2 holds half a character"):
        load_reviews(tmp_path / "a.jsonl")
