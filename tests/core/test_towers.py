import numpy as np
import pandas as pd
import pytest

from recsys_teach import towers
from recsys_teach.backend import tf
from recsys_teach.evaluation import scoreboard
from recsys_teach.features import learn_vocabulary, string_tensors
from recsys_teach.lab.stacking import StackedModel
from recsys_teach.multitask import MultitaskModel
from recsys_teach.ranking import FactorHead, RankingModel
from recsys_teach.retrieval import RetrievalModel
from recsys_teach.shop import generate_shop
from recsys_teach.splits import split_by_time
from recsys_teach.towers import ProductTower, UserTower, look_up_ids, predict_in_chunks, training_rows
from recsys_teach.training import train_model

TRAIN = pd.DataFrame(
    {
        "user_id": ["u1", "u2"],
        "product_id": ["p1", "p2"],
        "rating": [5.0, 3.0],
        "summary": ["great tent", "poor wok"],
        "title": ["Dome tent, blue", "Wok, iron"],
    }
)
VOCABULARY = learn_vocabulary(TRAIN, max_words=10)


def call(tower, **columns):
    """The tower's vectors of these rows, as a numpy array."""
    return tower(string_tensors(pd.DataFrame(columns), tower.columns)).numpy()


def id_vectors(tower):
    return tower.embedding.embeddings.numpy()


def word_vectors(tower, words):
    """The vectors of the words, by word; that of unknown words is None's."""
    (part,) = tower.parts.values()
    table = part.embedding.embeddings.numpy()
    return {None: table[1]} | dict(zip(words, table[2:]))


@pytest.mark.parametrize("kind", [UserTower, ProductTower])
def test_strings_give_the_vectors_of_their_ids(kind):
    tower = kind(VOCABULARY, dim=3)
    features = string_tensors(TRAIN, tower.columns)
    vectors = tower(features).numpy()
    assert vectors.shape == (2, 3)
    np.testing.assert_array_equal(vectors, id_vectors(tower)[[1, 2]])
    np.testing.assert_array_equal(vectors, tower.embed(tower.preprocess(features)).numpy())


def test_all_strangers_share_one_vector():
    vectors = call(UserTower(VOCABULARY, dim=3), user_id=["x", "y", "u1"])
    np.testing.assert_array_equal(vectors[0], vectors[1])
    assert not np.array_equal(vectors[0], vectors[2])


def test_a_tower_says_which_columns_it_reads():
    assert UserTower(VOCABULARY).columns == ("user_id",)
    assert UserTower(VOCABULARY, summary=True).columns == ("user_id", "summary")
    assert ProductTower(VOCABULARY).columns == ("product_id",)
    assert ProductTower(VOCABULARY, title=True).columns == ("product_id", "title")


def test_the_mean_of_a_summarys_words_is_added_whatever_the_padding():
    tower = UserTower(VOCABULARY, dim=3, summary=True)
    texts = ["great wok", "Great!", "great wok tent poor never"]
    added = call(tower, user_id=["u1", "u2", "?"], summary=texts) - id_vectors(tower)[[1, 2, 0]]
    word = word_vectors(tower, VOCABULARY.words)
    np.testing.assert_allclose(added[0], (word["great"] + word["wok"]) / 2, atol=1e-7)
    np.testing.assert_allclose(added[1], word["great"], atol=1e-7)
    everything = (word["great"] + word["wok"] + word["tent"] + word["poor"] + word[None]) / 5
    np.testing.assert_allclose(added[2], everything, atol=1e-7)


@pytest.mark.parametrize("texts", [["", "great tent"], ["", "?!"]])
def test_an_empty_summary_adds_nothing(texts):
    tower = UserTower(VOCABULARY, dim=3, summary=True)
    vectors = call(tower, user_id=["u1", "u2"], summary=texts)
    np.testing.assert_array_equal(vectors[0], id_vectors(tower)[1])
    assert np.isfinite(vectors).all()


def test_an_unknown_product_is_known_by_the_words_of_its_title():
    tower = ProductTower(VOCABULARY, dim=3, title=True)
    vectors = call(tower, product_id=["new", "new", "p2"], title=["Iron dome", "", "iron dome"])
    word = word_vectors(tower, VOCABULARY.title_words)
    words = (word["iron"] + word["dome"]) / 2
    unknown, _, p2 = id_vectors(tower)
    np.testing.assert_allclose(vectors, [unknown + words, unknown, p2 + words], atol=1e-7)


def test_the_catalogue_is_what_a_product_tower_reads():
    tower = ProductTower(VOCABULARY, dim=3, title=True)
    np.testing.assert_array_equal(
        tower(VOCABULARY.catalogue()).numpy(), call(tower, product_id=VOCABULARY.products, title=VOCABULARY.titles)
    )


def test_a_product_tower_has_looked_its_catalogue_up():
    tower = ProductTower(VOCABULARY, dim=3, title=True)
    np.testing.assert_array_equal(tower.embed(tower.catalogue), tower(VOCABULARY.catalogue()))


def test_the_last_dense_layer_is_linear_and_sets_the_length():
    tower = UserTower(VOCABULARY, dim=4, layer_sizes=[8, 3])
    vectors = call(tower, user_id=["u1", "u2"])
    first, last = tower.dense
    hidden = np.maximum(id_vectors(tower)[[1, 2]] @ first.kernel.numpy(), 0)
    np.testing.assert_allclose(vectors, hidden @ last.kernel.numpy(), rtol=1e-4, atol=1e-7)
    assert vectors.shape == (2, 3)


def test_dense_layers_read_id_and_text_side_by_side():
    tower = UserTower(VOCABULARY, dim=2, summary=True, layer_sizes=[3])
    row = {"user_id": ["u2"], "summary": ["great"]}
    call(tower, **row)
    (layer,) = tower.dense
    layer.set_weights([np.array([[1.0, 0, 0], [0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]]), np.array([0, 0, 7.0])])
    word = word_vectors(tower, VOCABULARY.words)["great"]
    np.testing.assert_allclose(call(tower, **row), [[id_vectors(tower)[2, 0], word[0], word[1] + 7]], rtol=1e-6)


@pytest.mark.parametrize("lacking", ["words asked for", "the column"])
def test_a_tower_with_text_needs_words(lacking):
    if lacking == "the column":
        vocabulary = learn_vocabulary(TRAIN.drop(columns=["summary", "title"]), max_words=10)
    else:
        vocabulary = learn_vocabulary(TRAIN)
    with pytest.raises(ValueError, match=r"summary=True needs words.*max_words"):
        UserTower(vocabulary, summary=True)
    with pytest.raises(ValueError, match=r"title=True needs words.*max_words"):
        ProductTower(vocabulary, title=True)


class CategoryTower(ProductTower):
    """What exercise 02.5 builds: one more column, by `call` alone."""

    def __init__(self, vocabulary, *, dim=32, columns=("product_id", "category")):
        super().__init__(vocabulary, dim=dim)
        self.columns = columns
        categories = sorted({name for name in vocabulary.categories if name})
        self.category_lookup = tf.keras.layers.StringLookup(vocabulary=categories)
        self.category_embedding = tf.keras.layers.Embedding(len(categories) + 1, dim)

    def call(self, features):
        return super().call(features) + self.category_embedding(self.category_lookup(features["category"]))


def shelves(rows=120):
    """Customers of even numbers buy what is for camping, the others what is for cooking."""
    rng = np.random.default_rng(0)
    user, product = rng.integers(20, size=rows), rng.integers(6, size=rows)
    product = 2 * (product // 2) + user % 2
    return pd.DataFrame(
        {
            "user_id": [f"u{n}" for n in user],
            "product_id": [f"p{n}" for n in product],
            "rating": 1.0 + user % 5,
            "category": np.where(product % 2, "cooking", "camping"),
        }
    )


NEW = pd.DataFrame({"product_id": ["new tent", "new wok"], "category": ["camping", "cooking"]})


@pytest.mark.parametrize("kind", ["retrieval", "ranking", "multitask"])
def test_a_towers_own_column_is_trained_and_scored(kind):
    train = shelves()
    vocabulary = learn_vocabulary(train)
    tf.keras.utils.set_random_seed(0)
    towers = UserTower(vocabulary, dim=4), CategoryTower(vocabulary, dim=4)
    if kind == "multitask":
        model = MultitaskModel(*towers, rating_weight=1.0, retrieval_weight=1.0, log_q=True, product_bias=True)
    else:
        model = (RetrievalModel if kind == "retrieval" else RankingModel)(*towers)
    towers[1](vocabulary.catalogue())
    before = towers[1].category_embedding.get_weights()[0]
    train_model(model, train, epochs=30, batch_size=16)
    after = towers[1].category_embedding.get_weights()[0]
    assert (after[1:] != before[1:]).any(axis=1).all()
    assert (after[0] == before[0]).all()  # of a category that training never saw
    if kind != "ranking":
        model.add_products(NEW)
        assert model.products == [*vocabulary.products, "new tent", "new wok"]
        tent, wok = model.scores(pd.DataFrame({"user_id": ["u0", "u1"]}))[:, -2:].T
        assert tent[0] > wok[0]
        assert wok[1] > tent[1]
    if kind != "retrieval":
        swapped = train.assign(category=train["category"].map({"camping": "cooking", "cooking": "camping"}))
        assert (model.ratings(train) != model.ratings(swapped)).all()


def test_of_ids_alone_new_products_are_all_the_same():
    vocabulary = learn_vocabulary(shelves())
    model = RetrievalModel(UserTower(vocabulary, dim=4), ProductTower(vocabulary, dim=4), product_bias=True)
    model.product_bias.set_weights([np.array([[0.0], [1.0], [2.0], [3.0], [4.0], [5.0], [6.0]])])
    model.add_products(NEW, optimism=0.4)
    scores = model.scores(pd.DataFrame({"user_id": ["u0", "?"]}))
    assert model.product_bias.embeddings.numpy()[0] == 3.0
    assert scores.shape == (2, 8)
    np.testing.assert_array_equal(scores[:, 6], scores[:, 7])
    with pytest.raises(ValueError, match="new product 'new wok' is in the catalogue already"):
        model.add_products(NEW[1:])


def test_the_products_that_are_new_are_found_by_their_category():
    shop = generate_shop(users=500, products=150, seed=3)
    train, test = split_by_time(shop.reviews)
    vocabulary = learn_vocabulary(train)
    new = shop.products[~shop.products["product_id"].isin(vocabulary.products)]
    hits = {}
    for kind in (ProductTower, CategoryTower):
        tf.keras.utils.set_random_seed(0)
        corrections = {"log_q": True, "remove_accidental_hits": True, "l2": 0.1, "product_bias": True}
        model = RetrievalModel(UserTower(vocabulary), kind(vocabulary), **corrections)
        train_model(model, train, epochs=6)
        model.add_products(new)
        board = scoreboard({"it": model}, train, test, slices=True)
        hits[kind] = board.loc[("it", "new products"), "hit@10"]
    assert hits[CategoryTower] > hits[ProductTower] + 0.01


def test_a_column_that_a_tower_does_not_name_is_told():
    vocabulary = learn_vocabulary(shelves())
    tower = CategoryTower(vocabulary, dim=4, columns=("product_id",))
    sentence = r"CategoryTower reads 'category', which isn't among its columns \(product_id\): add it in __init__"
    with pytest.raises(ValueError, match=sentence):
        train_model(RetrievalModel(UserTower(vocabulary, dim=4), tower), shelves(), epochs=1)
    tower = CategoryTower(vocabulary, dim=4, columns=("product_id", "price"))
    with pytest.raises(ValueError, match=r"CategoryTower reads 'price', which isn't there"):
        RetrievalModel(UserTower(vocabulary, dim=4), tower).scores(shelves())


def test_ids_that_were_looked_up_are_not_looked_up_again():
    tower = CategoryTower(learn_vocabulary(shelves()), dim=4)
    features = string_tensors(shelves(), tower.columns)
    ids = tower.preprocess(features)
    assert ids["product_id"].dtype == tf.int64
    assert ids["category"].dtype == tf.string
    assert tower.preprocess(ids)["product_id"] is ids["product_id"]
    np.testing.assert_array_equal(tower(ids), tower(features))


def test_models_with_a_tower_of_their_own_are_not_stacked():
    vocabulary = learn_vocabulary(shelves())
    towers = UserTower(vocabulary, dim=4), CategoryTower(vocabulary, dim=4)
    model = MultitaskModel(*towers, rating_weight=1, retrieval_weight=1, head=FactorHead(vocabulary))
    with pytest.raises(ValueError, match="only models of ids alone"):
        StackedModel(model, [(1, 1)])


def test_what_towers_read_is_the_ids_of_their_columns_alone():
    reviews = pd.DataFrame({"user_id": ["u2", "?"], "product_id": ["p9", "p1"], "title": ["wok", "a big wok"]})
    ids = look_up_ids(reviews, UserTower(VOCABULARY), ProductTower(VOCABULARY, title=True))
    wok = VOCABULARY.title_words.index("wok") + 2
    assert {column: rows.numpy().tolist() for column, rows in ids.items()} == {
        "user_id": [2, 0],
        "product_id": [0, 1],
        "title": [[wok, 0, 0], [1, 1, wok]],
    }


def test_training_rows_are_what_the_towers_read_and_the_ratings():
    towers = UserTower(VOCABULARY, summary=True), ProductTower(VOCABULARY)
    rows, ids = training_rows(TRAIN, *towers), look_up_ids(TRAIN, *towers)
    assert rows.keys() == {*ids, "rating"} == {"user_id", "summary", "product_id", "rating"}
    assert rows["rating"].numpy().tolist() == [5.0, 3.0]
    assert all((rows[column].numpy() == ids[column].numpy()).all() for column in ids)


def test_a_column_that_a_tower_reads_and_the_reviews_lack_is_named():
    towers = UserTower(VOCABULARY, summary=True), ProductTower(VOCABULARY)
    with pytest.raises(ValueError, match="'summary'"):
        look_up_ids(TRAIN.drop(columns="summary"), *towers)
    assert set(look_up_ids(TRAIN.drop(columns="title"), *towers)) == {"user_id", "summary", "product_id"}


def test_an_id_that_is_called_unknown_is_an_id_like_any_other():
    reviews = pd.DataFrame({"user_id": ["[UNK]", "a", "b"], "product_id": ["x", "[UNK]", "y"], "rating": 3.0})
    vocabulary = learn_vocabulary(reviews)
    assert vocabulary.users == ["[UNK]", "a", "b"]
    ids = look_up_ids(reviews, UserTower(vocabulary), ProductTower(vocabulary))
    np.testing.assert_array_equal(ids["user_id"], [1, 2, 3])
    np.testing.assert_array_equal(ids["product_id"], [2, 1, 3])
    stranger = reviews.assign(user_id="who?", product_id="what?")
    assert not look_up_ids(stranger, UserTower(vocabulary))["user_id"].numpy().any()


@pytest.mark.parametrize(("summary", "blocks"), [(False, [4, 1]), (True, [2, 2, 1])], ids=["ids", "texts"])
def test_rows_are_read_in_blocks_that_are_smaller_with_texts(monkeypatch, summary, blocks):
    monkeypatch.setattr(towers, "ROWS", 4)
    monkeypatch.setattr(towers, "TEXTS", 2)
    tower = UserTower(VOCABULARY, dim=3, summary=summary)
    texts = ["", "poor tent, great wok", "great", "a yurt", "wok"]  # of other lengths, so that blocks are padded apart
    rows = pd.DataFrame({"user_id": ["u1", "u2", "x", "u2", "u1"], "summary": texts})
    sizes = []

    def answer(some):
        sizes.append(len(some))
        return tower(string_tensors(some, tower.columns))

    vectors = predict_in_chunks(answer, rows, tower)
    assert sizes == blocks
    np.testing.assert_allclose(vectors, tower(string_tensors(rows, tower.columns)).numpy(), rtol=1e-6)


def test_no_rows_have_no_vectors():
    tower = UserTower(VOCABULARY, dim=3)
    assert predict_in_chunks(lambda some: tower(string_tensors(some, tower.columns)), TRAIN[:0], tower).shape == (0, 3)
