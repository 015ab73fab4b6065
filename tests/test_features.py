import numpy as np
import pandas as pd
import pytest

from recsys_teach.backend import tf
from recsys_teach.features import batches, by_id, learn_vocabulary, split_words, strings
from recsys_teach.towers import ProductTower, UserTower, training_rows

TRAIN = pd.DataFrame(
    {
        "user_id": ["u2", "u1", "u2", "u2"],
        "product_id": ["p9", "p9", "p1", "p5"],
        "rating": [5.0, 3.0, 4.0, 2.0],
        "summary": ["Great tent!", "great, GREAT wok", "", "Tent isn't great"],
    }
)


def test_vocabulary_counts_the_training_rows():
    vocabulary = learn_vocabulary(TRAIN)
    assert vocabulary.users == ["u1", "u2"]
    assert vocabulary.user_counts.tolist() == [1, 3]
    assert vocabulary.products == ["p1", "p5", "p9"]
    assert vocabulary.product_counts.tolist() == [1, 1, 2]
    assert vocabulary.mean_rating == 3.5
    assert vocabulary.words == []


def test_words_come_most_frequent_first_and_no_more_than_asked_for():
    assert learn_vocabulary(TRAIN, max_words=2).words == ["great", "tent"]


def test_words_need_summaries():
    with pytest.raises(ValueError, match="'summary' column"):
        learn_vocabulary(TRAIN.drop(columns="summary"), max_words=10)


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
    strangers = strings(pd.DataFrame({"user_id": ["u1", "who?"], "product_id": ["?", "p9"]}))
    assert users.preprocess(strangers)["user_id"].numpy().tolist() == [1, 0]
    assert products.preprocess(strangers)["product_id"].numpy().tolist() == [0, 3]


def test_counts_by_id_begin_with_the_unknown():
    assert by_id(np.array([4, 2]), unknown=9.0).numpy().tolist() == [9.0, 4.0, 2.0]


@pytest.fixture
def rows():
    return {"rating": tf.range(10.0), "user_id": tf.range(10)}


def epoch(dataset):
    return [batch["user_id"].numpy().tolist() for batch in dataset]


def test_an_epoch_holds_every_row_once_and_keeps_its_columns_together(rows):
    batched = list(batches(rows, batch_size=4, seed=1))
    assert [len(batch["rating"]) for batch in batched] == [4, 4, 2]
    assert sorted(user for batch in batched for user in batch["user_id"].numpy()) == list(range(10))
    for batch in batched:
        assert batch["rating"].numpy().tolist() == batch["user_id"].numpy().tolist()


def test_every_epoch_mixes_the_batches_anew(rows):
    dataset = batches(rows, batch_size=5, seed=1)
    first, second = (set(epoch(dataset)[0]) for _ in range(2))
    assert first != second


def test_the_same_seed_gives_the_same_order(rows):
    assert epoch(batches(rows, batch_size=3, seed=7)) == epoch(batches(rows, batch_size=3, seed=7))
    assert epoch(batches(rows, batch_size=3, seed=7)) != epoch(batches(rows, batch_size=3, seed=8))
