"""The three lists of packages (metadata, locks, conda's environment) tell the same story."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
METADATA = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT, GROUPS = METADATA["project"], METADATA["dependency-groups"]
DEPENDENCIES = [Requirement(line) for line in PROJECT["dependencies"]]
UNLOCKED = {"ann"}  # it is compiled where it is installed
EXTRAS = [
    Requirement(line)
    for extra, lines in PROJECT["optional-dependencies"].items()
    if extra not in UNLOCKED
    for line in lines
]
BENCH_LOCKS = sorted((ROOT / "requirements").glob("bench-*.txt"))
LOCKS = sorted(set((ROOT / "requirements").glob("*-py3*.txt")) - set(BENCH_LOCKS))
CLASSIC = ROOT / "requirements" / "classic.txt"
SITE = ROOT / "requirements" / "site.txt"
AUDIT = ROOT / "requirements" / "audit.txt"
OTHERS = sorted((ROOT / "tests" / "environments").glob("*.txt"))


def versions(lock: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9._-]+)(?:\[[a-z,-]+\])?==([^\s;]+)", lock.read_text(), flags=re.MULTILINE))


def test_there_is_a_lock_for_each_platform_and_python():
    linux = [f"linux-py3{minor}.txt" for minor in (10, 11, 12, 13)]
    macos = [f"darwin-py3{minor}.txt" for minor in (10, 11, 12)]
    assert [lock.name for lock in LOCKS] == sorted(linux + macos)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_lock_satisfies_the_metadata(lock):
    pinned = versions(lock)
    platform, python = lock.stem.split("-py3")
    here = {"sys_platform": platform, "python_version": f"3.{python}", "extra": ""}
    for requirement in DEPENDENCIES + EXTRAS:
        if requirement.marker is None or requirement.marker.evaluate(here):
            version = pinned[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(version), f"{requirement} is locked at {version}"
    tensorflow, keras = (pinned[name].rsplit(".", 1)[0] for name in ("tensorflow", "tf-keras"))
    assert tensorflow == keras


@pytest.mark.parametrize("lock", [*OTHERS, CLASSIC], ids=lambda lock: lock.stem)
def test_lock_has_the_versions_that_it_is_made_for(lock):
    wanted = dict(re.findall(r"^([a-z-]+)==(.+)$", lock.with_suffix(".in").read_text(), flags=re.MULTILINE))
    assert wanted
    assert wanted.items() <= versions(lock).items()


def test_the_classic_notebook_is_colabs():
    colab, classic = versions(OTHERS[0]), versions(CLASSIC)
    server = {"ipykernel", "ipython", "ipywidgets", "jupyter-client", "notebook", "traitlets"}
    assert {name: classic[name] for name in server} == {name: colab[name] for name in server}


def test_of_what_the_course_needs_colab_lacks_two_packages():
    colab = versions(OTHERS[0])
    linux = {"sys_platform": "linux"}
    needed = [one for one in DEPENDENCIES if one.marker is None or one.marker.evaluate(linux)]
    there = [requirement for requirement in needed if requirement.name in colab]
    assert {requirement.name for requirement in needed} - colab.keys() == {"tensorflow-recommenders", "anywidget"}
    assert all(requirement.specifier.contains(colab[requirement.name]) for requirement in there)


def test_the_sites_lock_has_what_the_other_locks_have_not():
    wanted = {line for line in SITE.with_suffix(".in").read_text().splitlines() if not line.startswith("#")}
    assert wanted <= versions(SITE).keys()
    there = {pin for lock in LOCKS for pin in versions(lock).items()}
    assert {name for name, version in versions(SITE).items() if (name, version) in there} <= {"markdown-it-py"}


@pytest.mark.parametrize("lock", [lock for lock in LOCKS if "linux" in lock.name], ids=lambda lock: lock.stem)
def test_the_benchmarks_lock_keeps_to_the_versions_beside_it(lock):
    ours, theirs = versions(lock), versions(lock.with_name(f"bench-{lock.name}"))
    for requirement in map(Requirement, GROUPS["bench"]):
        assert requirement.specifier.contains(theirs[canonicalize_name(requirement.name)])
    assert {name: ours[name] for name in ours.keys() & theirs.keys()}.items() <= theirs.items()


@pytest.mark.parametrize("lock", [*LOCKS, *BENCH_LOCKS, *OTHERS, CLASSIC, SITE, AUDIT], ids=lambda lock: lock.stem)
def test_lock_has_hashes_and_no_address(lock):
    text = lock.read_text()
    assert "://" not in text
    assert not re.search(r"-[rc] /", text), "a path of the machine that made it"
    assert not re.search(r"^--?(i|f|index|extra-index|find-links)", text, flags=re.MULTILINE)
    packages = re.findall(r"^[a-z0-9._-]+(?:\[[a-z,-]+\])?==.*?(?=^\S|\Z)", text, flags=re.MULTILINE | re.DOTALL)
    assert len(packages) > (100 if lock in LOCKS + OTHERS else 50 if lock == CLASSIC else 10)
    assert all("--hash=sha256:" in package for package in packages)


MAKEFILE = (ROOT / "Makefile").read_text()
UNHASHED = {
    "$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .",  # the course itself
    "$(COLAB_COURSE)/bin/python -m pip install --quiet $(COLAB_COURSE)/*.whl",  # as a learner would
}


def test_make_installs_what_has_a_hash_in_a_lock_and_the_course_itself():
    sync = re.search(r"^SYNC = (.*)$", MAKEFILE, flags=re.MULTILINE)[1]
    assert {"--require-hashes", "--no-build"} <= set(sync.split())
    recipes = MAKEFILE.replace(f"SYNC = {sync}", "")
    installs = [line.strip() for line in recipes.splitlines() if re.search(r"\bpip (install|sync|download)\b", line)]
    assert {line for line in installs if "--require-hashes" not in line} == UNHASHED
    assert recipes.count("$(SYNC)") == 4
    assert re.findall(r"--build .*", recipes) == ["--build $(BENCH_LOCK),$(VENV))  # some have no wheels"]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_uv_is_taken_from_the_lock(lock):
    (recipe,) = re.findall(r"^\t@(awk .*) > ", MAKEFILE, flags=re.MULTILINE)
    command = recipe.replace("$$", "$").replace("$(LOCK)", str(lock))
    taken = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout.splitlines()
    assert taken[0] == f"uv=={versions(lock)['uv']} \\"
    assert all(re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line) for line in taken[1:])
    assert [line.endswith("\\") for line in taken] == [True] * (len(taken) - 1) + [False]
    assert len(taken) > 10  # wheels for many systems


def test_condas_environment_lists_what_the_metadata_lists():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    listed = {str(Requirement(line)) for line in environment[-1]["pip"]}
    assert {str(requirement) for requirement in DEPENDENCIES} <= listed
    extras = PROJECT["optional-dependencies"]
    wanted = {str(Requirement(line)) for extra in ("lab", "scale") for line in extras[extra]}
    assert wanted <= listed
    (extra,) = listed - {str(requirement) for requirement in DEPENDENCIES} - wanted
    assert extra in extras["test"]
