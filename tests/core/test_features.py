import numpy as np
import pandas as pd
import pytest

from recsys_teach.backend import tf
from recsys_teach.baselines import DampedBiases
from recsys_teach.features import gather_rows, learn_vocabulary, split_words, string_tensors, with_unknown_row
from recsys_teach.towers import ProductTower, UserTower, training_rows

TRAIN = pd.DataFrame(
    {
        "user_id": ["u2", "u1", "u2", "u2"],
        "product_id": ["p9", "p9", "p1", "p5"],
        "rating": [5.0, 3.0, 4.0, 2.0],
        "summary": ["Great tent!", "great, GREAT wok", "", "Tent isn't great"],
    }
)
TITLED = TRAIN.assign(title=TRAIN["product_id"].map({"p1": "Dome tent", "p5": "Tent, blue", "p9": "Wok"}))


def test_vocabulary_counts_the_training_rows():
    vocabulary = learn_vocabulary(TRAIN)
    assert vocabulary.users == ["u1", "u2"]
    assert vocabulary.user_counts.tolist() == [1, 3]
    assert vocabulary.products == ["p1", "p5", "p9"]
    assert vocabulary.product_counts.tolist() == [1, 1, 2]


def test_vocabulary_has_the_damped_biases_of_the_training_rows():
    biases = learn_vocabulary(TRAIN).biases
    assert biases.mean == 3.5
    # p9: 5 and 3 are 1.5 above and 0.5 below the mean, and five average ratings come first; u1 rated only p9
    assert biases.product_bias.to_dict() == pytest.approx({"p1": 0.5 / 6, "p5": -1.5 / 6, "p9": 1 / 7})
    assert biases.user_bias["u1"] == pytest.approx((-0.5 - 1 / 7) / 6)
    np.testing.assert_array_equal(biases.ratings(TRAIN), DampedBiases(TRAIN).ratings(TRAIN))


def test_the_rating_spread_is_the_standard_deviation_of_the_ratings_there_are():
    assert learn_vocabulary(TRAIN.assign(rating=[5.0, 3.0, 4.0, 4.0])).rating_spread == pytest.approx(0.5**0.5)
    assert learn_vocabulary(TRAIN.assign(rating=[5.0, 1.0, np.nan, np.nan])).rating_spread == 2


def test_the_rating_spread_of_equal_ratings_is_a_thousandth():
    assert learn_vocabulary(TRAIN.assign(rating=4.0)).rating_spread == 0.001
    assert learn_vocabulary(TRAIN[:1]).rating_spread == 0.001


@pytest.mark.parametrize("max_words", [0, 10])
def test_titles_stand_in_the_order_of_the_products(max_words):
    vocabulary = learn_vocabulary(TITLED, max_words=max_words)
    assert vocabulary.products == ["p1", "p5", "p9"]
    assert vocabulary.titles == ["Dome tent", "Tent, blue", "Wok"]


def test_the_title_of_a_product_is_its_first_one_that_is_not_empty():
    titles = ["", "Wok", "", "Tent, blue"]  # of p9, p9, p1 and p5
    again = TRAIN.assign(title=["Pan", "Pan", "", "Tent, red"])
    vocabulary = learn_vocabulary(pd.concat([TRAIN.assign(title=titles), again]), max_words=10)
    assert vocabulary.titles == ["", "Tent, blue", "Wok"]
    assert set(vocabulary.title_words) == {"tent", "blue", "wok"}


def test_the_category_of_a_product_is_its_first_one_that_is_not_empty():
    told = pd.concat([TRAIN.assign(category=["", "pans", "", "tents"]), TRAIN.assign(category=["x", "x", "", "y"])])
    assert learn_vocabulary(told).categories == ["", "tents", "pans"]
    assert learn_vocabulary(TRAIN).categories == ["", "", ""]


@pytest.mark.parametrize(
    ("ids", "kind", "remedy"),
    [([1, 2, 1, 1], "int", r"load_reviews\(reviews\)"), ([b"a", b"b", b"a", b"a"], "bytes", ".*decode")],
)
def test_ids_that_are_no_text_are_named(ids, kind, remedy):
    for column in ("user_id", "product_id"):
        with pytest.raises(ValueError, match=rf"{column} .* is {kind}, where models read text: {remedy}"):
            learn_vocabulary(TRAIN.assign(**{column: ids}))


def test_ids_of_pandas_categories_are_text_like_others():
    as_categories = TRAIN.astype({"user_id": "category", "product_id": "category"})
    assert learn_vocabulary(as_categories[:3]).products == ["p1", "p9"]


def test_without_titles_every_title_is_empty_and_has_no_words():
    vocabulary = learn_vocabulary(TRAIN, max_words=10)
    assert vocabulary.titles == ["", "", ""]
    assert vocabulary.title_words == []


def test_the_catalogue_is_the_products_and_their_titles():
    catalogue = learn_vocabulary(TITLED).catalogue()
    assert catalogue.keys() == {"product_id", "title", "category", "categories"}
    assert catalogue["product_id"].numpy().tolist() == [b"p1", b"p5", b"p9"]
    assert catalogue["title"].numpy().tolist() == [b"Dome tent", b"Tent, blue", b"Wok"]
    assert learn_vocabulary(TRAIN).catalogue()["title"].numpy().tolist() == [b"", b"", b""]


def test_no_words_are_learnt_unless_asked_for():
    vocabulary = learn_vocabulary(TITLED)
    assert vocabulary.words == []
    assert vocabulary.title_words == []


def test_words_come_most_frequent_first_and_no_more_than_asked_for():
    assert learn_vocabulary(TRAIN, max_words=2).words == ["great", "tent"]


def test_title_words_count_once_a_product_however_often_it_was_bought():
    often_a_wok = pd.concat([TITLED, TITLED[:2], TITLED[:2]])  # six purchases of a wok, two of tents
    assert learn_vocabulary(often_a_wok, max_words=1).title_words == ["tent"]
    assert set(learn_vocabulary(often_a_wok, max_words=10).title_words) == {"tent", "dome", "blue", "wok"}


def test_words_of_summaries_and_of_titles_are_kept_apart():
    vocabulary = learn_vocabulary(TITLED, max_words=10)
    assert set(vocabulary.words) == {"great", "tent", "wok", "isnt"}
    assert learn_vocabulary(TITLED.drop(columns="summary"), max_words=10).words == []
    assert learn_vocabulary(TITLED.drop(columns="summary"), max_words=10).title_words == vocabulary.title_words


def test_words_are_split_as_keras_splits_them():
    texts = ["Great tent, isn't it?", "ÉCOLE école  naïve", "a\tb\nc\u00a0d", "x-y_z (q) «w»", "", "日本 語!", "🙂 5/5"]
    layer = tf.keras.layers.TextVectorization()
    layer.adapt(np.array(texts, dtype=object))
    ours = {word for text in texts for word in split_words(text)}
    assert ours == set(layer.get_vocabulary(include_special_tokens=False))


def test_ids_of_training_rows_and_strangers():
    vocabulary = learn_vocabulary(TRAIN)
    users, products = UserTower(vocabulary), ProductTower(vocabulary)
    rows = training_rows(TRAIN, users, products)
    assert rows["user_id"].numpy().tolist() == [2, 1, 2, 2]
    assert rows["product_id"].numpy().tolist() == [3, 3, 1, 2]
    assert rows["rating"].numpy().tolist() == [5.0, 3.0, 4.0, 2.0]
    strangers = string_tensors(
        pd.DataFrame({"user_id": ["u1", "who?"], "product_id": ["?", "p9"]}), ["user_id", "product_id"]
    )
    assert users.preprocess(strangers)["user_id"].numpy().tolist() == [1, 0]
    assert products.preprocess(strangers)["product_id"].numpy().tolist() == [0, 3]


def test_strings_are_the_columns_asked_for_and_no_others():
    features = string_tensors(TRAIN, ["summary", "user_id"])
    assert list(features) == ["summary", "user_id"]
    assert features["user_id"].numpy().tolist() == [b"u2", b"u1", b"u2", b"u2"]


def test_strings_name_the_column_that_is_missing_and_those_that_are_there():
    sentence = r"reads 'title'.*\(columns: user_id, product_id, rating, summary\)\.$"
    with pytest.raises(ValueError, match=sentence) as refusal:
        string_tensors(TRAIN, ["product_id", "title"])
    assert "\n" not in str(refusal.value)


def test_counts_by_id_begin_with_the_unknown():
    assert with_unknown_row(np.array([4, 2]), unknown=9.0).numpy().tolist() == [9.0, 4.0, 2.0]


def test_rows_are_taken_whole_in_the_order_of_their_numbers():
    rows = {"rating": tf.range(10.0), "words": tf.reshape(tf.range(20), [10, 2])}
    taken = gather_rows(rows, [7, 2, 7])
    assert taken["rating"].numpy().tolist() == [7, 2, 7]
    assert taken["words"].numpy().tolist() == [[14, 15], [4, 5], [14, 15]]
