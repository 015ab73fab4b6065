"""The table of mutants fits the package, and the tool tells those that are killed from those that nobody notices."""

import ast
from pathlib import Path

import mutants as tool
import pytest
from mutant_table import MUTANTS, Mutant

ROOT = Path(__file__).parents[1]


def test_every_mutant_changes_one_place_of_the_package_and_can_still_be_read():
    for mutant in MUTANTS:
        tool.mutated((ROOT / "recsys_teach" / f"{mutant.module}.py").read_text(encoding="utf-8"), mutant)


def test_there_are_many_mutants_each_with_its_own_name_and_fault():
    assert len(MUTANTS) >= 15
    assert len({(mutant.module, mutant.name) for mutant in MUTANTS}) == len(MUTANTS)
    assert len({(mutant.module, mutant.old, mutant.new) for mutant in MUTANTS}) == len(MUTANTS)


def test_the_tests_that_are_named_are_there():
    named = {tuple(mutant.test.split("::")) for mutant in MUTANTS}
    for file in {file for file, _ in named}:
        body = ast.parse((ROOT / file).read_text(encoding="utf-8")).body
        there = {node.name for node in body if isinstance(node, ast.FunctionDef)}
        assert {test for path, test in named if path == file} <= there


ADDER, TWO = "def add(a, b):\n    return a + b\n", "tests/test_adder.py::test_two"
PLANTED = {
    "the sign is wrong": ("adder", "a + b", "a - b", TWO),
    "a product for a sum": ("adder", "a + b", "a * b", TWO),
    "the name is wrong": ("adder", "a + b", "a + c", TWO),
    "it can't be imported": ("adder", "def add", "import nowhere\n\n\ndef add", TWO),
    "nobody loads it": ("other", "1", "2", TWO),
}
FATES = dict(zip(PLANTED, ["killed", "survived", "broken", "broken", "broken"]))


@pytest.fixture
def planted(tmp_path, monkeypatch):
    """A package of one function, and a test that knows 2 + 2 only."""
    for name, text in {
        "recsys_teach/__init__.py": "",
        "recsys_teach/adder.py": ADDER,
        "recsys_teach/other.py": "ONE = 1\n",
        "tests/test_adder.py": "from recsys_teach.adder import add\n\n\ndef test_two():\n    assert add(2, 2) == 4\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(tool, "ROOT", tmp_path)
    monkeypatch.setattr(tool, "PRELOADED", ["pytest"])
    monkeypatch.setattr(tool, "MUTANTS", [Mutant(name, *fault) for name, fault in PLANTED.items()])
    return tmp_path


def run(*words):
    """Run the tool; return its exit code or what it has to say."""
    with pytest.raises(SystemExit) as caught:
        tool.main(list(words))
    return caught.value.code


def test_what_is_killed_and_what_survives_is_told_apart(planted, capfd):
    assert run() == 1
    *_, last = lines = [line for line in capfd.readouterr().out.splitlines() if " s  " in line or "killed (" in line]
    assert {line.partition(": ")[2].partition(" (")[0]: line.split()[0] for line in lines[:-1]} == FATES
    assert last.startswith("1 of 5 mutants are killed")
    assert (planted / "recsys_teach/adder.py").read_text() == ADDER


def test_the_tool_is_content_if_all_are_killed_and_never_if_there_are_none(planted, capfd):
    assert run("sign") == 0
    assert "adder: the sign is wrong (test_two)\n1 of 1 mutants are killed" in capfd.readouterr().out
    assert "no mutant has 'Sign' or 'adders' in its module or name" in run("Sign", "adders")


def test_tests_that_fail_without_a_fault_prove_nothing(planted):
    (planted / "recsys_teach/adder.py").write_text(ADDER.replace("a + b", "a + b + 1"))
    assert "these tests don't pass without any fault" in run("sign")


@pytest.mark.parametrize(("source", "count"), [("a - b", 0), ("a + b + a + b", 2)])
def test_a_fault_that_does_not_fit_any_more_is_refused(planted, source, count):
    (planted / "recsys_teach/adder.py").write_text(ADDER.replace("a + b", source))
    assert f"\"the sign is wrong\" doesn't fit adder.py any more: 'a + b' is there {count} times" in run()
