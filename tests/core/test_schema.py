"""The check that every table passes on entry: the types that come out, and one clear sentence for each fault."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from recsys_teach.files.loading import load_reviews
from recsys_teach.histories import earlier_purchases
from recsys_teach.schema import Checker, check_reviews, has_stars
from recsys_teach.shop import generate_shop

NOON = pd.Timestamp("2023-11-14 12:00:00", tz="UTC")
NOON_SECONDS = 1_699_963_200


def table(**changes):
    columns = {"user_id": ["ann", "bob", "cy"], "product_id": ["tent", "wok", "tent"], "rating": [5, 4, 1]}
    return pd.DataFrame(columns | changes, index=[30, 10, 20])


def refusal(reviews, **options):
    with pytest.raises(ValueError, match="the file") as caught:
        check_reviews(reviews, source="the file", **options)
    message = str(caught.value)
    assert "\n" not in message
    assert ". " not in message
    assert message.endswith(".")
    return message


def test_known_columns_come_out_typed_and_in_order():
    extra = {"price": [1, 2, 3], "title": ["a", "b", "c"], "timestamp": [NOON_SECONDS] * 3, "summary": ["x", "", "z"]}
    checked = check_reviews(table(**extra))
    expected = {
        "user_id": ["ann", "bob", "cy"],
        "product_id": ["tent", "wok", "tent"],
        "rating": [5.0, 4.0, 1.0],
        "summary": ["x", "", "z"],
        "timestamp": [NOON] * 3,
        "title": ["a", "b", "c"],
    }
    assert checked.to_dict("list") == expected
    assert list(checked.index) == [0, 1, 2]
    assert checked["rating"].dtype == np.float64
    assert checked["timestamp"].dtype == "datetime64[s, UTC]"


def test_a_checked_table_passes_unchanged():
    checked = check_reviews(table(timestamp=[NOON_SECONDS, 5, 7], summary=["good", None, "bad"], category=["c"] * 3))
    pd.testing.assert_frame_equal(check_reviews(checked), checked)


def test_the_callers_table_is_left_as_it_was():
    reviews = table(user_id=[1.0, 2.0, 3.0], timestamp=[1, 2, 3], price=[1, 2, 3])
    before = reviews.copy(deep=True)
    check_reviews(reviews)
    pd.testing.assert_frame_equal(reviews, before)


@pytest.mark.parametrize("ids", [[7, 8, 9], [7.0, 8.0, 9.0], pd.array([7, 8, 9], dtype="Int64")])
@pytest.mark.parametrize("column", ["user_id", "product_id"])
def test_whole_numbers_become_texts_without_a_point(column, ids):
    assert check_reviews(table(**{column: ids}))[column].tolist() == ["7", "8", "9"]


def test_large_whole_numbers_keep_every_digit():
    ids = [12_345_678_901_234_567, 12_345_678_901_234_568, 9_223_372_036_854_775_807]
    assert check_reviews(table(user_id=ids))["user_id"].tolist() == [str(number) for number in ids]


def test_ids_keep_leading_zeros_and_the_name_na():
    assert check_reviews(table(user_id=["007", "NA", "0"]))["user_id"].tolist() == ["007", "NA", "0"]


@pytest.mark.parametrize("column", ["summary", "title", "category", "categories"])
@pytest.mark.parametrize(
    ("values", "texts"), [(["a", None, np.nan], ["a", "", ""]), ([1984.0, np.nan, 7], ["1984", "", "7"])]
)
def test_a_missing_text_is_empty(column, values, texts):
    assert check_reviews(table(**{column: values}))[column].tolist() == texts


@pytest.mark.parametrize(
    "text", ["p1|p 2", "('p1', 'p 2')", '["p1", "p 2"]', "['p1' 'p 2']", " [\"p1\", 'p 2'] "], ids=str
)
def test_texts_of_histories_are_lists_of_ids(text):
    table = pd.DataFrame({"user_id": ["a", "b", "c"], "product_id": ["p1", "p 2", "p3"], "history": [text, "()", ""]})
    assert check_reviews(table)["history"].tolist() == [("p1", "p 2"), (), ()]


def test_blanks_separate_the_ids_of_a_history_if_no_id_has_one():
    table = pd.DataFrame({"user_id": ["a", "b"], "product_id": ["p1", "p2"], "history": ["p1 p2", "[1, 2]"]})
    assert check_reviews(table)["history"].tolist() == [("p1", "p2"), ("1", "2")]
    with_blanks = table.assign(product_id=["p1 p2", "p2"])
    assert check_reviews(with_blanks)["history"].tolist() == [("p1 p2",), ("1", "2")]


def test_a_history_that_pandas_has_written_is_read_again(tmp_path):
    reviews = earlier_purchases(generate_shop(users=30, products=20, seed=1).reviews)
    reviews.to_csv(tmp_path / "a.csv", index=False)
    assert load_reviews(tmp_path / "a.csv")["history"].tolist() == reviews["history"].tolist()


def test_whole_decimals_are_ids_like_whole_floats():
    table = pd.DataFrame({"user_id": [Decimal("7.0"), 7.0, Decimal("1E+2")], "product_id": ["x", "y", "z"]})
    assert check_reviews(table)["user_id"].tolist() == ["7", "7", "100"]


def test_lists_of_categories_are_joined():
    checked = check_reviews(table(categories=[["a", "b"], [["a", "c"], ["d"]], "e|f"]))
    assert checked["categories"].tolist() == ["a|b", "a|c|d", "e|f"]


def test_ratings_may_be_written_as_texts():
    assert check_reviews(table(rating=["5", "4.5", "1"]))["rating"].tolist() == [5.0, 4.5, 1.0]


@pytest.mark.parametrize("kind", [int, float, str])
@pytest.mark.parametrize("per_second", [1, 10**3, 10**6, 10**9], ids=["s", "ms", "µs", "ns"])
@pytest.mark.parametrize(("second", "noon"), [(NOON_SECONDS, "2023-11-14 12:00Z"), (646_228_800, "1990-06-24 12:00Z")])
def test_numeric_times_in_any_unit_give_the_same_time(second, noon, per_second, kind):
    times = [kind((second + later) * per_second) for later in (0, 60, -60)]
    expected = [pd.Timestamp(noon) + pd.Timedelta(seconds=later) for later in (0, 60, -60)]
    assert check_reviews(table(timestamp=times))["timestamp"].tolist() == expected


def test_fractions_of_a_second_are_cut_off():
    times = [NOON_SECONDS * 1_000 + milliseconds for milliseconds in (0, 1, 999)]
    assert check_reviews(table(timestamp=times))["timestamp"].tolist() == [NOON] * 3


@pytest.mark.parametrize(
    "times",
    [
        pd.to_datetime(["2023-11-14 12:00"] * 3),
        pd.to_datetime(["2023-11-14 12:00"] * 3).tz_localize("UTC"),
        pd.to_datetime(["2023-11-14 13:00"] * 3).tz_localize("Europe/Berlin"),
        ["2023-11-14 12:00", "2023-11-14T12:00:00Z", "2023-11-14T14:00:00+02:00"],
    ],
    ids=["naive", "utc", "berlin", "texts"],
)
def test_dates_become_utc(times):
    assert check_reviews(table(timestamp=times))["timestamp"].tolist() == [NOON] * 3


@pytest.mark.parametrize("column", ["user_id", "product_id"])
def test_a_missing_column_is_named_with_those_found_and_the_remedy(column):
    message = refusal(table(price=[1, 2, 3]).drop(columns=column))
    found = [name for name in ("user_id", "product_id", "rating", "price") if name != column]
    assert f"has no column '{column}' (columns found: {', '.join(found)})" in message
    assert f'columns={{"their name": "{column}"}}' in message


def test_columns_of_several_levels_are_none_of_ours():
    reviews = table()
    reviews.columns = pd.MultiIndex.from_product([["shop"], reviews.columns])
    message = refusal(reviews)
    assert "has no column 'user_id' and no column 'product_id' and no column 'rating'" in message
    assert "(columns found: ('shop', 'user_id'), " in message


def test_every_missing_column_is_named():
    assert "no column 'user_id' and no column 'product_id' (" in refusal(pd.DataFrame({"rating": [1]}))


@pytest.mark.parametrize("column", ["user_id", "rating", "timestamp"])
def test_a_column_twice_is_refused(column):
    reviews = table(timestamp=[1, 2, 3])
    assert f"more than one column '{column}'" in refusal(pd.concat([reviews, reviews[[column]]], axis=1))


def test_an_unknown_column_twice_does_no_harm():
    reviews = table(price=[1, 2, 3])
    checked = check_reviews(pd.concat([reviews, reviews[["price"]]], axis=1))
    assert list(checked) == ["user_id", "product_id", "rating"]


def test_a_table_without_rows_is_refused():
    assert "has no rows" in refusal(table()[:0])


@pytest.mark.parametrize("column", ["user_id", "product_id"])
@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, ""])
def test_a_missing_id_is_refused_by_row(column, missing):
    message = refusal(table(**{column: ["a", missing, missing]}))
    assert f"2 rows with no {column}, counted from 0: 1, 2;" in message


def test_a_gap_among_numeric_ids_is_refused_by_row():
    assert "1 row with no user_id, counted from 0: 1;" in refusal(table(user_id=[7, np.nan, 9]))


@pytest.mark.parametrize(
    ("rating", "shown"),
    [("four", "'four'"), ("4,5", "'4,5'"), ("", "''"), (None, "nan"), (np.inf, "inf"), ("-inf", "-inf")],
)
def test_a_rating_that_is_no_number_is_refused_by_row(rating, shown):
    ratings = [5, 4, rating] if isinstance(rating, float | None) else ["5", "4", rating]
    message = refusal(table(rating=ratings))
    assert "1 row with a rating that is no number" in message
    assert shown in message
    assert "counted from 0: 2;" in message


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
@pytest.mark.parametrize("others", [[5, 4.5], ["5", "4.5"]])
def test_a_rating_may_be_missing_where_purchases_may_be_unrated(missing, others):
    ratings = check_reviews(table(rating=[others[0], missing, others[1]]), unrated=True)["rating"]
    np.testing.assert_array_equal(ratings, [5, np.nan, 4.5])
    assert ratings.dtype == np.float64


def test_all_ratings_may_be_missing_where_purchases_may_be_unrated():
    assert check_reviews(table(rating=[None] * 3), unrated=True)["rating"].isna().all()


@pytest.mark.parametrize(
    ("rating", "shown"), [("abc", "'abc'"), ("", "''"), ("nan", "'nan'"), (np.inf, "inf"), ("-inf", "-inf"), (True, "")]
)
def test_an_unrated_purchase_is_no_excuse_for_a_rating_that_is_no_number(rating, shown):
    message = refusal(table(rating=[None, 4, rating]), unrated=True)
    assert "1 row with a rating that is no number" in message
    assert shown in message
    assert "counted from 0: 2;" in message


def test_a_table_without_ratings_is_one_of_purchases():
    checked = check_reviews(table().drop(columns="rating"))
    assert list(checked) == ["user_id", "product_id"]
    assert not has_stars(checked)
    assert not has_stars(check_reviews(table(rating=[5, 5, 5])))
    assert has_stars(check_reviews(table()))


def test_pieces_are_checked_as_one_table():
    checker = Checker("the file")
    checker.check(table(timestamp=[5, 6, 7]))
    with pytest.raises(ValueError, match=r"1 row with a rating .*, counted from 0: 4;"):
        checker.check(table(timestamp=[5, 6, 7], rating=["1", "x", "2"]))
    with pytest.raises(ValueError, match="has a timestamp in some rows only, and none from row 3"):
        checker.check(table())
    with pytest.raises(ValueError, match="3 rows with a timestamp in another unit than the rest"):
        checker.check(table(timestamp=[NOON_SECONDS * 1000] * 3))
    with pytest.raises(ValueError, match="3 rows with a timestamp in another unit than the rest"):
        checker.check(table(timestamp=["2020-01-01"] * 3))
    with pytest.raises(ValueError, match="ratings that are True or False in some rows only"):
        checker.check(table(timestamp=[5, 6, 7], rating=[True, False, True]))
    checker.check(table(timestamp=[5, 6, 7])[:0])
    assert checker.rows == 3
    checker.finish()


def test_dates_in_digits_are_refused_only_if_all_pieces_hold_nothing_else():
    in_digits = table(timestamp=[2014, 2015, 2016])
    for others, refused in (([2017, 2018, 2019], True), ([2017, 2018, NOON_SECONDS], False)):
        checker = Checker("the file")
        checker.check(in_digits)
        checker.check(table(timestamp=others))
        if refused:
            with pytest.raises(ValueError, match="all 6 rows have a timestamp that is a year or a date in digits"):
                checker.finish()
        else:
            checker.finish()


@pytest.mark.parametrize(
    ("times", "rows"),
    [
        ([NOON, pd.NaT, NOON], "1"),
        ([NOON_SECONDS, None, None], "1, 2"),
        (["2023-11-14", "2023-11-14", "yesterday"], "2"),
        ([np.inf, NOON_SECONDS, NOON_SECONDS], "0"),
        (["", "", ""], "0, 1, 2"),
    ],
)
def test_a_timestamp_that_is_no_time_is_refused_by_row(times, rows):
    message = refusal(table(timestamp=times))
    assert "a timestamp that is no time" in message
    assert f"counted from 0: {rows};" in message


def test_of_many_bad_rows_the_first_five_are_named():
    reviews = pd.DataFrame({"user_id": ["a"] + [""] * 1_234, "product_id": "p", "rating": 1})
    assert "1,234 rows with no user_id, counted from 0: 1, 2, 3, 4, 5, …;" in refusal(reviews)


@pytest.mark.parametrize("times", [[20200101, 20200102, 20200103], ["2014", "2015", "2016"]])
def test_dates_in_digits_are_not_taken_for_seconds(times):
    assert "a year or a date in digits" in refusal(table(timestamp=times))


def test_times_in_two_units_are_refused():
    message = refusal(table(timestamp=[NOON_SECONDS, NOON_SECONDS * 1000, NOON_SECONDS * 1000]))
    assert "in another unit than the rest" in message
    assert "counted from 0: 0;" in message


def test_a_blank_id_is_no_id():
    assert "1 row with no user_id, counted from 0: 1" in refusal(table(user_id=["ann", "  ", "cy"]))


def test_dates_are_no_stars():
    assert "a rating that is no number" in refusal(table(rating=pd.to_datetime(["2020-01-01"] * 3)))


@pytest.mark.parametrize("ratings", [[True, False, True], ["True", "false", " TRUE "], np.array([True, False, True])])
def test_truth_values_are_1_and_0_where_there_is_nothing_else(ratings):
    assert check_reviews(table(rating=ratings))["rating"].tolist() == [1, 0, 1]


def test_truth_values_among_other_things_are_no_stars():
    assert "counted from 0: 1;" in refusal(table(rating=[5.0, True, 4.0]))


def test_a_list_is_no_id():
    message = refusal(table(user_id=["ann", ["a", "b"], "cy"]))
    assert "1 row with a user_id that is neither plain text nor a whole number (the first is \"['a', 'b']\")" in message


@pytest.mark.parametrize(
    "value", [b"ann", True, np.bool_(False), 1.5, 2.0**53, -np.inf, "a\0b", "a\ud800", ("a",), {"a": 1}, ' "ann"']
)
def test_what_may_be_two_things_is_no_id(value):
    ids = pd.Series(["ann", value, "cy"], dtype=object)
    message = refusal(table().reset_index(drop=True).assign(user_id=ids))
    assert "1 row with a user_id that is neither plain text nor a whole number" in message
    assert "counted from 0: 1; expected ids such as 'B00ABC' or 7." in message


@pytest.mark.parametrize("value", [b"good", "a\ud800", ["good"]])
def test_what_no_file_can_hold_is_no_text(value):
    summaries = pd.Series(["", value, ""], dtype=object)
    assert "1 row with a summary that is no plain text" in refusal(
        table().reset_index(drop=True).assign(summary=summaries)
    )


@pytest.mark.parametrize("rating", [1e6 + 1, -2e6, "1e300", pd.Timedelta(4, "s")])
def test_a_rating_is_a_million_at_the_most(rating):
    message = refusal(table(rating=pd.Series([1e6, -1e6, rating], [30, 10, 20], dtype=object)))
    assert "1 row with a rating that is no number of stars" in message
    assert "counted from 0: 2; expected a number such as 4.5, a million at the most." in message


@pytest.mark.parametrize("column", ["rating", "timestamp"])
@pytest.mark.parametrize("values", [[1 + 2j, 3 + 0j, 4 + 0j], [10**400, 5, 4], [-(10**400), 5, 4]])
def test_what_is_no_plain_number_is_neither_stars_nor_a_time(column, values):
    """A float has no room for 400 digits."""
    assert f"a {column} that is no" in refusal(table(**{column: pd.Series(values, [30, 10, 20], dtype=object)}))


def test_a_period_of_a_day_is_its_date_and_no_number():
    """Inside, it counts the days since 1970."""
    days = pd.period_range("2020-01-01", periods=3)
    assert "a rating that is no number of stars" in refusal(table(rating=days))
    times = check_reviews(table(timestamp=days))["timestamp"]
    assert times.tolist() == list(pd.date_range("2020-01-01", periods=3, tz="UTC"))
