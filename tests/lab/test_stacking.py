"""What is trained together, or one after another, is what would have been trained alone."""

import threading
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from recsys_teach.backend import tf
from recsys_teach.evaluation import scoreboard
from recsys_teach.features import gather_rows, learn_vocabulary
from recsys_teach.lab import stacking
from recsys_teach.lab.stacking import OneOfMany, StackedModel, train_sweep
from recsys_teach.lab.sweep import Factors
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


def model(rating_weight=1.0, retrieval_weight=1.0, pull=30.0, own_dim=0, kind=MultitaskModel, towers=None, **more):
    tf.keras.utils.set_random_seed(3)
    weights = {"rating_weight": rating_weight, "retrieval_weight": retrieval_weight}
    arguments = {"head": FactorHead(VOCABULARY, pull=pull, own_dim=own_dim)} | weights | more
    user_tower, product_tower = (towers or plain_towers)()
    return kind(user_tower, product_tower, **arguments)


def plain_towers():
    return UserTower(VOCABULARY, dim=8), ProductTower(VOCABULARY, dim=8)


@pytest.mark.parametrize(
    ("corrections", "numbers"),
    [(CORRECTIONS, range(len(PAIRS))), ({"pull": None}, [1]), (CORRECTIONS | {"own_dim": 4}, [2])],
    ids=["corrected", "textbook", "own"],
)
def test_each_pair_learns_what_it_would_learn_alone(corrections, numbers):
    settings = {"epochs": 2, "batch_size": 64, "seed": 5}
    sweep = train_sweep(model(**corrections), PAIRS, TRAIN, TEST, **settings)
    for number in numbers:
        alone = model(*PAIRS[number], **corrections)
        train_model(alone, TRAIN, **settings)
        users, head, one = alone.user_tower.embedding.embeddings.numpy(), alone.ranking.head, sweep.recommender(number)
        np.testing.assert_allclose(one.user_table[:, :8], users, atol=1e-4)
        np.testing.assert_allclose(one.taste[:8], head.spread * head.weight.numpy(), atol=1e-4)
        board = scoreboard({"alone": alone}, TRAIN, TEST).loc["alone"]
        np.testing.assert_allclose(sweep.board.iloc[number], board, atol=1e-3)
        np.testing.assert_allclose(one.ratings(TEST), alone.ratings(TEST), atol=1e-3)
        np.testing.assert_allclose(one.scores(TEST), alone.scores(TEST), atol=1e-3)


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


@pytest.mark.parametrize("kind", ["summary", "title", "history", "layers"])
def test_other_columns_and_layers_are_refused(kind):
    words = learn_vocabulary(TRAIN, max_words=20)
    other = {"summary": kind == "summary", "history": kind == "history"}
    user_tower = UserTower(words, layer_sizes=[8] if kind == "layers" else [], **other)
    towers = user_tower, ProductTower(words, title=kind == "title")
    full = MultitaskModel(*towers, rating_weight=1.0, retrieval_weight=1.0, head=FactorHead(words))
    with pytest.raises(ValueError, match="leave other columns and layers out"):
        StackedModel(full, PAIRS)


def test_purchases_that_nobody_rated_are_part_of_what_is_trained():
    assert 0.1 < TRAIN["rating"].isna().mean() < 0.9


def test_only_ids_and_factor_heads_can_be_stacked():
    with pytest.raises(ValueError, match="FactorHead"):
        StackedModel(model(head=DenseHead()), PAIRS)


WORDS = learn_vocabulary(TRAIN, max_words=20)


class HalfTower(UserTower):
    """A tower whose users are only half as far from 0."""

    def embed(self, ids):
        return super().embed(ids) / 2


class HalfHead(FactorHead):
    """A head that predicts half the stars."""

    def call(self, users, products, ids):
        return super().call(users, products, ids) / 2


class SecondThoughts(MultitaskModel):
    """A model with a loss of its own."""

    def compute_loss(self, ids, training=False):
        return super().compute_loss(ids, training=training) + tf.reduce_sum(self(ids)[0] ** 2)


UNLIKE = {
    "a dense head": lambda **more: model(head=DenseHead(), **more),
    "a tower with layers": lambda **more: model(
        towers=lambda: (UserTower(VOCABULARY, dim=8, layer_sizes=[6, 8]), ProductTower(VOCABULARY, dim=8)), **more
    ),
    "titles": lambda **more: model(
        towers=lambda: (UserTower(WORDS, dim=8), ProductTower(WORDS, dim=8, title=True)), **more
    ),
    "summaries": lambda **more: model(
        towers=lambda: (UserTower(WORDS, dim=8, summary=True), ProductTower(WORDS, dim=8)), **more
    ),
    "a tower of another class": lambda **more: model(
        towers=lambda: (HalfTower(VOCABULARY, dim=8), ProductTower(VOCABULARY, dim=8)), **more
    ),
    "a head of another class": lambda **more: model(head=HalfHead(VOCABULARY), **more),
    "a model of another class": lambda **more: model(kind=SecondThoughts, **more),
}
SHORT = {"epochs": 2, "batch_size": 64, "seed": 5}
FORGETFUL = CORRECTIONS | {"unknown_user_dropout": 0.3}  # with chance in its training


def with_variables(one):
    """The model when it has all of its variables, as after a first batch."""
    one.compute_loss(gather_rows(training_rows(TRAIN, one.user_tower, one.product_tower), [0, 0]), training=True)
    return one


def trained_alone(build, pair, **more):
    """A model of these weights, trained by itself."""
    rating_weight, retrieval_weight = pair
    alone = with_variables(build(rating_weight=rating_weight, retrieval_weight=retrieval_weight, **more))
    tf.keras.utils.set_random_seed(SHORT["seed"])
    train_model(alone, TRAIN, **SHORT)
    return alone


@pytest.mark.parametrize("build", UNLIKE.values(), ids=UNLIKE)
def test_what_computes_something_else_is_not_stacked(build, monkeypatch):
    monkeypatch.setattr(stacking, "train_model", lambda *_, **__: None)
    visible = ["summary"] if build is UNLIKE["summaries"] else []
    assert isinstance(train_sweep(build(), PAIRS[:1], TRAIN, TEST, visible=visible).recommender(0), OneOfMany)
    assert isinstance(train_sweep(model(), PAIRS[:1], TRAIN, TEST).recommender(0), Factors)


@pytest.mark.parametrize("kind", ["a dense head", "summaries", "a model of another class"])
def test_what_cannot_be_stacked_learns_pair_after_pair_what_it_would_learn_alone(kind):
    build, visible, pairs = UNLIKE[kind], ["summary"] if kind == "summaries" else [], PAIRS[1:3]
    sweep = train_sweep(build(**FORGETFUL), pairs, TRAIN, TEST, visible=visible, **SHORT)
    assert sweep.weights.tolist() == [list(pair) for pair in pairs]
    asked = TEST.head(50)
    for number, pair in enumerate(pairs):
        alone, one = trained_alone(build, pair, **FORGETFUL), sweep.recommender(number)
        np.testing.assert_array_equal(one.scores(asked), alone.scores(asked))
        np.testing.assert_array_equal(one.ratings(asked), alone.ratings(asked))
        board = scoreboard({"alone": alone}, TRAIN, TEST, visible=visible).loc["alone"]
        np.testing.assert_array_equal(sweep.board.iloc[number], board)
    assert not np.allclose(sweep.recommender(0).scores(asked), one.scores(asked))


def test_pair_after_pair_is_what_the_stack_learns():
    asked = TEST.head(50)
    stacked = train_sweep(model(**CORRECTIONS), PAIRS[1:3], TRAIN, TEST, **SHORT)
    same = train_sweep(model(kind=type("Same", (MultitaskModel,), {}), **CORRECTIONS), PAIRS[1:3], TRAIN, TEST, **SHORT)
    for one, two in zip(stacked.recommenders, same.recommenders):
        np.testing.assert_allclose(one.scores(asked), two.scores(asked), atol=1e-3)
        np.testing.assert_allclose(one.ratings(asked), two.ratings(asked), atol=1e-3)


def test_a_model_that_answers_and_one_that_is_trained_do_not_disturb_each_other():
    other_kind = type("Same", (MultitaskModel,), {})
    alone = train_sweep(model(kind=other_kind), PAIRS[1:2], TRAIN, TEST, **SHORT).recommender(0).scores(TEST)
    template = model(kind=other_kind)
    first = train_sweep(template, PAIRS[2:3], TRAIN, TEST, **SHORT).recommender(0)
    before, answers, readers = first.scores(TEST), [], []

    def ask_from_another_thread(_):
        readers.append(threading.Thread(target=lambda: answers.append(first.scores(TEST))))
        readers[-1].start()

    second = train_sweep(template, PAIRS[1:2], TRAIN, TEST, after_epoch=ask_from_another_thread, **SHORT)
    for reader in readers:
        reader.join()
    assert len(answers) == SHORT["epochs"]
    for answer in answers:
        np.testing.assert_array_equal(answer, before)
    np.testing.assert_array_equal(second.recommender(0).scores(TEST), alone)


def state(template):
    """What training changes in a model."""
    facts = [template.rating_weight, template.retrieval_weight, template.optimizer]
    parameters = [part.numpy().tolist() for part in template.trainable_variables]
    return facts, getattr(template, "epochs_trained", 0), parameters


@pytest.mark.parametrize("stop", [None, 3], ids=["whole", "second pair"])
def test_the_model_is_untrained_afterwards_even_if_it_was_interrupted(stop, monkeypatch):
    template, untouched = (with_variables(model(head=DenseHead(), **FORGETFUL)) for _ in range(2))
    epochs, bars = [], []

    class Bar(SimpleNamespace):
        def __enter__(self):
            bars.append(self)
            return self

        def __exit__(self, *_):
            self.closed = True

        def update(self):
            self.done += 1

    monkeypatch.setattr(stacking, "progress_bar", lambda total, **_: Bar(total=total, done=0))

    def after_epoch(epoch):
        epochs.append(epoch)
        if epoch == stop:
            raise KeyboardInterrupt

    with nullcontext() if stop is None else pytest.raises(KeyboardInterrupt):
        train_sweep(template, PAIRS[:2], TRAIN, TEST, after_epoch=after_epoch, **SHORT)
    assert state(template) == state(untouched)
    assert epochs == list(range(1, (stop or 4) + 1))
    assert vars(bars[0]) == {"total": 2, "done": stop // 2 if stop else 2, "closed": True}
    one = train_sweep(template, PAIRS[1:2], TRAIN, TEST, **SHORT)
    two = train_sweep(untouched, PAIRS[1:2], TRAIN, TEST, **SHORT)
    pd.testing.assert_frame_equal(one.board, two.board)


def test_a_model_that_was_trained_before_goes_on_where_it_was():
    template, same = (trained_alone(UNLIKE["a dense head"], PAIRS[1]) for _ in range(2))
    before, parameters = state(template), same.get_weights()
    sweep = train_sweep(template, PAIRS[2:3], TRAIN, TEST, **SHORT)
    assert state(template) == before
    assert before[1] == SHORT["epochs"]
    fresh = with_variables(model(*PAIRS[2], head=DenseHead()))
    fresh.set_weights(parameters)  # a pair starts from these, but with the first epoch
    train_model(fresh, TRAIN, **SHORT)
    np.testing.assert_array_equal(sweep.recommender(0).ratings(TEST), fresh.ratings(TEST))
    losses = [train_model(one, TRAIN, **SHORT) for one in (template, same)]
    pd.testing.assert_frame_equal(*losses)


@pytest.mark.parametrize("head", [None, DenseHead], ids=["stacked", "one by one"])
def test_a_pair_that_comes_twice_is_trained_once_and_bad_ones_not_at_all(head):
    template = model() if head is None else model(head=head())
    assert train_sweep(template, [(1, 1), (0, 1), (1.0, 1)], TRAIN, TEST, epochs=1).weights.tolist() == [[1, 1], [0, 1]]
    for weights in ([], [(1, 1), (-1, 1)], [(0, 0)]):
        with pytest.raises(ValueError, match="weight"):
            train_sweep(template, weights, TRAIN, TEST, after_epoch=pytest.fail)
