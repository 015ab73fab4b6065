"""The SavedModel: a server as a folder that TensorFlow Serving loads, written atomically.

    FOLDER/1/saved_model.pb, variables/   the SavedModel; the next export is FOLDER/2, and servers load the largest
    FOLDER/1/assets.extra/manifest.json   its versions, training rows and scores

It is written beside the versions first, under a name that no server loads, and then renamed to its number.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recsys_teach import __version__
from recsys_teach._util import UNFINISHED, progress_bar, reason_of
from recsys_teach.backend import tf, tfrs
from recsys_teach.schema import PRODUCT, USER
from recsys_teach.serving.server import Server

K = tf.TensorSpec(None, tf.int32, name="k")  # without a shape, see `Server.asked`
LOOKUPS = (tf.keras.layers.StringLookup, tf.keras.layers.IntegerLookup, tf.keras.layers.TextVectorization)
HASHED = 4_000_000  # rows at once, for the memory's sake: the SHA-256 is the same
MANIFEST = Path("assets.extra", "manifest.json")  # TensorFlow Serving ignores this folder


def export(server: Server, folder: str | Path, *, scores: Mapping[str, float] | pd.Series | None = None) -> Path:
    """Export a server as the next version in `folder`; return that version's own folder.

    Its signature `serving_default` is `Server.recommend`, `user_vectors` is `Server.user_vectors`. The manifest names
    the versions, the training rows (their number and SHA-256, see `fingerprint`), the size of the catalogue, and
    `scores`, such as the model's row of a scoreboard.

    Raises:
        OSError: the folder can't be written; nothing of this export is left in it then.
    """
    folder = Path(folder)
    bar = progress_bar(desc="exporting", total=3, unit=" steps")
    functions = {
        "serving_default": tf.function(server.recommend).get_concrete_function(**server.asked, k=K),
        "user_vectors": tf.function(server.user_vectors).get_concrete_function(**server.asked),
    }
    used = tf.Module()  # and not the model itself, which would bring its optimizer and all of its layers
    parts = [part for tower in server.user_towers for part in tower.submodules]
    parts += server.ranking.head.submodules if server.ranking else ()
    used.lookups = [
        server.users,
        *([server.places] if server.places else []),
        *(layer for layer in parts if isinstance(layer, LOOKUPS)),
    ]
    used.parameters = functions["serving_default"].graph.variables
    unfinished = workplace(folder)
    bar.update()
    try:
        tf.saved_model.save(used, str(unfinished), signatures=functions)
        bar.update()
        (unfinished / MANIFEST).parent.mkdir()
        (unfinished / MANIFEST).write_text(json.dumps(manifest(server, scores), indent=2) + "\n")
        unfinished.chmod(0o755)  # only the owner can read a temporary folder
        bar.update()
        return _numbered(unfinished, folder)
    except (OSError, tf.errors.OpError) as error:
        message = f"the export to {folder} failed ({reason_of(error)}): make room there, or name another one;"
        raise OSError(f"{message} nothing of it was kept.") from error
    finally:
        bar.close()
        shutil.rmtree(unfinished, ignore_errors=True)  # it is gone if all went well


def _numbered(unfinished: Path, folder: Path) -> Path:
    """Rename a finished export to the next number; if another process takes it at this moment, to the one after."""
    while True:
        version = folder / str(max(versions(folder), default=0) + 1)
        try:
            return unfinished.rename(version)
        except OSError:
            if not version.exists():
                raise


def workplace(folder: str | Path) -> Path:
    """Make and return a new folder in `folder` that no server loads; raise an OSError if that fails."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=folder))
    except OSError as error:
        raise OSError(f"{folder} can't be written ({error.strerror}): name a folder that can.") from error


def manifest(server: Server, scores: Mapping[str, float] | pd.Series | None) -> dict[str, Any]:
    """Return the facts about an export, ready for JSON; scores that are no finite numbers are None."""
    train = server.train
    return {
        "made": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "versions": {
            "recsys_teach": __version__,
            "tensorflow": tf.__version__,
            "tensorflow_recommenders": tfrs.__version__.lstrip("v"),
        },
        "train": {
            "rows": len(train),
            "users": train[USER].nunique(),
            "products": train[PRODUCT].nunique(),
            "sha256": fingerprint(train),
        },
        "catalogue": len(server.names),
        "stars_weight": server.stars_weight,
        "inputs": [*server.asked, "k"],
        "scores": {
            name: float(score) if np.isfinite(score) else None
            for name, score in dict({} if scores is None else scores).items()
        },
    }


def fingerprint(reviews: pd.DataFrame) -> str:
    """Return the SHA-256 of a reviews table's columns and values, in their order, without the index."""
    digest = hashlib.sha256(json.dumps(list(reviews)).encode())
    for start in range(0, len(reviews), HASHED):
        digest.update(pd.util.hash_pandas_object(reviews[start : start + HASHED], index=False).to_numpy().tobytes())
    return digest.hexdigest()


def versions(folder: str | Path) -> list[int]:
    """Return the versions in the folder, in order; a server loads the last one."""
    return sorted(int(path.name) for path in Path(folder).iterdir() if path.name.isdecimal())
