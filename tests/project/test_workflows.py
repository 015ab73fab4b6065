"""The workflow that other repositories call: its inputs are words, never commands."""

import subprocess
from pathlib import Path

import pytest
import yaml

CALLABLE = Path(__file__).parents[2] / ".github" / "workflows" / "notebooks.yml"
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
    steps = yaml.safe_load(CALLABLE.read_text(encoding="utf-8"))["jobs"]["notebooks"]["steps"]
    (step,) = [step for step in steps if step.get("env", {}).keys() == given.keys()]
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    for name in ("uv", "python"):
        (tmp_path / ".venv" / "bin" / name).write_text(STAND_IN)
        (tmp_path / ".venv" / "bin" / name).chmod(0o755)
    environment = {"PATH": "/usr/bin:/bin", **given}
    subprocess.run(["bash", "-e", "-o", "pipefail", "-c", step["run"]], cwd=tmp_path, env=environment, check=True)
    assert (tmp_path / "called").read_text().splitlines() == called.split()
    assert not (tmp_path / "stolen").exists()
