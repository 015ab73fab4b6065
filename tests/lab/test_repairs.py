"""Every combination of the repairs in one run: each model equals the one trained alone; worths by hand."""

import numpy as np
import pandas as pd
import pytest

from recsys_teach.backend import tf
from recsys_teach.features import learn_vocabulary
from recsys_teach.lab.repairs import COMBINATIONS, REPAIRS, repairs_board, train_repairs, worth
from recsys_teach.retrieval import RetrievalModel
from recsys_teach.shop import generate_shop
from recsys_teach.towers import ProductTower, UserTower
from recsys_teach.training import train_model

TRAIN = generate_shop(users=60, products=25, reviews_per_user=8, seed=3).reviews
VOCABULARY = learn_vocabulary(TRAIN)
VALUES = {"l2": 0.2, "unknown_user_dropout": 0.4}
SETTINGS = {"epochs": 2, "batch_size": 64, "seed": 5}
ASKED = pd.DataFrame({"user_id": [*VOCABULARY.users[:20], "a user that nobody knows"]})


@pytest.fixture(scope="module")
def found():
    return train_repairs(VOCABULARY, TRAIN, dim=8, **VALUES, **SETTINGS)


def alone(repairs):
    tf.keras.utils.set_random_seed(5)
    arguments = {repair: VALUES.get(repair, True) for repair in repairs}
    model = RetrievalModel(UserTower(VOCABULARY, dim=8), ProductTower(VOCABULARY, dim=8), **arguments)
    train_model(model, TRAIN, **SETTINGS)
    return model


def test_there_is_a_model_for_every_subset(found):
    assert len(found) == len(set(COMBINATIONS)) == 32
    assert frozenset() in found
    assert frozenset(REPAIRS) in found


@pytest.mark.parametrize("repairs", [(), *((one,) for one in REPAIRS), ("l2", "product_bias"), REPAIRS], ids="-".join)
def test_each_is_the_model_that_was_trained_alone(found, repairs):
    model = alone(repairs)
    stacked = found[frozenset(repairs)]
    assert stacked.products == model.products
    np.testing.assert_allclose(stacked.scores(ASKED), model.scores(ASKED), atol=2e-5)


def test_some_sets_alone_are_the_same_models(found):
    some = [{"l2", "log_q"}, frozenset()]
    again = train_repairs(VOCABULARY, TRAIN, dim=8, combinations=some, **VALUES, **SETTINGS)
    assert list(again) == [frozenset(each) for each in some]
    for repairs, model in again.items():
        np.testing.assert_allclose(model.scores(ASKED), found[repairs].scores(ASKED), atol=2e-5)


def test_a_repair_that_there_is_not():
    with pytest.raises(ValueError, match="there is no repair 'logq': expected some of log_q, "):
        train_repairs(VOCABULARY, TRAIN, combinations=[{"logq"}], **VALUES)


def test_after_each_epoch_there_are_recommenders():
    seen = []
    train_repairs(
        VOCABULARY,
        TRAIN,
        dim=4,
        **VALUES,
        **SETTINGS,
        after_epoch=lambda epoch, models: seen.append((epoch, models[-1].scores(ASKED))),
    )
    assert [epoch for epoch, _ in seen] == [1, 2]
    assert np.abs(seen[0][1] - seen[1][1]).max() > 1e-3


def test_worths_by_hand():
    # b adds 1 alone and 3 after a; a adds 4 alone and 6 after b.
    values = {frozenset(): 0.0, frozenset("a"): 4.0, frozenset("b"): 1.0, frozenset("ab"): 7.0}
    assert worth(values, "ab") == {"a": 5.0, "b": 2.0}


def test_worths_of_all_repairs_add_up_to_what_they_gain_together():
    values = dict(zip(COMBINATIONS, np.random.default_rng(0).normal(size=(32, 3))))
    total = sum(worth(values).values())
    np.testing.assert_allclose(total, values[frozenset(REPAIRS)] - values[frozenset()])


def test_a_repair_that_adds_the_same_everywhere_is_worth_that():
    values = {some: 2.0 * ("l2" in some) + len(some - {"l2"}) ** 2 for some in COMBINATIONS}
    found = worth(values)
    assert found["l2"] == pytest.approx(2)
    assert [found[repair] for repair in REPAIRS if repair != "l2"] == pytest.approx([4] * 4)  # alike: a quarter of 16


class Fixed:
    """Recommends one product to everybody."""

    def __init__(self, product):
        self.products, self.product = [f"p{number}" for number in range(12)], product

    def scores(self, reviews):
        return np.tile([float(name == self.product) for name in self.products], (len(reviews), 1))


def test_a_board_by_hand():
    """Two of three test rows are of p11, which is in the first ten only if it is recommended: ties count as misses."""
    train = pd.DataFrame({"user_id": ["u"] * 12, "product_id": Fixed("").products})
    test = pd.DataFrame({"user_id": ["new", "new", "other"], "product_id": ["p11", "p0", "p11"]})
    run = {some: Fixed("p11" if "log_q" in some else "") for some in COMBINATIONS}
    board = repairs_board([run], train, test)
    assert list(board.index.unique(level=0)) == ["all", "new users"]
    hits = board.loc["all", "hit@10"]
    assert [hits["00000"], hits["10000"], hits["11111"]] == pytest.approx([0, 2 / 3, 2 / 3])
    assert [hits["worth of log_q"], hits["step log_q"]] == pytest.approx([2 / 3, 2 / 3])
    assert [hits["worth of l2"], hits["step product_bias"]] == pytest.approx([0, 0], abs=1e-12)
    assert board.loc[("all", "worth of log_q"), ["hit@10 low", "hit@10 high"]].tolist() == [0.5, 1.0]  # one user each
