"""The hand-outs in what Google Colab has: `make test-colab`, for it takes minutes and a second environment."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COLAB = ROOT / ".venv" / "colab"
HANDOUT = ROOT / "build" / "handout"
NAMES = [path.name for path in sorted((ROOT / "notebooks").glob("*.ipynb"))]
HERE = "import json, importlib.metadata as m; print(json.dumps({d.name: d.version for d in m.distributions()}))"
BESIDE = "import site; site.addsitedir({!r})"
PLACE = "import sysconfig; print(sysconfig.get_path('purelib'))"
NBVAL = ["--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=300", "-p", "no:cacheprovider", "-q"]


def ask(python, code):
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def colab(tmp_path):
    """The Python of an environment that has what Colab has, and can be added to without changing it."""
    subprocess.run([COLAB / "bin" / "python", "-m", "venv", "--without-pip", tmp_path / "colab"], check=True)
    python = tmp_path / "colab" / "bin" / "python"
    Path(ask(python, PLACE), "beside.pth").write_text(BESIDE.format(ask(COLAB / "bin" / "python", PLACE)))
    return python


def test_colab_has_neither_the_course_nor_the_library():
    assert not {"recsys-teach", "tensorflow-recommenders"} & json.loads(ask(COLAB / "bin" / "python", HERE)).keys()


@pytest.mark.parametrize("name", NAMES)
def test_a_handout_runs_in_a_folder_with_nothing_else_and_changes_nothing(name, colab, tmp_path):
    before = json.loads(ask(colab, HERE))
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(HANDOUT / name, alone)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    run = subprocess.run(
        [colab, "-m", "pytest", *NBVAL, name], cwd=alone, env=environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout
    after = json.loads(ask(colab, HERE))
    added = {"recsys-teach", "tensorflow-recommenders", "anywidget", "psygnal"}
    assert after.keys() - before.keys() == added
    assert before.items() <= after.items()
