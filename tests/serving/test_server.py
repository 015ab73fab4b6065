"""The server's graph: the model's own order, without what was bought, ranked as asked, on numbers set by hand."""

import numpy as np
import pandas as pd
import pytest

from recsys_teach.backend import tf
from recsys_teach.features import learn_vocabulary
from recsys_teach.multitask import MultitaskModel
from recsys_teach.ranking import FactorHead, RankingModel
from recsys_teach.retrieval import RetrievalModel
from recsys_teach.serving import server as module
from recsys_teach.serving.server import Server
from recsys_teach.sharing import JointModel, expert_towers
from recsys_teach.towers import ProductTower, UserTower
from recsys_teach.training import train_model

TRAIN = pd.DataFrame(
    {
        "user_id": ["ann", "ann", "bob", "bob", "bob", "cid"],
        "product_id": ["tent", "tent", "tent", "lamp", "rope", "soap"],
        "rating": [5.0, 5.0, 4.0, 4.0, 4.0, 2.0],
        "category": ["camping", "camping", "camping", "camping", "camping", "bath"],
        "summary": ["warm tent", "", "", "", "", ""],
    }
)
ANN, BOB, CID, STRANGER = [1.0, 0.0], [0.0, 1.0], [2.0, 0.0], [0.5, 0.5]
LAMP, ROPE, SOAP, TENT = [3.0, 0.0], [2.0, 5.0], [1.0, 1.0], [4.0, 0.0]  # in the order of the catalogue


class CountryTower(UserTower):
    """A user tower as somebody else might write it: it reads one more column, with a lookup of its own."""

    def __init__(self, vocabulary, **settings):
        super().__init__(vocabulary, **settings)
        self.columns = (*self.columns, "country")
        self.countries = tf.keras.layers.StringLookup(vocabulary=["de", "fr"])
        self.shift = tf.keras.layers.Embedding(3, 2, embeddings_initializer=tf.keras.initializers.Constant(10.0))

    def call(self, features):
        known = tf.cast(self.countries(features["country"]) > 0, tf.float32)
        return super().call(features) + known[:, None] * self.shift(self.countries(features["country"]))


def planted(*, product_bias=None, summary=False, title=False, user_tower=UserTower, features=(), **user_settings):
    train = TRAIN.assign(title=TRAIN["product_id"]) if title else TRAIN
    vocabulary = learn_vocabulary(train, max_words=9 if summary or title else 0)
    users = user_tower(vocabulary, dim=2, summary=summary, **user_settings)
    towers = users, ProductTower(vocabulary, dim=2, title=title, features=features)
    head = FactorHead(vocabulary)
    weights = {"rating_weight": 1.0, "retrieval_weight": 1.0}
    model = MultitaskModel(*towers, head=head, product_bias=product_bias is not None, **weights)
    model.ratings(train.assign(country="de"))  # makes all parameters
    model.user_tower.embedding.set_weights([np.array([STRANGER, ANN, BOB, CID])])
    model.product_tower.embedding.set_weights([np.array([[9.0, 9.0], LAMP, ROPE, SOAP, TENT])])
    if product_bias is not None:
        model.retrieval.product_bias.set_weights([np.array([[0.0], *product_bias])])
    return model


def ask(server, *users, k, **more):
    answer = server.recommend(user_id=tf.constant(users), k=tf.constant(k), **more)
    return answer["product_id"].numpy().astype(str).tolist(), answer["score"].numpy(), answer["stars"].numpy()


def test_products_come_in_the_order_of_their_scores_without_what_was_bought():
    products, scores, _ = ask(Server(planted(), TRAIN), "ann", "bob", "nobody", k=2)
    assert products == [["lamp", "rope"], ["soap", ""], ["rope", "tent"]]
    np.testing.assert_allclose(scores, [[3, 2], [1, -np.inf], [3.5, 2]])


def test_what_a_user_bought_whom_training_never_saw_is_masked_and_what_nobody_knows_is_not():
    more = pd.DataFrame({"user_id": ["eve", "ann"], "product_id": ["rope", "yurt"], "rating": 4.0})
    products, _, _ = ask(Server(planted(), pd.concat([TRAIN, more])), "ann", "eve", "nobody", k=2)
    assert products == [["lamp", "rope"], ["tent", "lamp"], ["rope", "tent"]]


def test_the_product_bias_is_added_to_the_scores():
    products, scores, _ = ask(Server(planted(product_bias=[[0], [0], [10], [0]]), TRAIN), "ann", k=3)
    assert products == [["soap", "lamp", "rope"]]
    np.testing.assert_allclose(scores, [[11, 3, 2]])


def test_stars_are_the_models_own():
    model = planted()
    products, _, stars = ask(Server(model, TRAIN), "ann", "nobody", k=3)
    rows = pd.DataFrame({"user_id": ["ann"] * 3 + ["nobody"] * 3, "product_id": np.ravel(products)})
    np.testing.assert_allclose(stars.ravel(), model.ratings(rows), rtol=1e-6)


def test_more_products_than_there_are_leave_empty_places():
    products, scores, stars = ask(Server(planted(), TRAIN), "ann", k=6)
    assert products == [["lamp", "rope", "soap", "", "", ""]]
    assert np.isneginf(scores[0, 3:]).all()
    assert np.isnan(stars[0, 3:]).all()


def test_stars_may_count_in_the_order():
    """A stranger's scores are 3.5, 2, 1.5, 1 for rope, tent, lamp, soap; the best stars are the tent's."""
    plain, scores, stars = ask(Server(planted(), TRAIN), "nobody", k=4)
    assert plain == [["rope", "tent", "lamp", "soap"]]
    assert stars[0].argmax() == 1
    products, reordered, _ = ask(Server(planted(), TRAIN, stars_weight=100.0), "nobody", k=4)
    assert products[0] == [plain[0][place] for place in np.argsort(-(scores + 100 * stars)[0])]
    assert products[0][0] == "tent"
    np.testing.assert_allclose(reordered[0, 0], 2)  # a score stays what it is


@pytest.mark.parametrize("weight", [0.0, 2.0])
def test_the_answer_does_not_depend_on_who_else_asks(weight, monkeypatch):
    """bob has bought three products, cid one; with few candidates, bob's must not widen cid's choice."""
    monkeypatch.setattr(module, "CANDIDATES", 1)
    server = Server(planted(), TRAIN, stars_weight=weight)
    together = ask(server, "bob", "cid", "nobody", k=2)
    for place, user in enumerate(["bob", "cid", "nobody"]):
        products, scores, stars = ask(server, user, k=2)
        assert products[0] == together[0][place]
        np.testing.assert_array_equal(scores[0], together[1][place])
        np.testing.assert_array_equal(stars[0], together[2][place])


@pytest.mark.parametrize("summary", [False, True])
def test_zero_users_and_zero_products_may_be_asked_for(summary):
    server = Server(planted(summary=summary), TRAIN)
    texts = {"summary": tf.constant(["tent"])} if summary else {}
    assert ask(server, "ann", k=0, **texts)[0] == [[]]
    nobody = {name: tf.constant([], tf.string) for name in server.asked}
    assert server.recommend(**nobody, k=tf.constant(2))["stars"].shape == (0, 2)
    assert server.recommend(**nobody, k=tf.constant([], tf.int32))["product_id"].shape == (0, 0)
    assert server.user_vectors(**nobody)["vector"].shape == (0, 2)


@pytest.mark.parametrize("weight", [0.0, 100.0])
def test_rows_with_a_k_of_their_own_get_what_they_would_get_alone(weight, monkeypatch):
    """This is the row format of TensorFlow Serving: each input is stacked, and an answer's first axis is the row."""
    monkeypatch.setattr(module, "CANDIDATES", 1)
    server = Server(planted(), TRAIN, stars_weight=weight)
    instances = [{"user_id": user, "k": k} for user, k in [("ann", 1), ("bob", 3), ("nobody", 2), ("cid", 0)]]
    stacked = {name: np.stack([row[name] for row in instances]) for name in ("user_id", "k")}
    products, scores, stars = ask(server, *stacked["user_id"], k=stacked["k"].astype(np.int32))
    assert np.shape(products) == scores.shape == stars.shape == (4, 3)
    for place, row in enumerate(instances):
        alone, k = ask(server, row["user_id"], k=row["k"]), row["k"]
        assert products[place] == alone[0][0] + [""] * (3 - k)
        np.testing.assert_array_equal(scores[place], [*alone[1][0], *[-np.inf] * (3 - k)])
        np.testing.assert_array_equal(stars[place], [*alone[2][0], *[np.nan] * (3 - k)])


WRONG = {
    "a user that is no list": ({"user_id": "ann", "k": 1}, r"user_id: .*\] \[\]"),
    "users in columns": ({"user_id": [["ann"], ["bob"]], "k": 1}, r"user_id: .*\] \[2 1\]"),
    "a k too many": ({"user_id": ["ann", "bob"], "k": [1, 2, 3]}, r"k: .*\] \[2\] .*\] \[3\]"),
    "one k for two": ({"user_id": ["ann", "bob"], "k": [1]}, r"k: .*\] \[2\] .*\] \[1\]"),
    "k in columns": ({"user_id": ["ann", "bob"], "k": [[1], [2]]}, r"k: .*\] \[2 1\]"),
    "a negative k": ({"user_id": ["ann", "bob"], "k": [2, -1]}, r"k: expected 0 to 7 .* \[-1\] \[to\] \[2\]"),
    "a large k": ({"user_id": ["ann"], "k": 2**31 - 1}, r"k: expected 0 to 7 .* \[2147483647\]"),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("wrapped", [False, True])
def test_an_input_of_another_shape_or_size_is_refused_by_name(name, wrapped, monkeypatch):
    monkeypatch.setattr(module, "LARGEST_K", 7)
    request, message = WRONG[name]
    server = Server(planted(), TRAIN)
    recommend = tf.function(server.recommend) if wrapped else server.recommend
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        recommend(**{column: tf.constant(values) for column, values in request.items()})


def test_the_texts_of_other_users_are_refused():
    server, texts = Server(planted(summary=True), TRAIN), tf.constant(["warm tent"])
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"summary: .*\] \[2\] .*\] \[1\]"):
        ask(server, "ann", "bob", k=1, summary=texts)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"summary: .*\] \[1 1\]"):
        server.user_vectors(user_id=tf.constant(["ann"]), summary=texts[:, None])


@pytest.mark.parametrize(
    ("more", "name"), [({"k": 1.5}, "k"), ({"k": np.nan}, "k"), ({"k": "3"}, "k"), ({"user_id": [7]}, "user_id")]
)
def test_an_input_of_another_type_is_refused_by_name(more, name):
    with pytest.raises(TypeError, match=f"^{name}: expected"):
        Server(planted(), TRAIN).recommend(**{"user_id": ["ann"], "k": 1} | more)


def test_k_may_be_as_large_as_the_catalogue(monkeypatch):
    monkeypatch.setattr(module, "LARGEST_K", 2)
    server = Server(planted(), TRAIN)
    assert ask(server, "nobody", k=4)[0] == [["rope", "tent", "lamp", "soap"]]
    with pytest.raises(tf.errors.InvalidArgumentError, match="expected 0 to 4 products"):
        ask(server, "nobody", k=5)


@pytest.mark.parametrize("of_tasks", ["of ids", "mixed by experts"])
def test_a_model_with_towers_for_each_task_serves_the_stars_of_those_for_stars(of_tasks):
    vocabulary = learn_vocabulary(TRAIN.assign(title=TRAIN["product_id"]), max_words=9)
    tf.keras.utils.set_random_seed(0)
    if of_tasks == "of ids":
        pairs = (UserTower(vocabulary, dim=2), ProductTower(vocabulary, dim=2))
        pairs = pairs, (UserTower(vocabulary, dim=3, summary=True), ProductTower(vocabulary, dim=3, title=True))
    else:
        pairs = expert_towers(vocabulary, dim=3).values()
    retrieval_towers, rating_towers = pairs
    ranking = RankingModel(*rating_towers, head=FactorHead(vocabulary, scale=50.0))
    model = JointModel(RetrievalModel(*retrieval_towers, product_bias=True), ranking)
    train_model(model, TRAIN.assign(title=TRAIN["product_id"]), epochs=1)
    more = {"summary": tf.constant(["warm tent"])} if of_tasks == "of ids" else {}
    new = pd.DataFrame({"product_id": ["yurt"], "title": ["tent"], "category": "camping"})
    for arguments in ({}, {"new_products": new}):
        products, _, stars = ask(Server(model, TRAIN[:0], **arguments), "ann", k=4, **more)
        asked = pd.DataFrame({"user_id": "ann", "product_id": products[0], "summary": "warm tent"})
        asked["title"] = asked["product_id"].replace("yurt", "tent")
        known = asked["product_id"].ne("yurt").to_numpy() | (of_tasks == "of ids")
        np.testing.assert_allclose(stars[0, known], model.ratings(asked)[known], rtol=1e-5)
    assert np.ptp(stars) > 0.1


def test_bytes_that_are_no_text_are_an_unknown_user():
    server = Server(planted(summary=True), TRAIN)
    odd, plain = tf.constant([b"\xff\xfe"]), tf.constant([b"nobody"])
    of_odd, of_plain = (server.user_vectors(user_id=who, summary=odd)["vector"] for who in (odd, plain))
    np.testing.assert_array_equal(of_odd, of_plain)


def test_what_another_users_tower_reads_is_asked_for():
    server = Server(planted(user_tower=CountryTower), TRAIN)
    assert list(server.asked) == ["user_id", "country"]
    _, scores, _ = ask(server, "ann", "ann", k=1, country=tf.constant(["de", "nowhere"]))
    np.testing.assert_allclose(scores, [[11 * 2 + 10 * 5], [3]])  # the rope's (2, 5), and the lamp's (3, 0)


def test_a_new_product_starts_as_the_mean_of_its_category():
    new = pd.DataFrame({"product_id": ["stove", "comb"], "category": ["camping", "toys"]})
    products, scores, stars = ask(Server(planted(), TRAIN, new_products=new), "ann", "cid", k=9)
    by_name = [dict(zip(*row)) for row in zip(products, scores)]
    assert by_name[0]["stove"] == pytest.approx(3.0)  # (3 + 2 + 4) / 3
    assert by_name[0]["comb"] == pytest.approx(2.5)  # nobody has sold toys: the mean of all four
    assert by_name[1]["stove"] == pytest.approx(6.0)
    assert np.isfinite(stars[0, : len([name for name in products[0] if name])]).all()


@pytest.mark.parametrize(("optimism", "bias"), [(0.0, 1.0), (0.5, 2.0), (1.0, 9.0)])
def test_the_bias_of_a_new_product_is_a_quantile_of_its_categorys(optimism, bias):
    new = pd.DataFrame({"product_id": ["stove"], "category": ["camping"]})
    model = planted(product_bias=[[1.0], [2.0], [100.0], [9.0]])  # the 100 are the soap's
    products, scores, _ = ask(Server(model, TRAIN, new_products=new, optimism=optimism), "ann", k=9)
    assert dict(zip(products[0], scores[0]))["stove"] == pytest.approx(3.0 + bias)


def test_the_stars_of_a_new_product_are_those_of_any_unknown_one():
    model, new = planted(), pd.DataFrame({"product_id": ["stove"]})
    products, _, stars = ask(Server(model, TRAIN, new_products=new), "ann", k=9)
    rows = pd.DataFrame({"user_id": ["ann"], "product_id": ["never seen"]})
    assert stars[0, products[0].index("stove")] == pytest.approx(model.ratings(rows)[0])


@pytest.mark.parametrize("bias", [None, [[1.0], [2.0], [100.0], [9.0]]])
def test_a_new_product_of_a_tower_that_reads_titles_is_what_the_tower_makes_of_its_title(bias):
    model = planted(title=True, product_bias=bias)
    new = pd.DataFrame({"product_id": ["stove", "comb", "mat"], "category": "camping"})
    new["title"] = ["tent lamp rope", "", None]  # more words than any known title has
    server = Server(model, TRAIN, new_products=new, optimism=1.0)
    unknown, lamp, rope, tent = (
        model.product_tower({"product_id": tf.constant(["?"]), "title": tf.constant([title])})[0]
        for title in ("", "lamp", "rope", "tent")
    )
    expected = [(lamp + rope + tent) / 3, unknown, unknown]
    np.testing.assert_allclose(server.vectors[4:], expected, rtol=1e-6)
    np.testing.assert_allclose(server.candidate_vectors[4:, :2], expected, rtol=1e-6)
    np.testing.assert_array_equal(server.candidate_vectors[4:, 2:], np.full((3, 0 if bias is None else 1), 9.0))
    bare = Server(model, TRAIN, new_products=new[["product_id"]].astype("category"))
    np.testing.assert_allclose(bare.vectors[4:], [unknown] * 3, rtol=1e-6)
    products, _, stars = ask(server, "nobody", k=7)
    rows = pd.DataFrame({"user_id": "nobody", "product_id": ["?", "?"], "title": ["tent lamp rope", ""]})
    found = [stars[0, products[0].index(name)] for name in ("stove", "comb")]
    np.testing.assert_allclose(found, model.ratings(rows), rtol=1e-6)


def test_ids_that_are_no_text_are_refused():
    with pytest.raises(ValueError, match="user_id 7 is int, where models read text"):
        Server(planted(), TRAIN.assign(user_id=7))
    with pytest.raises(ValueError, match="product_id 7 is int, where models read text"):
        Server(planted(), TRAIN, new_products=pd.DataFrame({"product_id": [7]}))
    with pytest.raises(ValueError, match="product_id"):
        Server(planted(), TRAIN, new_products=pd.DataFrame({"name": ["yurt"]}))


@pytest.mark.parametrize("names", [["tent"], ["stove", "stove"]])
def test_a_new_product_that_is_not_new_is_refused(names):
    with pytest.raises(ValueError, match=rf"new product '{names[-1]}' is in the catalogue already"):
        Server(planted(), TRAIN, new_products=pd.DataFrame({"product_id": names}))


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_a_weight_that_is_no_number_is_refused(weight):
    with pytest.raises(ValueError, match="stars_weight is"):
        Server(planted(), TRAIN, stars_weight=weight)


@pytest.mark.parametrize("optimism", [-0.1, 1.1, float("nan")])
def test_a_quantile_out_of_range_is_refused(optimism):
    with pytest.raises(ValueError, match="optimism is"):
        Server(planted(), TRAIN, optimism=optimism)


def test_a_tower_that_reads_summaries_is_asked_with_them():
    server = Server(planted(summary=True), TRAIN)
    assert list(server.asked) == ["user_id", "summary"]
    texts = tf.constant(["warm tent", ""])
    _, scores, _ = ask(server, "ann", "ann", k=1, summary=texts)
    assert scores[0, 0] != scores[1, 0]


def test_user_vectors_and_candidates_give_the_scores():
    model = planted(product_bias=[[0.5], [0], [10], [0]])
    server = Server(model, TRAIN)
    vectors = server.user_vectors(user_id=tf.constant(["ann", "bob"]))["vector"]
    rows = pd.DataFrame({"user_id": ["ann", "bob"]})
    np.testing.assert_allclose(vectors @ server.candidate_vectors.T, model.scores(rows), rtol=1e-6)


def with_histories():
    """A stranger's vector is (0.5, 0.5), and a rope in the history adds (-1, 3), a tent (3, -1)."""
    model = planted(history=True)
    model.user_tower.parts["history"].embedding.set_weights([np.array([[0.0, 0], [0, 0], [-1, 3], [0, 0], [3, -1]])])
    return model


def test_a_requests_history_moves_the_user_and_is_not_recommended():
    server = Server(with_histories(), TRAIN)
    assert list(server.asked) == ["user_id", "history"]
    history = tf.constant([["", "", ""], ["rope", "", ""], ["tent", "never heard of", "rope"], ["lamp", "", "soap"]])
    products, scores, _ = ask(server, "nobody", "nobody", "nobody", "ann", k=3, history=history)
    assert products[:2] == [["rope", "tent", "lamp"], ["soap", "lamp", "tent"]]
    assert products[2:] == [["lamp", "soap", ""], ["rope", "", ""]]  # ann bought the tent in training
    np.testing.assert_allclose(scores[:2], [[3.5, 2, 1.5], [3, -1.5, -2]])
    np.testing.assert_allclose(scores[2, :2], [4.5, 3])  # the mean of two is (1, 1)


def test_without_histories_a_request_has_none():
    assert list(Server(planted(), TRAIN).asked) == ["user_id"]


def test_the_server_answers_as_the_model_in_memory():
    model = with_histories()
    histories = [("rope",), ("tent", "rope"), ("soap", "never heard of", "soap"), ()]
    rows = pd.DataFrame({"user_id": ["nobody", "nobody", "bob", "who?"], "history": histories})
    padded = tf.constant([[*history, *[""] * (4 - len(history))] for history in histories])
    products, found, _ = ask(Server(model, TRAIN), *rows["user_id"], k=4, history=padded)
    scores = pd.DataFrame(model.scores(rows), columns=model.products)
    bought = TRAIN.groupby("user_id")["product_id"].apply(set)
    for row, (user, history) in enumerate(zip(rows["user_id"], histories)):
        left = scores.loc[row].drop([*bought.get(user, set()) | set(history) - {"never heard of"}]).sort_values()[::-1]
        assert [name for name in products[row] if name] == list(left.index)
        np.testing.assert_allclose(found[row, : len(left)], left, rtol=1e-6)


def test_new_products_in_a_history_are_not_recommended_and_those_with_features_have_vectors():
    model = planted(history=True, features=["category"])
    model.product_tower.parts["category"].embedding.set_weights([np.array([[0.0, 0], [7, 7], [1, 0]])])
    new = pd.DataFrame({"product_id": ["bowl", "sponge"], "category": ["bath", "bath"]})
    server = Server(model, TRAIN, new_products=new)
    history = tf.constant([["bowl"], [""]])
    products, scores, _ = ask(server, "nobody", "nobody", k=6, history=history)
    assert products[0][0] == "sponge"
    assert "bowl" not in products[0]
    assert set(products[1][:2]) == {"bowl", "sponge"}
    assert scores[1, 0] == (9 + 7 + 9 + 7) / 2  # the unknown id's vector and the category's, with (0.5, 0.5)


@pytest.mark.parametrize(
    ("history", "sentence"),
    [
        (["rope", "tent"], r"history: expected the shape \[users, n\]"),
        ("rope", r"history: expected the shape \[users, n\]"),
        ([[["rope"]], [["tent"]]], r"history: expected the shape \[users, n\]"),
        ([["rope"]], "history: expected the rows of user_id"),
        ([["rope"] * 1_001] * 2, "history: expected 1000 products of each user at most"),
    ],
)
def test_a_history_of_another_shape_is_refused(history, sentence):
    server = Server(with_histories(), TRAIN)
    users = tf.constant(["nobody", "bob"])
    with pytest.raises(tf.errors.InvalidArgumentError, match=sentence):
        server.recommend(user_id=users, k=tf.constant(1), history=tf.constant(history))
