"""Who may import whom, what loads TensorFlow, the public names, and the switch to Keras 2."""

import ast
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import recsys_teach

PACKAGE = Path(recsys_teach.__file__).parent
# The top, downward: a file imports only from those before it.
# fmt: off
TOP = (
    "_util", "backend", "schema", "shop", "splits", "histories", "baselines", "metrics", "evaluation",
    "features", "towers", "retrieval", "ranking", "multitask", "sharing", "adapters",
    "training", "ladder", "two_stages",
)
# fmt: on
MAY_IMPORT = {  # each room imports itself, and these
    "plots": {"top"},
    "files": {"top"},
    "consequences": {"top"},
    "exercises": {"top"},
    "serving": {"top"},
    "lab": {"top", "plots"},
    "scale": {"top", "files"},
    "cli": {"top", "plots", "files", "lab", "scale", "serving"},
}
NO_TENSORFLOW = {"_util", "schema", "shop", "splits", "baselines", "metrics", "evaluation", "plots", "files"} | {
    *("histories", "consequences", "exercises", "cli"),
    *("lab.page", "lab.sweep", "lab.view", "lab.widgets"),
    *("scale.preparation", "scale.stages", "scale.prepared_folder", "scale.resume"),
}
TENSORFLOW = {"tensorflow", "tensorflow_recommenders", "keras", "tf_keras", "tensorflow_text"}
MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.parent != PACKAGE or not path.stem.startswith("__")
}


def room(module):
    return module.split(".")[0] if module.split(".")[0] in MAY_IMPORT else "top"


def imported(path):
    """The modules that a file imports, at its top level or in its functions; not for type checkers only."""
    names, later = set(), set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            later |= set(ast.walk(node))
        if isinstance(node, ast.Import):
            names |= {(alias.name, node) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {(node.module, node), *((f"{node.module}.{alias.name}", node) for alias in node.names)}
    return {name for name, node in names if node not in later}


def own(path):
    return {name.removeprefix("recsys_teach.") for name in imported(path)} & {*MODULES, *MAY_IMPORT}


@pytest.mark.parametrize("module", MODULES)
def test_rooms_import_only_what_they_may(module):
    mine, others = room(module), own(MODULES[module])
    if mine == "top":
        assert others <= set(TOP[: TOP.index(module)])
    else:
        assert {room(other) for other in others} <= {mine, *MAY_IMPORT[mine]}


def test_every_module_and_room_is_in_the_tables():
    assert {module if room(module) == "top" else room(module) for module in MODULES} == {*TOP, *MAY_IMPORT}


@pytest.mark.parametrize("module", [module for module in MODULES if module != "backend"])
def test_only_the_backend_loads_tensorflow_itself(module):
    assert not {name.split(".")[0] for name in imported(MODULES[module])} & TENSORFLOW


def python(code, **variables):
    """Run `code` in a new process that finds this package and knows of no Keras switch but those given."""
    environment = {name: value for name, value in os.environ.items() if name != "TF_USE_LEGACY_KERAS"}
    environment |= {"PYTHONPATH": str(PACKAGE.parent), **variables}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)


def test_what_needs_no_tensorflow_loads_none():
    modules = [name for name in MODULES if name in NO_TENSORFLOW or name.split(".")[0] in NO_TENSORFLOW]
    done = python(
        f"import sys, {', '.join(f'recsys_teach.{name}'.removesuffix('.__init__') for name in modules)}\n"
        "from recsys_teach import load_reviews, scoreboard, Popularity, plots, exercises\n"
        "from recsys_teach.lab import WeightLab, Sweep\n"
        "from recsys_teach.scale import prepare\n"
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'tensorflow', 'keras', 'tf_keras'}))"
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_the_scoreboard_loads_no_scipy():
    done = python("import sys; from recsys_teach import scoreboard; print('scipy' in sys.modules)")
    assert (done.stdout, done.stderr) == ("False\n", "")


LAZY = ["recsys_teach", "recsys_teach.lab", "recsys_teach.scale"]


@pytest.mark.parametrize("package", LAZY)
def test_public_names_are_listed_the_same_way_for_people_and_for_type_checkers(package):
    module = import_module(package)
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    typed = {(node.module, alias.name) for node in block.body for alias in node.names}
    public = {(f"{package}.{home}", name) for home, names in module._PUBLIC.items() for name in names}
    rooms = {(package, name) for name in getattr(module, "_ROOMS", ())}
    assert typed == public | rooms
    assert set(dir(module)) == {name for _, name in typed}
    for home, name in public:
        assert getattr(module, name) is getattr(import_module(home), name)
    for _, name in rooms:
        assert getattr(module, name) is import_module(f"{package}.{name}")


def test_no_module_bears_the_name_of_a_public_function():
    names = {name for package in LAZY for name in dir(import_module(package))} - set(recsys_teach._ROOMS)
    assert not names & {module.split(".")[-1] for module in MODULES}


@pytest.mark.parametrize("package", LAZY)
def test_a_name_that_is_not_there_is_an_attribute_error(package):
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'nothing'"):
        _ = import_module(package).nothing


def test_importing_the_package_chooses_keras_2():
    done = python("import os, recsys_teach; print(os.environ['TF_USE_LEGACY_KERAS'])")
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_arrow_takes_memory_from_the_system_unless_somebody_chose_otherwise():
    name = "ARROW_DEFAULT_MEMORY_POOL"
    code = "import recsys_teach, pyarrow; print(pyarrow.default_memory_pool().backend_name)"
    done = python(f"import os; os.environ.pop({name!r}, None); {code}")
    assert (done.stdout, done.stderr) == ("system\n", "")
    assert python(code, **{name: "mimalloc"}).stdout == "mimalloc\n"


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
