"""Histories, by hand: who knows what at which row, what a tower makes of it, and that no answer is in it."""

import numpy as np
import pandas as pd
import pytest

from recsys_teach import histories as module
from recsys_teach.backend import tf
from recsys_teach.baselines import EASE, IALS, ItemKNN, Popularity
from recsys_teach.evaluation import row_lists, row_ranks, scoreboard
from recsys_teach.features import column_tensors, learn_vocabulary
from recsys_teach.histories import earlier_purchases, training_purchases
from recsys_teach.retrieval import RetrievalModel
from recsys_teach.schema import check_reviews
from recsys_teach.shop import generate_shop
from recsys_teach.splits import split_by_time
from recsys_teach.towers import ProductTower, UserTower, training_rows, validation_rows
from recsys_teach.training import train_model


def times(seconds):
    return pd.to_datetime(list(seconds), unit="s", utc=True)


# ann buys the kite; then wok and rake in the same second; then the tent; then the kite once more. Not in this order.
REVIEWS = pd.DataFrame(
    {
        "user_id": ["ann", "ann", "bob", "ann", "ann", "ann", "bob"],
        "product_id": ["tent", "wok", "tent", "kite", "rake", "kite", "wok"],
        "timestamp": times([30, 20, 20, 10, 20, 40, 30]),
    },
    index=[40, 20, 7, 10, 30, 50, 8],
)


@pytest.mark.parametrize(
    ("last", "of_the_tent", "of_the_second_kite"),
    [
        (50, ("kite", "wok", "rake"), ("kite", "wok", "rake", "tent")),
        (2, ("wok", "rake"), ("rake", "tent")),
        (1, ("rake",), ("tent",)),
    ],
)
def test_earlier_purchases_are_those_of_a_smaller_time(last, of_the_tent, of_the_second_kite):
    found = earlier_purchases(REVIEWS, last=last)["history"]
    assert found.tolist() == [of_the_tent, ("kite",), (), (), ("kite",), of_the_second_kite, ("tent",)]
    assert list(found.index) == list(REVIEWS.index)


@pytest.mark.parametrize(
    ("last", "first", "kite"),
    [(50, ("kite", "wok", "rake", "kite"), ("wok", "rake", "tent")), (2, ("rake", "kite"), ("rake", "tent"))],
)
def test_training_purchases_are_the_other_rows_without_the_rows_own_product(last, first, kite):
    found = training_purchases(REVIEWS, last=last)["history"].tolist()
    assert (found[0], found[3], found[5]) == (first, kite, kite)
    assert (found[2], found[6]) == (("wok",), ("tent",))


def test_without_times_training_purchases_are_in_the_order_of_the_table():
    found = training_purchases(REVIEWS.drop(columns="timestamp"))["history"]
    assert found.iloc[1] == ("tent", "kite", "rake", "kite")
    with pytest.raises(ValueError, match="need a 'timestamp' column"):
        earlier_purchases(REVIEWS.drop(columns="timestamp"))


@pytest.mark.parametrize("make", [earlier_purchases, training_purchases])
def test_a_history_of_no_length_is_refused(make):
    with pytest.raises(ValueError, match="last is 0: expected 1 or more"):
        make(REVIEWS, last=0)


@pytest.mark.parametrize("last", [1, 3, 100])
def test_histories_of_a_shop_are_what_a_slow_search_finds(last):
    reviews = generate_shop(users=30, products=24, reviews_per_user=8, seed=1).reviews
    reviews["timestamp"] = reviews["timestamp"].dt.floor("10D")  # many in the same second
    shuffled = reviews.sample(frac=1, random_state=0)
    ordered = shuffled.sort_values("timestamp", kind="stable")
    earlier, others = (make(shuffled, last=last)["history"] for make in (earlier_purchases, training_purchases))
    for row, own in shuffled.iterrows():
        theirs = ordered[ordered["user_id"] == own["user_id"]]
        before = theirs[theirs["timestamp"] < own["timestamp"]]["product_id"]
        rest = theirs[theirs["product_id"] != own["product_id"]]["product_id"]
        assert (earlier[row], others[row]) == (tuple(before[-last:]), tuple(rest[-last:]))


def test_histories_pass_the_check_of_a_table():
    given = [("a", "b"), ["a"], np.array(["7", "b"], object), "a|b", "", None, [7]]
    table = pd.DataFrame({"user_id": "u", "product_id": "p", "history": pd.Series(given, dtype=object)})
    checked = check_reviews(table)["history"].tolist()
    assert checked == [("a", "b"), ("a",), ("7", "b"), ("a", "b"), (), (), ("7",)]


# Users in the order of the vocabulary: ann, bob; products: kite, rake, tent, wok.
VOCABULARY = learn_vocabulary(REVIEWS)


def planted(**settings):
    """A tower of two dimensions whose vectors are set by hand."""
    tower = UserTower(VOCABULARY, dim=2, history=True, **settings)
    tower.embedding.set_weights([np.array([[1.0, 1], [10, 0], [20, 0]])])
    tower.parts["history"].embedding.set_weights([np.array([[99.0, 99], [0, 1], [0, 2], [0, 4], [0, 8]])])
    return tower


def vectors(tower, users, histories=None):
    rows = pd.DataFrame({"user_id": users})
    if histories is not None:
        rows["history"] = pd.Series(histories, dtype=object)
    return tower(tower.read(rows)).numpy().tolist()


def test_the_mean_of_what_was_bought_is_added_to_the_id():
    histories = [("kite", "wok"), ("tent",), (), ("never heard of", "rake"), ("never heard of",)]
    found = vectors(planted(), ["ann", "who?", "bob", "who?", "who?"], histories)
    assert found == [[10, 4.5], [1, 5], [20, 0], [1, 3], [1, 1]]


def test_strings_and_the_table_give_the_same_vectors_wherever_the_padding_is():
    tower = planted()
    strings = tf.constant([["kite", "wok", ""], ["", "", "tent"], ["", "", ""]])
    found = tower({"user_id": tf.constant(["ann", "who?", "bob"]), "history": strings}).numpy().tolist()
    assert found == [[10, 4.5], [1, 5], [20, 0]]


def test_of_a_long_history_the_last_products_are_read_that_the_tower_knows():
    history = [("kite", "rake", "wok", "never heard of")]
    assert vectors(planted(last=2), ["bob"], history) == [[20, 5]]
    assert vectors(planted(last=1), ["bob"], history) == [[20, 8]]


def test_without_histories_the_training_rows_of_the_user_are_read():
    np.testing.assert_allclose(vectors(planted(), ["ann", "who?", "bob"]), [[10, 16 / 5], [1, 1], [20, 6]], rtol=1e-6)
    assert vectors(planted(last=2), ["ann", "who?"]) == [[10, 2.5], [1, 1]]  # the tent, and the second kite
    assert vectors(planted(), ["who?"]) == [[1, 1]]


def test_training_rows_have_histories_without_their_own_product():
    towers = UserTower(VOCABULARY, history=True, last=2), ProductTower(VOCABULARY)
    assert training_rows(REVIEWS, *towers)["history"].numpy()[[0, 5, 6]].tolist() == [[2, 1], [2, 3], [3, 0]]
    told = training_rows(earlier_purchases(REVIEWS), *towers)["history"].numpy()
    assert told[[0, 5, 6]].tolist() == [[4, 2], [2, 3], [3, 0]]
    towers = UserTower(VOCABULARY, history=True), ProductTower(VOCABULARY)
    told = training_rows(earlier_purchases(REVIEWS), *towers)["history"].numpy()
    assert told[5].tolist() == [0, 4, 2, 3]  # the kite was bought before
    assert validation_rows(REVIEWS[-1:], *towers)["history"].numpy().tolist() == [[3, 4]]  # bob's training rows


def test_a_vocabulary_without_purchases_has_no_histories():
    from dataclasses import replace

    with pytest.raises(ValueError, match=r"history=True needs the purchases .*learn_vocabulary\(train\)"):
        UserTower(replace(VOCABULARY, purchases=np.zeros(0, np.int32)), history=True)
    with pytest.raises(ValueError, match="a history is 'kite': expected a tuple of product ids in each row"):
        vectors(planted(), ["ann"], ["kite"])


def test_a_model_of_somebody_else_gets_histories_as_padded_texts():
    found = column_tensors(earlier_purchases(REVIEWS, last=2))["history"].numpy().tolist()
    assert found[:4] == [[b"wok", b"rake"], [b"kite", b""], [b"", b""], [b"", b""]]


def shelves(first_user):
    """Thirty users, each of whom buys nine of twenty products: those of even numbers, or the others."""
    rng = np.random.default_rng(first_user)
    bought = [(user, 2 * number + user % 2) for user in range(30) for number in rng.permutation(20)[:9]]
    table = pd.DataFrame(bought, columns=["user_id", "product_id"]).add([first_user, 100])
    return table.astype(str).assign(timestamp=times(first_user + rng.permutation(len(table))))


def test_histories_find_the_shelf_of_users_that_training_never_saw():
    train, test = shelves(1_000), earlier_purchases(shelves(2_000))
    test = test[test["history"].map(len) >= 3]
    models = {"popularity": Popularity(train), "ItemKNN": ItemKNN(train)}
    vocabulary = learn_vocabulary(train)
    for name, history in {"ids": False, "histories": True}.items():
        tf.keras.utils.set_random_seed(0)
        towers = UserTower(vocabulary, dim=8, history=history), ProductTower(vocabulary, dim=8)
        models[name] = RetrievalModel(*towers, remove_accidental_hits=True, unknown_user_dropout=0.5)
        train_model(models[name], train, epochs=15, batch_size=32)
    hits = scoreboard(models, train, test)["hit@10"]  # of 13 to 17 products of a shelf
    assert min(hits["histories"], hits["ItemKNN"]) > 0.55 > 0.4 > max(hits["ids"], hits["popularity"])


def test_what_was_bought_before_is_no_negative():
    """Two rows; ann's history holds bob's product, so her row has no negative at all; bob's has one."""
    towers = planted(), ProductTower(VOCABULARY, dim=2)
    towers[1].embedding.set_weights([np.array([[0.0, 0], [0, 0], [0, 0.5], [0, 0.25], [0, 0]])])
    model = RetrievalModel(*towers, remove_accidental_hits=True)
    rows = pd.DataFrame({"user_id": ["ann", "bob"], "product_id": ["rake", "tent"], "history": [("tent",), ("kite",)]})
    loss = model.compute_loss(validation_rows(rows, *towers)).numpy()
    np.testing.assert_allclose(loss, np.log(1 + np.exp(0.5 - 0.25)), rtol=1e-6)  # of bob, whose vector is [20, 1]
    (mean,) = model.task.metrics
    assert (mean.name, mean.result().numpy()) == ("retrieval_loss", loss)
    model = RetrievalModel(*towers)
    both = np.log(1 + np.exp(0.5 - 0.25)) + np.log(1 + np.exp(4 * (0.25 - 0.5)))  # of ann, whose vector is [10, 4]
    np.testing.assert_allclose(model.compute_loss(validation_rows(rows, *towers)), both, rtol=1e-6)


BOUGHT = pd.DataFrame({"user_id": list("aabbcc"), "product_id": ["x", "y", "x", "y", "x", "z"]})
ASKED = pd.DataFrame(
    {"user_id": ["new", "new", "a"], "product_id": ["z", "x", "z"], "history": [("x", "y"), (), ("z",)]}
)


@pytest.mark.parametrize("classic", [ItemKNN, EASE, IALS])
def test_classics_score_a_new_users_history_as_that_of_a_known_user(classic):
    if classic is IALS:
        pytest.importorskip("implicit")
    fitted = classic(BOUGHT)
    scores = fitted.scores(ASKED)
    np.testing.assert_array_equal(scores[1], [3, 2, 1])  # popularity, where nothing is known
    same = fitted.scores(pd.DataFrame({"user_id": ["a", "?"], "history": [(), ("y", "x", "y", "never heard of")]}))
    np.testing.assert_allclose(scores[0], same[1], rtol=1e-6)
    np.testing.assert_allclose(same[0], same[1], rtol=1e-6)  # a has bought x and y
    all_three = fitted.scores(pd.DataFrame({"user_id": ["?"], "history": [("x", "y", "z")]}))
    np.testing.assert_allclose(scores[2], all_three[0], rtol=1e-6)  # in training and since
    if classic is not IALS:  # which solves for the factors of known users in other steps
        np.testing.assert_allclose(scores[0], fitted.scores(pd.DataFrame({"user_id": ["a"]}))[0], rtol=1e-6)


def test_what_is_in_a_history_is_not_recommended_to_anybody_again():
    popularity = Popularity(BOUGHT)
    assert row_lists(popularity, BOUGHT, ASKED, k=3).tolist() == [[2, -1, -1], [0, 1, 2], [-1, -1, -1]]
    assert row_ranks(popularity, BOUGHT, ASKED).tolist() == [1, 1, np.inf]
    assert row_ranks(popularity, BOUGHT, ASKED, exclude_seen=False).tolist() == [3, 1, 3]
    again = pd.concat([ASKED[2:].assign(history=[()]), ASKED[2:]])
    assert scoreboard({"it": popularity}, BOUGHT, again).attrs["seen_share"] == 0.5


@pytest.mark.parametrize("exclude_seen", [True, False])
@pytest.mark.parametrize("timed", [True, False])
def test_a_history_that_holds_the_answer_is_refused(timed, exclude_seen):
    train, test = split_by_time(earlier_purchases(REVIEWS), test_share=0.3)
    leak = test.assign(history=[(*history, product) for history, product in zip(test["history"], test["product_id"])])
    if not timed:
        train, leak = train.drop(columns="timestamp"), leak.drop(columns="timestamp")
    scoreboard({"it": Popularity(train)}, train, test, exclude_seen=exclude_seen)
    with pytest.raises(ValueError, match=r"the history of test row 0 holds '.*', which its user bought at the time"):
        scoreboard({"it": Popularity(train)}, train, leak, exclude_seen=exclude_seen)


def test_a_history_from_the_future_is_refused():
    train, test = split_by_time(REVIEWS.assign(product_id=[*REVIEWS["product_id"][:5], "lamp", "wok"]), test_share=0.5)
    with pytest.raises(ValueError, match=r"which its user bought at the time of that row or later"):
        scoreboard({"it": Popularity(train)}, train, training_purchases(test))


@pytest.mark.parametrize("rows_at_once", [2, 100])
@pytest.mark.parametrize("dtype", [object, "category"])
def test_purchases_of_users_are_counted_once_and_in_order(monkeypatch, rows_at_once, dtype):
    monkeypatch.setattr(module, "LOOKED_UP", rows_at_once)
    pairs = [("b", "wok"), ("a", "tent"), ("d", "wok"), ("b", "kite"), ("b", "wok"), ("a", "wok"), ("b", "gone")]
    train = pd.DataFrame(pairs, columns=["user_id", "product_id"], dtype=dtype)
    splits, columns = module.purchase_columns(train, pd.Index(["a", "b", "c"]), pd.Index(["wok", "kite", "tent"]))
    assert splits.tolist() == [0, 2, 4, 4]  # d isn't among the users, and c bought nothing
    assert columns.tolist() == [0, 2, 0, 1]


def test_of_no_purchases_there_are_no_columns():
    train = pd.DataFrame({"user_id": [], "product_id": []}, dtype=object)
    splits, columns = module.purchase_columns(train, pd.Index(["a"]), pd.Index(["wok"]))
    assert splits.tolist() == [0, 0]
    assert columns.tolist() == []
