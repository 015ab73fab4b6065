"""What the audit makes of pip-audit's answers: no answer is not a good one."""

import json
from types import SimpleNamespace

import audit_tool as audit
import pytest

GOOD = {"name": "numpy", "version": "2.5.5", "vulns": []}
SKIPPED = {"name": "pandas", "skip_reason": "Dependency not found on PyPI and could not be audited: pandas (3.1.1)"}
BAD = {
    "name": "tornado",
    "version": "6.6.1",
    "vulns": [
        {"id": "PYSEC-1", "fix_versions": ["6.6.2", "6.7"], "aliases": [], "description": "…"},
        {"id": "PYSEC-2", "fix_versions": [], "aliases": [], "description": "…"},
    ],
}


def test_all_is_well_if_every_package_was_answered_for_and_nothing_is_known():
    expected = 0, ["nothing is known against the 1 packages in 2 locks."]
    assert audit.verdict({"a": [GOOD], "b": [GOOD]}) == expected


def test_a_vulnerability_is_told_once_with_the_locks_that_have_it_and_what_repairs_it():
    code, lines = audit.verdict({"linux-py311": [GOOD, BAD], "linux-py310": [BAD], "site": [GOOD]})
    assert code == 1
    assert lines == [
        "tornado 6.6.1: PYSEC-1, fixed in 6.6.2 or 6.7 (linux-py310, linux-py311)",
        "tornado 6.6.1: PYSEC-2, fixed in no version yet (linux-py310, linux-py311)",
    ]


@pytest.mark.parametrize("answers", [{}, {"a": []}, {"a": [SKIPPED]}, {"a": [GOOD, SKIPPED], "b": [SKIPPED]}])
def test_no_answer_is_not_a_good_one(answers):
    code, lines = audit.verdict(answers)
    assert code == 2
    assert "no answer for" in lines[-1]


def test_what_is_known_counts_although_there_was_no_answer_for_the_rest():
    code, lines = audit.verdict({"a": [SKIPPED, BAD, GOOD]})
    assert code == 1
    assert lines[-1] == "no answer for 1 of 3 packages, such as pandas: nothing is said of them here."


def test_every_lock_that_is_installed_as_ours_is_asked_about():
    names = {lock.stem for lock in audit.LOCKS}
    assert {f"{kind}linux-py3{minor}" for kind in ("", "bench-") for minor in range(10, 14)} <= names
    assert {f"darwin-py3{minor}" for minor in range(10, 13)} | {"site", "audit"} <= names
    assert "classic" not in names


def asked(monkeypatch, **process):
    monkeypatch.setattr(audit.subprocess, "run", lambda command, **_: SimpleNamespace(command=command, **process))
    return audit.ask(audit.LOCKS[0])


def test_what_pip_audit_prints_is_read_whatever_it_ends_with(monkeypatch):
    stdout = json.dumps({"dependencies": [GOOD, SKIPPED, BAD], "fixes": []})
    assert asked(monkeypatch, stdout=stdout, stderr="Found 2 known vulnerabilities", returncode=1) == [
        GOOD,
        SKIPPED,
        BAD,
    ]


@pytest.mark.parametrize(
    ("stderr", "why"), [("Traceback\nNo route to host\n", "No route to host"), ("", "it ended with 1")]
)
def test_where_nobody_can_be_asked_it_says_why_and_ends_with_2(stderr, why, monkeypatch, capsys):
    with pytest.raises(ConnectionError, match=f"^pip-audit could not ask for {audit.LOCKS[0].name}: {why}$"):
        asked(monkeypatch, stdout="", stderr=stderr, returncode=1)
    assert audit.main() == 2
    assert capsys.readouterr().out == f"pip-audit could not ask for {audit.LOCKS[0].name}: {why}\n"
