"""Stacking: train many pairs of weights in one run.

Models that differ only in their weights share batches, lookups, masks and corrections; only their parameters differ.
So the parameters are stacked: one table holds the users of all models, one the products, and one step of training
updates all of them. Each model learns exactly what it would learn alone, since the sum of the losses has, for every
parameter, the gradient of its own model's loss.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from recsys_teach._util import progress_bar
from recsys_teach.backend import tf, tfrs
from recsys_teach.features import Ids, gather_rows
from recsys_teach.lab.sweep import Factors, Sweep
from recsys_teach.multitask import MultitaskModel, check_weights
from recsys_teach.ranking import FactorHead
from recsys_teach.schema import PRODUCT, RATING, USER
from recsys_teach.towers import ProductTower, UserTower, training_rows
from recsys_teach.training import train_model

WIDTH = 16  # the columns of a batch are a multiple of it: TensorFlow compiles code for every new shape
ONE_AT_A_TIME = threading.RLock()  # who has borrowed a model to answer or to train; the lab trains in a thread
UNTRAINED = {"optimizer": None, "epochs_trained": 0}  # of a model: it is trained from the beginning
Weights = Sequence[tuple[float, float]]  # rating_weight and retrieval_weight of each pair


class StackedModel(tfrs.Model):
    """Copies of one multitask model, each with weights of its own.

    Args:
        model: an untrained `MultitaskModel` whose towers know ids only and whose head is a `FactorHead`. All copies
            start from its parameters; its own weights don't matter, its corrections hold for all.
        weights: `(rating_weight, retrieval_weight)` of each copy.
    """

    def __init__(self, model: MultitaskModel, weights: Weights):
        super().__init__()
        if not len(weights):
            raise ValueError(
                "there are no weights to train: expected one pair (rating_weight, retrieval_weight) or more."
            )
        for pair in weights:
            check_weights(*pair)
        head = model.ranking.head
        towers = model.user_tower, model.product_tower
        plain = not any(tower.parts or tower.dense or type(tower) not in (UserTower, ProductTower) for tower in towers)
        if not (plain and isinstance(head, FactorHead)):
            raise ValueError(
                "only models of ids alone with a FactorHead can be stacked: leave other columns and layers out."
            )
        users, products = model.user_tower.embedding.embeddings, model.product_tower.embedding.embeddings
        if not head.built:
            head.build(users.shape)
        bias = model.retrieval.product_bias
        scores = bias.embeddings if bias else tf.zeros_like(products[:, :1])
        self.like = SimpleNamespace(model=model)  # so that Keras doesn't train the original's parameters
        self.pairs = len(weights)
        self.weights_of_pairs = tf.constant(weights, tf.float32)
        own = [[head.own_user.embeddings], [head.own_product.embeddings]] if head.own_dim else [[], []]
        self.sizes = [users.shape[1], head.own_dim, 1]  # of the parts of a row: vector, the head's own vector, bias
        self.user_table = self._stack([users, *own[0], head.user_bias.embeddings], "users")
        self.product_table = self._stack([products, *own[1], head.product_bias.embeddings, scores], "products")
        start = tf.tile(head.weight[None, None], [self.pairs, 1, 1])
        self.head_weight = tf.Variable(start, trainable=head.pull is not None, name="head_weight")
        self.means = [tf.keras.metrics.Mean(name) for name in ("rating_loss", "retrieval_loss")]

    def _stack(self, columns: list[tf.Tensor], name: str) -> tf.Variable:
        """Return a variable `[ids, pairs, width]`: all pairs' rows of an id are gathered and updated together."""
        return tf.Variable(tf.tile(tf.concat(columns, axis=1)[:, None], [1, self.pairs, 1]), name=name)

    @property
    def user_tower(self) -> UserTower:
        return self.like.model.user_tower

    @property
    def product_tower(self) -> ProductTower:
        return self.like.model.product_tower

    def call(self, ids: Ids, training: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the rows of the users and of the products in every pair's tables, `[pairs, batch, width]`."""
        rows = tf.gather(self.user_table, ids[USER]), tf.gather(self.product_table, ids[PRODUCT])
        return tuple(tf.transpose(table, [1, 0, 2]) for table in rows)

    def compute_loss(self, ids: Ids, training: bool = False) -> tf.Tensor:
        """Return the sum of the losses that each copy's own `MultitaskModel.compute_loss` would return."""
        ids = self.like.model.retrieval.drop_users(ids) if training else ids
        different, column, copies = tf.unique_with_counts(ids[PRODUCT])  # a batch often holds a product several times
        spare = [[0, -tf.size(different) % WIDTH]]
        different, copies = tf.pad(different, spare), tf.pad(copies, spare)
        user_rows, candidate_rows = self(ids | {PRODUCT: different}, training=training)
        users, *own_user = tf.split(user_rows, self.sizes, axis=2)
        candidates, *own_candidate, candidate_score = tf.split(candidate_rows, [*self.sizes, 1], axis=2)
        products, *own_product = (tf.gather(part, column, axis=1) for part in (candidates, *own_candidate))
        losses = tf.stack(
            [
                self._rating_losses(users, products, own_user, own_product, ids),
                self._retrieval_losses(users, candidates, candidate_score, different, column, copies),
            ],
            axis=1,
        )
        for mean, loss in zip(self.means, tf.unstack(losses, axis=1)):
            mean.update_state(loss)
        loss = tf.reduce_sum(self.weights_of_pairs * losses)
        head_costs = self._own_costs(own_user, own_product, ids) + self._weight_costs(ids)
        penalty = tf.reduce_sum(self.weights_of_pairs[:, 0] * head_costs)
        penalty += self.like.model.l2 * (tf.nn.l2_loss(users) + tf.nn.l2_loss(products))
        return loss + penalty if training else loss

    def _rating_losses(self, users, products, own_user, own_product, ids: Ids) -> tf.Tensor:
        """Return each pair's squared errors, `[pairs]`: see `RankingModel` and `FactorHead`.

        `own_user` and `own_product` are the head's: vectors `[pairs, batch, own_dim]` and biases `[pairs, batch, 1]`.
        """
        head = self.like.model.ranking.head
        (own_user, user_bias), (own_product, product_bias) = own_user, own_product
        known = tf.cast((ids[USER] > 0) & (ids[PRODUCT] > 0), tf.float32)
        taste = tf.reduce_sum(self.head_weight * users * products, axis=2)
        taste += tf.reduce_sum(own_user * own_product, axis=2)
        biases = tf.squeeze(user_bias + product_bias, 2)
        # Not spread * (three terms): TensorFlow adds three of one shape in an order that is up to its threads.
        predicted = head.mean + head.spread * biases + known * (head.spread * taste)
        rated = tf.math.is_finite(ids[RATING])
        errors = tf.where(rated, predicted - tf.where(rated, ids[RATING], 0.0), 0.0)
        return tf.reduce_sum(errors**2, axis=1)

    def _own_costs(self, own_user, own_product, ids: Ids) -> tf.Tensor:
        """Return the penalty of each pair's own vectors and biases, `[pairs]`: see `FactorHead.penalty`."""
        head = self.like.model.ranking.head
        (own_user, user_bias), (own_product, product_bias) = own_user, own_product
        costs = user_bias**2 / tf.gather(head.user_counts, ids[USER])[:, None]
        costs += product_bias**2 / tf.gather(head.product_counts, ids[PRODUCT])[:, None]
        lengths = tf.reduce_sum(own_user**2 + own_product**2, axis=[1, 2]) / 2
        return head.spread**2 * (head.damping * tf.reduce_sum(costs, axis=[1, 2]) + head.own_l2 * lengths)

    def _weight_costs(self, ids: Ids) -> tf.Tensor:
        """Return the penalty of each pair's weights of the dimensions, `[pairs]`: see `FactorHead.penalty`."""
        head = self.like.model.ranking.head
        unlike = self.head_weight - tf.reduce_mean(self.head_weight, axis=2, keepdims=True)
        share = tf.cast(tf.size(ids[USER]), tf.float32) / head.rows
        return (head.pull or 0.0) * head.spread**2 * share * tf.reduce_sum(unlike**2, axis=[1, 2])

    def _retrieval_losses(self, users, candidates, offset, different, column, copies) -> tf.Tensor:
        """Return each pair's in-batch softmax loss, `[pairs]`.

        It is that of `tfrs.tasks.Retrieval`, with a column for each product of the batch instead of one for each row:
        c copies of a score s equal one score of s + log c, since c · eˢ = e^(s + log c).
        """
        retrieval = self.like.model.retrieval
        offset = offset if retrieval.product_bias else tf.zeros_like(offset)
        if retrieval.log_q is not None:
            offset -= tf.gather(retrieval.log_q, different)[:, None]
        users = tf.concat([users, tf.ones_like(users[:, :, :1])], axis=2)  # u · p + b is (u, 1) · (p, b)
        candidates = tf.concat([candidates, offset], axis=2)
        log_copies = tf.math.log(tf.cast(copies, tf.float32))
        if retrieval.remove_accidental_hits:  # copies of a row's own product aren't its negatives
            log_copies *= tf.one_hot(column, tf.size(different), on_value=0.0, off_value=1.0)
        logits = tf.matmul(users, candidates, transpose_b=True) + log_copies
        own = tf.reduce_sum(users * tf.gather(candidates, column, axis=1), axis=2)
        return tf.reduce_sum(tf.reduce_logsumexp(logits, axis=2) - own, axis=1)

    def tables(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the tables of users, products and taste by pair, with biases in stars: see `sweep.Factors`."""
        users, products = (table.numpy().swapaxes(0, 1) for table in (self.user_table, self.product_table))
        head = self.like.model.ranking.head
        users[:, :, -1] *= head.spread
        products[:, :, -2] *= head.spread
        taste = np.pad(self.head_weight.numpy()[:, 0], [(0, 0), (0, head.own_dim)], constant_values=1.0)
        return users, products, head.spread * taste


class OneOfMany:
    """One of the models that were trained one after another, as a recommender.

    Args:
        model: what they have in common. It keeps parameters of its own, which are put back after every answer.
        parameters: those of this model, from `get_weights`.
    """

    def __init__(self, model: MultitaskModel, parameters: list[np.ndarray]):
        self.model, self.parameters = model, parameters

    @property
    def products(self) -> list[str]:
        return self.model.products

    def scores(self, reviews: pd.DataFrame) -> np.ndarray:
        """Return the score of every product for each row's user, `[rows, products]`."""
        with _restored(self.model):
            self.model.set_weights(self.parameters)
            return self.model.scores(reviews)

    def ratings(self, reviews: pd.DataFrame) -> np.ndarray:
        """Return the predicted stars of each row, `[rows]`."""
        with _restored(self.model):
            self.model.set_weights(self.parameters)
            return self.model.ratings(reviews)


def train_sweep(
    model: MultitaskModel,
    weights: Weights,
    train: pd.DataFrame,
    test: pd.DataFrame,
    *,
    oracle: Any = None,
    visible: Sequence[str] = (),
    after_epoch: Callable[[int], None] | None = None,
    **settings: Any,
) -> Sweep:
    """Train a copy of `model` for each pair of weights, and score them on the test rows.

    Models that can be stacked are trained in one run: those of ids alone, with a `FactorHead`, none of whose classes is
    a subclass. Others are trained one pair after another, each as it would be alone after
    `tf.keras.utils.set_random_seed(seed)`, which takes as many times as long.

    `oracle` and `visible` are those of `Sweep.from_recommenders`, the `settings` those of `train_model`: epochs,
    batch_size, learning_rate, seed. `after_epoch` is called with the number of each epoch, from 1, which goes on from
    pair to pair. `model` itself stays untrained, and can be used again.
    """
    pairs = [(float(rating), float(retrieval)) for rating, retrieval in dict.fromkeys(map(tuple, weights))]
    train_all = _train_stacked if _can_be_stacked(model) else _train_one_by_one
    recommenders = train_all(model, pairs, train, after_epoch=after_epoch, **settings)
    return Sweep.from_recommenders(dict(zip(pairs, recommenders)), train, test, oracle=oracle, visible=visible)


def _can_be_stacked(model: MultitaskModel) -> bool:
    """Return whether `StackedModel` computes what this model does; of a subclass, it can't know."""
    classes = [(model, MultitaskModel), (model.user_tower, UserTower), (model.product_tower, ProductTower)]
    if any(type(part) is not expected for part, expected in classes) or type(model.ranking.head) is not FactorHead:
        return False
    return not any(tower.parts or tower.dense for tower in (model.user_tower, model.product_tower))


def _train_stacked(model: MultitaskModel, weights: Weights, train: pd.DataFrame, **settings: Any) -> list[Factors]:
    """Train all pairs in one run, and return the recommender of each."""
    stack = StackedModel(model, weights)
    train_model(stack, train, **settings)
    vocabulary, head = model.user_tower.vocabulary, model.ranking.head
    names = vocabulary.users, vocabulary.products
    return [Factors(*names, *tables, mean=float(head.mean), own_dim=head.own_dim) for tables in zip(*stack.tables())]


def _train_one_by_one(
    model: MultitaskModel,
    weights: Weights,
    train: pd.DataFrame,
    *,
    after_epoch: Callable[[int], None] | None = None,
    seed: int = 0,
    **settings: Any,
) -> list[OneOfMany]:
    """Train one pair after another from the same parameters, and return the recommender of each."""
    for pair in weights:
        check_weights(*pair)
    rows = training_rows(train[:1], model.user_tower, model.product_tower)
    model.compute_loss(gather_rows(rows, [0, 0]), training=True)  # makes all variables
    epoch = count(1)
    recommenders = []
    with _restored(model), progress_bar(total=len(weights), desc="train_sweep", unit="pair") as bar:
        parameters = model.get_weights()
        for rating_weight, retrieval_weight in weights:
            _set(model, parameters, UNTRAINED | {"rating_weight": rating_weight, "retrieval_weight": retrieval_weight})
            tf.keras.utils.set_random_seed(seed)
            told = (lambda _: after_epoch(next(epoch))) if after_epoch else None
            train_model(model, train, seed=seed, after_epoch=told, **settings)
            recommenders.append(OneOfMany(model, model.get_weights()))
            bar.update()
    return recommenders


@contextmanager
def _restored(model: MultitaskModel) -> Iterator[None]:
    """Put a model's parameters and settings back at the end of the block; meanwhile other threads wait."""
    with ONE_AT_A_TIME:
        parameters = model.get_weights()
        settings = {name: getattr(model, name, None) for name in ("rating_weight", "retrieval_weight")}
        settings |= {name: getattr(model, name, value) for name, value in UNTRAINED.items()}
        try:
            yield
        finally:
            _set(model, parameters, settings)


def _set(model: MultitaskModel, parameters: list[np.ndarray], settings: dict[str, Any]) -> None:
    model.set_weights(parameters)
    for name, value in settings.items():
        setattr(model, name, value)
