"""Layer 2: a sweep's fields in one file of arrays and JSON (numpy's `.npz`, no pickle), and back.

The file may come from a stranger: it is checked whole, so that none of its texts is anything but a text, and no number
leads to a wrong one later.
"""

import json
import math
import os
from typing import Any

import numpy as np
import pandas as pd

from recsys_teach.schema import CATEGORY, PRODUCT, TITLE
from recsys_teach.verbatim import printable
from recsys_teach.whole import whole_file

FORMAT = "recsys-teach sweep 1"
ARRAYS = ("weights", "user_tables", "product_tables", "bought", "bought_later")
FACTS = {"mean", "taste", "users", "catalogue", "board", "baselines"}
METRICS = ["hit@1", "hit@10", "hit@50", "ndcg@10", "mrr", "rmse"]
BASELINES = ["popularity", "damped biases", "oracle"]


def write_sweep(path: str | os.PathLike, fields: dict[str, Any]) -> None:
    """Write the fields of a sweep; a file of that name is replaced whole."""
    facts = {"format": FORMAT, **{name: fields[name] for name in ("mean", "taste", "users")}}
    facts["catalogue"] = fields["catalogue"].to_dict("list")
    facts |= {name: fields[name].to_dict("split") for name in ("board", "baselines")}
    arrays = {name: fields[name] for name in ARRAYS} | {"json": np.array(json.dumps(facts))}
    with whole_file(path) as unfinished, unfinished.open("wb") as file:
        np.savez_compressed(file, **arrays)


def read_sweep(path: str | os.PathLike) -> dict[str, Any]:
    """The fields of the sweep that was written there.

    Raises:
        FileNotFoundError, OSError: there is no such file, or it can't be read.
        ValueError: it isn't what `write_sweep` writes; the sentence says what is wrong with it, if that can be said.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            facts = json.loads(str(file["json"]))
            arrays = {name: file[name] for name in ARRAYS}
        _expect(isinstance(facts, dict) and facts.get("format") == FORMAT, f"its format isn't {FORMAT!r}")
        _expect(facts.keys() == {"format", *FACTS}, f"it should tell {', '.join(sorted(FACTS))}")
        return _checked(facts, arrays)
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no file {path}: save a sweep there first, with its method save.") from None
    except Exception as error:  # whatever a stranger's file may lead to
        if isinstance(error, OSError) and error.errno:
            raise OSError(f"{path} can't be read ({error.strerror}): name a file that can.") from error
        reason = f" ({printable(error)})" if isinstance(error, _FaultError) else ""
        message = f"{path} is no sweep that this version can read{reason}: train it again, and save it."
        raise ValueError(message) from error


class _FaultError(ValueError):
    """What is wrong with the content of a file, in words."""


def _expect(holds: bool, fault: str) -> None:
    if not holds:
        raise _FaultError(fault)


def _checked(facts: dict[str, Any], arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """The fields, if they fit together."""
    for name in ("mean", "taste"):
        number = facts[name]
        _expect(type(number) in (int, float) and math.isfinite(number), f"{name} is no finite number")
    users = _names(facts["users"], "users")
    catalogue = facts["catalogue"]
    columns = [PRODUCT, TITLE, CATEGORY]
    _expect(isinstance(catalogue, dict) and list(catalogue) == columns, f"its catalogue isn't of {', '.join(columns)}")
    products = _names(catalogue[PRODUCT], "products")
    for column in (TITLE, CATEGORY):
        _names(catalogue[column], f"the {column} of each product", len(products))
    _check_arrays(arrays, len(users), len(products))
    names = [name_of_pair(*pair) for pair in arrays["weights"]]
    return {
        **{"mean": float(facts["mean"]), "taste": float(facts["taste"]), "users": users},
        "catalogue": pd.DataFrame(catalogue),
        "board": _board(facts["board"], "board", names),
        "baselines": _board(facts["baselines"], "baselines", BASELINES[: max(2, len(facts["baselines"]["index"]))]),
        **arrays,
    }


def _names(names: Any, what: str, count: int | None = None) -> list[str]:
    """A list of texts: as many as there are to be, or else different ones, at least one."""
    _expect(isinstance(names, list) and all(isinstance(name, str) for name in names), f"{what} isn't a list of texts")
    right = 0 < len(names) == len(set(names)) if count is None else len(names) == count
    _expect(right, f"{what} has gaps, or a name twice")
    "".join(names).encode()  # or no notebook could show them: half of a surrogate pair is no text
    return names


def _check_arrays(arrays: dict[str, np.ndarray], users: int, products: int) -> None:
    for name, array in arrays.items():
        numbers = array.dtype.kind in ("iu" if name.startswith("bought") else "iuf")
        _expect(numbers and bool(np.isfinite(array).all()), f"{name} isn't of finite numbers")
    weights, user_tables = arrays["weights"], arrays["user_tables"]
    pairs = len(weights) if weights.ndim else 0
    dim = max(2, user_tables.shape[-1]) if user_tables.ndim else 2
    shapes = {"weights": (pairs, 2), "user_tables": (pairs, 1 + users, dim)}
    shapes["product_tables"] = (pairs, 1 + products, dim + 1)
    shapes |= {name: (arrays[name].size // 2, 2) for name in ("bought", "bought_later")}
    for name, shape in shapes.items():
        _expect(arrays[name].shape == shape and 0 not in shape, f"{name} is {arrays[name].shape}, not {shape}")
    _expect(bool((weights >= 0).all() and weights.any(axis=1).all()), "a pair of weights is negative, or 0 : 0")
    for name, first in (("bought", 1), ("bought_later", 0)):  # there, 0 is who or what training didn't know
        inside = (arrays[name] >= first) & (arrays[name] <= (users, products))
        _expect(bool(inside.all()), f"{name} leads out of the users or the catalogue")


def _board(facts: Any, name: str, models: list[str]) -> pd.DataFrame:
    """A scoreboard of these models: shares from 0 to 1, stars from 0 up; a gap is NaN."""
    board = pd.DataFrame(**facts)
    _expect(list(board) == METRICS and list(board.index) == models, f"its {name} isn't one of these models")
    _expect(all(kind.kind in "iuf" for kind in board.dtypes), f"its {name} isn't of numbers")
    inside = (board >= 0) & (board <= [1.0] * 5 + [np.inf]) & (board < np.inf)
    _expect(bool((inside | board.isna()).all(axis=None)), f"its {name} has a share that is none")
    return board.rename_axis("model")


def name_of_pair(rating_weight: float, retrieval_weight: float) -> str:
    """What a pair of weights is called.

    >>> [name_of_pair(*pair) for pair in [(1, 0), (0, 1), (0.4, 1), (1 / 256, 1), (0.5, 0.5)]]
    ['rating only', 'retrieval only', '0.4 : 1', '1/256 : 1', '0.5 : 0.5']
    """
    if retrieval_weight == 0:
        return "rating only"
    if rating_weight == 0:
        return "retrieval only"
    return f"{_short(rating_weight)} : {_short(retrieval_weight)}"


def _short(weight: float) -> str:
    power = -math.log2(weight)
    return f"1/{2 ** int(power)}" if power >= 3 and power.is_integer() else f"{weight:.4g}"
