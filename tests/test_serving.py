"""The server's graph: the model's own order, without what was bought, ranked as asked, on numbers set by hand."""

import numpy as np
import pandas as pd
import pytest

from recsys_teach import serving
from recsys_teach.backend import tf
from recsys_teach.features import learn_vocabulary
from recsys_teach.heads import FactorHead
from recsys_teach.multitask import MultitaskModel
from recsys_teach.serving import Server
from recsys_teach.towers import ProductTower, UserTower

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


def planted(*, product_bias=None, summary=False):
    vocabulary = learn_vocabulary(TRAIN, max_words=9 if summary else 0)
    towers = UserTower(vocabulary, dim=2, summary=summary), ProductTower(vocabulary, dim=2)
    head = FactorHead(vocabulary)
    weights = {"rating_weight": 1.0, "retrieval_weight": 1.0}
    model = MultitaskModel(*towers, head=head, product_bias=product_bias is not None, **weights)
    model.ratings(TRAIN)  # makes all parameters
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


def test_what_a_stranger_bought_and_what_nobody_knows_is_masked_for_nobody():
    more = pd.DataFrame({"user_id": ["eve", "ann"], "product_id": ["rope", "yurt"], "rating": 4.0})
    products, _, _ = ask(Server(planted(), pd.concat([TRAIN, more])), "ann", "eve", "nobody", k=2)
    assert products == [["lamp", "rope"], ["rope", "tent"], ["rope", "tent"]]


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
    monkeypatch.setattr(serving, "CANDIDATES", 1)
    server = Server(planted(), TRAIN, stars_weight=weight)
    together = ask(server, "bob", "cid", "nobody", k=2)
    for place, user in enumerate(["bob", "cid", "nobody"]):
        products, scores, stars = ask(server, user, k=2)
        assert products[0] == together[0][place]
        np.testing.assert_array_equal(scores[0], together[1][place])
        np.testing.assert_array_equal(stars[0], together[2][place])


def test_nobody_and_nothing_may_be_asked_for():
    server = Server(planted(), TRAIN)
    assert ask(server, "ann", k=0)[0] == [[]]
    assert server.recommend(user_id=tf.constant([], tf.string), k=tf.constant(2))["stars"].shape == (0, 2)


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
    np.testing.assert_allclose(vectors @ server.candidates.T, model.scores(rows), rtol=1e-6)
