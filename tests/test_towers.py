import numpy as np
import pandas as pd
import pytest

from recsys_teach.features import learn_vocabulary, strings
from recsys_teach.towers import ProductTower, UserTower

TRAIN = pd.DataFrame(
    {
        "user_id": ["u1", "u2"],
        "product_id": ["p1", "p2"],
        "rating": [5.0, 3.0],
        "summary": ["great tent", "poor wok"],
    }
)
VOCABULARY = learn_vocabulary(TRAIN, max_words=10)


@pytest.mark.parametrize("tower", [UserTower(VOCABULARY, dim=3), ProductTower(VOCABULARY, dim=3)])
def test_strings_give_the_vectors_of_their_ids(tower):
    features = strings(TRAIN)
    ids = tower.preprocess(features)
    (column,) = ids
    table = tower.user_embedding if column == "user_id" else tower.product_embedding
    vectors = tower(features).numpy()
    assert vectors.shape == (2, 3)
    np.testing.assert_array_equal(vectors, table.embeddings.numpy()[[1, 2]])
    np.testing.assert_array_equal(vectors, tower.embed(ids).numpy())


def test_all_strangers_share_one_vector():
    tower = UserTower(VOCABULARY, dim=3)
    vectors = tower(strings(pd.DataFrame({"user_id": ["x", "y", "u1"]}))).numpy()
    np.testing.assert_array_equal(vectors[0], vectors[1])
    assert not np.array_equal(vectors[0], vectors[2])


def test_summary_is_the_mean_of_its_words_whatever_the_padding():
    tower = UserTower(VOCABULARY, dim=3, summary=True)
    texts = pd.DataFrame({"user_id": ["u1"] * 3, "summary": ["great wok", "great", "great wok tent poor never"]})
    words = tower(strings(texts)).numpy()[:, 3:]
    table = {w: tower.word_embedding.embeddings.numpy()[i + 2] for i, w in enumerate(VOCABULARY.words)}
    unknown = tower.word_embedding.embeddings.numpy()[1]
    np.testing.assert_allclose(words[0], (table["great"] + table["wok"]) / 2, rtol=1e-5)
    np.testing.assert_allclose(words[1], table["great"], rtol=1e-5)
    everything = (table["great"] + table["wok"] + table["tent"] + table["poor"] + unknown) / 5
    np.testing.assert_allclose(words[2], everything, rtol=1e-5)


def test_an_empty_summary_is_zeros_not_nan():
    tower = UserTower(VOCABULARY, dim=3, summary=True)
    for texts in (["", "great tent"], ["", "?!"]):
        vectors = tower(strings(pd.DataFrame({"user_id": ["u1", "u2"], "summary": texts}))).numpy()
        np.testing.assert_array_equal(vectors[0, 3:], np.zeros(3))


def test_the_last_dense_layer_is_linear_and_sets_the_length():
    tower = UserTower(VOCABULARY, dim=4, layer_sizes=[8, 3])
    vectors = tower(strings(TRAIN)).numpy()
    first, last = tower.dense
    hidden = np.maximum(tower.user_embedding.embeddings.numpy()[[1, 2]] @ first.kernel.numpy(), 0)
    np.testing.assert_allclose(vectors, hidden @ last.kernel.numpy(), rtol=1e-4, atol=1e-7)
    assert vectors.shape == (2, 3)


def test_a_tower_with_text_needs_words():
    with pytest.raises(ValueError, match="max_words"):
        UserTower(learn_vocabulary(TRAIN), summary=True)
