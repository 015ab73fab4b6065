"""Batches from a prepared folder: every row once an epoch, the same for any number of workers, or a sentence."""

import json
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from prepared import SHARDS, write_prepared

from recsys_teach.backend import tf
from recsys_teach.features import learn_vocabulary
from recsys_teach.scale.batches import read_vocabulary, stream
from recsys_teach.shop import generate_shop
from recsys_teach.towers import ProductTower, UserTower, training_rows

PART_ROWS, BATCH = 50, 64
REVIEWS = generate_shop(users=150, products=40, rated_share=0.9, seed=0).reviews.drop(columns="title")
NAMES = ["user_id", "product_id", "rating"]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A folder, and its training rows."""
    folder = tmp_path_factory.mktemp("prepared") / "out"
    train, _ = write_prepared(folder, REVIEWS, part_rows=PART_ROWS)
    return folder, train


@pytest.fixture
def folder(tmp_path):
    """A folder of one's own, to break."""
    write_prepared(tmp_path / "out", REVIEWS, part_rows=PART_ROWS)
    return tmp_path / "out"


def rows_of(batch):
    """The rows of a batch, as tuples that can be counted; 0 stars for none."""
    return [tuple(row) for row in np.nan_to_num(np.stack([batch[name].numpy() for name in NAMES], axis=1)).tolist()]


def epochs_of(flow, count):
    return [[rows_of(batch) for batch in flow] for _ in range(count)]


def all_rows_of(train):
    vocabulary = learn_vocabulary(train)
    return Counter(rows_of(training_rows(train, UserTower(vocabulary), ProductTower(vocabulary))))


def test_the_vocabulary_is_that_of_the_training_rows(prepared):
    folder, train = prepared
    ours, theirs = read_vocabulary(folder), learn_vocabulary(train)
    assert (ours.users, ours.products, ours.titles) == (theirs.users, theirs.products, theirs.titles)
    np.testing.assert_array_equal(ours.user_counts, theirs.user_counts)
    np.testing.assert_array_equal(ours.product_counts, theirs.product_counts)
    for name in ("user_bias", "product_bias"):
        biases = getattr(ours.biases, name), getattr(theirs.biases, name)
        pd.testing.assert_series_equal(*biases, rtol=0, atol=1e-9, check_names=False, check_index_type=False)
    assert ours.biases.mean == pytest.approx(theirs.biases.mean, abs=1e-9)
    assert ours.rating_spread == pytest.approx(theirs.rating_spread, abs=1e-9)
    np.testing.assert_allclose(ours.biases.ratings(REVIEWS), theirs.biases.ratings(REVIEWS), rtol=0, atol=1e-9)


def test_the_vocabulary_of_ratings_that_are_all_alike_has_a_spread(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"rating_spread": 0.0}))
    assert read_vocabulary(folder).rating_spread == 0.001


def test_an_epoch_holds_every_row_once_but_for_those_that_fill_no_batch(prepared):
    folder, train = prepared
    flow = stream(folder, batch_size=BATCH)
    assert [(name, spec.shape, spec.dtype) for name, spec in flow.element_spec.items()] == [
        ("user_id", (BATCH,), "int64"),
        ("product_id", (BATCH,), "int64"),
        ("rating", (BATCH,), "float32"),
    ]
    everything, shortest_shard = all_rows_of(train), len(train) // SHARDS
    seen = []
    for batches in epochs_of(flow, 3):
        assert len(batches) == len(flow) == shortest_shard // (BATCH // SHARDS)
        seen.append(Counter(row for batch in batches for row in batch))
        assert seen[-1] <= everything
    assert seen[0] != seen[1] != seen[2]  # others are left out


def test_where_batches_come_out_even_nothing_is_left_out(tmp_path):
    train, _ = write_prepared(tmp_path / "out", REVIEWS[:990], part_rows=30)
    assert len(train) == 802  # 100 rows a shard, and two shards have one more
    (batches,) = epochs_of(stream(tmp_path / "out", batch_size=160), 1)
    assert sum(map(len, batches)) == 800


@pytest.mark.parametrize("block", [1, 3 * BATCH, 10**6])
def test_it_makes_no_difference_how_many_batches_are_handed_over_at_once(prepared, monkeypatch, block):
    usual = epochs_of(stream(prepared[0], batch_size=BATCH), 1)
    monkeypatch.setattr("recsys_teach.scale.batches.BLOCK", block)
    assert epochs_of(stream(prepared[0], batch_size=BATCH), 1) == usual


def test_a_batch_takes_as_many_rows_of_each_shard(prepared):
    folder, _ = prepared
    shards = [
        Counter(
            tuple(row)
            for path in sorted((folder / "train").glob(f"{shard:02}-*"))
            for row in pd.read_parquet(path).fillna(0.0)[NAMES].itertuples(index=False)
        )
        for shard in range(SHARDS)
    ]
    share = BATCH // SHARDS
    for batch in epochs_of(stream(folder, batch_size=BATCH), 1)[0]:
        for shard, rows in enumerate(shards):
            assert Counter(batch[shard * share : (shard + 1) * share]) <= rows


@pytest.mark.parametrize("workers", [2, 4, 8])
def test_the_shares_of_all_workers_are_the_batches_of_one(prepared, workers):
    settings = {"batch_size": BATCH, "seed": 3, "unknown_user_dropout": 0.2}
    alone = epochs_of(stream(prepared[0], **settings), 2)
    flows = [stream(prepared[0], **settings, worker=worker, workers=workers) for worker in range(workers)]
    shares = [epochs_of(flow, 2) for flow in flows]
    for epoch in range(2):
        for number, batch in enumerate(alone[epoch]):
            together = [row for share in shares for row in share[epoch][number]]
            assert Counter(together) == Counter(batch)
            assert all(len(share[epoch][number]) == BATCH // workers for share in shares)
        assert {len(share[epoch]) for share in shares} == {len(alone[epoch])}


def test_every_epoch_has_an_order_of_its_own_that_can_be_had_again(prepared):
    first, second, third = epochs_of(stream(prepared[0], batch_size=BATCH), 3)
    assert first != second != third
    assert epochs_of(stream(prepared[0], batch_size=BATCH, first_epoch=1), 2) == [second, third]
    assert epochs_of(stream(prepared[0], batch_size=BATCH, seed=1), 1) != [first]
    assert len({frozenset(epoch[0]) for epoch in (first, second, third)}) == 3  # other parts are read first


def test_repeated_it_goes_on_with_the_next_epoch(prepared):
    flow = stream(prepared[0], batch_size=BATCH)
    once = [batch for epoch in epochs_of(stream(prepared[0], batch_size=BATCH), 2) for batch in epoch]
    assert [rows_of(batch) for batch in flow.repeat().take(2 * len(flow))] == once


@pytest.mark.parametrize("block", [1, 10**6])
def test_looking_at_some_batches_changes_no_epoch(prepared, monkeypatch, block):
    monkeypatch.setattr("recsys_teach.scale.batches.BLOCK", block)
    expected = epochs_of(stream(prepared[0], batch_size=BATCH), 2)
    flow = stream(prepared[0], batch_size=BATCH)
    most = len(flow) - 1
    for number in range(2):
        assert rows_of(next(iter(flow))) == expected[number][0]
        assert [rows_of(batch) for batch in flow.take(most)] == expected[number][:most]
        assert epochs_of(flow, 1) == [expected[number]]


class Sees(tf.keras.Model):
    """Keeps the batches that `fit` hands to it."""

    def train_step(self, batch):
        self.seen.append(rows_of(batch))
        return {}


@pytest.mark.parametrize("repeated", [False, True])
def test_in_fit_every_epoch_has_its_own_order_also_after_a_look(prepared, repeated):
    expected = [batch for epoch in epochs_of(stream(prepared[0], batch_size=BATCH), 3) for batch in epoch]
    flow = stream(prepared[0], batch_size=BATCH)
    next(iter(flow))
    model = Sees()
    model.seen = []
    model.compile(run_eagerly=True)
    model.fit(flow.repeat() if repeated else flow, steps_per_epoch=len(flow) if repeated else None, epochs=3, verbose=0)
    assert model.seen == expected


def test_unknown_user_dropout_makes_a_share_of_the_users_unknown_and_changes_nothing_else(prepared):
    plain = np.concatenate(epochs_of(stream(prepared[0], batch_size=BATCH), 1)[0])
    dropped = np.concatenate(epochs_of(stream(prepared[0], batch_size=BATCH, unknown_user_dropout=0.25), 1)[0])
    forgotten = dropped[:, 0] == 0
    assert (plain[:, 0] > 0).all()
    assert forgotten.mean() == pytest.approx(0.25, abs=4 * np.sqrt(0.25 * 0.75 / len(plain)))
    kept = Counter(map(tuple, dropped[~forgotten].tolist()))
    assert kept <= Counter(map(tuple, plain.tolist())) + all_rows_of(prepared[1])


def rewrite(folder, **changes):
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def cut(path):
    path.write_bytes(path.read_bytes()[:-10])


@pytest.mark.parametrize(
    ("damage", "error", "words"),
    [
        (lambda out: (out / "manifest.json").unlink(), FileNotFoundError, ["manifest.json doesn't exist", "prepare"]),
        (lambda out: cut(out / "manifest.json"), ValueError, ["manifest.json can't be read", "prepare the folder"]),
        (lambda out: rewrite(out, format=1), ValueError, ["format 1", "expected 2"]),
        (lambda out: rewrite(out, shards=0), ValueError, ["says shards 0: expected a number from 1 to 100; prepare"]),
        (lambda out: rewrite(out, shards=10**12), ValueError, ["says shards 1000000000000", "from 1 to 100"]),
        (lambda out: rewrite(out, shards="../8"), ValueError, ["says shards '../8'"]),
        (lambda out: rewrite(out, shards=8.0), ValueError, ["says shards 8.0"]),
        (lambda out: rewrite(out, shards=True), ValueError, ["says shards True"]),
        (lambda out: rewrite(out, shards="8", rows={"shards": 8}), ValueError, ["says shards '8'"]),
        (lambda out: rewrite(out, rows=None), ValueError, ["says train None: expected a number"]),
        (lambda out: rewrite(out, rows={"train": -1}), ValueError, ["says train -1: expected a number from 0"]),
        (lambda out: rewrite(out, mean_rating=float("nan")), ValueError, ["says mean_rating nan"]),
        (lambda out: rewrite(out, damping=10**400), ValueError, ["says damping 1000"]),
        (lambda out: rewrite(out, shards=9), FileNotFoundError, ["08-0000.parquet is missing"]),
        (lambda out: (out / "train/03-0001.parquet").unlink(), FileNotFoundError, ["03-0001.parquet is missing"]),
        (lambda out: cut(out / "train/07-0002.parquet"), ValueError, ["07-0002.parquet is damaged or cut short"]),
        (lambda out: max((out / "train").glob("05-*")).unlink(), ValueError, ["shard 05 has the fewest", "prepare"]),
        (lambda out: [path.unlink() for path in (out / "train").glob("02-*")], FileNotFoundError, ["02-0000.parquet"]),
    ],
)
def test_what_is_missing_or_cut_short_is_named_before_the_first_batch(folder, damage, error, words):
    damage(folder)
    with pytest.raises(error) as caught:
        stream(folder, batch_size=BATCH)
    assert all(word in str(caught.value) for word in words), caught.value
    assert str(caught.value).count("\n") == 0


@pytest.mark.parametrize(
    ("damage", "error", "words"),
    [
        (lambda out: (out / "users.parquet").unlink(), FileNotFoundError, "users.parquet is missing"),
        (lambda out: cut(out / "products.parquet"), ValueError, "products.parquet is damaged or cut short"),
        (lambda out: rewrite(out, users=7), ValueError, "users.parquet holds 149 rows where the manifest says 7"),
    ],
)
def test_the_vocabulary_names_a_file_that_is_missing_or_cut_short(folder, damage, error, words):
    damage(folder)
    with pytest.raises(error, match=words):
        read_vocabulary(folder)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"batch_size": 60}, "batch_size is 60: expected a multiple of the 8 shards"),
        ({"batch_size": 0}, "batch_size is 0: expected a multiple"),
        ({"batch_size": 8_000}, "training rows of .* don't fill a batch of 8,000"),
        ({"batch_size": 64, "workers": 3}, "worker 0 of 3 can't share the 8 shards"),
        ({"batch_size": 64, "workers": 2, "worker": 2}, "worker 2 of 2 can't share"),
    ],
)
def test_what_cannot_be_shared_out_evenly_is_refused(prepared, settings, words):
    with pytest.raises(ValueError, match=words):
        stream(prepared[0], **settings)
