"""Floor 3: rating heads. A head looks at the vectors of a user and of a product and predicts stars.

Both answer `head(users, products, ids) -> [batch, 1]`, and `penalty(ids)` is what their own regularisation adds to
the loss of a batch.
"""

from collections.abc import Sequence

from recsys_teach.backend import tf
from recsys_teach.features import Ids, Vocabulary, by_id
from recsys_teach.schema import PRODUCT, USER


class DenseHead(tf.keras.layers.Layer):
    """The textbook's head: dense layers on both vectors side by side.

    Args:
        sizes: widths of the hidden layers, relu.
        start: stars predicted before training, more or less. The textbook starts at 0, far from any rating.
    """

    def __init__(self, sizes: Sequence[int] = (32, 16), *, start: float = 0.0):
        super().__init__()
        hidden = [tf.keras.layers.Dense(size, activation="relu") for size in sizes]
        self.dense = [*hidden, tf.keras.layers.Dense(1, bias_initializer=tf.keras.initializers.Constant(start))]

    def call(self, users: tf.Tensor, products: tf.Tensor, ids: Ids) -> tf.Tensor:
        vectors = tf.concat([users, products], axis=1)
        for layer in self.dense:
            vectors = layer(vectors)
        return vectors

    def penalty(self, ids: Ids) -> tf.Tensor:
        return tf.constant(0.0)


class FactorHead(tf.keras.layers.Layer):
    """Biased matrix factorisation: it starts from the mean rating and learns only what differs from it.

        stars = mean + b_u + b_p + scale · (u · p)

    (Koren et al. 2009, "Matrix factorization techniques for recommender systems".) The biases are damped as in
    `baselines.DampedBiases`: each costs damping · b², spread over the training rows of its user or product.

    Args:
        damping: how many average ratings each user and product is given beforehand.
        scale: stars a unit of the dot product. It is fixed, for a learned one would grow until the penalty on the
            vectors' lengths meant nothing.
    """

    def __init__(self, vocabulary: Vocabulary, *, damping: float = 5.0, scale: float = 0.5):
        super().__init__()
        self.mean, self.damping, self.scale = vocabulary.mean_rating, damping, scale
        rows = float(vocabulary.user_counts.sum())
        self.user_counts = by_id(vocabulary.user_counts, unknown=rows)
        self.product_counts = by_id(vocabulary.product_counts, unknown=rows)
        self.user_bias = tf.keras.layers.Embedding(len(vocabulary.users) + 1, 1, embeddings_initializer="zeros")
        self.product_bias = tf.keras.layers.Embedding(len(vocabulary.products) + 1, 1, embeddings_initializer="zeros")

    def call(self, users: tf.Tensor, products: tf.Tensor, ids: Ids) -> tf.Tensor:
        biases = self.user_bias(ids[USER]) + self.product_bias(ids[PRODUCT])
        return self.mean + biases + self.scale * tf.reduce_sum(users * products, axis=1, keepdims=True)

    def penalty(self, ids: Ids) -> tf.Tensor:
        """damping · Σ_batch (b_u² / n_u + b_p² / n_p): over an epoch, damping · b² for each bias."""
        users = self.user_bias(ids[USER])[:, 0] ** 2 / tf.gather(self.user_counts, ids[USER])
        products = self.product_bias(ids[PRODUCT])[:, 0] ** 2 / tf.gather(self.product_counts, ids[PRODUCT])
        return self.damping * tf.reduce_sum(users + products)
