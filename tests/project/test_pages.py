"""The pages of `make run`: links among them, names in the glossary, and no link that leads out."""

import re

import pages
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from site_pages import Page


def test_links_lead_to_the_pages_beside_and_to_the_glossary_s_terms(tmp_path):
    prose = (
        "[next](02_b.ipynb) [hit](glossary.md#hit-rate) [figures](../benchmarks/results.md) [far](https://a.example)"
    )
    notebook = new_notebook(cells=[new_markdown_cell(prose), new_code_cell("x[0](1)")])
    pages.write_page(notebook, tmp_path / "01_a.html")
    links = Page(tmp_path / "01_a.html").links
    assert {"02_b.html", "glossary.html#hit-rate", "https://a.example"} <= set(links)
    assert "figures" in Page(tmp_path / "01_a.html").text
    assert not any("benchmarks" in link for link in links)


def test_the_glossary_has_a_place_for_each_term_by_its_name_in_links(tmp_path):
    pages.write_glossary(
        "# Glossary\n\n## hit rate\n\nA [share](#ndcg).\n\n## nDCG\n\nMore.\n", tmp_path / "glossary.html"
    )
    page = Page(tmp_path / "glossary.html")
    assert {"hit-rate", "ndcg"} <= set(page.ids)


def test_a_picture_from_elsewhere_is_only_its_words(tmp_path):
    badge = "[![Open it](https://a.example/badge.svg)](https://b.example/x) ![here](beside.png)"
    pages.write_page(new_notebook(cells=[new_markdown_cell(badge)]), tmp_path / "a.html")
    page = Page(tmp_path / "a.html")
    assert "Open it" in page.text
    assert "https://b.example/x" in page.links
    assert not any("a.example" in address for address in page.loaded)


def test_checks_are_left_out_and_folded_code_shows_its_output_alone(tmp_path):
    check = new_code_cell("assert unseen_check", metadata={"tags": ["remove-cell"]})
    drawn = new_code_cell("draw_it()", metadata={"tags": ["hide-input"]}, execution_count=1)
    drawn.outputs = [new_output("stream", text="what was drawn")]
    pages.write_page(new_notebook(cells=[check, drawn]), tmp_path / "a.html")
    text = Page(tmp_path / "a.html").text
    assert "what was drawn" in text
    assert not any(code in text for code in ("unseen_check", "draw_it"))


def test_formulas_are_mathml_and_nothing_is_loaded(tmp_path):
    prose = "A share $\\frac{a}{b}$ of `$code$`, at $5:\n\n$$\\sum_i x_i$$\n"
    pages.write_page(new_notebook(cells=[new_markdown_cell(prose)]), tmp_path / "a.html")
    page, html = Page(tmp_path / "a.html"), (tmp_path / "a.html").read_text(encoding="utf-8")
    assert page.loaded == []
    assert html.count("<math") == 2
    assert html.count("<mfrac") == html.count("<munder") == 1
    assert "<code>$code$</code>" in html
    assert "://" not in re.sub(r'xmlns\w*="[^"]*"', "", html.split("</style>")[-1])
