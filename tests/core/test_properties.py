"""What holds whatever the data: loader, splits and metrics against slow oracles, on data that hypothesis thinks up."""

import csv
import math
import random
from datetime import datetime, timezone

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from recsys_teach.evaluation import row_metrics
from recsys_teach.files.loading import load_reviews
from recsys_teach.metrics import hit, ndcg, ranks, reciprocal_rank
from recsys_teach.splits import new_products, new_users, split_at_random, split_by_time

pytestmark = pytest.mark.filterwarnings("ignore:.*not rated")  # a hint at what some of these numbers could mean

always_the_same = settings(derandomize=True, deadline=None, database=None, max_examples=20)

# Loader: the same reviews out of every format, in memory and in DuckDB.

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
IDS = TEXTS.filter(lambda text: text.strip() and not text.startswith(" "))
STARS = st.floats(-1e6, 1e6) | st.integers(0, 10).map(lambda halves: halves / 2)
SECONDS = st.integers(-9_214_560_000, 9_214_646_399).filter(lambda second: not 1_900 <= second <= 2_100_12_31)
REVIEWS = st.lists(st.tuples(IDS, IDS, STARS, TEXTS, SECONDS), min_size=2, max_size=6).filter(
    lambda rows: len({row[0] for row in rows}) > 1 and len({row[1] for row in rows}) > 1
)
NAMES = ["user_id", "product_id", "rating", "summary", "timestamp"]
FORMATS = ["csv", "tsv.gz", "jsonl", "json.gz", "parquet"]


def write(path, table):
    if "sv" in path.name:
        sep = "\t" if ".tsv" in path.name else ","
        table.to_csv(path, index=False, sep=sep, quoting=csv.QUOTE_ALL)
    elif ".json" in path.name:
        table.to_json(path, orient="records", lines=True, force_ascii=len(table) % 2 == 0, double_precision=15)
    else:
        table.to_parquet(path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("properties")


@pytest.fixture(scope="module")
def prepared():
    """What `prepare` reads of a file, or None if it refuses it."""
    duckdb = pytest.importorskip("duckdb", reason="DuckDB isn't installed: pip install recsys-teach[scale]")
    sources = pytest.importorskip("recsys_teach.scale.stages")
    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'")

    def read(path):
        try:
            sources.read_source(con, path, "reviews")
        except ValueError:
            return None
        return con.execute("SELECT user_id, product_id, rating, seconds FROM reviews ORDER BY rowid").fetchall()

    yield read
    con.close()


def loaded(path):
    """What `load_reviews` reads of a file, or None if it refuses it."""
    try:
        reviews = load_reviews(path)
    except ValueError:
        return None
    times = reviews["timestamp"].astype("int64") if "timestamp" in reviews else [None] * len(reviews)
    return list(zip(reviews["user_id"], reviews["product_id"], reviews["rating"], times))


@pytest.mark.parametrize("suffix", FORMATS)
@always_the_same
@given(rows=REVIEWS)
def test_what_is_written_is_read(folder, suffix, rows):
    table = pd.DataFrame(rows, columns=NAMES)
    path = write(folder / f"round.{suffix}", table)
    reviews = load_reviews(path)
    assert reviews[["user_id", "product_id", "summary"]].to_numpy().tolist() == [[r[0], r[1], r[3]] for r in rows]
    assert reviews["rating"].tolist() == pytest.approx([row[2] for row in rows], rel=1e-14, abs=1e-14)
    assert reviews["timestamp"].astype("int64").tolist() == [row[4] for row in rows]


@pytest.mark.parametrize("suffix", FORMATS)
@settings(always_the_same, max_examples=10)
@given(rows=REVIEWS)
def test_prepare_reads_what_load_reviews_reads(folder, prepared, suffix, rows):
    path = write(folder / f"both.{suffix}", pd.DataFrame(rows, columns=NAMES))
    if (found := prepared(path)) is not None or "sv" not in suffix:  # DuckDB can't read some ends of lines in quotes
        assert found == nearly(loaded(path))


def nearly(rows):
    """The rows, with ratings whose last digit is free: pandas 2 rounds it its own way."""
    return rows and [(*ids, pytest.approx(rating, rel=1e-15), time) for *ids, rating, time in rows]


def file_of(path, rating="5", time="1600000000"):
    first, second = ('"ann","tent","4","1600000000"\n', f'"bob","wok","{rating}","{time}"\n')
    path.write_text('"user_id","product_id","rating","timestamp"\n' + first + second, encoding="utf-8")
    return path


def number(text):
    """The number that a text is, by Python's rules but for underscores and digits beyond ASCII."""
    try:
        return float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        return math.nan


@settings(always_the_same, max_examples=40)
@given(text=st.text("0123456789+-.eE_ xnaif\t٣５", max_size=10) | st.floats().map(repr) | STARS.map(str))
@example("1_000")
@example("1e6")
@example("1000000.1")
@example("٣")
def test_a_rating_is_a_number_up_to_a_million_or_refused(folder, prepared, text):
    path = file_of(folder / "rating.csv", rating=text)
    rows = loaded(path)
    assert prepared(path) == nearly(rows)
    if abs(number(text)) <= 1e6:
        assert rows[1][2] == pytest.approx(number(text), rel=1e-15)
    else:
        assert rows is None


@settings(always_the_same, max_examples=40)
@given(second=SECONDS, per_second=st.sampled_from([1, 10**3, 10**6, 10**9]), data=st.data())
def test_a_time_in_numbers_is_cut_off_to_its_second(folder, prepared, second, per_second, data):
    count = second * per_second + data.draw(st.integers(0, per_second - 1))
    assume(per_second == 1 or abs(count) >= 10**8 * per_second)  # smaller ones are taken for another unit
    path = folder / "time.csv"
    path.write_text(f"user_id,product_id,rating,timestamp\nann,tent,4,{count}\nbob,wok,3,{count}\n", encoding="utf-8")
    rows = loaded(path)
    assert rows == prepared(path)
    assert rows is None if written(count) else [row[3] for row in rows] == [count // per_second] * 2


def written(count):
    """Whether these digits are a date that somebody wrote: 202001312359, or with seconds."""
    return 1900_01_01 * 10**4 <= count < 2101_01_01 * 10**4 or 1900_01_01 * 10**6 <= count < 2101_01_01 * 10**6


@settings(always_the_same, max_examples=40)
@given(
    when=st.datetimes(datetime(1600, 1, 1), datetime(2400, 1, 1)),
    form=st.sampled_from(
        ["%Y-%m-%d", "%Y/%m/%d", "%Y-%m-%dT%H:%MZ", "%Y-%m-%d %H:%M:%S.%f", "%d/%m/%Y", "%Y%m%dT%H%M"]
    ),
    zone=st.sampled_from(["", "Z", " UTC", "+01:30", "-0800", " +01:00", " EST", "+25:00"]),
)
def test_a_date_is_read_alike_or_refused(folder, prepared, when, form, zone):
    text = when.strftime(form) + (zone if form.endswith("f") else "")
    path = folder / "date.csv"
    path.write_text(f"user_id,product_id,rating,timestamp\nann,tent,4,{text}\nbob,wok,3,{text}\n", encoding="utf-8")
    rows = loaded(path)
    assert rows == prepared(path)
    hours = {"+01:30": 1.5, "-0800": -8}.get(zone, 0) if form.endswith("f") else 0
    known = form[:5] in ("%Y-%m", "%Y/%m") and (zone not in (" +01:00", " EST", "+25:00") or not form.endswith("f"))
    exact = datetime.strptime(when.strftime(form), form).replace(tzinfo=timezone.utc).timestamp() - hours * 3_600
    if known and -9_214_560_000 <= math.floor(exact) <= 9_214_646_399:
        assert [row[3] for row in rows] == [math.floor(exact)] * 2
    else:
        assert rows is None


# Splits.


@always_the_same
@given(
    seconds=st.lists(st.integers(0, 6), min_size=2, max_size=40),
    share=st.floats(0.01, 0.99),
    seed=st.none() | st.integers(0, 3),
)
def test_a_split_is_a_partition_with_the_sizes_asked_for(seconds, share, seed):
    rows = len(seconds)
    kept = round(rows * (1 - share))
    assume(0 < kept < rows and (seed is not None or len(set(seconds)) > 1))
    reviews = pd.DataFrame(
        {
            "user_id": [f"u{row % 5}" for row in range(rows)],
            "product_id": [f"p{row % 3}" for row in range(rows)],
            "rating": np.arange(rows, dtype=float),
            "timestamp": pd.to_datetime(seconds, unit="s", utc=True),
        }
    )
    if seed is None:
        train, test = split_by_time(reviews, test_share=share)
        expected = sorted(range(rows), key=lambda row: (seconds[row], row))
        assert [*train["rating"], *test["rating"]] == expected
        assert train["timestamp"].max() <= test["timestamp"].min()
    else:
        train, test = split_at_random(reviews, test_share=share, seed=seed)
    assert (len(train), len(test)) == (kept, rows - kept)
    whole = pd.concat([train, test]).sort_values("rating", ignore_index=True)
    pd.testing.assert_frame_equal(whole, reviews)
    assert not set(train["rating"]) & set(test["rating"])
    assert new_users(train, test).tolist() == [user not in set(train["user_id"]) for user in test["user_id"]]
    assert new_products(train, test).tolist() == [one not in set(train["product_id"]) for one in test["product_id"]]


# Metrics. Scores are small whole numbers: many ties, and every transform of them is exact.

SCORES = st.integers(-3, 3).map(float) | st.just(-math.inf)
TABLES = st.integers(1, 7).flatmap(
    lambda products: st.lists(
        st.tuples(st.lists(SCORES, min_size=products, max_size=products), st.integers(-1, products - 1)),
        min_size=1,
        max_size=6,
    )
)


def slow_rank(row, target):
    """Down the list, what was bought the last among its equals; infinite for what isn't on it."""
    if target < 0 or row[target] == -math.inf:
        return math.inf
    listed = sorted(range(len(row)), key=lambda column: (-row[column], column == target))
    return listed.index(target) + 1


@settings(always_the_same, max_examples=40)
@given(table=TABLES, k=st.integers(1, 8))
def test_ranks_are_those_of_going_down_the_list(table, k):
    scores, target = np.array([row for row, _ in table]), np.array([column for _, column in table])
    rank = ranks(scores, target)
    assert rank.tolist() == [slow_rank(row, column) for row, column in table]
    for metric in (hit(rank, k), ndcg(rank, k), reciprocal_rank(rank)):
        assert ((metric >= 0) & (metric <= 1)).all()
        assert (metric[np.isinf(rank)] == 0).all()
    assert (hit(rank, k) <= hit(rank, k + 1)).all()
    assert (ndcg(rank, k) <= hit(rank, k)).all()


@settings(always_the_same, max_examples=40)
@given(table=TABLES, seed=st.integers(0, 99))
def test_ranks_depend_neither_on_the_scale_of_scores_nor_on_the_order_of_products(table, seed):
    scores, target = np.array([row for row, _ in table]), np.array([column for _, column in table])
    rank = ranks(scores, target).tolist()
    for rescaled in (8 * scores + 3, np.where(np.isinf(scores), scores, scores**3), scores.astype(np.float32)):
        assert ranks(rescaled, target).tolist() == rank
    order = random.Random(seed).sample(range(scores.shape[1]), scores.shape[1])
    moved = np.array([order.index(column) if column >= 0 else -1 for column in target])
    assert ranks(scores[:, order], moved).tolist() == rank


USERS, PRODUCTS = "ABCD", "tuvwxyz"
PAIRS = st.tuples(st.sampled_from(USERS), st.sampled_from(PRODUCTS), st.integers(1, 5).map(float))


@settings(always_the_same, max_examples=40)
@given(
    train=st.lists(PAIRS, min_size=1, max_size=12),
    test=st.lists(PAIRS, min_size=1, max_size=6),
    catalogue=st.permutations(PRODUCTS).flatmap(lambda order: st.integers(1, 7).map(lambda size: order[:size])),
    weights=st.lists(st.integers(0, 3), min_size=11, max_size=11),
    exclude_seen=st.booleans(),
)
def test_the_scoreboard_agrees_with_a_slow_one(train, test, catalogue, weights, exclude_seen):
    assume(set(catalogue) & {product for _, product, _ in train + test})  # else it is another shop's, and refused
    of = dict(zip(USERS + PRODUCTS, weights))

    def score(user, product):
        return float((of[user] * of[product]) % 4)

    class Recommender:
        products = catalogue

        def scores(self, reviews):
            return np.array([[score(user, product) for product in catalogue] for user in reviews["user_id"]])

        def ratings(self, reviews):
            return np.array([float(of[user]) for user in reviews["user_id"]])

    frames = [pd.DataFrame(rows, columns=["user_id", "product_id", "rating"]) for rows in (train, test)]
    found = row_metrics(Recommender(), *frames, k=(1, 3), exclude_seen=exclude_seen)
    for row, (user, product, rating) in enumerate(test):
        seen = {bought for who, bought, _ in train if who == user} if exclude_seen else set()
        candidates = [other for other in catalogue if other not in seen]
        rank = math.inf
        if product in candidates:
            rank = sum(score(user, other) >= score(user, product) for other in candidates)
        expected = [
            float(rank <= 1),
            float(rank <= 3),
            1 / math.log2(1 + rank) if rank <= 10 else 0,
            1 / rank,
            (of[user] - rating) ** 2,
        ]
        assert found.iloc[row].tolist() == pytest.approx(expected)
