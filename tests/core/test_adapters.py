"""Models in the idiom of TFRS' tutorials: trained, on the scoreboard, in the lab, and exported."""

import numpy as np
import pandas as pd
import pytest

from recsys_teach import Popularity, RetrievalModel, UserTower, learn_vocabulary, recommender, scoreboard, train_model
from recsys_teach.backend import tf, tfrs
from recsys_teach.lab import Sweep
from recsys_teach.serving import Server, export
from recsys_teach.splits import split_at_random
from recsys_teach.towers import ProductTower


def planted():
    """Users of even numbers buy and like products of even numbers, the others the others; one purchase in ten errs."""
    rng = np.random.default_rng(0)
    pairs = np.array([(user, product) for user in range(40) for product in range(20)])
    alike = pairs[:, 0] % 2 == pairs[:, 1] % 2
    bought = np.where(alike, rng.random(len(pairs)) < 0.6, rng.random(len(pairs)) < 0.06)
    (users, products), alike = pairs[bought].T, alike[bought]
    table = {
        "user_id": [f"u{user}" for user in users],
        "product_id": [f"p{product}" for product in products],
        "title": [f"{'even' if product % 2 == 0 else 'odd'} {product}" for product in products],
        "rating": np.where(alike, 5.0, 1.0) - (rng.random(len(users)) < 0.2),
        "timestamp": pd.to_datetime(rng.integers(10**9, 11 * 10**8, len(users)), unit="s", utc=True),
    }
    return pd.DataFrame(table).sample(frac=1, random_state=0, ignore_index=True)


TRAIN, TEST = split_at_random(planted(), seed=0)
USERS, PRODUCTS = (sorted(TRAIN[column].unique()) for column in ("user_id", "product_id"))


def embedding(names, dim=8):
    """Strings to vectors, as a tutorial writes it."""
    lookup = tf.keras.layers.StringLookup(vocabulary=names, mask_token=None)
    return tf.keras.Sequential([lookup, tf.keras.layers.Embedding(len(names) + 1, dim)])


class Retrieval(tfrs.Model):
    """Two Keras models and a task, with the metric of the tutorials."""

    def __init__(self):
        super().__init__()
        self.user_model, self.movie_model = embedding(USERS), embedding(PRODUCTS)
        candidates = tf.data.Dataset.from_tensor_slices(PRODUCTS).batch(8).map(self.movie_model)
        self.task = tfrs.tasks.Retrieval(metrics=tfrs.metrics.FactorizedTopK(candidates=candidates, ks=(5,)))

    def compute_loss(self, features, training=False):
        users, movies = self.user_model(features["user_id"]), self.movie_model(features["product_id"])
        return self.task(users, movies, compute_metrics=not training)


class Ranking(tfrs.Model):
    """Stars from both embeddings; the features are a dictionary."""

    def __init__(self):
        super().__init__()
        self.user_model, self.movie_model = embedding(USERS), embedding(PRODUCTS)
        self.rating_model = tf.keras.Sequential([tf.keras.layers.Dense(16, "relu"), tf.keras.layers.Dense(1)])
        metrics = [tf.keras.metrics.RootMeanSquaredError(name="rmse")]
        self.task = tfrs.tasks.Ranking(loss=tf.keras.losses.MeanSquaredError(), metrics=metrics)

    def call(self, features):
        users, movies = self.user_model(features["user_id"]), self.movie_model(features["product_id"])
        return self.rating_model(tf.concat([users, movies], axis=1))

    def compute_loss(self, features, training=False):
        return self.task(labels=features["rating"], predictions=self(features))


class Multitask(tfrs.Model):
    """Both tasks, with two weights."""

    def __init__(self, rating_weight, retrieval_weight):
        super().__init__()
        self.rating_weight, self.retrieval_weight = rating_weight, retrieval_weight
        self.user_model, self.movie_model = embedding(USERS), embedding(PRODUCTS)
        self.rating_model = tf.keras.Sequential([tf.keras.layers.Dense(16, "relu"), tf.keras.layers.Dense(1)])
        self.rating_task = tfrs.tasks.Ranking(loss=tf.keras.losses.MeanSquaredError())
        self.retrieval_task = tfrs.tasks.Retrieval()

    def call(self, features):
        users, movies = self.user_model(features["user_id"]), self.movie_model(features["product_id"])
        return users, movies, self.rating_model(tf.concat([users, movies], axis=1))

    def compute_loss(self, features, training=False):
        users, movies, stars = self(features)
        rating = self.rating_task(labels=features["rating"], predictions=stars)
        return self.rating_weight * rating + self.retrieval_weight * self.retrieval_task(users, movies)


def trained(build, *settings):
    tf.keras.utils.set_random_seed(0)
    model = build(*settings)
    return model, train_model(model, TRAIN, epochs=30 if build is Ranking else 8, batch_size=32)


@pytest.fixture(scope="module")
def models():
    return {
        build.__name__: trained(build, *weights) for build, *weights in ((Retrieval,), (Ranking,), (Multitask, 20, 1))
    }


@pytest.fixture(scope="module")
def recommenders(models):
    retrieval, ranking, multitask = (model for model, _ in models.values())
    return {
        "retrieval": recommender(retrieval.user_model, retrieval.movie_model, PRODUCTS),
        "ranking": recommender(ranking.user_model, ranking.movie_model, PRODUCTS, rating_model=ranking.rating_model),
        "multitask": recommender(
            multitask.user_model, multitask.movie_model, PRODUCTS, rating_model=multitask.rating_model
        ),
    }


def test_they_are_trained_and_tell_their_own_losses(models):
    for _, losses in models.values():
        assert losses["loss"].iloc[-1] < 0.95 * losses["loss"].iloc[0]
    assert "rmse" in models["Ranking"][1]
    assert "factorized_top_k/top_5_categorical_accuracy" in models["Retrieval"][1]


def test_a_training_is_keras_fit_with_the_same_batches(models):
    tf.keras.utils.set_random_seed(0)
    plain = Retrieval()
    plain.compile(tf.keras.optimizers.Adagrad(0.1))
    rng, columns = np.random.default_rng(0), {name: TRAIN[name].to_numpy(object) for name in ("user_id", "product_id")}
    for _ in range(8):
        order = rng.permutation(len(TRAIN))
        rows = tf.data.Dataset.from_tensor_slices({name: values[order] for name, values in columns.items()})
        plain.fit(rows.batch(32), verbose=0)
    for ours, theirs in zip(models["Retrieval"][0].trainable_variables, plain.trainable_variables):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_they_stand_on_the_scoreboard_beside_the_others(recommenders):
    board = scoreboard(recommenders | {"popularity": Popularity(TRAIN)}, TRAIN, TEST, k=(5,))
    assert board.loc["retrieval", "hit@5"] > 1.2 * board.loc["popularity", "hit@5"]
    assert board.loc["multitask", "hit@5"] > 1.1 * board.loc["popularity", "hit@5"]
    assert np.isnan(board.loc["retrieval", "rmse"])
    assert board.loc["ranking", "rmse"] < TEST["rating"].std()
    assert board.loc["multitask", "rmse"] < 2


def test_scores_and_ratings_are_those_of_the_models(models, recommenders):
    model, few = models["Multitask"][0], TEST.head(5)
    users, movies = model.user_model(few["user_id"].to_numpy(object)), model.movie_model(np.array(PRODUCTS, object))
    np.testing.assert_allclose(recommenders["multitask"].scores(few), users.numpy() @ movies.numpy().T, rtol=1e-5)
    features = {name: tf.constant(few[name].to_numpy(object), tf.string) for name in ("user_id", "product_id")}
    np.testing.assert_allclose(recommenders["multitask"].ratings(few), model(features)[2][:, 0], rtol=1e-5)


def test_they_go_into_the_lab(recommenders):
    sweep = Sweep.from_recommenders({(1, 1): recommenders["multitask"], (0, 1): recommenders["retrieval"]}, TRAIN, TEST)
    assert sweep.board["hit@10"].notna().all()


@pytest.mark.parametrize("name", ["retrieval", "multitask"])
def test_they_are_exported_and_answer_the_same(name, recommenders, tmp_path):
    server = Server(recommenders[name], TRAIN)
    users = tf.constant(["u3", "u8", "nobody"])
    expected = server.recommend(user_id=users, k=4)
    loaded = tf.saved_model.load(str(export(server, tmp_path))).signatures["serving_default"]
    answer = loaded(user_id=users, k=tf.constant(4))
    np.testing.assert_array_equal(answer["product_id"], expected["product_id"])
    for key in ("score", "stars"):
        np.testing.assert_allclose(answer[key], expected[key], rtol=1e-6)
    bought = set(TRAIN.loc[TRAIN["user_id"] == "u3", "product_id"])
    assert not bought & {product.decode() for product in answer["product_id"][0].numpy()}
    assert np.isnan(answer["stars"]).all() == (name == "retrieval")


def test_stars_cannot_count_where_none_are_predicted(recommenders):
    with pytest.raises(ValueError, match="this model doesn't predict stars"):
        Server(recommenders["retrieval"], TRAIN, stars_weight=1.0)


class ByTitle(tf.keras.Model):
    """A model that reads a dictionary with names of its own."""

    def __init__(self):
        super().__init__()
        self.words = tf.keras.layers.TextVectorization(vocabulary=["even", "odd"])
        self.embedding = tf.keras.layers.Embedding(4, 8)

    def call(self, inputs):
        return tf.reduce_mean(self.embedding(self.words(inputs["movie_title"])), axis=1)


class ByTime(tf.keras.Model):
    """A model that reads a text and a number."""

    def __init__(self):
        super().__init__()
        self.users = embedding(USERS, dim=7)
        self.time = tf.keras.layers.Normalization(mean=1.05e9, variance=1e16, axis=None)

    def call(self, inputs):
        time = self.time(tf.cast(inputs["timestamp"], tf.float32))
        return tf.concat([self.users(inputs["user_id"]), time[:, None]], axis=1)


def test_other_columns_and_names_are_read_scored_and_exported(tmp_path):
    tf.keras.utils.set_random_seed(0)
    products = TRAIN[["product_id", "title"]].drop_duplicates()
    columns = {"user_columns": ["user_id", "timestamp"], "item_columns": {"movie_title": "title"}}
    found = recommender(ByTime(), ByTitle(), products, **columns)
    scores = found.scores(TEST)
    assert scores.shape == (len(TEST), len(products))
    even = products["title"].str.startswith("even").to_numpy()
    assert products["product_id"].tolist() == found.products
    assert not np.allclose(scores[:, even].mean(axis=1), scores[:, ~even].mean(axis=1))
    server = Server(found, TRAIN)
    assert {name: spec.dtype for name, spec in server.asked.items()} == {"user_id": tf.string, "timestamp": tf.int64}
    asked = {"user_id": tf.constant(["u3"]), "timestamp": tf.constant([10**9], tf.int64)}
    loaded = tf.saved_model.load(str(export(server, tmp_path))).signatures["serving_default"]
    np.testing.assert_array_equal(
        loaded(**asked, k=tf.constant(3))["product_id"], server.recommend(**asked, k=3)["product_id"]
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"item_model": embedding(PRODUCTS, dim=4)}, r"returns the shape \[1, 8\]: expected vectors, \[rows, 4\]"),
        ({"user_model": lambda users: tf.zeros([1, 1, 8])}, r"reads user_id returns the shape \[1, 1, 8\]"),
        ({"user_columns": "age"}, "a model reads 'age', which isn't there"),
        ({"item_columns": ["title"]}, "a model reads 'title', which isn't there"),
        ({"products": ["p1", "p2", "p1"]}, "product 'p1' is there twice"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, message):
    given = {"user_model": embedding(USERS), "item_model": embedding(PRODUCTS), "products": PRODUCTS} | arguments
    with pytest.raises(ValueError, match=message):
        recommender(given.pop("user_model"), given.pop("item_model"), given.pop("products"), **given).scores(TEST[:1])


def test_what_cannot_be_trained_is_refused():
    with pytest.raises(TypeError, match=r"the model is a Sequential: expected a tfrs\.Model"):
        train_model(embedding(USERS), TRAIN)
    with pytest.raises(TypeError, match=r"a pandas DataFrame\. Batches of your own go to Keras: model\.compile"):
        train_model(Retrieval(), tf.data.Dataset.range(3))


def test_the_optimizer_of_a_compiled_model_is_used_as_it_is():
    model = Retrieval()
    model.compile(tf.keras.optimizers.Adam(0.003))
    train_model(model, TRAIN, epochs=1)
    assert isinstance(model.optimizer, tf.keras.optimizers.Adam)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.003)
    train_model(model, TRAIN, epochs=1, learning_rate=0.5)
    assert float(model.optimizer.learning_rate) == 0.5


def test_validation_rows_stop_a_model_of_ones_own():
    tf.keras.utils.set_random_seed(0)
    losses = train_model(Multitask(0, 1), TRAIN, epochs=60, batch_size=32, validation=TEST)
    assert len(losses) < 60
    assert losses["validation"].idxmin() == len(losses) - 2


def test_one_model_of_ours_and_one_of_ones_own():
    vocabulary = learn_vocabulary(TRAIN)
    ours = UserTower(vocabulary, dim=8)
    mixed = recommender(ours, embedding(PRODUCTS), PRODUCTS, user_columns=["user_id"])
    assert mixed.scores(TEST).shape == (len(TEST), len(PRODUCTS))
    both = recommender(
        ours, ProductTower(vocabulary, dim=8), PRODUCTS, user_columns=["user_id"], item_columns=["product_id"]
    )
    plain = RetrievalModel(ours, both.product_tower.model)
    np.testing.assert_allclose(both.scores(TEST), plain.scores(TEST), rtol=1e-5)


def test_a_model_that_knows_none_of_the_products_is_refused():
    titles = sorted(TRAIN["title"].unique())
    message = r"same vector for all 20 products: it reads product_id; the first product_id is 'p0'\. .* item_columns='t"
    with pytest.raises(ValueError, match=message):
        recommender(embedding(USERS), embedding(titles), PRODUCTS)
    with pytest.warns(UserWarning, match="the same vector for 15 of 20 products"):
        recommender(embedding(USERS), embedding(PRODUCTS[:5]), PRODUCTS)


def test_a_model_of_stars_alone_has_no_scores(models):
    ranking = models["Ranking"][0]
    parts = ranking.user_model, ranking.movie_model, PRODUCTS
    stars = recommender(*parts, rating_model=ranking.rating_model, retrieval=False)
    board = scoreboard({"stars": stars}, TRAIN, TEST)
    assert np.isnan(board.loc["stars", "hit@10"])
    assert np.isfinite(board.loc["stars", "rmse"])
    with pytest.raises(ValueError, match="retrieval=False and no rating_model: there is nothing to predict"):
        recommender(*parts, retrieval=False)


def test_a_rating_model_that_reads_something_else_is_refused(models):
    ranking = models["Ranking"][0]
    parts = ranking.user_model, ranking.movie_model, PRODUCTS
    with pytest.raises(
        ValueError,
        match=r"rating_model stops with TypeError: .*, \[rows, 16\]; is it the whole model instead of its last part",
    ):
        recommender(*parts, rating_model=ranking)
    with pytest.raises(ValueError, match=r"rating_model returns \[1, 3\] for one row: expected one number"):
        recommender(*parts, rating_model=tf.keras.layers.Dense(3))


def test_a_column_that_the_loss_reads_and_the_table_lacks_is_named():
    with pytest.raises(
        ValueError, match=r"of Ranking reads 'rating', which isn't there \(there are: user_id, product_id"
    ):
        train_model(Ranking(), TRAIN.drop(columns="rating"))


def test_a_loss_that_never_moves_is_told():
    model = Retrieval()
    model.user_model.trainable = model.movie_model.trainable = False
    strangers = TRAIN.assign(user_id="nobody", product_id="nothing")
    with pytest.warns(UserWarning, match="the loss of Retrieval was .* in each of 2 epochs: it learns nothing"):
        train_model(model, strangers.iloc[: 32 * (len(TRAIN) // 32)], epochs=2, batch_size=32)


def test_a_keras_model_on_the_scoreboard_is_told_the_way(models):
    with pytest.raises(ValueError, match=r"mine has neither scores nor ratings, it is a Retrieval: .* recommender\("):
        scoreboard({"mine": models["Retrieval"][0]}, TRAIN, TEST)
    with pytest.raises(ValueError, match=r"the training rows have no 'product_id' \(columns: user_id, movie_id"):
        scoreboard({"popularity": Popularity(TRAIN)}, TRAIN.rename(columns={"product_id": "movie_id"}), TEST)
