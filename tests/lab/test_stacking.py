"""What is trained together is what would have been trained alone."""

import numpy as np
import pytest

from recsys_teach.backend import tf
from recsys_teach.evaluation import scoreboard
from recsys_teach.features import gather_rows, learn_vocabulary
from recsys_teach.lab.stacking import StackedModel, train_sweep
from recsys_teach.multitask import MultitaskModel
from recsys_teach.ranking import DenseHead, FactorHead
from recsys_teach.shop import generate_shop
from recsys_teach.splits import split_at_random
from recsys_teach.towers import ProductTower, UserTower, training_rows
from recsys_teach.training import train_model

TRAIN, TEST = split_at_random(generate_shop(users=150, products=60, rated_share=0.8, seed=1).reviews, seed=0)
VOCABULARY = learn_vocabulary(TRAIN)
PAIRS = [(0, 1), (0.3, 1), (2, 0.5), (1, 0)]
CORRECTIONS = {"log_q": True, "remove_accidental_hits": True, "product_bias": True, "l2": 0.1}


def model(rating_weight=1.0, retrieval_weight=1.0, pull=30.0, own_dim=0, **more):
    tf.keras.utils.set_random_seed(3)
    weights = {"rating_weight": rating_weight, "retrieval_weight": retrieval_weight}
    arguments = {"head": FactorHead(VOCABULARY, pull=pull, own_dim=own_dim)} | weights | more
    return MultitaskModel(UserTower(VOCABULARY, dim=8), ProductTower(VOCABULARY, dim=8), **arguments)


@pytest.mark.parametrize(
    "corrections", [CORRECTIONS, {"pull": None}, CORRECTIONS | {"own_dim": 4}], ids=["corrected", "textbook", "own"]
)
def test_each_pair_learns_what_it_would_learn_alone(corrections):
    settings = {"epochs": 2, "batch_size": 64, "seed": 5}
    sweep = train_sweep(model(**corrections), PAIRS, TRAIN, TEST, **settings)
    for number, pair in enumerate(PAIRS):
        alone = model(*pair, **corrections)
        train_model(alone, TRAIN, **settings)
        users = alone.user_tower.embedding.embeddings.numpy()
        np.testing.assert_allclose(sweep.user_tables[number, :, :8], users, atol=1e-4)
        head = alone.ranking.head
        np.testing.assert_allclose(sweep.tastes[number, :8], head.spread * head.weight.numpy(), atol=1e-4)
        board = scoreboard({"alone": alone}, TRAIN, TEST).loc["alone"]
        np.testing.assert_allclose(sweep.board.iloc[number], board, atol=1e-3)
        np.testing.assert_allclose(sweep.recommender(number).ratings(TEST), alone.ratings(TEST), atol=1e-3)
        np.testing.assert_allclose(sweep.recommender(number).scores(TEST), alone.scores(TEST), atol=1e-3)


@pytest.mark.parametrize(
    "corrections", [CORRECTIONS, {}, CORRECTIONS | {"own_dim": 4}], ids=["corrected", "textbook", "own"]
)
def test_the_loss_is_the_sum_of_the_models_losses(corrections):
    stack = StackedModel(model(**corrections), PAIRS)
    batch = gather_rows(training_rows(TRAIN, stack.user_tower, stack.product_tower), range(100))
    batch["user_id"] = tf.where(tf.range(100) < 30, 0, batch["user_id"])  # strangers, as dropout makes them
    weights = np.random.default_rng(0).uniform(0, 1, (len(PAIRS), 8)).astype("float32")
    stack.head_weight.assign(weights[:, None])
    alone = [model(*pair, **corrections) for pair in PAIRS]
    for one, its_weights in zip(alone, weights):
        one.compute_loss(batch)
        one.ranking.head.weight.assign(its_weights)
    for training in (False, True):
        expected = sum(float(one.compute_loss(batch, training=training)) for one in alone)
        assert float(stack.compute_loss(batch, training=training)) == pytest.approx(expected, rel=1e-5)


def test_batches_have_few_shapes_and_what_fills_them_up_learns_nothing(monkeypatch):
    widths, gather = set(), StackedModel.call

    def call(self, ids, training=False):
        widths.add(int(ids["product_id"].shape[0]))
        return gather(self, ids, training)

    monkeypatch.setattr(StackedModel, "call", call)
    stack = StackedModel(model(**CORRECTIONS), PAIRS)
    rows = training_rows(TRAIN, stack.user_tower, stack.product_tower)
    for first in range(0, 320, 32):  # fewer products than rows, now more of them, now fewer
        batch = gather_rows(rows, range(first, first + 32))
        with tf.GradientTape() as tape:
            loss = stack.compute_loss(batch)
        gradient = tf.convert_to_tensor(tape.gradient(loss, stack.product_table))
        np.testing.assert_array_equal(gradient[0], 0)
    assert widths <= {16, 32}


def test_the_template_is_left_as_it_was():
    template = model(**CORRECTIONS)
    stack = StackedModel(template, PAIRS)
    assert {variable.ref() for variable in stack.trainable_variables} == {
        stack.user_table.ref(),
        stack.product_table.ref(),
        stack.head_weight.ref(),
    }
    before = template.user_tower.embedding.embeddings.numpy().copy()
    train_model(stack, TRAIN, epochs=1)
    assert (template.user_tower.embedding.embeddings.numpy() == before).all()
    assert not np.allclose(stack.tables()[0][1, :, :-1], before)


def test_unknown_user_dropout_trains_the_row_of_strangers():
    template = model(**CORRECTIONS, unknown_user_dropout=0.5)
    stack = StackedModel(template, PAIRS)
    before = stack.tables()[0][:, 0].copy()
    train_model(stack, TRAIN, epochs=1)
    assert (np.abs(stack.tables()[0][:, 0] - before).max(axis=1) > 1e-3).all()


@pytest.mark.parametrize("weights", [[], [(-1, 1)], [(1, float("nan"))], [(1, 1), (0, 0)]])
def test_bad_weights_are_refused(weights):
    with pytest.raises(ValueError, match=r"weight"):
        StackedModel(model(), weights)


@pytest.mark.parametrize("weight", [-0.1, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["rating_weight", "retrieval_weight"])
def test_a_bad_weight_is_named(name, weight):
    pair = (weight, 1.0) if name == "rating_weight" else (1.0, weight)
    with pytest.raises(ValueError, match=f"{name} is {weight}"):
        StackedModel(model(), [(1.0, 1.0), pair])


@pytest.mark.parametrize("kind", ["summary", "title", "layers"])
def test_texts_and_layers_are_refused(kind):
    words = learn_vocabulary(TRAIN, max_words=20)
    user_tower = UserTower(words, summary=kind == "summary", layer_sizes=[8] if kind == "layers" else [])
    towers = user_tower, ProductTower(words, title=kind == "title")
    full = MultitaskModel(*towers, rating_weight=1.0, retrieval_weight=1.0, head=FactorHead(words))
    with pytest.raises(ValueError, match="leave texts and layers out"):
        StackedModel(full, PAIRS)


def test_purchases_that_nobody_rated_are_part_of_what_is_trained():
    assert 0.1 < TRAIN["rating"].isna().mean() < 0.9


def test_only_ids_and_factor_heads_can_be_stacked():
    with pytest.raises(ValueError, match="FactorHead"):
        StackedModel(model(head=DenseHead()), PAIRS)
