"""Asks whether anything that the locks pin is known to be vulnerable: `python tools/audit_tool.py` (`make audit`).

pip-audit asks the package index for each name and version, and installs nothing. What the index has no answer for it
calls skipped, and then all is well for it; here it isn't. Ends with 0 if nothing is known, 1 if something is, 2 if
there was no answer for something. The locks of what others have (Colab's, old versions) are left out: they are old on
purpose.
"""

import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

REQUIREMENTS = Path(__file__).parents[1] / "requirements"
LOCKS = sorted(set(REQUIREMENTS.glob("*.txt")) - {REQUIREMENTS / "classic.txt"})
NOTHING_KNOWN, KNOWN, NO_ANSWER = 0, 1, 2

Answers = list[dict[str, Any]]  # pip-audit's: name and version, with `vulns` or with the reason why it was skipped


def ask(lock: Path) -> Answers:
    """What pip-audit says of each package in this lock.

    Raises:
        ConnectionError: it found nobody to ask, or didn't come to its end for another reason.
    """
    command = [sys.executable, "-m", "pip_audit", "--require-hashes", "--disable-pip", "--requirement", str(lock)]
    asked = subprocess.run([*command, "--format=json", "--progress-spinner=off"], capture_output=True, text=True)
    try:
        return json.loads(asked.stdout)["dependencies"]
    except ValueError:
        last = (asked.stderr.strip().splitlines() or [f"it ended with {asked.returncode}"])[-1]
        raise ConnectionError(f"pip-audit could not ask for {lock.name}: {last}") from None


def verdict(answers: Mapping[str, Answers]) -> tuple[int, list[str]]:
    """What the answers by lock come to: how to end, and what to say, each vulnerability once."""
    where, unanswered, asked = defaultdict(set), set(), set()
    for lock, packages in answers.items():
        for package in packages:
            if "skip_reason" in package:
                unanswered.add(package["name"])
            asked.add(package["name"])
            for found in package.get("vulns", []):
                fixed = " or ".join(found["fix_versions"]) or "no version yet"
                where[f"{package['name']} {package['version']}: {found['id']}, fixed in {fixed}"].add(lock)
    lines = [f"{known} ({', '.join(sorted(where[known]))})" for known in sorted(where)]
    if unanswered or not asked:
        such = f", such as {min(unanswered)}" if unanswered else ""
        lines.append(f"no answer for {len(unanswered)} of {len(asked)} packages{such}: nothing is said of them here.")
    if lines:
        return KNOWN if where else NO_ANSWER, lines
    return NOTHING_KNOWN, [f"nothing is known against the {len(asked)} packages in {len(answers)} locks."]


def main() -> int:
    """Ask for every lock, and say what came of it."""
    try:
        code, lines = verdict({lock.stem: ask(lock) for lock in LOCKS})
    except ConnectionError as error:
        code, lines = NO_ANSWER, [str(error)]
    print("\n".join(lines))
    return code


if __name__ == "__main__":
    sys.exit(main())
