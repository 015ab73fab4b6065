"""Files of reviews become a folder: the same as the lower layers make of them in memory, whole or not at all."""

import gzip
import hashlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("duckdb", reason="DuckDB isn't installed: pip install recsys-teach[scale]")

import duckdb

import recsys_teach
from recsys_teach.baselines import DampedBiases
from recsys_teach.files.amazon import write_amazon
from recsys_teach.files.loading import load_reviews
from recsys_teach.scale import preparation as module
from recsys_teach.scale import stages
from recsys_teach.scale.preparation import prepare
from recsys_teach.scale.resume import interruptible
from recsys_teach.shop import generate_shop

PACKAGE = Path(recsys_teach.__file__).parent
REVIEWS = generate_shop(users=150, products=40, reviews_per_user=10, seed=3).reviews


@pytest.fixture(autouse=True)
def no_bars(monkeypatch):
    monkeypatch.setenv("TQDM_DISABLE", "1")


@pytest.fixture
def amazon(tmp_path):
    path = tmp_path / "reviews_Toys_5.json.gz"
    write_amazon(REVIEWS, path)
    return path


def read(folder, part):
    """A part of a prepared folder as a table; of `train`, all shards one after the other."""
    if part != "train":
        return pd.read_parquet(folder / f"{part}.parquet")
    return pd.concat([pd.read_parquet(path) for path in sorted((folder / "train").iterdir())], ignore_index=True)


def with_strings(folder):
    """The training rows with the strings that their ids stand for."""
    users, products, train = (read(folder, name) for name in ("users", "products", "train"))
    return pd.DataFrame(
        {
            "user_id": users["user_id"].to_numpy()[train["user_id"] - 1],
            "product_id": products["product_id"].to_numpy()[train["product_id"] - 1],
            "rating": train["rating"].astype(float),
        }
    )


def in_order(reviews):
    columns = [name for name in ("user_id", "product_id", "rating", "timestamp") if name in reviews]
    return reviews[columns].sort_values(columns, ignore_index=True)


def assert_same_rows(found, expected):
    pd.testing.assert_frame_equal(in_order(found), in_order(expected), check_dtype=False)


def bytes_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.parquet"))}


def assert_nothing_at(out, *, partial=False):
    assert not out.exists()
    assert out.with_name(out.name + ".partial").exists() == partial


def shuffle_number(seed, row):
    text = f"{seed}|{row.user_id}|{row.product_id}|{row.rating}|{int(row.timestamp.timestamp())}"
    return int.from_bytes(hashlib.md5(text.encode()).digest()[8:], "little")


# What the folder holds.


def test_a_split_by_time_is_that_of_the_lower_layers(tmp_path, amazon):
    manifest = prepare(amazon, tmp_path / "out", test_share=0.2, validation_share=0.1)
    rows = len(REVIEWS)
    ordered = REVIEWS.assign(number=[shuffle_number(0, row) for row in REVIEWS.itertuples()])
    ordered = ordered.sort_values(["timestamp", "number"], kind="stable")
    cuts = [round(0.7 * rows), round(0.8 * rows)]
    train, validation, test = ordered[: cuts[0]], ordered[cuts[0] : cuts[1]], ordered[cuts[1] :]
    assert manifest["split"] == "time"
    assert manifest["rows"] == {"train": len(train), "validation": len(validation), "test": len(test)}
    assert_same_rows(read(tmp_path / "out", "test"), test)
    assert_same_rows(read(tmp_path / "out", "validation"), validation)
    assert_same_rows(with_strings(tmp_path / "out"), train.drop(columns="timestamp"))
    assert read(tmp_path / "out", "test")["timestamp"].tolist() == test["timestamp"].tolist()


@pytest.mark.parametrize("split", ["time", "random"])
def test_counts_and_biases_are_those_of_the_training_rows(tmp_path, amazon, split):
    manifest = prepare(amazon, tmp_path / "out", split=split, test_share=0.3)
    train = with_strings(tmp_path / "out")
    expected = DampedBiases(train, damping=manifest["damping"])
    for name, bias in (("user", expected.user_bias), ("product", expected.product_bias)):
        table, counts = read(tmp_path / "out", f"{name}s"), train[f"{name}_id"].value_counts().sort_index()
        assert table[f"{name}_id"].tolist() == counts.index.tolist()
        assert table["count"].tolist() == counts.tolist()
        np.testing.assert_allclose(table["bias"], bias.sort_index(), rtol=0, atol=1e-9)
        assert manifest[f"{name}s"] == len(table)
    assert manifest["mean_rating"] == pytest.approx(expected.mean, abs=1e-9)
    assert manifest["rating_spread"] == pytest.approx(train["rating"].std(ddof=0), abs=1e-9)


def test_biases_by_hand(tmp_path):
    rows = [("ann", "tent", 5), ("ann", "wok", 3), ("bob", "tent", 4), ("cy", "wok", 1), ("dan", "kite", 1)]
    table = pd.DataFrame(rows, columns=["user_id", "product_id", "rating"]).assign(timestamp=range(10**9, 10**9 + 5))
    table.to_csv(tmp_path / "a.csv", index=False)
    manifest = prepare(tmp_path / "a.csv", tmp_path / "out", test_share=0.2, validation_share=0, shards=1)
    assert (manifest["mean_rating"], manifest["rows"]) == (3.25, {"train": 4, "validation": 0, "test": 1})
    products, users = read(tmp_path / "out", "products"), read(tmp_path / "out", "users")
    assert products["product_id"].tolist() == ["tent", "wok"]
    assert products["bias"].tolist() == pytest.approx([2.5 / 7, -2.5 / 7], abs=1e-11)
    assert users["user_id"].tolist() == ["ann", "bob", "cy"]
    assert users["bias"].tolist() == pytest.approx([1.5 / 7, (0.75 - 2.5 / 7) / 6, (-2.25 + 2.5 / 7) / 6], abs=1e-11)
    assert manifest["rating_spread"] == pytest.approx(np.sqrt((1.75**2 + 0.25**2 + 0.75**2 + 2.25**2) / 4), abs=1e-11)
    assert read(tmp_path / "out", "validation").empty
    assert read(tmp_path / "out", "test")["user_id"].tolist() == ["dan"]


def test_ids_are_those_of_learn_vocabulary(tmp_path, amazon):
    features = pytest.importorskip("recsys_teach.features")
    manifest = prepare(amazon, tmp_path / "out")
    vocabulary = features.learn_vocabulary(with_strings(tmp_path / "out"))
    assert read(tmp_path / "out", "users")["user_id"].tolist() == vocabulary.users
    assert read(tmp_path / "out", "products")["product_id"].tolist() == vocabulary.products
    assert read(tmp_path / "out", "users")["count"].tolist() == vocabulary.user_counts.tolist()
    assert manifest["rating_spread"] == pytest.approx(vocabulary.rating_spread, abs=1e-9)


def test_the_training_rows_are_in_the_order_of_their_hash(tmp_path, amazon):
    prepare(amazon, tmp_path / "out", split="random", seed=7, test_share=0.25, validation_share=0.25)
    numbered = REVIEWS.assign(number=[shuffle_number(7, row) for row in REVIEWS.itertuples()])
    numbered = numbered.sort_values("number", ignore_index=True)
    half, columns = round(0.5 * len(REVIEWS)), ["user_id", "product_id", "rating"]
    pd.testing.assert_frame_equal(
        with_strings(tmp_path / "out"), numbered[columns][:half], check_dtype=False, check_index_type=False
    )
    last = numbered["user_id"][round(0.75 * len(REVIEWS)) :]
    assert read(tmp_path / "out", "test")["user_id"].tolist() == last.tolist()


@pytest.mark.parametrize(("shards", "part_rows"), [(1, 250_000), (8, 250_000), (4, 100), (3, 7), (8, 1_000)])
def test_shards_have_the_same_length_and_parts_are_never_too_long(tmp_path, amazon, monkeypatch, shards, part_rows):
    monkeypatch.setattr(stages, "PART_ROWS", part_rows)
    monkeypatch.setattr(stages, "BATCH_ROWS", 64)
    manifest = prepare(amazon, tmp_path / "out", shards=shards)
    lengths = {}
    for path in sorted((tmp_path / "out" / "train").iterdir()):
        shard, part = re.fullmatch(r"(\d\d)-(\d{4})\.parquet", path.name).groups()
        table = pq.read_table(path)
        assert table.schema.equals(stages.PART)
        assert int(part) == len(lengths.setdefault(int(shard), []))
        lengths[int(shard)].append(len(table))
    assert list(lengths) == list(range(shards))
    of_shards = [sum(parts) for parts in lengths.values()]
    assert sum(of_shards) == manifest["rows"]["train"]
    assert max(of_shards) - min(of_shards) <= 1
    assert all(rows == part_rows for parts in lengths.values() for rows in parts[:-1])
    assert all(0 < parts[-1] <= part_rows for parts in lengths.values())
    plain = prepare(amazon, tmp_path / "plain", shards=1)
    assert plain["rows"] == manifest["rows"]
    pd.testing.assert_frame_equal(read(tmp_path / "out", "train"), read(tmp_path / "plain", "train"))


def test_the_manifest_says_what_was_done(tmp_path, amazon):
    manifest = prepare(amazon, tmp_path / "out", seed=5, shards=2)
    assert json.loads((tmp_path / "out" / "manifest.json").read_text()) == manifest
    (source,) = manifest["sources"]
    assert (source["name"], source["bytes"]) == (amazon.name, amazon.stat().st_size)
    assert pd.Timestamp(source["modified"]).timestamp() == pytest.approx(amazon.stat().st_mtime, abs=1e-5)
    assert {name: manifest[name] for name in ("format", "seed", "shards", "damping", "recsys_teach")} == {
        "format": 2,
        "seed": 5,
        "shards": 2,
        "damping": 5.0,
        "recsys_teach": recsys_teach.__version__,
    }
    assert sum(manifest["rows"].values()) == len(REVIEWS)
    names = {"manifest.json", "users.parquet", "products.parquet", "train", "validation.parquet", "test.parquet"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("out")] == ["out"]


def test_neither_threads_nor_memory_nor_the_order_of_the_file_change_a_byte(tmp_path):
    """Enough rows for DuckDB to share them among threads (122,880 each), many of them the same; odd ratings."""
    rng = np.random.default_rng(0)
    rows = 400_000
    table = pd.DataFrame(
        {
            "user_id": rng.integers(2_000, size=rows).astype(str),
            "product_id": rng.integers(300, size=rows).astype(str),
            "rating": rng.integers(1, 50, size=rows) / 7,
            "timestamp": rng.integers(1_600_000_000, 1_600_000_500, size=rows),
        }
    )
    (tmp_path / "turned").mkdir()
    table.to_parquet(tmp_path / "a.parquet")
    table[::-1].to_parquet(tmp_path / "turned" / "a.parquet")
    prepare(tmp_path / "a.parquet", tmp_path / "one", threads=1)
    expected = bytes_of(tmp_path / "one")
    for source, settings in (
        ("a.parquet", {"threads": 2}),
        ("turned/a.parquet", {"threads": 4, "memory_limit": "1GB"}),
    ):
        prepare(tmp_path / source, tmp_path / "other", **settings)
        assert bytes_of(tmp_path / "other") == expected
        shutil.rmtree(tmp_path / "other")
    prepare(tmp_path / "a.parquet", tmp_path / "seed", seed=1)
    assert bytes_of(tmp_path / "seed") != expected


def test_duckdb_shows_no_bar_of_its_own(tmp_path, amazon, monkeypatch):
    learn, seen = stages.learn, []

    def look(con):
        seen.extend(con.execute("SELECT current_setting('enable_progress_bar')").fetchall())
        learn(con)

    monkeypatch.setattr(stages, "learn", look)
    prepare(amazon, tmp_path / "out")
    assert seen == [(False,)]


# Formats.


@pytest.mark.parametrize("year", [2014, 2023])
@pytest.mark.parametrize("lost", [[], ["summary"], ["timestamp"]])
def test_what_write_amazon_writes_load_reviews_reads(tmp_path, year, lost):
    reviews = REVIEWS.drop(columns=lost)
    write_amazon(reviews, tmp_path / "a.json.gz", year=year)
    expected = [name for name in ("user_id", "product_id", "rating", "summary", "timestamp") if name in reviews]
    pd.testing.assert_frame_equal(load_reviews(tmp_path / "a.json.gz"), reviews[expected])


def test_write_amazon_writes_amazons_own_names_and_units(tmp_path):
    one = REVIEWS[:1]
    seconds = int(one["timestamp"][0].timestamp())
    for year, user, product, time, number in (
        (2014, "reviewerID", "asin", "unixReviewTime", seconds),
        (2023, "user_id", "parent_asin", "timestamp", seconds * 1000),
    ):
        write_amazon(one, tmp_path / "a.json.gz", year=year)
        row = json.loads(gzip.decompress((tmp_path / "a.json.gz").read_bytes()))
        assert (row[user], row[product], row[time]) == (one["user_id"][0], one["product_id"][0], number)
    with pytest.raises(ValueError, match="year is 2018: expected 2014 or 2023"):
        write_amazon(one, tmp_path / "b.json.gz", year=2018)


def other_formats(folder):
    """The same reviews in a file of every kind."""
    seconds = REVIEWS["timestamp"].dt.as_unit("s").astype("int64")
    plain = REVIEWS[["user_id", "product_id", "rating", "timestamp"]]
    write_amazon(REVIEWS, folder / "2023.jsonl.gz", year=2023)
    (folder / "2014.json").write_bytes(b"\n" + gzip.decompress((folder / "2014.json.gz").read_bytes()))
    plain.to_csv(folder / "dates.csv", index=False)
    plain.assign(timestamp=seconds * 10**6).to_csv(folder / "we[i]rd *.csv.gz", index=False)
    plain.assign(timestamp=seconds * 10**9, text='a "quote", and\na line').to_csv(
        folder / "ns.tsv", sep="\t", index=False
    )
    plain.to_parquet(folder / "ours.parquet")
    plain.assign(timestamp=plain["timestamp"].dt.tz_localize(None)).to_parquet(folder / "no zone.parquet")
    names = {"user_id": "userId", "product_id": "movieId"}
    plain.assign(timestamp=seconds, user_id=plain["user_id"]).rename(columns=names).to_csv(folder / "ratings.csv")
    return ["2023.jsonl.gz", "2014.json", "dates.csv", "we[i]rd *.csv.gz", "ns.tsv", "ours.parquet", "no zone.parquet"]


def test_every_format_gives_the_same_bytes(tmp_path):
    write_amazon(REVIEWS, tmp_path / "2014.json.gz")
    prepare(tmp_path / "2014.json.gz", tmp_path / "2014")
    expected = bytes_of(tmp_path / "2014")
    for name in [*other_formats(tmp_path), "ratings.csv"]:
        prepare(str(tmp_path / name), tmp_path / "out")
        assert bytes_of(tmp_path / "out") == expected, name
        shutil.rmtree(tmp_path / "out")


def test_several_files_are_one_table(tmp_path, amazon):
    prepare(amazon, tmp_path / "whole")
    write_amazon(REVIEWS[:500], tmp_path / "a.json.gz")
    REVIEWS[500:].to_parquet(tmp_path / "b.parquet")
    manifest = prepare([tmp_path / "a.json.gz", tmp_path / "b.parquet"], tmp_path / "out")
    assert [source["name"] for source in manifest["sources"]] == ["a.json.gz", "b.parquet"]
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "whole")


def test_reviews_without_times_are_split_at_random(tmp_path):
    write_amazon(REVIEWS.drop(columns="timestamp"), tmp_path / "a.json.gz")
    assert prepare(tmp_path / "a.json.gz", tmp_path / "out")["split"] == "random"
    assert list(read(tmp_path / "out", "test")) == ["user_id", "product_id", "rating"]


def test_ids_stay_the_texts_that_they_are(tmp_path):
    rows = "".join(f"{user},{product},5\n" for user in ("NA", "007", "null", "1e5") for product in ("0528", "Zoë's"))
    (tmp_path / "a.csv").write_text("user_id,product_id,rating\n" + rows, encoding="utf-8")
    prepare(tmp_path / "a.csv", tmp_path / "out", test_share=0.125, validation_share=0, shards=1)
    users = read(tmp_path / "out", "users")["user_id"].tolist()
    assert users == ["007", "1e5", "NA", "null"]
    assert read(tmp_path / "out", "products")["product_id"].tolist() == ["0528", "Zoë's"]


# What can't be read.

HEAD = b"user_id,product_id,rating\n"
GOOD = HEAD + b"".join(b"u%d,p%d,%d\n" % (row % 7, row % 5, row % 5 + 1) for row in range(40))
LINE = b'{"user_id": "ann", "product_id": "tent", "rating": 5, "timestamp": %d}\n'
LINES = b"".join(LINE % (1_600_000_000 + row) for row in range(40))
PACKED = gzip.compress(b"".join(LINE % (1_600_000_000 + row * row) for row in range(2_000)), mtime=0)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.csv", b"", "is empty (0 bytes)"),
        ("a.csv", HEAD, "has no rows"),
        ("a.xlsx", GOOD, "expected a file that ends in .csv"),
        ("a.csv", b"user_id,stars\nann,5\n", "has no column 'product_id'"),
        ("a.csv", GOOD + b"cy,kite,lots\ncy,wok,\n", "2 rows with a rating that is no number of stars (the first is"),
        ("a.csv", GOOD + b",kite,3\n", "1 row with no user_id, counted from 0: 40;"),
        ("a.csv", GOOD + b"cy,kite,3,4\n", "row 40 has more fields than the header's 3"),
        ("a.jsonl", LINES + b"not json\n" + LINES, "line 41 is no JSON"),
        ("a.json.gz", PACKED[: len(PACKED) // 2], "Compressed file ended before the end-of-stream"),
        ("a.json.gz", PACKED[:-8] + b"\0" * 8, "CRC check failed"),
        ("a.json.gz", LINES, "Not a gzipped file"),
        ("a.parquet", GOOD, "can't be read as parquet"),
    ],
)
def test_what_cannot_be_read_is_refused_and_can_be_mended(tmp_path, name, content, sentence):
    path, out = tmp_path / name, tmp_path / "out"
    path.write_bytes(content)
    for _ in range(2):
        with pytest.raises(ValueError, match=re.escape(sentence)) as caught:
            prepare(path, out, shards=1)
        assert str(caught.value).startswith(str(path))
        assert "\n" not in str(caught.value)
        assert not out.exists()
    if path.suffix != ".xlsx":
        path.unlink()
        mended = tmp_path / "mended.csv"
        mended.write_bytes(GOOD)
        assert prepare(mended, out)["rows"] == {"train": 34, "validation": 2, "test": 4}


def test_gzip_in_several_members_is_whole(tmp_path, amazon):
    packed = gzip.decompress(amazon.read_bytes()).splitlines(keepends=True)
    (tmp_path / "two").mkdir()
    both = gzip.compress(b"".join(packed[:700])) + gzip.compress(b"".join(packed[700:]))
    (tmp_path / "two" / amazon.name).write_bytes(both)
    prepare(amazon, tmp_path / "one member")
    prepare(tmp_path / "two" / amazon.name, tmp_path / "out")
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "one member")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"split": "tomorrow"}, "split is 'tomorrow': expected 'time', 'random' or None"),
        ({"test_share": 0}, "test_share is 0, validation_share 0.05: expected shares"),
        ({"test_share": 0.5, "validation_share": 0.5}, "that leave something for training"),
        ({"shards": 0}, "shards is 0: expected 1 to 100"),
        ({"shards": 50}, "40 reviews make 34 for training in 50 shards"),
        ({"test_share": 0.001}, "0 for the test: one is empty"),
        ({"split": "time"}, "40 of 40 reviews have no time: split at random"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(tmp_path, arguments, sentence):
    (tmp_path / "a.csv").write_bytes(GOOD)
    with pytest.raises(ValueError, match=re.escape(sentence)):
        prepare(tmp_path / "a.csv", tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()
    assert prepare(tmp_path / "a.csv", tmp_path / "out")["split"] == "random"


def test_sources_are_there_and_named_once(tmp_path, amazon):
    with pytest.raises(FileNotFoundError, match=r"gone\.json doesn't exist: expected a file of reviews"):
        prepare([amazon, tmp_path / "gone.json"], tmp_path / "out")
    with pytest.raises(ValueError, match="no sources"):
        prepare([], tmp_path / "out")
    with pytest.raises(ValueError, match="a file is among the sources twice"):
        prepare([amazon, tmp_path / "." / amazon.name], tmp_path / "out")
    assert_nothing_at(tmp_path / "out")


@pytest.mark.parametrize(("column", "noun"), [("user_id", "users"), ("product_id", "products")])
def test_a_recommender_needs_two_of_everything(tmp_path, column, noun):
    pd.read_csv(io.BytesIO(GOOD)).assign(**{column: "one"}).to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(
        ValueError, match=f"all 40 reviews have the same {column} 'one': .* at least two {noun} to tell"
    ):
        prepare(tmp_path / "a.csv", tmp_path / "out")


def test_one_time_for_all_reviews_is_no_order(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(LINE % 1_600_000_000 * 40)
    with pytest.raises(ValueError, match="all 40 reviews have the same time, 1600000000 s since 1970: split at random"):
        prepare(tmp_path / "a.jsonl", tmp_path / "out")


# Stopped, and what is there already.


def stop(*_, **__):
    raise RuntimeError("stopped")


def must_not_run(*_, **__):
    raise AssertionError("this stage is done already")


STAGES = [(module, "read_source"), *((stages, name) for name in ("hold_back", "learn", "shuffle"))]
STAGES += [(stages, "write_tables"), (stages, "write_parts"), (stages, "summary")]


@pytest.mark.parametrize("number", range(len(STAGES)))
def test_a_run_that_was_stopped_goes_on_with_the_first_stage_that_is_not_done(tmp_path, amazon, monkeypatch, number):
    prepare(amazon, tmp_path / "whole")
    where, name = STAGES[number]
    stage = getattr(where, name)

    def stopped_at_its_end(*args, **settings):
        stage(*args, **settings)
        stop()

    with monkeypatch.context() as patched:
        patched.setattr(where, name, stopped_at_its_end)
        with pytest.raises(RuntimeError, match="stopped"):
            prepare(amazon, tmp_path / "out")
    assert_nothing_at(tmp_path / "out", partial=True)
    for where, name in STAGES[:number]:
        monkeypatch.setattr(where, name, must_not_run)
    prepare(amazon, tmp_path / "out", threads=1, memory_limit="200MB")
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "whole")
    assert not (tmp_path / "out.partial").exists()


KILL = """
import os, signal, sys
from recsys_teach.scale import prepare, stages

def kill(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

if sys.argv[1] == "within a part":
    write, left = stages.pq.write_table, iter(range(3))
    stages.pq.write_table = lambda *args: write(*args) if next(left, None) is not None else kill()
else:
    setattr(stages, sys.argv[1], kill)
prepare(sys.argv[2], sys.argv[3])
"""


@pytest.mark.parametrize("when", ["progress_bar", "shuffle", "within a part", "summary"])
def test_a_process_that_is_killed_leaves_nothing_half_written(tmp_path, amazon, when):
    prepare(amazon, tmp_path / "whole")
    out = tmp_path / "out"
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
    died = subprocess.run([sys.executable, "-c", KILL, when, str(amazon), str(out)], env=environment, check=False)
    assert died.returncode == -signal.SIGKILL
    assert_nothing_at(out, partial=True)
    prepare(amazon, out)
    assert bytes_of(out) == bytes_of(tmp_path / "whole")


def test_control_c_between_two_pieces_leaves_a_run_that_starts_anew(tmp_path, amazon, monkeypatch):
    pieces = stages.review_pieces

    def interrupted(path, how):
        yield next(pieces(path, how))
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(stages, "review_pieces", interrupted)
        with pytest.raises(KeyboardInterrupt):
            prepare(amazon, tmp_path / "out")
    assert_nothing_at(tmp_path / "out", partial=True)
    prepare(amazon, tmp_path / "whole")
    prepare(amazon, tmp_path / "out")
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "whole")
    assert not (tmp_path / "out.partial").exists()


def test_purchases_are_prepared_without_stars(tmp_path):
    (tmp_path / "a.csv").write_text("user_id,product_id\n" + "".join(f"u{n % 7},p{n % 5}\n" for n in range(40)))
    manifest = prepare(tmp_path / "a.csv", tmp_path / "out", shards=1)
    assert (manifest["mean_rating"], manifest["rating_spread"], manifest["split"]) == (0, 1, "random")
    assert read(tmp_path / "out", "train")["rating"].isna().all()
    assert read(tmp_path / "out", "test")["rating"].isna().all()
    assert set(read(tmp_path / "out", "products")["bias"]) == {0}
    assert read(tmp_path / "out", "users")["count"].sum() == 34


def test_purchases_that_nobody_rated_count_but_move_no_mean(tmp_path):
    rows = [("ann", "tent", "5"), ("ann", "wok", ""), ("bob", "tent", "3"), ("cy", "wok", ""), ("dan", "wok", "1")]
    table = pd.DataFrame(rows, columns=["user_id", "product_id", "rating"]).assign(timestamp=range(10**9, 10**9 + 5))
    table.to_csv(tmp_path / "a.csv", index=False)
    how = {"test_share": 0.2, "validation_share": 0, "shards": 1, "unrated": [""]}
    manifest = prepare(tmp_path / "a.csv", tmp_path / "out", **how)
    assert (manifest["mean_rating"], manifest["rating_spread"]) == (4, 1)
    products = read(tmp_path / "out", "products").set_index("product_id")
    assert products["count"].to_dict() == {"tent": 2, "wok": 2}
    assert products["bias"].tolist() == [0, 0]
    assert read(tmp_path / "out", "users")["bias"].tolist() == pytest.approx([1 / 6, -1 / 6, 0], abs=1e-11)


def test_what_is_said_of_the_files_belongs_to_what_was_asked_for(tmp_path):
    (tmp_path / "a.csv").write_text(
        "who;product_id;rating\n" + "".join(f"u{n % 7};p{n % 5};{n % 5},5\n" for n in range(40))
    )
    how = {"columns": {"who": "user_id"}, "decimal": ",", "shards": 1}
    manifest = prepare(tmp_path / "a.csv", tmp_path / "out", **how)
    assert manifest["reading"]["columns"] == {"who": "user_id"}
    assert sorted(read(tmp_path / "out", "train")["rating"].unique()) == [0.5, 1.5, 2.5, 3.5, 4.5]
    assert prepare(tmp_path / "a.csv", tmp_path / "out", **how) == manifest
    with pytest.raises(FileExistsError, match="out was prepared with reading="):
        prepare(tmp_path / "a.csv", tmp_path / "out", **how, encoding="latin-1")


@pytest.mark.parametrize("change", ["rows", "time", "seed", "shards", "split"])
def test_a_run_that_was_stopped_starts_anew_if_anything_changed(tmp_path, amazon, monkeypatch, change):
    with monkeypatch.context() as patched:
        patched.setattr(stages, "write_parts", stop)
        with pytest.raises(RuntimeError, match="stopped") as kept:  # its traceback may hold on to the database
            prepare(amazon, tmp_path / "out")
    settings = {"seed": {"seed": 1}, "shards": {"shards": 2}, "split": {"split": "random"}}.get(change, {})
    if change == "rows":
        write_amazon(REVIEWS[:-100], amazon)
    if change == "time":
        os.utime(amazon, (1_600_000_000, 1_600_000_000))
    prepare(amazon, tmp_path / "out", **settings)
    assert kept.value is not None
    prepare(amazon, tmp_path / "whole", **settings)
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "whole")


def test_a_folder_that_is_there_stays_as_it_is(tmp_path, amazon, monkeypatch, capsys):
    manifest = prepare(amazon, tmp_path / "out", seed=1)
    before = bytes_of(tmp_path / "out")
    monkeypatch.setattr(module, "read_source", must_not_run)
    assert prepare(amazon, tmp_path / "out", seed=1) == manifest
    assert "out is there already" in capsys.readouterr().out
    with pytest.raises(FileExistsError, match="out was prepared with seed=1, not 2: choose another name, or remove it"):
        prepare(amazon, tmp_path / "out", seed=2)
    os.utime(amazon, (1_600_000_000, 1_600_000_000))
    with pytest.raises(FileExistsError, match="out was prepared with sources="):
        prepare(amazon, tmp_path / "out", seed=1)
    assert bytes_of(tmp_path / "out") == before


def test_a_file_that_changed_in_a_folder_of_parquet_files_is_noticed(tmp_path):
    table = pa.table({name: REVIEWS[name] for name in ("user_id", "product_id", "rating")})
    source = tmp_path / "parts"
    source.mkdir()
    pq.write_table(table[:200], source / "a.parquet")
    pq.write_table(table[200:400], source / "b.parquet")
    before = source.stat()
    assert prepare(source, tmp_path / "out") == prepare(source, tmp_path / "out")
    pq.write_table(table[200:500], source / "b.parquet")
    os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(FileExistsError, match="out was prepared with sources="):
        prepare(source, tmp_path / "out")


def test_the_files_of_somebody_else_are_not_taken_for_unfinished_work(tmp_path, amazon):
    partial = tmp_path / "out.partial"
    partial.mkdir()
    (partial / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"out\.partial, where the unfinished work would be, holds other files"):
        prepare(amazon, tmp_path / "out")
    partial.rename(tmp_path / "mine")
    prepare(amazon, tmp_path / "out")
    (tmp_path / "mine").rename(partial)
    prepare(amazon, tmp_path / "out")
    assert [path.name for path in partial.iterdir()] == ["thesis.txt"]


def test_the_folder_that_one_is_in_is_no_new_folder(tmp_path, amazon, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for name in (".", "..", ""):
        with pytest.raises(FileExistsError, match="exists and is no prepared folder"):
            prepare(amazon, name)


def test_rated_and_unrated_files_are_not_mixed(tmp_path):
    columns = REVIEWS[["user_id", "product_id", "rating"]]
    columns[:300].to_csv(tmp_path / "a.csv", index=False)
    columns[300:].drop(columns="rating").to_csv(tmp_path / "b.csv", index=False)
    with pytest.raises(ValueError, match=r"source 1 \(counted from 0\) has no rating in any row, others have"):
        prepare([tmp_path / "a.csv", tmp_path / "b.csv"], tmp_path / "out")


@pytest.mark.parametrize("what", ["a file", "a folder", "a broken manifest"])
def test_what_is_no_prepared_folder_is_left_alone(tmp_path, amazon, what):
    out = tmp_path / "out"
    if what == "a file":
        out.write_text("mine")
    else:
        out.mkdir()
        (out / "manifest.json" if what == "a broken manifest" else out / "mine").write_text("mine")
    with pytest.raises(FileExistsError, match="out exists and is no prepared folder: choose another name, or remove"):
        prepare(amazon, out)
    assert [path.read_text() for path in (out.iterdir() if out.is_dir() else [out])] == ["mine"]
    assert not (tmp_path / "out.partial").exists()


def test_a_parent_that_is_missing_or_a_file_is_named(tmp_path, amazon):
    with pytest.raises(OSError, match=r"out\.partial can't be made .*: choose a folder that exists and can be written"):
        prepare(amazon, tmp_path / "missing" / "out")
    with pytest.raises(OSError, match=r"out\.partial can't be made"):
        prepare(amazon, amazon / "out")


def mount(folder, options):
    """Mount a small disk in memory; skipped where that isn't allowed."""
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a disk")


@pytest.fixture
def disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    yield folder
    subprocess.run(["umount", str(folder)], capture_output=True, check=False)


def test_a_parent_that_cannot_be_written_to_is_named(disk, amazon):
    mount(disk, "ro,size=1m")
    with pytest.raises(OSError, match=r"out\.partial can't be made .*: choose a folder that exists and can be written"):
        prepare(amazon, disk / "out")


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Reviews that take about 30 MB on disk while they are prepared, and what comes of them."""
    folder = tmp_path_factory.mktemp("large")
    rng = np.random.default_rng(0)
    ids = [np.char.add(name, rng.integers(10**9, size=300_000).astype(str)) for name in ("a long user's name ", "")]
    table = pd.DataFrame({"user_id": ids[0], "product_id": ids[1], "rating": rng.integers(1, 6, 300_000)})
    table.to_parquet(folder / "a.parquet")
    prepare(folder / "a.parquet", folder / "whole")
    return folder


@pytest.mark.parametrize("megabytes", [2, 8, 16, 24])
def test_a_full_disk_is_named_and_more_room_mends_it(disk, large, megabytes):
    mount(disk, f"size={megabytes}m")
    with pytest.raises(OSError, match=re.escape(f"the disk of {disk / 'out.partial'} is full: make room there")):
        prepare(large / "a.parquet", disk / "out")
    assert not (disk / "out").exists()
    subprocess.run(["mount", "-o", "remount,size=400m", str(disk)], check=True)
    prepare(large / "a.parquet", disk / "out")
    assert bytes_of(disk / "out") == bytes_of(large / "whole")


def test_two_runs_at_once_do_not_meet(tmp_path, amazon, monkeypatch):
    """The second one, in a process of its own, is refused while the first one is at work; the first one goes on."""
    code = "import sys; from recsys_teach.scale.preparation import prepare; prepare(*sys.argv[1:])"
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
    learn, seen = stages.learn, []

    def learn_while_another_one_comes(con):
        call = [sys.executable, "-c", code, str(amazon), str(tmp_path / "out")]
        seen.append(subprocess.run(call, env=environment, capture_output=True, text=True, check=False).stderr)
        learn(con)

    monkeypatch.setattr(stages, "learn", learn_while_another_one_comes)
    prepare(amazon, tmp_path / "out")
    assert "another run is at work in" in seen[0].splitlines()[-1]
    prepare(amazon, tmp_path / "whole")
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "whole")


def test_ctrl_c_stops_all_of_duckdbs_threads():
    """That DuckDB heeds it is for `test_interrupts`; here: that it is told, and that the old handler is back."""
    told, before = [], signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), interruptible(SimpleNamespace(interrupt=lambda: told.append("stop"))):
        signal.raise_signal(signal.SIGINT)
    assert told == ["stop"]
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("error", [RuntimeError("Query interrupted"), duckdb.InterruptException("Interrupted!")])
def test_what_duckdb_makes_of_ctrl_c_is_ctrl_c_again_and_the_next_run_goes_on(tmp_path, amazon, monkeypatch, error):
    def interrupted(con):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(stages, "learn", interrupted)
        with pytest.raises(KeyboardInterrupt):
            prepare(amazon, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    prepare(amazon, tmp_path / "out")
    prepare(amazon, tmp_path / "whole")
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "whole")


def test_in_a_thread_that_hears_no_ctrl_c_it_works_too(tmp_path, amazon):
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(prepare, amazon, tmp_path / "out").result()
    assert sum(found["rows"].values()) == len(REVIEWS)
