"""Imports go down only, the lower layers load no TensorFlow, and the package sees to Keras 2."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import recsys_teach

PACKAGE = Path(recsys_teach.__file__).parent
# fmt: off
ORDER = (
    "bars", "verbatim", "sentences", "schema", "wording", "whole", "shop", "reading", "sample", "data", "amazon",
    "splits", "texts", "recipes", "manifest", "sources", "stages", "resume", "prepare",
    "metrics", "baselines", "scoreboard", "leaks", "approximate", "launch",
    "factors", "sweep_file", "sweep", "drawing", "plots", "diagrams", "lab", "lab_page", "widget", "lab_view",
    "exercise", "exercises_data", "exercises_towers", "exercises_retrieval", "exercises_floor", "exercises_ranking",
    "exercises_multitask", "exercises_amazon", "exercises_serving", "exercises_scale", "challenge", "exercises",
    "backend", "features", "stream", "towers", "heads", "replicas", "retrieval", "ranking", "multitask",
    "serving", "export", "training", "cluster", "progress", "stacking", "ladder", "distributed", "servers", "judge",
    "compare", "cli",
)
# fmt: on
TENSORFLOW = {"tensorflow", "tensorflow_recommenders", "keras", "tf_keras", "tensorflow_text"}


def tree(module):
    return ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8"))


def imported(node):
    """The dotted names that the import statements under `node` may load."""
    names = set()
    for statement in ast.walk(node):
        if isinstance(statement, ast.Import):
            names |= {alias.name for alias in statement.names}
        elif isinstance(statement, ast.ImportFrom):
            package = "recsys_teach" if statement.level else ""
            module = ".".join(filter(None, (package, statement.module)))
            names |= {module, *(f"{module}.{alias.name}" for alias in statement.names)}
    return names


def own_modules(names):
    parts = [name.split(".") for name in names]
    return {part[1] for part in parts if part[0] == "recsys_teach" and len(part) > 1} & set(ORDER)


def functions(module):
    return [node for node in ast.walk(tree(module)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def test_every_module_has_its_place_in_the_order():
    assert {path.stem for path in PACKAGE.glob("*.py")} == {*ORDER, "__init__", "__main__"}


@pytest.mark.parametrize("module", ORDER)
def test_imports_go_down_only(module):
    assert own_modules(imported(tree(module))) <= set(ORDER[: ORDER.index(module)])


def test_the_package_itself_imports_none_of_its_modules():
    assert not any(name.startswith("recsys_teach") for name in imported(tree("__init__")))


COMMANDS = ("compare", "cli")


@pytest.mark.parametrize("module", [*(module for module in ORDER if module not in COMMANDS), "__init__"])
def test_only_the_commands_import_inside_functions(module):
    assert [function.name for function in functions(module) if imported(function)] == []


@pytest.mark.parametrize("module", COMMANDS)
def test_the_commands_load_no_model_at_their_top_level(module):
    later = set().union(*(imported(function) for function in functions(module)))
    quick = {*ORDER[: ORDER.index("backend")], "compare"}
    assert own_modules(imported(tree(module)) - later) <= quick


@pytest.mark.parametrize("module", ["__init__", *ORDER[: ORDER.index("backend")]])
def test_the_lower_layers_do_not_name_tensorflow(module):
    assert not {name.split(".")[0] for name in imported(tree(module))} & TENSORFLOW


def test_only_the_backend_loads_tensorflow_itself():
    direct = [module for module in ORDER if {name.split(".")[0] for name in imported(tree(module))} & TENSORFLOW]
    assert direct == ["backend"]


def python(code, **variables):
    """Run `code` in a new process that finds this package and knows of no Keras switch but those given."""
    environment = {name: value for name, value in os.environ.items() if name != "TF_USE_LEGACY_KERAS"}
    environment |= {"PYTHONPATH": str(PACKAGE.parent), **variables}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)


def test_data_baselines_scoreboard_and_command_load_no_tensorflow():
    done = python(
        "import sys, recsys_teach.scoreboard, recsys_teach.data, recsys_teach.baselines, recsys_teach.diagrams\n"
        "import recsys_teach.cli, recsys_teach.plots\n"
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'tensorflow', 'keras', 'tf_keras'}))"
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_the_scoreboard_loads_no_scipy():
    done = python("import sys, recsys_teach.scoreboard; print('scipy' in sys.modules)")
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_importing_the_package_chooses_keras_2():
    done = python("import os, recsys_teach; print(os.environ['TF_USE_LEGACY_KERAS'])")
    assert (done.stdout, done.stderr) == ("1\n", "")


FAKE = (
    "import sys, types\n"
    "keras = types.SimpleNamespace(__version__={version!r})\n"
    "sys.modules['tensorflow'] = types.SimpleNamespace(keras=keras)\n"
    "import recsys_teach; print('imported')"
)


@pytest.mark.parametrize("version", ["3.5.0", "3.12.1", "20.0.0"])
def test_a_tensorflow_that_runs_on_another_keras_asks_for_a_restart(version):
    done = python(FAKE.format(version=version))
    assert done.returncode == 1
    assert done.stdout == ""
    last_line = done.stderr.splitlines()[-1]
    assert last_line.startswith(f"ImportError: TensorFlow is already running on Keras {version}")
    assert "restart the kernel" in last_line


@pytest.mark.parametrize("version", ["2.21.0", "2.15.0"])
def test_a_tensorflow_that_runs_on_keras_2_is_welcome(version):
    done = python(FAKE.format(version=version))
    assert (done.returncode, done.stdout, done.stderr) == (0, "imported\n", "")


def test_the_keras_that_has_no_number_is_welcome():
    done = python(FAKE.format(version="").replace("__version__=''", ""))
    assert (done.returncode, done.stdout, done.stderr) == (0, "imported\n", "")
