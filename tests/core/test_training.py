"""Training any of the models: what it reports, what validation rows see, and when it stops."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.special import log_softmax
from tqdm import notebook

from recsys_teach.backend import tf, tfrs
from recsys_teach.features import learn_vocabulary
from recsys_teach.lab.stacking import StackedModel
from recsys_teach.lab.sweep import Factors
from recsys_teach.multitask import MultitaskModel
from recsys_teach.ranking import DenseHead, FactorHead, RankingModel
from recsys_teach.retrieval import RetrievalModel
from recsys_teach.towers import ProductTower, UserTower, training_rows
from recsys_teach.training import PATIENCE, many_steps, out_of_patience, row_numbers, train_model


def planted(rows, *, users, seed):
    """Users of even numbers like products of even numbers, the others the others."""
    rng = np.random.default_rng(seed)
    user, product = rng.integers(users, size=rows), rng.integers(8, size=rows)
    return pd.DataFrame(
        {
            "user_id": [f"u{n}" for n in user],
            "product_id": [f"p{n}" for n in product],
            "rating": np.where(user % 2 == product % 2, 5.0, 2.0),
        }
    )


TRAIN = planted(90, users=10, seed=0)
VALIDATION = planted(22, users=13, seed=1)  # u10, u11 and u12 are new
VOCABULARY = learn_vocabulary(TRAIN)
COLUMNS = ["rating_loss", "retrieval_loss", "loss", "val_rating_loss", "val_retrieval_loss", "validation"]


def build(kind, **settings):
    """A small model, always of the same first weights."""
    tf.keras.utils.set_random_seed(3)
    return kind(UserTower(VOCABULARY, dim=4), ProductTower(VOCABULARY, dim=4), **settings)


def weights(model):
    return [variable.numpy() for variable in model.trainable_variables]


def epochs(count, batch_size, rng=None):
    """The numbers of ten rows in each batch of each epoch."""
    many = -(-10 // batch_size)
    batches = [batch.tolist() for batch in row_numbers(10, batch_size, rng).take(count * many).as_numpy_iterator()]
    return [batches[start : start + many] for start in range(0, count * many, many)]


def test_many_models_are_trained_without_a_warning(caplog):
    logger = tf.get_logger()
    logger.addHandler(caplog.handler)
    for _ in range(8):
        train_model(build(RankingModel), TRAIN, epochs=1)
    logger.removeHandler(caplog.handler)
    assert caplog.messages == []


def test_without_a_generator_the_order_is_kept_in_every_epoch():
    assert epochs(2, 4) == [[[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]] * 2
    assert epochs(1, 10) == epochs(1, 99) == [[list(range(10))]]


def test_every_epoch_holds_every_row_once_in_an_order_of_its_own():
    first, second = epochs(2, 2, np.random.default_rng(0))
    assert [len(batch) for batch in first] == [2] * 5
    assert sorted(np.concatenate(first)) == sorted(np.concatenate(second)) == list(range(10))
    assert {frozenset(batch) for batch in first} != {frozenset(batch) for batch in second}


def test_the_last_batch_is_what_is_left():
    (batches,) = epochs(1, 3, np.random.default_rng(0))
    assert [len(batch) for batch in batches] == [3, 3, 3, 1]
    assert sorted(np.concatenate(batches)) == list(range(10))


def test_the_same_seed_gives_the_same_order():
    orders = [epochs(2, 4, np.random.default_rng(seed)) for seed in (7, 7, 8)]
    assert orders[0] == orders[1] != orders[2]


def test_many_steps_take_whole_rows_and_tell_the_means_over_their_batches():
    rows, seen = {"rating": tf.range(10.0), "user_id": tf.range(10)}, []

    def keep(ratings, users):
        assert ratings.tolist() == users.tolist()
        seen.append(users.tolist())

    def step(batch):
        tf.numpy_function(keep, [batch["rating"], batch["user_id"]], [])
        return {"loss": tf.reduce_sum(batch["rating"])}

    model = SimpleNamespace(steps_per_execution=tf.Variable(2), metrics=[])
    steps = many_steps(model, step, rows, tf.keras.metrics.Mean("loss"))
    batches = iter(row_numbers(10, 4))
    assert float(steps(batches)["loss"]) == (6 + 22) / 2
    model.steps_per_execution.assign(1)
    assert float(steps(batches)["loss"]) == 45 / 3
    assert seen == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_training_reports_every_epoch():
    seen = []
    model = build(MultitaskModel, rating_weight=1.0, retrieval_weight=1.0)
    losses = train_model(model, TRAIN, epochs=3, after_epoch=seen.append)
    assert seen == [1, 2, 3]
    assert losses.index.tolist() == [1, 2, 3]
    assert losses.index.name == "epoch"
    assert list(losses) == COLUMNS[:3]
    assert losses.notna().all(axis=None)


def test_the_same_seeds_give_the_same_model():
    def trained(seed):
        model = build(RetrievalModel, unknown_user_dropout=0.2)
        train_model(model, TRAIN, epochs=2, batch_size=32, seed=seed)
        return model.scores(TRAIN)

    first, again, other = trained(5), trained(5), trained(6)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize(
    ("kind", "settings", "columns"),
    [
        (RankingModel, {}, ["rating_loss", "loss", "val_rating_loss", "validation"]),
        (RetrievalModel, {}, ["retrieval_loss", "loss", "val_retrieval_loss", "validation"]),
        (MultitaskModel, {"rating_weight": 0.3, "retrieval_weight": 0.7}, COLUMNS),
    ],
)
def test_validation_is_the_sum_of_its_losses_by_the_models_weights(kind, settings, columns):
    losses = train_model(build(kind, **settings), TRAIN, epochs=2, batch_size=32, validation=VALIDATION)
    assert list(losses) == columns
    parts = [
        losses[f"val_{task}_loss"] * settings.get(f"{task}_weight", 1.0)
        for task in ("rating", "retrieval")
        if f"val_{task}_loss" in columns
    ]
    np.testing.assert_allclose(losses["validation"], sum(parts), rtol=1e-6)


def test_the_rating_loss_of_validation_is_the_summed_squared_error_a_batch():
    some_rated = VALIDATION.assign(rating=VALIDATION["rating"].where(VALIDATION.index % 4 != 0))
    model = build(RankingModel, head=FactorHead(VOCABULARY), l2=0.1)
    losses = train_model(model, TRAIN, epochs=2, batch_size=8, validation=some_rated)
    errors = (model.ratings(some_rated) - some_rated["rating"]) ** 2  # by the last epoch's weights
    by_batch = errors.groupby(np.arange(22) // 8).sum()  # 8, 8 and 6 rows
    np.testing.assert_allclose(losses["val_rating_loss"].iloc[-1], by_batch.mean(), rtol=1e-4)


def test_the_retrieval_loss_of_validation_is_the_softmax_of_its_batches_and_forgets_nobody():
    model = build(RetrievalModel, unknown_user_dropout=0.5, product_bias=True)
    losses = train_model(model, TRAIN, epochs=2, batch_size=8, learning_rate=1.0, validation=VALIDATION)
    scores, bought = model.scores(VALIDATION), pd.Index(model.products).get_indexer(VALIDATION["product_id"])
    blocks = [slice(0, 8), slice(8, 16), slice(16, 22)]
    by_batch = [-np.diag(log_softmax(scores[block][:, bought[block]], axis=1)).sum() for block in blocks]
    np.testing.assert_allclose(losses["val_retrieval_loss"].iloc[-1], np.mean(by_batch), rtol=1e-4)


class OtherNames(tfrs.Model):
    """A model of somebody's own: its metric isn't called as ours are, and its loss has a part without any metric."""

    def __init__(self, goal, in_training=5.0):
        super().__init__()
        self.user_tower, self.product_tower = UserTower(VOCABULARY, dim=4), ProductTower(VOCABULARY, dim=4)
        self.guess, self.goal, self.in_training = tf.Variable(0.0), goal, in_training
        self.mae = tf.keras.metrics.Mean("mae")

    def compute_loss(self, features, training=False):
        goal = self.in_training if training else self.goal
        self.mae.update_state(tf.abs(self.guess - goal))
        return (self.guess - goal) ** 2


@pytest.mark.parametrize(("goal", "epochs"), [(5.0, 8), (-3.0, 3)])
def test_a_model_with_other_metrics_stops_by_its_own_loss(goal, epochs):
    losses = train_model(OtherNames(goal), TRAIN, epochs=8, batch_size=16, learning_rate=0.1, validation=VALIDATION)
    assert list(losses) == ["mae", "loss", "val_mae", "validation"]
    assert len(losses) == epochs
    assert losses["validation"].is_monotonic_decreasing == (goal == 5.0)


def test_a_validation_loss_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="the validation loss of OtherNames is nan: expected a finite number"):
        train_model(OtherNames(np.nan), TRAIN, epochs=3, validation=VALIDATION)


def test_a_training_that_came_to_nothing_is_told():
    with pytest.raises(ValueError, match="the loss of OtherNames in epoch 1 is nan: expected a finite number"):
        train_model(OtherNames(5.0, in_training=np.nan), TRAIN, epochs=3)
    diverging = build(RankingModel)
    diverging.compile(tf.keras.optimizers.SGD(1e6))
    with pytest.raises(ValueError, match=r"the loss of RankingModel in epoch . is (nan|inf)"):
        train_model(diverging, TRAIN, epochs=3)


def test_a_stack_stops_by_the_losses_of_its_pairs_and_their_weights():
    model = build(MultitaskModel, rating_weight=1.0, retrieval_weight=1.0, head=FactorHead(VOCABULARY))
    stack = StackedModel(model, [(0.3, 1.0), (2.0, 0.5)])
    losses = train_model(stack, TRAIN, epochs=1, batch_size=32, validation=VALIDATION)
    users, products, tastes = stack.tables()
    expected = 0.0
    for pair, (rating_weight, retrieval_weight) in enumerate([(0.3, 1.0), (2.0, 0.5)]):
        head = model.ranking.head
        names = VOCABULARY.users, VOCABULARY.products
        one = Factors(*names, users[pair], products[pair], tastes[pair], float(head.mean))
        errors = ((one.ratings(VALIDATION) - VALIDATION["rating"]) ** 2).sum()
        scores, bought = one.scores(VALIDATION), pd.Index(names[1]).get_indexer(VALIDATION["product_id"])
        expected += rating_weight * errors - retrieval_weight * np.diag(log_softmax(scores[:, bought], axis=1)).sum()
    np.testing.assert_allclose(losses["validation"].iloc[-1], expected, rtol=1e-4)


def test_training_twice_is_training_on():
    once = build(RetrievalModel, log_q=True)
    train_model(once, TRAIN, epochs=4, batch_size=16, seed=5)
    twice = build(RetrievalModel, log_q=True)
    for _ in range(2):
        train_model(twice, TRAIN, epochs=2, batch_size=16, seed=5)
    for ours, theirs in zip(weights(twice), weights(once)):
        np.testing.assert_array_equal(ours, theirs)


def test_training_on_after_an_interrupt_looks_at_its_own_validation_rows():
    def interrupt(epoch):
        raise KeyboardInterrupt

    settings = {"rating_weight": 1.0, "retrieval_weight": 1.0}
    halted = build(MultitaskModel, **settings)
    with pytest.raises(KeyboardInterrupt):
        train_model(halted, TRAIN, epochs=2, batch_size=16, validation=VALIDATION, after_epoch=interrupt)
    plain = build(MultitaskModel, **settings)
    train_model(plain, TRAIN, epochs=1, batch_size=16)
    some = VALIDATION[:9]
    losses = [train_model(model, TRAIN, epochs=2, batch_size=16, validation=some) for model in (halted, plain)]
    pd.testing.assert_frame_equal(*losses, check_exact=True)


def test_callbacks_of_keras_see_the_means_and_can_slow_down_and_stop_training():
    seen, rates = [], []

    class Look(tf.keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append((epoch, logs["val_loss"], logs["val_rating_loss"], logs["rating_loss"]))
            rates.append(float(self.model.optimizer.learning_rate.numpy()))
            self.model.stop_training = epoch == 4

    slower = tf.keras.callbacks.LearningRateScheduler(lambda epoch: 0.5 ** (epoch + 1))
    model = build(RankingModel)
    train_model(model, TRAIN, epochs=2, batch_size=16)
    given = {"validation": VALIDATION, "callbacks": [slower, Look()]}
    losses = train_model(model, TRAIN, epochs=9, batch_size=16, **given)
    assert rates == [0.125, 0.0625, 0.03125]
    columns = losses["validation"], losses["val_rating_loss"], losses["rating_loss"]
    assert seen == list(zip([2, 3, 4], *columns))


def test_a_fit_of_ones_own_after_training_is_keras_as_ever():
    model = build(RankingModel)
    train_model(model, TRAIN, epochs=1, batch_size=16, validation=VALIDATION)
    rows = training_rows(TRAIN, model.user_tower, model.product_tower)
    before = weights(model)
    told = model.fit(tf.data.Dataset.from_tensors(rows), epochs=2, verbose=0).history
    assert len(told["total_loss"]) == 2
    assert any((ours != theirs).any() for ours, theirs in zip(weights(model), before))


def test_validation_rows_teach_nothing():
    alone = build(RetrievalModel, unknown_user_dropout=0.3, log_q=True)
    without = train_model(alone, TRAIN, epochs=2, batch_size=32)
    watched = build(RetrievalModel, unknown_user_dropout=0.3, log_q=True)
    losses = train_model(watched, TRAIN, epochs=2, batch_size=32, validation=VALIDATION)
    np.testing.assert_array_equal(losses["retrieval_loss"], without["retrieval_loss"])
    for ours, theirs in zip(weights(watched), weights(alone)):
        np.testing.assert_array_equal(ours, theirs)


def test_validation_rows_of_unknown_products_are_left_out():
    strangers = VALIDATION[:7].assign(product_id="new")
    mixed = pd.concat([strangers[:3], VALIDATION[:9], strangers[3:], VALIDATION[9:]])
    settings = {"rating_weight": 1.0, "retrieval_weight": 1.0, "log_q": True}
    plain = train_model(build(MultitaskModel, **settings), TRAIN, epochs=2, batch_size=8, validation=VALIDATION)
    losses = train_model(build(MultitaskModel, **settings), TRAIN, epochs=2, batch_size=8, validation=mixed)
    pd.testing.assert_frame_equal(losses, plain)


def test_validation_needs_a_product_that_is_known():
    with pytest.raises(ValueError, match="no validation row has a product that the model knows"):
        train_model(build(RankingModel), TRAIN, epochs=1, validation=VALIDATION.assign(product_id="new"))


def climb(*, goal=None, epochs=12, quality=None):
    """Losses of a model that says about 1 star at first and learns to say 5; `goal` is what validation rows say."""
    model = build(RankingModel, head=DenseHead(start=1.0))
    validation = None if goal is None else VALIDATION.assign(rating=goal)
    fives = TRAIN.assign(rating=5.0)
    settings = {"epochs": epochs, "batch_size": 16, "learning_rate": 0.02}
    return train_model(model, fives, **settings, validation=validation, quality=quality)


def test_training_stops_two_epochs_after_the_best_one():
    losses = climb(goal=3.0)
    best = losses["validation"].idxmin()
    assert best > 1
    assert len(losses) == best + PATIENCE < 12


def test_training_that_stops_early_leaves_no_bar(monkeypatch):
    bars = []

    def bar(*rows, **settings):
        bars.append(notebook.tqdm(*rows, display=False, **settings))
        return bars[-1]

    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    monkeypatch.setattr("recsys_teach._util.tqdm", bar)
    assert len(climb(goal=-2.0)) == 3
    assert (bars[0].container.layout.visibility, bars[0].container.children[1].bar_style) == ("hidden", "")


def test_training_that_only_gets_worse_stops_after_the_third_epoch():
    losses = climb(goal=-2.0)
    assert losses["validation"].is_monotonic_increasing
    assert losses.index.tolist() == [1, 2, 3]


def test_training_that_gets_better_all_the_time_goes_on_to_the_last_epoch():
    losses = climb(goal=5.0, epochs=5)
    assert losses["validation"].is_monotonic_decreasing
    assert len(losses) == 5


def test_without_validation_training_goes_on_to_the_last_epoch():
    losses = climb(epochs=5)
    assert len(losses) == 5
    assert list(losses) == ["rating_loss", "loss"]


@pytest.mark.parametrize(
    ("validation", "stops"),
    [
        ([3.0, 2.0, 2.5, 2.1, 1.0], 4),
        ([3.0, 2.0, 2.5, 1.9, 2.0, 2.0, 2.0], 6),
        ([3.0, 2.0, 2.0, 2.0, 2.0], 4),  # to be as good again is not to be better
        ([2.0, 1.9995, 1.9985, 1.0], 3),  # nor is to be better by less than a thousandth
        ([2.0, 1.999, 1.997, 1.996, 1.9955], 5),  # a thousandth of the best, not of the last
        ([1.0, 2.0, 3.0], 3),
        ([float("inf"), 3.0, 2.0, 2.5], None),
        ([5.0, 4.0, 3.0, 2.0, 1.0], None),
        ([2.0, 3.0], None),
    ],
)
def test_two_epochs_without_progress_are_the_end(validation, stops):
    over = [epoch for epoch in range(1, len(validation) + 1) if out_of_patience(validation[:epoch])]
    assert (over[0] if over else None) == stops


@pytest.mark.parametrize(
    ("losses", "patience", "progress", "stops"),
    [
        ([3.0, 2.0, 2.0, 1.0], 1, 0.0, 3),
        ([3.0, 2.0, 2.5, 2.4, 2.3, 2.2, 1.0], 4, 0.0, 6),
        ([3.0, 2.0, 2.5, 2.4, 2.3, 2.2, 1.0], 5, 0.0, None),
        ([3.0, 2.9999, 2.9998, 2.9997], 2, 0.0, None),  # without `progress` any fall counts,
        ([3.0, 3.0, 3.0, 1.0], 2, 0.0, 3),  # but there has to be one
        ([4.0, 3.0, 2.0, 0.0], 2, 0.5, 3),  # half of 4 isn't below half of 4
        ([4.0, 3.0, 1.9, 1.8], 2, 0.5, None),
        ([-1.0, -3.0, -2.0, -3.0, -2.9, -2.5, -9.0], 4, 0.0, 6),
        ([-5.0, -4.0, -3.0, -2.0], 3, 0.0, 4),  # to rise is no progress below zero either
        ([-1.0, -2.0, -3.0, -4.0], 1, 0.0, None),
        ([-2.0, -2.001, -2.0015, -3.0], 2, 0.001, 3),  # a thousandth of -2 below it is -2.002
        ([-2.0, -2.001, -2.0025, -2.003], 2, 0.001, None),
        ([1.0, 0.0, -1e-9, 1.0], 2, 0.001, None),  # a thousandth of 0 is 0
        ([], 1, 0.0, None),
    ],
)
def test_patience_and_progress_by_hand_below_zero_too(losses, patience, progress, stops):
    lengths = range(len(losses) + 1)
    over = [epoch for epoch in lengths if out_of_patience(losses[:epoch], patience=patience, progress=progress)]
    assert (over[0] if over else None) == stops


@pytest.mark.parametrize(
    ("qualities", "epochs"),
    [
        ([1.0, 3.0, 2.0, 2.5, 2.0, 2.9, 9.0], 6),
        ([1.0, 3.0, 2.0, 3.0, 2.0, 2.0, 9.0], 6),  # to be as good again is not to be better
        ([3.0, 2.0, 2.0, 2.0, 2.0, 9.0], 5),
        ([3.0, 2.0, 2.0, 2.0, 3.0001, 2.0, 2.0, 2.0], 8),  # however small a rise is
        ([-9.0, -8.0, -8.5, -8.5, -8.5, -8.5, 0.0], 6),
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], 6),
    ],
)
def test_training_stops_after_four_epochs_in_which_the_quality_has_not_risen(qualities, epochs):
    losses = train_model(
        build(RankingModel), TRAIN, epochs=len(qualities), batch_size=32, quality=iter(qualities).__next__
    )
    assert list(losses) == ["rating_loss", "loss", "quality"]
    assert losses["quality"].tolist() == qualities[:epochs]
    assert losses.index.tolist() == list(range(1, epochs + 1))


def test_the_quality_wins_over_the_validation_loss():
    loss_rises = climb(goal=-2.0, epochs=7, quality=iter(range(7)).__next__)
    assert list(loss_rises) == ["rating_loss", "loss", "val_rating_loss", "validation", "quality"]
    assert loss_rises["validation"].is_monotonic_increasing  # that alone would end it after three epochs
    assert len(loss_rises) == 7
    loss_falls = climb(goal=5.0, epochs=7, quality=iter(range(0, -7, -1)).__next__)
    assert loss_falls["validation"].is_monotonic_decreasing  # that alone would never end it
    assert len(loss_falls) == 5


def test_the_quality_is_that_of_the_model_after_each_epoch():
    def sum_of_scores(model):
        return float(model.scores(VALIDATION).sum())

    expected = []
    for epochs in (1, 2, 3):
        plain = build(RetrievalModel)
        train_model(plain, TRAIN, epochs=epochs, batch_size=16, seed=2)
        expected.append(sum_of_scores(plain))
    assert len(set(expected)) == 3
    model = build(RetrievalModel)
    losses = train_model(model, TRAIN, epochs=3, batch_size=16, seed=2, quality=lambda: sum_of_scores(model))
    assert losses["quality"].tolist() == expected


@pytest.mark.parametrize("rated", [6, 0])
def test_purchases_that_nobody_rated_leave_no_nan_in_the_weights(rated):
    some_rated = TRAIN.assign(rating=TRAIN["rating"].where(TRAIN.index < rated))  # most batches have no rating at all
    vocabulary = learn_vocabulary(some_rated)
    weigh = {"rating_weight": 1.0, "retrieval_weight": 1.0}
    model = build(MultitaskModel, head=FactorHead(vocabulary), l2=0.1, **weigh)
    before = model.ratings(TRAIN), model.scores(TRAIN)
    losses = train_model(model, some_rated, epochs=2, batch_size=4)
    assert np.isfinite(losses).all(axis=None)
    assert all(np.isfinite(values).all() for values in weights(model))
    assert (model.ratings(TRAIN) != before[0]).any()
    assert (model.scores(TRAIN) != before[1]).any()


def test_a_table_without_ratings_has_the_mean_0_and_the_spread_1():
    for purchases in (TRAIN.drop(columns="rating"), TRAIN.assign(rating=np.nan)):
        vocabulary = learn_vocabulary(purchases)
        assert (vocabulary.biases.mean, vocabulary.rating_spread) == (0, 1)
        assert (vocabulary.biases.ratings(TRAIN) == 0).all()
