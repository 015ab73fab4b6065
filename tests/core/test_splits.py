import pandas as pd
import pytest

from recsys_teach.splits import Split, describe, new_products, new_users, split_at_random, split_by_time, split_last

SPLITTERS = [split_by_time, split_at_random]


def numbered(seconds):
    """A table whose `rating` numbers its rows, with these timestamps."""
    rows = len(seconds)
    return pd.DataFrame(
        {
            "user_id": [f"u{row % 3}" for row in range(rows)],
            "product_id": [f"p{row % 4}" for row in range(rows)],
            "rating": [float(row) for row in range(rows)],
            "timestamp": pd.to_datetime(seconds, unit="s", utc=True),
        }
    )


def rows(part):
    return part["rating"].astype(int).tolist()


@pytest.mark.parametrize("split", SPLITTERS)
@pytest.mark.parametrize(("share", "train_rows"), [(0.2, 8), (0.5, 5), (0.1, 9), (0.9, 1), (0.33, 7)])
def test_no_row_is_lost_or_doubled(split, share, train_rows):
    reviews = numbered([5, 3, 9, 1, 7, 2, 8, 4, 6, 0])
    train, test = split(reviews, test_share=share)
    assert len(train) == train_rows
    assert list(train.index) == list(range(train_rows))
    assert list(test.index) == list(range(10 - train_rows))
    together = pd.concat([train, test]).sort_values("rating", ignore_index=True)
    pd.testing.assert_frame_equal(together, reviews)


def test_a_fifth_is_held_back_by_default():
    reviews = numbered(range(10))
    assert [len(part) for part in (*split_by_time(reviews), *split_at_random(reviews))] == [8, 2, 8, 2]


def test_the_test_part_is_the_latest_and_both_are_in_order():
    train, test = split_by_time(numbered([50, 30, 90, 10, 70]), test_share=0.4)
    assert rows(train) == [3, 1, 0]
    assert rows(test) == [4, 2]


def test_in_the_same_second_later_rows_are_tested():
    seconds = [7 * row % 3 for row in range(100)]
    train, test = split_by_time(numbered(seconds), test_share=0.5)
    assert rows(train) + rows(test) == sorted(range(100), key=lambda row: (seconds[row], row))


@pytest.mark.parametrize("split", SPLITTERS)
def test_the_callers_table_is_left_as_it_was(split):
    reviews = numbered([5, 3, 9, 1])
    before = reviews.copy(deep=True)
    split(reviews, test_share=0.5)
    pd.testing.assert_frame_equal(reviews, before)


def test_the_same_seed_gives_the_same_split():
    reviews = numbered(range(100))
    for one, two in zip(split_at_random(reviews, seed=4), split_at_random(reviews, seed=4)):
        pd.testing.assert_frame_equal(one, two)
    assert rows(split_at_random(reviews, seed=4).test) != rows(split_at_random(reviews, seed=5).test)


def test_a_random_split_draws_from_all_rows():
    reviews = numbered(range(1_000))
    drawn = split_at_random(reviews, test_share=0.5).test["rating"]
    assert (drawn < 500).mean() == pytest.approx(0.5, abs=0.07)  # 3 standard deviations


@pytest.mark.parametrize("split", SPLITTERS)
@pytest.mark.parametrize("share", [0, 1, -0.2, 20, float("nan")])
def test_a_share_outside_0_and_1_is_refused(split, share):
    with pytest.raises(ValueError, match=f"test_share is {share}: expected a share between 0 and 1"):
        split(numbered(range(10)), test_share=share)


@pytest.mark.parametrize("split", SPLITTERS)
@pytest.mark.parametrize("share", [0.01, 0.99])
def test_an_empty_part_is_refused(split, share):
    with pytest.raises(ValueError, match="3 reviews can't be split with test_share"):
        split(numbered(range(3)), test_share=share)


def test_a_split_by_time_without_times_is_refused():
    with pytest.raises(ValueError, match="needs a 'timestamp' column: add one, or split at random"):
        split_by_time(numbered(range(10)).drop(columns="timestamp"))


@pytest.fixture
def split():
    train = pd.DataFrame({"user_id": ["ann", "ann", "bob"], "product_id": ["tent", "wok", "tent"]})
    test = pd.DataFrame(
        {"user_id": ["ann", "cy", "bob", "cy"], "product_id": ["wok", "kite", "kite", "tent"]}, index=[5, 2, 9, 1]
    )
    return Split(train, test)


def test_new_users_and_products_are_marked_row_by_row(split):
    pd.testing.assert_series_equal(
        new_users(*split), pd.Series([False, True, False, True], index=[5, 2, 9, 1], name="user_id")
    )
    pd.testing.assert_series_equal(
        new_products(*split), pd.Series([False, True, True, False], index=[5, 2, 9, 1], name="product_id")
    )


def test_describe_counts_both_parts(split):
    expected = pd.DataFrame(
        {
            "reviews": [3, 4],
            "users": [2, 3],
            "products": [2, 3],
            "rows from new users": [0.0, 0.5],
            "rows of new products": [0.0, 0.5],
        },
        index=["train", "test"],
    )
    pd.testing.assert_frame_equal(describe(split), expected)


def test_a_split_by_time_needs_times_that_differ():
    reviews = pd.DataFrame(
        {
            "user_id": list("aab"),
            "product_id": list("xyx"),
            "rating": 3.0,
            "timestamp": pd.Timestamp("2023-05-01", tz="UTC"),
        }
    )
    with pytest.raises(ValueError, match=r"all 3 reviews have the same timestamp 2023-05-01 .*: split at random"):
        split_by_time(reviews)


def test_the_last_rows_of_each_user_are_held_back_and_whoever_has_too_few_stays_in_training():
    reviews = numbered([50, 10, 20, 40, 30, 60, 70])  # u0: 50, 40, 70; u1: 10, 30; u2: 20, 60
    assert [rows(part) for part in split_last(reviews)] == [[1, 2, 3, 0], [4, 5, 6]]
    assert [rows(part) for part in split_last(reviews, rows=2)] == [[1, 2, 4, 3, 5], [0, 6]]
    train, test = split_last(reviews)
    assert train.index.tolist() == [0, 1, 2, 3]
    assert test.index.tolist() == [0, 1, 2]


def test_of_reviews_in_the_same_second_the_later_row_is_the_last():
    assert [rows(part) for part in split_last(numbered([5] * 6))] == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize(
    ("reviews", "count", "words"),
    [
        (numbered([1, 2, 3]).drop(columns="timestamp"), 1, "needs a 'timestamp' column: add one, or split at random"),
        (numbered([1, 2, 3, 4]), 0, "rows is 0: expected 1 or more"),
        (numbered([1, 2, 3]), 1, "no user has more than 1 reviews, so none can be held back"),
    ],
)
def test_where_no_last_reviews_can_be_held_back_it_says_why(reviews, count, words):
    with pytest.raises(ValueError, match=words):
        split_last(reviews, rows=count)


@pytest.mark.parametrize("split", [split_by_time, split_last])
def test_times_that_cannot_be_sorted_by_are_refused(split):
    texts = numbered([1, 2, 3, 4, 5, 6]).assign(timestamp=["1/1/2020", "2/1/2020", "10/1/2020"] * 2)
    with pytest.raises(ValueError, match=r"the first is '1/1/2020'\), which can't be sorted by time: load_reviews"):
        split(texts)
    gap = numbered([1, 2, 3, 4, 5, 6])
    gap.loc[2, "timestamp"] = pd.NaT
    with pytest.raises(ValueError, match="1 of 6 reviews have no timestamp"):
        split(gap)
