"""Renews the locks in requirements/: every package with its version and hashes, and no index's address.

One lock for each platform and Python line, since they resolve differently: on macOS, TFRS asks for
`tensorflow-macos`, whose last release is of TensorFlow 2.16 and for Python 3.12 at most.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PYTHONS = {"linux": ["3.10", "3.11", "3.12", "3.13"], "darwin": ["3.10", "3.11", "3.12"]}
UV_PLATFORMS = {"linux": "linux", "darwin": "macos"}


def main() -> None:
    """Resolve pyproject.toml, with all its extras, once for each platform and Python line."""
    for platform, pythons in PYTHONS.items():
        for python in pythons:
            lock = f"requirements/{platform}-py{python.replace('.', '')}.txt"
            command = ["uv", "pip", "compile", "pyproject.toml", "--all-extras", "--upgrade", "--quiet"]
            command += ["--generate-hashes", "--no-emit-index-url", "--no-emit-find-links", "--no-header"]
            command += ["--python-platform", UV_PLATFORMS[platform], "--python-version", python, "-o", lock]
            print(lock, flush=True)
            subprocess.run([sys.executable, "-m", *command], cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
