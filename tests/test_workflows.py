"""GitHub's workflows: pinned, with few rights, in bounded time, and safe from what their inputs say."""

import re
import subprocess
from pathlib import Path

import nbformat
import notebook_tool as tool
import pytest
import yaml

ROOT = Path(__file__).parents[1]
PATHS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
CALLABLE = ROOT / ".github" / "workflows" / "notebooks.yml"
EVERY = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
EXPRESSION = re.compile(r"\$\{\{.*?\}\}", flags=re.DOTALL)


def read(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def jobs(path):
    """The jobs that have steps, and those that call another workflow."""
    found = read(path)["jobs"].values()
    return [job for job in found if "uses" not in job], [job for job in found if "uses" in job]


def steps(path):
    return [step for job in jobs(path)[0] for step in job["steps"]]


def test_there_are_workflows():
    assert [path.name for path in PATHS] == ["audit.yml", "notebooks.yml", "pages.yml", "tests.yml"]
    assert not list(PATHS[0].parent.glob("*.yaml"))


@EVERY
def test_actions_are_pinned_to_a_commit_with_its_version_beside_it(path):
    lines = [line for line in path.read_text().splitlines() if re.match(r"\s*(- )?uses:", line)]
    actions = [line for line in lines if "uses: ./" not in line]
    assert len(lines) == sum("uses" in step for step in steps(path)) + len(jobs(path)[1])
    for line in actions:
        assert re.fullmatch(r"\s*- uses: [\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), line


def test_an_action_has_one_commit_and_one_version_everywhere():
    found = {pin for path in PATHS for pin in re.findall(r"uses: (\S+)@(\S+) # (\S+)", path.read_text())}
    assert len(found) == len({name for name, _, _ in found})


@EVERY
def test_calls_lead_to_workflows_that_take_what_they_are_given(path):
    for job in jobs(path)[1]:
        called = read(ROOT / job["uses"])[True]["workflow_call"]  # YAML takes `on` for true
        assert job["with"].keys() <= called["inputs"].keys()


@EVERY
def test_a_stranger_starts_it_with_the_rights_of_a_stranger_only(path):
    """`pull_request_target` and `workflow_run` would run with this repository's own rights and secrets."""
    assert read(path)[True].keys() <= {"push", "pull_request", "schedule", "workflow_call", "workflow_dispatch"}
    assert "secrets" not in path.read_text()


@EVERY
def test_a_workflow_may_read_the_code_and_no_more(path):
    assert read(path)["permissions"] == {"contents": "read"}
    rights = [job["permissions"] for job in read(path)["jobs"].values() if "permissions" in job]
    assert rights == ([{"pages": "write", "id-token": "write"}] if path.stem == "pages" else [])


@EVERY
def test_a_checkout_leaves_no_credentials_behind(path):
    checkouts = [step for step in steps(path) if step.get("uses", "").startswith("actions/checkout@")]
    assert checkouts
    assert [step["with"]["persist-credentials"] for step in checkouts] == [False] * len(checkouts)


@EVERY
def test_every_job_ends_in_bounded_time(path):
    assert all(5 <= job["timeout-minutes"] <= 60 for job in jobs(path)[0])


@EVERY
def test_nothing_is_interpolated_into_a_shell(path):
    scripts = [step["run"] for step in steps(path) if "run" in step]
    assert scripts
    assert [EXPRESSION.findall(script) for script in scripts] == [[]] * len(scripts)


@EVERY
def test_the_targets_of_make_are_there(path):
    called = [line for step in steps(path) for line in step.get("run", "").splitlines() if re.match(r"\s*make\b", line)]
    assert called
    assert {word for line in called for word in line.split()[1:] if not word.startswith("--")} <= TARGETS


@EVERY
def test_packages_are_kept_by_system_python_and_locks(path):
    for job in jobs(path)[0]:
        used = {step["uses"].partition("@")[0]: step.get("with", {}) for step in job["steps"] if "uses" in step}
        if "actions/setup-python" in used:
            python, locks = used["actions/setup-python"]["python-version"], "'requirements/*.txt'"
            if "\n" in python:  # several, for other environments than ours
                python, locks = "environments", f"{locks}, 'tests/environments/*.txt'"
            if path.stem == "audit":  # it installs no other lock
                python, locks = f"{python}-audit", "'requirements/audit.txt'"
            key = f"uv-${{{{ runner.os }}}}-{python}-${{{{ hashFiles({locks}) }}}}"
            assert used["actions/cache"] == {"path": "~/.cache/uv", "key": key}


def test_the_audit_is_asked_when_a_lock_changes_and_every_week():
    asked = read(PATHS[0].with_name("audit.yml"))[True]
    assert asked["push"] == {"branches": ["main"], "paths": ["requirements/**"]}
    assert asked["pull_request"] == {"paths": ["requirements/**"]}
    assert re.fullmatch(r"\d+ \d+ \* \* \d", asked["schedule"][0]["cron"])


def inputs():
    return read(CALLABLE)[True]["workflow_call"]["inputs"]


def test_the_page_shows_a_call_that_is_right_and_every_input_with_its_default():
    page = (ROOT / "docs" / "ci.md").read_text()
    (example,) = re.findall(r"^```yaml\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    (job,) = yaml.safe_load(example)["jobs"].values()
    assert job["uses"] == "OWNER/REPO/.github/workflows/notebooks.yml@COMMIT"
    assert job["with"].keys() <= inputs().keys()
    assert all(given.keys() == {"report", "requirements"} for given in job["strategy"]["matrix"]["include"])
    rows = dict(re.findall(r"^\| `([\w-]+)` \|.*\| (.*) \|$", page, flags=re.MULTILINE))
    assert rows.keys() == inputs().keys()
    for name in ("python-version", "notebooks"):
        assert rows[name].strip("`") == inputs()[name]["default"]


FAILURE = r"^(\S+\.ipynb), cell (\d+): .*expected '(.*?)', found"


def test_the_failure_that_the_page_shows_is_one_of_what_is_stored():
    page = (ROOT / "docs" / "ci.md").read_text()
    name, number, expected = re.search(FAILURE, page, flags=re.MULTILINE).groups()
    cell = tool.code_cells(nbformat.read(tool.NOTEBOOKS / name, as_version=4))[int(number) - 1]
    shown = re.search(r"^@@ .*\n((?:[ +-].*\n)+)", page, flags=re.MULTILINE)[1].splitlines()
    stored = cell.outputs[0].data["text/plain"].splitlines()
    assert [line[1:] for line in shown if not line.startswith("+")] == stored
    assert f"-{expected}" in shown


def test_coverage_is_asked_for_last_or_it_takes_what_follows_for_what_to_measure():
    """And pytest would run everything but that."""
    files = [*PATHS, ROOT / "Makefile", ROOT / ".ci" / "run"]
    lines = [line.partition("#")[0] for path in files for line in path.read_text().splitlines()]
    asked = [line.rstrip() for line in lines if "--cov" in line]
    assert len(asked) >= 3
    assert all(line.endswith("--cov") for line in asked), asked


STAND_IN = """#!/usr/bin/env bash
printf '%s\\n' "$(basename "$0")" "$@" >> called
"""
CALLS = {
    "notebooks": (
        {"NOTEBOOKS": "notebooks mine/a.ipynb; touch stolen $(touch stolen)"},
        "uv pip freeze python -m pytest --junitxml=build/notebooks.xml "
        "notebooks mine/a.ipynb; touch stolen $(touch stolen)",
    ),
    "requirements": (
        {"REQUIREMENTS": " tensorflow==2.20.0  tf-keras>=2.20,<2.21 `touch stolen` "},
        "uv pip install tensorflow==2.20.0 tf-keras>=2.20,<2.21 `touch stolen`",
    ),
}


@pytest.mark.parametrize(("given", "called"), CALLS.values(), ids=CALLS)
def test_inputs_arrive_as_words_and_are_never_run(tmp_path, given, called):
    (step,) = [step for step in steps(CALLABLE) if step.get("env", {}).keys() == given.keys()]
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    for name in ("uv", "python"):
        (tmp_path / ".venv" / "bin" / name).write_text(STAND_IN)
        (tmp_path / ".venv" / "bin" / name).chmod(0o755)
    environment = {"PATH": "/usr/bin:/bin", **given}
    subprocess.run(["bash", "-e", "-o", "pipefail", "-c", step["run"]], cwd=tmp_path, env=environment, check=True)
    assert (tmp_path / "called").read_text().splitlines() == called.split()
    assert not (tmp_path / "stolen").exists()
