"""A tiny prepared folder of planted reviews, as the tests of `stream` and `distributed` need it."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from recsys_teach.baselines import DampedBiases
from recsys_teach.scale.prepared_folder import FORMAT
from recsys_teach.splits import split_at_random

SHARDS = 8


def write_prepared(folder, reviews, *, part_rows=250_000, shards=SHARDS, test_share=0.1):
    """Write the folder; return its training rows and its test rows."""
    rest, test = split_at_random(reviews, test_share=test_share)
    train, validation = split_at_random(rest, test_share=test_share, seed=1)
    (Path(folder) / "train").mkdir(parents=True)
    biases, numbers = DampedBiases(train), {}
    for name, column, bias in (
        ("users", "user_id", biases.user_bias),
        ("products", "product_id", biases.product_bias),
    ):
        counts = train.groupby(column).size().sort_index()
        ids = list(counts.index)
        table = pd.DataFrame({column: ids, "count": counts.to_numpy("int64"), "bias": bias[ids].to_numpy()})
        table.to_parquet(Path(folder) / f"{name}.parquet")
        numbers[column] = pd.Series(np.arange(1, len(ids) + 1, dtype="int32"), ids)
    mixed = train.iloc[np.random.default_rng(0).permutation(len(train))]
    ids = pd.DataFrame({column: mixed[column].map(number).to_numpy("int32") for column, number in numbers.items()})
    ids["rating"] = mixed["rating"].to_numpy("float32")
    for shard in range(shards):
        rows = ids[shard::shards]
        for part, start in enumerate(range(0, len(rows), part_rows)):
            rows[start : start + part_rows].to_parquet(
                Path(folder) / "train" / f"{shard:02}-{part:04}.parquet", index=False
            )
    for name, part in (("validation", validation), ("test", test)):
        part[["user_id", "product_id", "rating"]].to_parquet(Path(folder) / f"{name}.parquet", index=False)
    manifest = {
        "format": FORMAT,
        "split": "random",
        "seed": 0,
        "shards": shards,
        "rows": {"train": len(train), "validation": len(validation), "test": len(test)},
        "users": len(numbers["user_id"]),
        "products": len(numbers["product_id"]),
        "mean_rating": train["rating"].mean(),
        "rating_spread": train["rating"].std(ddof=0),
        "damping": 5.0,
    }
    (Path(folder) / "manifest.json").write_text(json.dumps(manifest))
    return train, test
