"""Features of products, by hand: labels, numbers, and what a new product gets from them."""

import numpy as np
import pandas as pd
import pytest

from recsys_teach.backend import tf
from recsys_teach.features import learn_vocabulary
from recsys_teach.retrieval import RetrievalModel
from recsys_teach.towers import ProductTower, UserTower, look_up_ids, training_rows
from recsys_teach.training import train_model

TRAIN = pd.DataFrame(
    {
        "user_id": ["ann", "ann", "bob", "bob", "cid"],
        "product_id": ["kite", "tent", "kite", "wok", "tent"],
        "rating": [5.0, 4.0, 3.0, 2.0, 1.0],
        "category": ["toys", "camping", "toys", "cooking", "camping"],
        "categories": ["toys|outdoor", "camping|outdoor", "toys|outdoor", "", "camping|outdoor"],
        "price": [10.0, np.nan, 12.0, 40.0, 25.0],
        "timestamp": pd.to_datetime(["2024-01-01", "2024-01-03", "2024-01-05", "2024-01-08", "2024-01-08"], utc=True),
    }
)
VOCABULARY = learn_vocabulary(TRAIN)


def planted(*features):
    """A tower whose id vectors are 0, whose labels are 1, 2, 3 … in the order of the alphabet, and numbers the unit."""
    tower = ProductTower(VOCABULARY, dim=1, features=features)
    tower.embedding.set_weights([np.zeros((4, 1))])
    for part in tower.parts.values():
        weights = [np.arange(len(weight), dtype=float).reshape(weight.shape) for weight in part.get_weights()]
        part.set_weights(weights if hasattr(part, "lookup") else [np.ones(1)])
    return tower


def vectors(tower, **columns):
    return tower(tower.read(pd.DataFrame(columns))).numpy()[:, 0].tolist()


def test_numbers_are_the_first_of_a_product_that_is_not_missing_and_never_the_rating():
    assert VOCABULARY.numbers.keys() == {"price"}
    assert VOCABULARY.numbers["price"].tolist() == [10, 25, 40]  # kite, tent, wok
    assert learn_vocabulary(TRAIN.drop(columns="price")).numbers == {}


def test_a_category_adds_its_vector_and_an_unknown_one_nothing():
    found = vectors(planted("category"), product_id=["kite", "wok", "new"], category=["toys", "cooking", "garden"])
    assert found == [3, 2, 0]


def test_of_several_categories_the_mean_is_added():
    given = ["outdoor|toys", "camping", "", "garden|toys", "garden"]
    assert vectors(planted("categories"), product_id=["new"] * 5, categories=given) == [2.5, 1, 0, 3, 0]


def test_a_number_is_in_standard_deviations_and_a_missing_one_is_the_mean():
    deviation = np.std([10, 25, 40])
    found = vectors(planted("price"), product_id=["new"] * 3, price=[25 + deviation, 25, np.nan])
    np.testing.assert_allclose(found, [1, 0, 0], atol=1e-6)


def test_the_catalogue_gives_the_vectors_of_the_training_rows():
    tower = ProductTower(VOCABULARY, features=["category", "categories", "price"])
    assert tower.columns == ("product_id", "category", "categories", "price")
    told = TRAIN.assign(price=TRAIN["price"].replace({12.0: 10.0}).fillna(25.0))
    place = [VOCABULARY.products.index(product) for product in told["product_id"]]
    np.testing.assert_allclose(tower(tower.read(told)), tower(tower.catalogue).numpy()[place], rtol=1e-5, atol=1e-7)


def test_new_products_get_vectors_from_what_is_known_of_them():
    towers = UserTower(VOCABULARY, dim=1), planted("category", "price")
    model = RetrievalModel(*towers)
    towers[0].embedding.set_weights([np.ones((4, 1))])
    deviation = np.std([10, 25, 40])
    new = pd.DataFrame({"product_id": ["a", "b"], "category": ["toys", None], "price": [np.nan, 25 - deviation]})
    model.add_products(new)
    np.testing.assert_allclose(model.scores(pd.DataFrame({"user_id": ["ann"]}))[0, -2:], [3, -1], atol=1e-6)
    model.add_products(pd.DataFrame({"product_id": ["c"]}))
    np.testing.assert_allclose(model.scores(pd.DataFrame({"user_id": ["ann"]}))[0, -3:], [3, -1, 0], atol=1e-6)


def test_all_parts_are_trained():
    towers = UserTower(VOCABULARY, dim=4), ProductTower(VOCABULARY, dim=4, features=["category", "categories", "price"])
    model = RetrievalModel(*towers)
    before = [weight.copy() for part in towers[1].parts.values() for weight in part.get_weights()]
    train_model(model, TRAIN, epochs=3, batch_size=5)
    after = [weight for part in towers[1].parts.values() for weight in part.get_weights()]
    assert all((old != new).any() for old, new in zip(before, after, strict=True))
    assert training_rows(TRAIN, *towers)["price"].numpy()[0] == 10


@pytest.mark.parametrize(
    ("features", "sentence"),
    [
        (["colour"], "features names 'colour', .*expected one of title, category, categories, price"),
        ("price", r"features is 'price': expected a list of columns, \['price'\]"),
        (["title"], "title=True needs words"),
    ],
)
def test_a_feature_that_the_vocabulary_does_not_have_is_told(features, sentence):
    with pytest.raises(ValueError, match=sentence):
        ProductTower(VOCABULARY, features=features)


def test_a_column_that_the_rows_lack_is_told():
    tower = ProductTower(VOCABULARY, features=["price"])
    with pytest.raises(ValueError, match="a tower reads 'price', which these reviews don't have"):
        look_up_ids(TRAIN.drop(columns="price"), tower)


def test_a_feature_that_is_the_same_for_all_products_adds_nothing():
    vocabulary = learn_vocabulary(TRAIN.assign(price=7.0))
    tower = ProductTower(vocabulary, dim=2, features=["price"])
    tower.parts["price"].set_weights([np.ones(2)])
    vectors = tower(tower.catalogue) - tower.embedding.embeddings[1:]
    np.testing.assert_allclose(vectors, tf.zeros([3, 2]), atol=1e-5)
