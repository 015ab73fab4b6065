"""Files of every known format come out as the same reviews; what can't be read is refused with one sentence."""

import gzip

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys_teach.files import formats
from recsys_teach.files.loading import load_reviews
from recsys_teach.shop import generate_shop

REVIEWS = pd.DataFrame(
    {
        "user_id": ["NA", "007", "null"],
        "product_id": ["0528881469", "1e5", "0528881469"],
        "rating": [5.0, 1.0, 4.5],
        "summary": ["Good, really", "", 'a "bargain"'],
        "timestamp": pd.to_datetime([1_400_000_000, 1_300_000_000, 1_500_000_000], unit="s", utc=True),
    }
)
SECONDS = [1_400_000_000, 1_300_000_000, 1_500_000_000]
SUFFIXES = ["csv", "csv.gz", "tsv", "tsv.gz", "jsonl", "jsonl.gz", "json", "json.gz", "parquet"]

OURS = {name: name for name in REVIEWS}
AMAZON_2014 = {
    "user_id": "reviewerID",
    "product_id": "asin",
    "rating": "overall",
    "summary": "summary",
    "timestamp": "unixReviewTime",
}
AMAZON_2023 = {
    "user_id": "user_id",
    "product_id": "parent_asin",
    "rating": "rating",
    "summary": "title",
    "timestamp": "timestamp",
}
MOVIELENS = [
    {"user_id": user, "product_id": item, "rating": "rating", "timestamp": "timestamp"}
    for user in ("userId", "user_id")
    for item in ("movieId", "movie_id", "item_id")
]


def write(path, table):
    """Write `table` in the format that the name says, by pandas' own writers."""
    if ".csv" in path.name:
        table.to_csv(path, index=False)
    elif ".tsv" in path.name:
        table.to_csv(path, index=False, sep="\t")
    elif ".json" in path.name:
        table.to_json(path, orient="records", lines=True)
    else:
        table.to_parquet(path)
    return path


def theirs(names, *, per_second=1):
    """REVIEWS under other names, with numeric times."""
    table = REVIEWS.assign(timestamp=[second * per_second for second in SECONDS])
    return table[list(names)].rename(columns=names)


def assert_reviews(found, expected):
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_our_own_names_need_no_mapping(tmp_path, suffix):
    assert_reviews(load_reviews(write(tmp_path / f"mine.{suffix}", theirs(OURS))), REVIEWS)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(("names", "per_second"), [(AMAZON_2014, 1), (AMAZON_2023, 1_000)], ids=["2014", "2023"])
def test_both_amazon_releases_are_recognised(tmp_path, suffix, names, per_second):
    path = write(tmp_path / f"amazon.{suffix}", theirs(names, per_second=per_second))
    assert_reviews(load_reviews(path), REVIEWS)


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("names", MOVIELENS, ids=lambda names: f"{names['user_id']}-{names['product_id']}")
def test_movielens_is_recognised(tmp_path, suffix, names):
    path = write(tmp_path / f"ratings.{suffix}", theirs(names))
    assert_reviews(load_reviews(str(path)), REVIEWS.drop(columns="summary"))


def test_amazon_2014_json_as_published(tmp_path):
    lines = [
        '{"reviewerID": "A2S", "asin": "0528881469", "reviewerName": "J", "helpful": [0, 1],'
        ' "reviewText": "Long\\ntext", "overall": 5.0, "summary": "NA", "unixReviewTime": 1370131200,'
        ' "reviewTime": "06 2, 2013"}',
        '{"reviewerID": "0AM", "asin": "B00ABC", "helpful": [12, 15], "reviewText": "", "overall": 1.0,'
        ' "summary": "Don\'t", "unixReviewTime": 1290643200, "reviewTime": "11 25, 2010"}',
    ]
    path = tmp_path / "reviews_Electronics_5.json.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    expected = {
        "user_id": ["A2S", "0AM"],
        "product_id": ["0528881469", "B00ABC"],
        "rating": [5.0, 1.0],
        "summary": ["NA", "Don't"],
        "timestamp": [pd.Timestamp("2013-06-02", tz="UTC"), pd.Timestamp("2010-11-25", tz="UTC")],
    }
    assert load_reviews(path).to_dict("list") == expected


def test_amazon_2023_json_as_published(tmp_path):
    lines = [
        '{"rating": 3.0, "title": "So so", "text": "…", "images": [], "asin": "B083", "parent_asin": "0B08",'
        ' "user_id": "AGK", "timestamp": 1588687728923, "helpful_vote": 0, "verified_purchase": true}',
        '{"rating": 5.0, "title": "", "text": "…", "images": [{"hi_res": null}], "asin": "B07N", "parent_asin": "B07N",'
        ' "user_id": "0AG", "timestamp": 1588615855070, "helpful_vote": 2, "verified_purchase": false}',
    ]
    path = tmp_path / "All_Beauty.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    expected = {
        "user_id": ["AGK", "0AG"],
        "product_id": ["0B08", "B07N"],
        "rating": [3.0, 5.0],
        "summary": ["So so", ""],
        "timestamp": [pd.Timestamp("2020-05-05 14:08:48", tz="UTC"), pd.Timestamp("2020-05-04 18:10:55", tz="UTC")],
    }
    assert load_reviews(path).to_dict("list") == expected


@pytest.mark.parametrize(
    ("names", "ours"),
    [(AMAZON_2014, "user_id"), (AMAZON_2014, "rating"), (AMAZON_2023, "summary"), (MOVIELENS[0], "user_id")],
)
def test_their_column_under_one_of_our_names_does_not_stand_in_the_way(tmp_path, names, ours):
    path = write(tmp_path / "theirs.csv", theirs(names).assign(**{ours: "something else"}))
    assert_reviews(load_reviews(path), REVIEWS[list(names)])


def test_a_movie_title_stays_a_title(tmp_path):
    path = write(tmp_path / "ratings.csv", theirs(MOVIELENS[0]).assign(title=["Heat", "Alien", "Heat"], genres="x"))
    assert_reviews(load_reviews(path), REVIEWS.drop(columns="summary").assign(title=["Heat", "Alien", "Heat"]))


def test_all_categories_of_a_product_are_one_text(tmp_path):
    told = {"category": ["Drama", "", "Crime"], "categories": ["Drama|Crime", "", "Crime"]}
    path = write(tmp_path / "mine.csv", theirs(OURS).assign(**told))
    assert_reviews(load_reviews(path), REVIEWS.assign(**told))


@pytest.mark.parametrize("suffix", ["csv", "jsonl.gz", "parquet"])
def test_any_other_names_take_a_mapping(tmp_path, suffix):
    names = {"user_id": "customer", "product_id": "article", "rating": "stars"}
    path = write(tmp_path / f"theirs.{suffix}", theirs(names).assign(price=7))
    columns = {"customer": "user_id", "article": "product_id", "stars": "rating"}
    assert_reviews(load_reviews(path, columns=columns), REVIEWS[["user_id", "product_id", "rating"]])


def test_numeric_ids_are_the_same_texts_in_every_format(tmp_path):
    table = pd.DataFrame({"userId": [1, 2, 300], "movieId": [10, 20, 10], "rating": [5, 4, 3]})
    found = [load_reviews(write(tmp_path / f"ratings.{suffix}", table)) for suffix in SUFFIXES]
    for reviews in found:
        assert reviews["user_id"].tolist() == ["1", "2", "300"]
        assert reviews["product_id"].tolist() == ["10", "20", "10"]


def test_the_generated_shop_is_the_default():
    expected = generate_shop(seed=0).reviews
    pd.testing.assert_frame_equal(load_reviews(), expected)
    pd.testing.assert_frame_equal(load_reviews("generated"), expected)


def test_the_habit_shop_is_a_source():
    pd.testing.assert_frame_equal(load_reviews("generated-habit"), generate_shop(kind="habit", seed=0).reviews)


GOOD = b"user_id,product_id,rating\nann,tent,5\nbob,wok,4\n"


@pytest.mark.parametrize("column", ["user_id", "product_id"])
def test_a_recommender_needs_two_of_everything(tmp_path, column):
    path = write(tmp_path / "a.csv", REVIEWS.assign(**{column: "one"}))
    noun = column.removesuffix("_id")
    with pytest.raises(ValueError, match=f"all 3 reviews have the same {column} 'one': .* at least two {noun}s"):
        load_reviews(path)


@pytest.mark.parametrize("source", ["nowhere.csv", "elsewhere"])
def test_a_missing_file_is_named_with_what_was_expected(source):
    expected = '"generated", "generated-habit", "amazon", "movielens" or the path'
    with pytest.raises(FileNotFoundError, match=f"{source} doesn't exist: expected {expected}"):
        load_reviews(source)


def test_a_mapping_from_an_unknown_column_is_refused(tmp_path):
    (tmp_path / "a.csv").write_bytes(GOOD)
    with pytest.raises(
        ValueError, match=r"no column 'custmer' to rename \(columns found: user_id, product_id, rating\)"
    ):
        load_reviews(tmp_path / "a.csv", columns={"custmer": "user_id"})


def test_a_mapping_onto_a_column_that_is_there_is_refused(tmp_path):
    path = write(tmp_path / "a.csv", theirs(OURS).assign(customer="x"))
    with pytest.raises(ValueError, match="more than one column 'user_id'"):
        load_reviews(path, columns={"customer": "user_id"})


def test_our_own_names_come_before_any_other_format(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("user_id,product_id,item_id,rating\nann,tent,1,5\nbob,wok,2,4\n")
    assert load_reviews(path)["product_id"].tolist() == ["tent", "wok"]


def test_a_column_can_be_renamed_to_one_of_ours_only(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(GOOD)
    with pytest.raises(ValueError, match="columns= names 'ratings': expected one of user_id, product_id, rating"):
        load_reviews(path, columns={"rating": "ratings"})


def test_a_name_that_no_file_can_have_is_of_none(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"xx\.csv doesn't exist: expected"):
        load_reviews(tmp_path / ("x" * 300 + ".csv"))


@pytest.mark.parametrize("row_group", [1, 7, 100])
def test_a_parquet_file_is_read_whole_whatever_its_row_groups_are(tmp_path, monkeypatch, row_group):
    monkeypatch.setattr(formats, "PIECE", 10)
    monkeypatch.setattr(formats, "OPENED", 20)
    pq.write_table(pa.table({"number": range(45)}), tmp_path / "a.parquet", row_group_size=row_group)
    batches = [*formats.parquet_batches(pq.ParquetFile(tmp_path / "a.parquet"))]
    assert pa.Table.from_batches(batches)["number"].to_pylist() == [*range(45)]
    assert max(map(len, batches)) <= 10


def test_a_parquet_file_without_rows_has_no_batches(tmp_path):
    pq.write_table(pa.table({"number": pa.array([], pa.int64())}), tmp_path / "a.parquet")
    assert [*formats.parquet_batches(pq.ParquetFile(tmp_path / "a.parquet"))] == []


def test_memory_does_not_grow_with_the_row_groups_that_were_read(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "OPENED", 2_000)
    texts = pa.array([f"{number:010}" for number in range(200_000)])
    pq.write_table(pa.table({"text": texts}), tmp_path / "a.parquet", row_group_size=1_000)
    del texts
    file, before = pq.ParquetFile(tmp_path / "a.parquet"), pa.total_allocated_bytes()
    held = [pa.total_allocated_bytes() - before for _ in formats.parquet_batches(file)]
    assert max(held[-10:]) < 2 * max(held[:10])
