"""A prepared folder: its manifest, and the check that all its files are there and whole.

A run of hours must not end at a file that was cut short by a full disk or an interrupted copy.
"""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

FORMAT = 2
REMEDY = "prepare the folder again"
# The ranges of the numbers in a manifest; the numbers of rows are in its part "rows".
NUMBERS: dict[str, tuple[float, float]] = {
    "shards": (1, 100),
    **dict.fromkeys(("train", "validation", "test", "users", "products"), (0, 10**12)),
    **dict.fromkeys(("mean_rating", "rating_spread", "damping"), (-1e7, 1e7)),
}


def read_manifest(folder: str | os.PathLike) -> dict[str, Any]:
    """Read and check `manifest.json` of a prepared folder.

    Raises:
        FileNotFoundError, ValueError: there is none, it can't be read, or it describes another format.
    """
    path = Path(folder) / "manifest.json"
    if not path.exists():
        raise FileNotFoundError(
            f"{path} doesn't exist, so {folder} isn't a prepared folder, or preparing it was cut short: {REMEDY}."
        )
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        found = manifest["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} can't be read as the manifest of a prepared folder ({error}): {REMEDY}.") from error
    if found != FORMAT:
        raise ValueError(f"{path} says format {found!r}: expected {FORMAT}; {REMEDY} with this version.")
    rows = manifest.get("rows")
    facts = (rows if isinstance(rows, dict) else {}) | manifest
    for name, (least, most) in NUMBERS.items():
        found = facts.get(name)
        if type(found) not in (int, type(most)) or not least <= found <= most:
            raise ValueError(f"{path} says {name} {found!r}: expected a number from {least:,} to {most:,}; {REMEDY}.")
    return manifest


def parquet_rows(path: Path, rows: int | None = None) -> int:
    """Return the number of rows of a Parquet file, from its last bytes: a file that was cut short is an error."""
    try:
        found = pq.read_metadata(path).num_rows
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path} is missing: {REMEDY}.") from error
    except (pa.ArrowException, OSError) as error:
        size = path.stat().st_size
        raise ValueError(f"{path} is damaged or cut short ({size:,} bytes, no Parquet file): {REMEDY}.") from error
    if rows is not None and found != rows:
        raise ValueError(f"{path} holds {found:,} rows where the manifest says {rows:,}: {REMEDY}.")
    return found


def shard_parts(folder: str | os.PathLike) -> tuple[list[list[Path]], list[int]]:
    """Return the parts and the rows of each shard, after checking that no file is missing or cut short."""
    manifest = read_manifest(folder)
    shards, rows = [], []
    for shard in range(manifest["shards"]):
        found = len(list((Path(folder) / "train").glob(f"{shard:02}-*.parquet")))
        shards.append([Path(folder) / "train" / f"{shard:02}-{part:04}.parquet" for part in range(max(found, 1))])
        rows.append(sum(parquet_rows(part) for part in shards[-1]))
    expected = manifest["rows"]["train"]
    if sum(rows) != expected:
        short = int(np.argmin(rows))
        raise ValueError(
            f"the parts in {Path(folder) / 'train'} hold {sum(rows):,} rows where the manifest says {expected:,} "
            f"(shard {short:02} has the fewest, {rows[short]:,} in {len(shards[short])} parts): {REMEDY}."
        )
    return shards, rows
