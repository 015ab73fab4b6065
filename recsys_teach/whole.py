"""Layer 0: a file that is written is there whole, or not at all: the old one stays until the new one is finished.

Whatever stops the writing, be it a full disk, Ctrl-C or the end of the process, nobody ever sees half of a file.
"""

import glob
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LEFT_OVER = 24 * 3600  # seconds: what is older isn't being written any more, its process was killed
UNFINISHED = ".unfinished-"


@contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[Path]:
    """A name beside `path` to write to: the file takes the place of `path` in one step when the block has ended.

    Several processes may do so at once; the last one's file stays. A block that fails leaves `path` as it was.

    Raises:
        OSError: it can't be written, in one sentence.
    """
    path = Path(path)
    remove_left_over(path.parent, f"{UNFINISHED}{glob.escape(path.name)}-*")
    unfinished = path.with_name(f"{UNFINISHED}{path.name}-{secrets.token_hex(4)}")
    try:
        yield unfinished
        unfinished.replace(path)
    except OSError as error:
        message = (
            f"{path} can't be written ({reason_of(error)}): make room there, or name another; nothing was changed."
        )
        raise OSError(message) from error
    finally:
        with suppress(OSError):  # or it would hide what went wrong before
            unfinished.unlink(missing_ok=True)  # it isn't there any more if all went well


def reason_of(error: Exception) -> str:
    """What the system says of a write that failed, without the words that Python or TensorFlow puts around it.

    >>> reason_of(OSError(28, "No space left on device", "a/b"))
    'No space left on device'
    >>> reason_of(Exception("{{node}} a/b.tempstate7; No space left on device [Op:SaveV2]"))
    'No space left on device'
    """
    said = getattr(error, "strerror", None) or (str(error).splitlines() or [type(error).__name__])[0]
    return said.split("; ")[-1].split(" [Op")[0]


def remove_left_over(folder: Path, pattern: str) -> None:
    """Remove the files and folders of this pattern that were left over a day ago or longer."""
    for path in folder.glob(pattern):
        try:
            if path.stat().st_mtime < time.time() - LEFT_OVER:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        except OSError:  # another process was faster, or it isn't ours
            continue
