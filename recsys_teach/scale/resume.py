"""Resuming: how a long run that was stopped goes on, and what it says if it can't.

Such a run works in a folder beside its result, with a database that holds the request and the finished stages.
"""

import json
import shutil
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from types import FrameType
from typing import Any

import duckdb
from tqdm.auto import tqdm

from recsys_teach import __version__
from recsys_teach._util import progress_bar
from recsys_teach.files.formats import PARQUET, kind_of, parquet_files


def known_files(paths: list[Path]) -> list[dict]:
    """Return name, bytes and time of the last change of each file, by which a changed file is noticed.

    Of a folder of Parquet files, they are those of the files in it.
    """
    if not paths:
        raise ValueError("no sources: expected a file of reviews, or several.")
    kinds = [kind_of(path, expected="a file of reviews") for path in paths]
    if len({path.resolve() for path in paths}) < len(paths):
        raise ValueError(f"a file is among the sources twice ({', '.join(map(str, paths))}): name each of them once.")
    stats = []
    for path, kind in zip(paths, kinds):
        files = parquet_files(path) if kind in PARQUET else [path]
        stats += [((Path(path.name) / file.relative_to(path)).as_posix(), file.stat()) for file in files]
    return [
        {"name": name, "bytes": of.st_size, "modified": datetime.fromtimestamp(of.st_mtime, timezone.utc).isoformat()}
        for name, of in stats
    ]


DATABASE = "work.duckdb"


def is_unfinished(partial: Path) -> bool:
    """Return whether a folder holds the work of a run that was stopped, and not somebody's files."""
    return (partial / DATABASE).is_file()


def already_there(out: Path, request: dict) -> dict:
    """Return the manifest of a folder that exists; raise FileExistsError if it was made from another request."""
    try:
        manifest = json.loads((out / "manifest.json").read_text())
    except (OSError, ValueError):
        message = f"{out} exists and is no prepared folder: choose another name, or remove it."
        raise FileExistsError(message) from None
    if other := [name for name in request if manifest.get(name) != request[name]]:
        raise FileExistsError(
            f"{out} was prepared with {other[0]}={manifest.get(other[0])!r}, not {request[other[0]]!r}: choose another "
            "name, or remove it."
        )
    partial = out.with_name(out.name + ".partial")
    if is_unfinished(partial):
        shutil.rmtree(partial, ignore_errors=True)
    tqdm.write(f"{out} is there already, of the same sources and arguments: nothing to do.")
    return manifest


def open_database(partial: Path, request: dict, *, memory_limit: str, threads: int) -> duckdb.DuckDBPyConnection:
    """Open the database of a stopped run with the same request, or a new one."""
    asked = json.dumps({**request, "recsys_teach": __version__, "duckdb": duckdb.__version__})
    config: dict[str, Any] = {
        "memory_limit": memory_limit,
        "threads": threads,
        "temp_directory": str(partial / "spill"),
        "autoinstall_known_extensions": False,  # or it would fetch code from the network where it thinks it needs any
        "autoload_known_extensions": False,
    }
    for _ in range(2):
        con = duckdb.connect(str(partial / DATABASE), config=config)
        con.execute("SET TimeZone = 'UTC'")
        con.execute("SET enable_progress_bar = false")  # DuckDB's own, which TQDM_DISABLE wouldn't silence
        con.execute("CREATE TABLE IF NOT EXISTS done (stage VARCHAR)")
        con.execute("CREATE TABLE IF NOT EXISTS request AS SELECT $1 AS asked", [asked])
        if con.execute("SELECT asked FROM request").fetchall() == [(asked,)]:
            return con
        con.close()
        shutil.rmtree(partial)
        partial.mkdir()
    raise OSError(f"another database is open in {partial}: restart Python, and run again.")


def run_stages(con: duckdb.DuckDBPyConnection, stages: Mapping[str, Callable[[], None]]) -> None:
    """Run the stages that aren't finished yet, and record each one that is."""
    done = {stage for (stage,) in con.execute("SELECT stage FROM done").fetchall()}
    bar = progress_bar(stages.items(), unit="stage")
    for stage, do in bar:
        if stage not in done:
            bar.set_description(stage, refresh=False)
            do()
            con.execute("INSERT INTO done VALUES ($1)", [stage])
            con.execute("CHECKPOINT")


@contextmanager
def interruptible(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Let Ctrl-C stop all of DuckDB's threads; without this, it stops one and may wait for the others to finish."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield  # signals only arrive in the main thread
        return

    def stop(number: int, frame: FrameType | None) -> None:
        con.interrupt()
        before(number, frame)

    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def plain_errors(partial: Path, memory_limit: str) -> Iterator[None]:
    """Turn errors of the disk and of DuckDB into one sentence."""
    try:
        yield
    except (RuntimeError, duckdb.InterruptException) as error:
        if "interrupted" in str(error).lower():  # what DuckDB makes of Ctrl-C
            raise KeyboardInterrupt from error
        raise
    except (duckdb.Error, OSError) as error:
        said = str(error)
        if "No space left" in said or "max_temp_directory_size" in said:
            message = f"the disk of {partial} is full: make room there and run again, it goes on where it stopped."
        elif isinstance(error, duckdb.OutOfMemoryException):
            message = f"memory_limit={memory_limit!r} doesn't suffice: give DuckDB more, such as '1GB', and run again."
        elif isinstance(error, duckdb.Error) and "set lock" in said:
            message = f"another run is at work in {partial}: wait for its end, or choose another name."
        elif isinstance(error, duckdb.Error):
            message = f"{partial} can't be worked in ({said.splitlines()[0]}): remove it, and run again."
        elif error.filename and not str(error.filename).startswith(str(partial)):
            message = f"{error.filename} can't be read ({error.strerror})."
        elif error.errno is not None:
            message = f"{partial} can't be made ({error.strerror}): choose a folder that exists and can be written to."
        else:
            raise
        raise OSError(message) from error
