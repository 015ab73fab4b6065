"""Data is never run: neither by what the course's code calls, nor by what a file says; and no address is asked."""

import ast
import os
import pickle
import socket
from base64 import b64decode
from pathlib import Path

import nbformat
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys_teach.files.loading import load_reviews
from recsys_teach.scale.preparation import prepare
from recsys_teach.scale.resume import open_database

# What is called. Ruff's rules S find much of this, too, but a comment can silence them.

ROOT = Path(__file__).parents[2]
PATTERNS = ("recsys_teach/**/*.py", "tools/*.py", "benchmarks/*.py", "notebooks/**/*.ipynb", "notebooks/*.py")
SOURCES = sorted(path.relative_to(ROOT).as_posix() for pattern in PATTERNS for path in ROOT.glob(pattern))

# fmt: off
MODULES = {
    "pickle", "_pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "jsonpickle", "codeop",
    "runpy",
}
NETWORK = {"http", "urllib", "urllib3", "ftplib", "socket", "requests", "pooch", "aiohttp", "fsspec", "subprocess"}
BUILT_IN = {"eval", "exec", "compile", "__import__"}  # Keras and `re` have methods of such a name
CALLED = {
    "import_module", "read_pickle", "to_pickle", "read_hdf", "load_model", "model_from_json", "model_from_config",
    "deserialize", "enable_unsafe_deserialization", "saved_model.load", "extractall", "unpack_archive",
    "load_extension", "install_extension", "os.system", "os.popen", "getoutput", "create_subprocess_shell",
    "yaml.load", "unsafe_load", "full_load",
}
# fmt: on
ARGUMENTS = {"shell=True", "allow_pickle=True", "verify=False", "safe_mode=False", "trust_remote_code=True"}
ALLOWED = {
    "notebooks/08_serving.ipynb": {"saved_model.load"},  # of what a cell above has written
    "benchmarks/serving_latency.py": {"saved_model.load"},  # the same
    "recsys_teach/__init__.py": {"import_module"},  # of names that are written there
    "recsys_teach/backend.py": {"import_module"},  # the same
}


def code_of(path):
    """The Python of a file, or of a notebook's cells."""
    text = (ROOT / path).read_text(encoding="utf-8")
    if not path.endswith(".ipynb"):
        return text
    return "\n".join(cell.source for cell in nbformat.reads(text, as_version=4).cells if cell.cell_type == "code")


def statements(text):
    """All nodes of some code, and of the programs that are written in its texts."""
    for node in ast.walk(ast.parse(text)):
        yield node
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "import " in node.value:
            try:
                yield from statements(node.value)
            except SyntaxError:
                continue  # prose


def imported(text):
    """The top-level modules that it imports, and by which names it imports what."""
    nodes = list(statements(text))
    whole = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    parts = {
        f"{node.module}.{alias.name}" for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    return {name.split(".")[0] for name in whole | parts}, parts


def ends_with(name, ends):
    return {end for end in ends if f".{name}".endswith(f".{end}")}


def forbidden(text):
    """What of this code could run data."""
    modules, parts = imported(text)
    found = modules & MODULES
    found |= {end for name in parts for end in ends_with(name, CALLED)}
    for call in (node for node in statements(text) if isinstance(node, ast.Call)):
        name = ast.unparse(call.func)
        given = {f"{argument.arg}={ast.unparse(argument.value)}" for argument in call.keywords}
        found |= ends_with(name, CALLED) | {name.removeprefix("builtins.")} & BUILT_IN | given & ARGUMENTS
        if name in ("np.load", "numpy.load") and "allow_pickle=False" not in given:
            found.add("np.load")
    return found


@pytest.mark.parametrize("path", SOURCES)
def test_no_code_of_the_course_runs_data(path):
    assert forbidden(code_of(path)) == ALLOWED.get(path, set())


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("import pickle", {"pickle"}),
        ("from joblib import load", {"joblib"}),
        ("from pandas import read_pickle as read", {"read_pickle"}),
        ("pd.read_pickle('a')", {"read_pickle"}),
        ("eval(text)", {"eval"}),
        ("builtins.exec(text)", {"exec"}),
        ("model.compile(); re.compile('a')", set()),
        ("np.load('a')", {"np.load"}),
        ("np.load('a', allow_pickle=True)", {"np.load", "allow_pickle=True"}),
        ("np.load('a', allow_pickle=False)", set()),
        ("run('ls', shell=True)", {"shell=True"}),
        ("from os import system", {"os.system"}),
        ("program = 'import os; os.system(1)'", {"os.system"}),
        ("tf.keras.models.load_model('a')", {"load_model"}),
        ("tarfile.open('a').extractall()", {"extractall"}),
    ],
)
def test_what_would_run_data_is_found(code, found):
    assert forbidden(code) == found


def test_only_the_sample_is_fetched_and_the_package_starts_no_process():
    package = [path for path in SOURCES if path.startswith("recsys_teach/")]
    reach = {path: imported(code_of(path))[0] & NETWORK for path in package}
    assert {path: names for path, names in reach.items() if names} == {
        "recsys_teach/files/downloads.py": {"pooch", "requests"},
        "recsys_teach/scale/cluster.py": {"socket"},  # finds free ports of this machine, and connects to nothing
    }


# What files say.

USERS = ["ann", "bob"] * 20
TABLE = pd.DataFrame({"user_id": USERS, "product_id": ["x", "y", "z", "x"] * 10, "rating": [5.0, 4.0] * 20})


class Planted:
    """Makes a file where it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_a_parquet_file_that_holds_a_pickle_is_read_without_it(tmp_path):
    """As the type of a column, which pyarrow up to 14.0.0 took out of its pickle."""
    evil = {"ARROW:extension:name": "arrow.py_extension_type"}
    evil["ARROW:extension:metadata"] = pickle.dumps(Planted(tmp_path / "run"))
    table = pa.Table.from_pandas(TABLE)
    table = table.cast(pa.schema([table.schema.field(0).with_metadata(evil), *list(table.schema)[1:]]))
    pq.write_table(table, tmp_path / "a.parquet")
    assert b"arrow.py_ext" in b64decode(pq.read_metadata(tmp_path / "a.parquet").metadata[b"ARROW:schema"])
    assert load_reviews(tmp_path / "a.parquet")["user_id"].tolist() == TABLE["user_id"].tolist()
    assert prepare(tmp_path / "a.parquet", tmp_path / "out", shards=1)["users"] == 2
    assert not (tmp_path / "run").exists()
    pickle.loads(pickle.dumps(Planted(tmp_path / "run")))
    assert (tmp_path / "run").exists(), "it would have been seen"


def test_a_parquet_file_that_names_another_file_doesnt_lead_there(tmp_path):
    """Each column of its rows says that it is in another file: pyarrow doesn't look there."""
    path, other = tmp_path / "a.parquet", tmp_path / "other.parquet"
    TABLE.to_parquet(path)
    TABLE.assign(user_id="somebody else").to_parquet(other)
    metadata = pq.read_metadata(path)
    metadata.set_file_path("other.parquet")
    metadata.write_metadata_file(tmp_path / "metadata")
    whole = path.read_bytes()
    rows = whole[: -8 - int.from_bytes(whole[-8:-4], "little")]
    path.write_bytes(rows + (tmp_path / "metadata").read_bytes()[4:])
    assert pq.read_metadata(path).row_group(0).column(0).file_path == "other.parquet"
    assert set(load_reviews(path)["user_id"]) == {"ann", "bob"}
    prepare(path, tmp_path / "out", shards=1)
    assert set(pq.read_table(tmp_path / "out" / "users.parquet")["user_id"].to_pylist()) <= {"ann", "bob"}


ADDRESSES = (
    "http://127.0.0.1:9/a.csv",
    "https://h/a.csv.gz",
    "file:///a.csv",
    "s3://b/a.parquet",
    "hf://d/a.parquet",
    r"ftp:\\h\a.csv",
)


@pytest.fixture
def no_network(monkeypatch):
    """Whoever asks for a name or an address is told on."""

    def asked(*address, **_):
        raise AssertionError(f"{address} was asked")

    for name in ("getaddrinfo", "create_connection"):
        monkeypatch.setattr(socket, name, asked)
    monkeypatch.setattr(socket.socket, "connect", asked)


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_is_refused_and_nobody_is_asked(tmp_path, monkeypatch, no_network, address):
    monkeypatch.chdir(tmp_path)
    for read in (load_reviews, lambda source: prepare(source, "out")):
        with pytest.raises(ValueError, match=r"is an address: nothing is fetched from there; download the file, and"):
            read(address)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_file_whose_path_looks_like_an_address_is_that_file(tmp_path, monkeypatch, no_network, address):
    monkeypatch.chdir(tmp_path)
    path = Path(address)
    path.parent.mkdir(parents=True, exist_ok=True)
    TABLE.to_parquet(path.absolute()) if path.suffix == ".parquet" else TABLE.to_csv(path.absolute(), index=False)
    assert load_reviews(address)["rating"].tolist() == TABLE["rating"].tolist()
    assert prepare(address, "out", shards=1)["users"] == 2


def test_the_database_fetches_and_loads_no_extension(tmp_path):
    con = open_database(tmp_path, {}, memory_limit="100MB", threads=1)
    for setting in ("autoinstall_known_extensions", "autoload_known_extensions"):
        assert con.execute(f"SELECT current_setting('{setting}')").fetchall() == [(False,)]
    con.close()
