"""Renews the locks in requirements/: every package with its version and hashes, and no index's address.

One lock for each platform and Python line, since they resolve differently: on macOS, TFRS asks for
`tensorflow-macos`, whose last release is of TensorFlow 2.16 and for Python 3.12 at most. The classic notebook, which
the tests open beside JupyterLab, needs no TensorFlow of its own: one lock of it serves everywhere. The libraries that
benchmarks compare with are installed beside a lock's packages, so theirs keep to its versions. What builds the site is
installed beside them, too, and uses those that are there: its lock leaves them out, but for other versions of them.
What looks for vulnerabilities has an environment of its own, so that it can be asked without the course's.
In tests/environments are those of others: Colab's image, which the course only adds to, and old versions.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
ENVIRONMENTS = {"original": "3.10", "macos-pins": "3.12"}
PYTHONS = {"linux": ["3.10", "3.11", "3.12", "3.13"], "darwin": ["3.10", "3.11", "3.12"]}
EXTRAS_OF_TESTS = ("--extra", "scale", "--extra", "test")
EXTRAS = (*EXTRAS_OF_TESTS, "--extra", "lab", "--extra", "classics")
BENCHMARKED = "linux"
UV_PLATFORMS = {"linux": "linux", "darwin": "macos"}


def main() -> None:
    """Resolve pyproject.toml, its extras and the benchmarks' group, for each platform; then what serves all."""
    locks = []
    for platform, pythons in PYTHONS.items():
        for python in pythons:
            tag = f"{platform}-py{python.replace('.', '')}"
            lock, target = f"requirements/{tag}.txt", ("--python-platform", UV_PLATFORMS[platform])
            renew(lock, "pyproject.toml", *EXTRAS, *target, python=python)
            locks.append(lock)
            if platform == BENCHMARKED:
                peers = "--group", "bench", "--constraint", lock
                renew(f"requirements/bench-{tag}.txt", *peers, *target, python=python)
    renew("tests/environments/colab.txt", "tests/environments/colab.in", python="3.13")
    for name, python in ENVIRONMENTS.items():
        pinned = f"tests/environments/{name}.in", *EXTRAS_OF_TESTS, "--python-platform", "linux"
        renew(f"tests/environments/{name}.txt", "pyproject.toml", *pinned, python=python)
    oldest = PYTHONS["linux"][0]
    for name in ("classic", "audit", "mutants"):
        renew(f"requirements/{name}.txt", f"requirements/{name}.in", "--universal", python=oldest)
    site = "requirements/site.txt", "requirements/site.in", "--universal"
    renew(*site, python=oldest)
    there = set().union(*map(pins, locks))
    needed = {name for name, _ in pins(site[0]) - there}
    shared = sorted({name for name, _ in pins(site[0])} - needed)
    renew(*site, *(option for name in shared for option in ("--no-emit-package", name)), python=oldest)


def renew(lock: str, *source: str, python: str) -> None:
    """Resolve the requirements in `source`, a file or a group and options, and write the lock."""
    command = ["uv", "pip", "compile", *source, "--upgrade", "--quiet", "--python-version", python]
    command += ["--generate-hashes", "--no-emit-index-url", "--no-emit-find-links", "--no-header", "-o", lock]
    print(lock, flush=True)
    subprocess.run([sys.executable, "-m", *command], cwd=ROOT, check=True)


def pins(lock: str) -> set[tuple[str, str]]:
    """The packages in this lock with their versions."""
    pattern = r"^([a-z0-9._-]+)(?:\[[a-z,-]+\])?==([^\s;]+)"
    return set(re.findall(pattern, (ROOT / lock).read_text(), flags=re.MULTILINE))


if __name__ == "__main__":
    main()
