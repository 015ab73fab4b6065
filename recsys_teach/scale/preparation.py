"""Preparation: turn files of reviews that are larger than memory into a folder that models are trained from.

DuckDB does on disk what `splits` and `features` do in memory, in stages: read, split, learn vocabulary and biases from
the training rows, replace strings by ids, shuffle the rows, and write them in parts. A run that was stopped goes on
with the first stage that wasn't finished.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

try:
    import duckdb
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "prepare needs duckdb, which isn't installed: pip install 'recsys-teach[scale]'", name="duckdb"
    ) from error

from recsys_teach import __version__
from recsys_teach._util import named
from recsys_teach.files.formats import Reading
from recsys_teach.files.loading import found_path
from recsys_teach.scale import stages
from recsys_teach.scale.prepared_folder import FORMAT
from recsys_teach.scale.resume import (
    already_there,
    interruptible,
    is_unfinished,
    known_files,
    open_database,
    plain_errors,
    run_stages,
)
from recsys_teach.scale.stages import read_source


def prepare(
    sources: str | os.PathLike | Iterable[str | os.PathLike],
    out: str | os.PathLike,
    *,
    split: str | None = None,
    test_share: float = 0.1,
    validation_share: float = 0.05,
    shards: int = 8,
    seed: int = 0,
    memory_limit: str = "250MB",
    threads: int = 2,
    columns: Mapping[Any, str] | None = None,
    sep: str | None = None,
    encoding: str = "utf-8",
    decimal: str = ".",
    dayfirst: bool | None = None,
    header: bool | Sequence[str] | None = None,
    unrated: Sequence[Any] = (),
) -> dict:
    """Turn files of reviews into the folder `out`, and return its manifest; memory is about `memory_limit` + 400 MB.

    The folder holds `users.parquet` and `products.parquet` (id, training rows `count`, damped `bias` in stars),
    `train/SS-PPPP.parquet` (shard, part: ids as int32, rating as float32, in a random order), `validation.parquet` and
    `test.parquet` (strings, for the scoreboard), and `manifest.json`. An id is a row's number in `users.parquet` or
    `products.parquet`, from 1; 0 is the unknown id. The same sources and arguments give the same folder, whatever the
    memory and the number of threads. The work is done in `out` + ".partial" beside it, where a run that was stopped
    goes on; if `out` was already made of the same sources and arguments, it stays as it is.

    Args:
        sources: a file or several, of every kind that `load_reviews` reads.
        out: the folder to make.
        split: hold the latest reviews back (of those in the same second, chance decides), or random ones; None: by
            time if all the reviews have a time.
        test_share, validation_share: of all the reviews; the validation part comes before the test part in time.
        shards: number of shards of equal length (up to one row) that the training rows are divided into.
        seed: of the random split and the random order.
        memory_limit: DuckDB's limit, such as "250MB"; the process needs about 400 MB more.
        threads: of DuckDB.
        columns, sep, encoding, decimal, dayfirst, header, unrated: how the sources are written, as in `load_reviews`.

    Raises:
        ValueError, OSError: one sentence of what was found, where, and what to do; nothing is left at `out`.
    """
    several = [sources] if isinstance(sources, str | os.PathLike) else list(sources)
    paths, out = [found_path(path) for path in several], named(os.path.expanduser(out))
    how = Reading(columns, sep, encoding, decimal, dayfirst, header, unrated)
    request = {
        "format": FORMAT,
        "sources": known_files(paths),
        "asked_split": split,
        "test_share": test_share,
        "validation_share": validation_share,
        "shards": shards,
        "seed": seed,
        "reading": json.loads(json.dumps(asdict(how))),
    }
    _check_arguments(request)
    work = out.with_name(out.name + ".partial")
    with plain_errors(work, memory_limit):
        if os.path.lexists(out):
            return already_there(out, request)
        if work.is_dir() and any(work.iterdir()) and not is_unfinished(work):
            raise ValueError(f"{work}, where the unfinished work would be, holds other files: choose another name.")
        work.mkdir(exist_ok=True)
        con = open_database(work, request, memory_limit=memory_limit, threads=threads)
        with closing(con), interruptible(con):
            manifest = _run(con, paths, how, work / "finished", request)
        (work / "finished").rename(out)
        shutil.rmtree(work)
    return manifest


def _check_arguments(request: dict) -> None:
    if request["asked_split"] not in ("time", "random", None):
        raise ValueError(f"split is {request['asked_split']!r}: expected 'time', 'random' or None.")
    test, validation = request["test_share"], request["validation_share"]
    if not (0 < test < 1 and 0 <= validation < 1 - test):
        raise ValueError(
            f"test_share is {test}, validation_share {validation}: expected shares such as 0.1 and 0.05 that leave "
            "something for training."
        )
    if not 1 <= request["shards"] <= 100:
        raise ValueError(f"shards is {request['shards']}: expected 1 to 100.")


def _run(con: duckdb.DuckDBPyConnection, paths: list[Path], how: Reading, folder: Path, request: dict) -> dict:
    """Run the stages that aren't done, and write the manifest."""
    asked = {name: request[name] for name in ("test_share", "validation_share", "shards")}
    (folder / "train").mkdir(parents=True, exist_ok=True)
    todo: dict[str, Callable[[], None]] = {}
    for n, path in enumerate(paths):
        todo[f"reading source {n}"] = partial(read_source, con, path, f"source_{n}", seed=request["seed"], how=how)
    todo |= {
        "splitting": partial(stages.hold_back, con, len(paths), split=request["asked_split"], **asked),
        "learning": partial(stages.learn, con),
        "shuffling": partial(stages.shuffle, con),
        "writing tables": partial(stages.write_tables, con, folder),
        "writing parts": partial(stages.write_parts, con, folder / "train", request["shards"]),
    }
    run_stages(con, todo)
    manifest = {"format": FORMAT, "recsys_teach": __version__, **request, **stages.summary(con)}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    return manifest
