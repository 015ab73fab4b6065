"""Layer 3: rating heads. A head looks at the vectors of a user and of a product and predicts stars.

Both answer `head(users, products, ids) -> [batch, 1]`, and `penalty(ids)` is what their own regularisation adds to
the loss of a batch.
"""

from collections.abc import Sequence

from recsys_teach.backend import tf
from recsys_teach.features import Ids, Vocabulary, by_id
from recsys_teach.schema import PRODUCT, SUMMARY, TITLE, USER


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
    """Biased matrix factorisation: it starts from the damped biases and learns only what differs from them.

        stars = mean + spread · (b_u + b_p + scale · u · p)

    (Koren et al. 2009, "Matrix factorization techniques for recommender systems".) `spread` is the standard deviation
    of the ratings, so that it makes no difference whether they go up to 5 or to 100. The biases are damped as in
    `baselines.DampedBiases`: each costs damping · (spread · b)², divided among the rows of its user or product. Of a
    user or product that is unknown and has no known words either, there is no taste to speak of: u · p is left out.

    Args:
        scale: what a unit of the dot product is worth. It is fixed, for a learned one would grow until the penalty on
            the vectors' lengths meant nothing.
    """

    def __init__(self, vocabulary: Vocabulary, *, scale: float = 0.5):
        super().__init__()
        biases = vocabulary.biases
        self.mean, self.damping, self.scale, self.spread = biases.mean, biases.damping, scale, vocabulary.rating_spread
        rows = float(vocabulary.user_counts.sum())
        self.user_counts = by_id(vocabulary.user_counts, unknown=rows)
        self.product_counts = by_id(vocabulary.product_counts, unknown=rows)
        self.user_bias = _table(by_id(biases.user_bias[vocabulary.users].to_numpy() / self.spread, unknown=0.0))
        self.product_bias = _table(
            by_id(biases.product_bias[vocabulary.products].to_numpy() / self.spread, unknown=0.0)
        )

    def call(self, users: tf.Tensor, products: tf.Tensor, ids: Ids) -> tf.Tensor:
        biases = self.user_bias(ids[USER]) + self.product_bias(ids[PRODUCT])
        taste = self.scale * tf.reduce_sum(users * products, axis=1, keepdims=True)
        known = _known(ids, USER, SUMMARY) & _known(ids, PRODUCT, TITLE)
        return self.mean + self.spread * (biases + tf.where(known[:, None], taste, 0.0))

    def penalty(self, ids: Ids) -> tf.Tensor:
        """damping · spread² · Σ_batch (b_u² / n_u + b_p² / n_p): over an epoch, each bias costs it once."""
        lookup = tf.nn.embedding_lookup
        users = self.user_bias(ids[USER])[:, 0] ** 2 / lookup(self.user_counts, ids[USER])
        products = self.product_bias(ids[PRODUCT])[:, 0] ** 2 / lookup(self.product_counts, ids[PRODUCT])
        return self.damping * self.spread**2 * tf.reduce_sum(users + products)


def _known(ids: Ids, column: str, text: str) -> tf.Tensor:
    """Is there anything to tell these users (or products) by, an id or a word? `[batch]`."""
    known = ids[column] > 0
    return known | tf.reduce_any(ids[text] > 1, axis=1) if text in ids else known  # 0 pads, 1 is unknown


def _table(values: tf.Tensor) -> tf.keras.layers.Embedding:
    """Numbers by id that training may change, `[ids]` → `[ids, 1]`."""
    start = tf.keras.initializers.Constant(values[:, None])
    return tf.keras.layers.Embedding(len(values), 1, embeddings_initializer=start)
