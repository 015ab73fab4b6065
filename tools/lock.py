"""Renews the locks in requirements/: every package with its version and hashes, and no index's address.

One lock for each platform and Python line, since they resolve differently: on macOS, TFRS asks for
`tensorflow-macos`, whose last release is of TensorFlow 2.16 and for Python 3.12 at most. The classic notebook, which
the tests open beside JupyterLab, needs no TensorFlow of its own: one lock of it serves everywhere.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PYTHONS = {"linux": ["3.10", "3.11", "3.12", "3.13"], "darwin": ["3.10", "3.11", "3.12"]}
UV_PLATFORMS = {"linux": "linux", "darwin": "macos"}


def main() -> None:
    """Resolve pyproject.toml with all its extras, for each platform and Python line; then the classic notebook."""
    for platform, pythons in PYTHONS.items():
        for python in pythons:
            lock = f"requirements/{platform}-py{python.replace('.', '')}.txt"
            renew(lock, "pyproject.toml", "--all-extras", "--python-platform", UV_PLATFORMS[platform], python=python)
    renew("requirements/classic.txt", "requirements/classic.in", "--universal", python=PYTHONS["linux"][0])


def renew(lock: str, source: str, *options: str, python: str) -> None:
    """Resolve the requirements in `source`, and write the lock."""
    command = ["uv", "pip", "compile", source, "--upgrade", "--quiet", "--python-version", python, *options]
    command += ["--generate-hashes", "--no-emit-index-url", "--no-emit-find-links", "--no-header", "-o", lock]
    print(lock, flush=True)
    subprocess.run([sys.executable, "-m", *command], cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
