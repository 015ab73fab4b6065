"""Two stages: retrieval picks a hundred candidates among all products, and a ranker puts these in order.

Retrieval compares a user with all products, so it has to be simple: a dot product. A ranker only sees a hundred of
them, so it can use all that is known of a request, that is of a user at a moment (Covington et al. 2016, "Deep neural
networks for YouTube recommendations"). It learns from what retrieval shows: the candidate that was bought is a 1, the
others are 0.

The candidates must come from a retrieval that didn't see the purchase. Of its own training rows, retrieval is too sure:
a ranker that learns from them trusts it too much. So `fit_two_stages` fits everything twice:

    1. fit retrieval on an earlier part of the training rows, and train the ranker on the candidates for the others;
    2. fit retrieval on all training rows; the ranker stays as it is.

Vectors are no features here: a model that is fitted again has other axes, and a ranker that has learned the old ones
would be lost. Scores don't depend on the axes.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from recsys_teach.backend import tf, tfrs
from recsys_teach.baselines import Purchases, RateSinceLaunch
from recsys_teach.evaluation import CELLS, LEAST_ROWS, best_columns, scores_of
from recsys_teach.schema import CATEGORIES, CATEGORY, PRODUCT, TIMESTAMP, USER, first_texts
from recsys_teach.splits import Split
from recsys_teach.training import row_numbers

GROUPS = ("scores", "popularity", "activity", "categories", "time", "history")
DAY = 86_400  # seconds
RECENT = 30 * DAY  # sales are recent for as long
NEAR = 5  # purchases of a user that are at most as far apart are near each other
DEPTHS = (1, 3, 10)  # how many of the user's last purchases are looked at
REQUESTS = 10_000  # a ranker learns from at most: 80 MB of features
EPOCHS, BATCH, LEARNING_RATE = 4, 64, 0.01
ROWS = 1_000  # requests that are ranked at once


class Requests(NamedTuple):
    """What a ranker learns from: requests, their candidates, and which of these was bought."""

    features: np.ndarray  # [rows, candidates, features]
    shown: np.ndarray  # [rows, candidates], False where a small catalogue had no candidate left
    bought: np.ndarray  # [rows, candidates], at most one in a row


class FirstStage:
    """Picks candidates by retrieval, and says what is known of them at the moment of a request.

    All features are of the rows `train` alone. Those of the groups "time" and "history" are of the user's purchases
    *before* the request; the user's activity and categories are those of all their rows in `train`, which in a split at
    random has later ones, too. How often a product sells is a share of all rows, so that it means the same after a
    second fit on more rows.

    Args:
        sources: recommenders by name, fitted on `train`. The first one picks the candidates; the scores of the others
            are features as well.
        groups: which features; "time" and "history" need times, "categories" needs categories.
    """

    def __init__(self, train: pd.DataFrame, sources: Mapping[str, Any], *, groups: Sequence[str] = GROUPS):
        if not sources:
            raise ValueError("there are no sources: expected a dictionary of recommenders by name.")
        if unknown := set(groups) - set(GROUPS):
            raise ValueError(f"{unknown.pop()!r} is no group of features: expected some of {', '.join(GROUPS)}.")
        self.sources, self._purchases = dict(sources), Purchases(train)
        self.products = self._purchases.products
        self._users, self._catalogue = self._purchases.users, pd.Index(self.products)
        self._columns: dict[str, np.ndarray | None] = {}  # of our products; None: all, in the same order
        for name, source in self.sources.items():
            theirs = pd.Index(source.products)
            if len(theirs) != len(self.products) or not theirs.isin(self._catalogue).all():
                raise ValueError(
                    f"{name} has {len(theirs):,} products, the training rows have {len(self.products):,}: expected the "
                    "same ones; fit it on these rows."
                )
            self._columns[name] = None if theirs.equals(self._catalogue) else theirs.get_indexer(self._catalogue)
        towers = {name: one for name, one in sources.items() if hasattr(one, "queries") and hasattr(one, "candidates")}
        self._vectors = {name: one.candidates() for name, one in towers.items()}
        self._shares = self._purchases.matrix.sum(axis=0) / self._purchases.matrix.sum()
        self._activity = np.log1p(self._purchases.matrix.sum(axis=1))
        self._groups = [group for group in groups if group not in ("categories", "time", "history")]
        if "categories" in groups and (CATEGORY in train or CATEGORIES in train):
            self._groups.append("categories")
            texts = pd.Series(first_texts(train, CATEGORIES if CATEGORIES in train else CATEGORY, self.products))
            of_product = texts.str.get_dummies("|").to_numpy(np.float32)
            self._of_product = of_product / np.maximum(of_product.sum(axis=1, keepdims=True), 1)
            self._category_shares = np.maximum(self._shares @ self._of_product, 1e-6)
        if TIMESTAMP in train:
            self._groups += [group for group in ("time", "history") if group in groups]
            self._learn_times(train)

    def _learn_times(self, train: pd.DataFrame) -> None:
        user = self._users.get_indexer(pd.Index(train[USER]))
        product = self._catalogue.get_indexer(pd.Index(train[PRODUCT]))
        when = _seconds(train[TIMESTAMP])
        self._first, self._end, self._times = when.min(), when.max() + 1, np.sort(when)
        order = np.lexsort([when, user])  # all purchases of the first user, then those of the second …
        self._sequence = product[order]
        self._of_users, self._of_products = self._line(user, when)[order], np.sort(self._line(product, when))
        self._launch = pd.Series(when).groupby(product).min().to_numpy()
        self._rate = np.log(RateSinceLaunch(train).scores(train[:1])[0])
        near = csr_array((len(self.products), len(self.products)), dtype=np.float32)
        for step in range(1, min(NEAR, len(order) - 1) + 1):
            same = user[order][step:] == user[order][:-step]
            cells = self._sequence[:-step][same], self._sequence[step:][same]
            near = near + csr_array((np.full(same.sum(), 1 / step, np.float32), cells), shape=near.shape)
        near = (near + near.T).tocoo()
        buyers = np.sqrt(len(when) * self._shares)
        similarity = near.data / (buyers[near.row] * buyers[near.col] + 5)
        self._near = csr_array((similarity, (near.row, near.col)), shape=near.shape)

    def _line(self, number: np.ndarray, when: np.ndarray) -> np.ndarray:
        """Return places on a single line of time, on which the rows of number 0 come first, then those of 1 …"""
        span = 2 * (self._end - self._first + RECENT)
        return number.astype(np.int64) * span + np.clip(when - self._first + RECENT, 0, span - 1)

    def scores(self, reviews: pd.DataFrame) -> dict[str, np.ndarray]:
        """Return the scores of each source, `[rows, products]`, in the order of `products`."""
        found = {}
        for name, source in self.sources.items():
            if name in self._vectors:
                scores = source.queries(reviews) @ self._vectors[name].T  # the products' vectors are computed once
            else:
                scores = scores_of(source, reviews, len(self.products), name)
            found[name] = scores if self._columns[name] is None else scores[:, self._columns[name]]
        return found

    def candidates(self, reviews: pd.DataFrame, retrieval: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the columns of the `count` best products that the user hasn't bought, `[rows, count]`, best first.

        Beside them is which of them are candidates indeed: all, unless a user has bought nearly everything.
        `retrieval` are the scores `[rows, products]` of the first source.
        """
        user = self._users.get_indexer(pd.Index(reviews[USER]))
        left = np.array(retrieval)
        known = np.flatnonzero(user >= 0)
        row, column = self._purchases.matrix[user[known]].nonzero()
        left[known[row], column] = -np.inf
        count = min(count, left.shape[1])
        first, run = _runs(left)
        best = best_columns(left[first], count)[run]
        return np.maximum(best, 0), best >= 0

    @property
    def names(self) -> list[str]:
        """The names of the features."""
        asked = pd.DataFrame({USER: self._users[:1], TIMESTAMP: pd.Timestamp(0, tz="UTC")})
        return list(self._describe(asked, np.zeros((1, 1), int), self.scores(asked)))

    def features(self, reviews: pd.DataFrame, columns: np.ndarray, scores: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the features `[rows, candidates, features]` of products, given as columns `[rows, candidates]`."""
        found = self._describe(reviews, columns, scores).values()
        return np.stack([np.broadcast_to(values, columns.shape).astype(np.float32) for values in found], axis=-1)

    def _describe(self, reviews: pd.DataFrame, columns: np.ndarray, scores: Mapping[str, np.ndarray]) -> dict:
        user = self._users.get_indexer(pd.Index(reviews[USER]))[:, None]
        found: dict[str, np.ndarray] = {}
        if "scores" in self._groups:
            for name, of_source in scores.items():
                found |= _score_features(name, of_source, columns)
        if "popularity" in self._groups:
            found["popularity"] = np.log(self._shares[columns])
        if "activity" in self._groups:
            found["activity"] = np.where(user >= 0, self._activity[user], 0)
        if "categories" in self._groups:
            found |= self._category_features(user, columns)
        if {"time", "history"} & {*self._groups}:
            when = np.full(len(reviews), self._end)
            if TIMESTAMP in reviews:
                when = _seconds(reviews[TIMESTAMP])
            when = when[:, None]
            start, end = (np.searchsorted(self._of_users, self._line(user, moment)) for moment in (self._first, when))
            end = np.where(user >= 0, end, start)  # the user's purchases before this moment are start … end
            if "time" in self._groups:
                found |= self._time_features(columns, when, start, end)
            if "history" in self._groups:
                found |= self._history_features(columns, start, end)
        return found

    def _category_features(self, user: np.ndarray, columns: np.ndarray) -> dict[str, np.ndarray]:
        """Return the share of the user's purchases in the candidates' categories, and its ratio to everybody's."""
        bought = (self._purchases.matrix[np.maximum(user[:, 0], 0)] @ self._of_product) * (user >= 0)
        share = (bought + 5 * self._category_shares) / (bought.sum(axis=1, keepdims=True) + 5)
        both = {"category share": share, "category lift": np.log(share / self._category_shares)}
        return {name: np.einsum("rc,rnc->rn", each, self._of_product[columns]) for name, each in both.items()}

    def _time_features(self, columns: np.ndarray, when: np.ndarray, start: np.ndarray, end: np.ndarray) -> dict:
        """Return how old and how much in demand the candidates are, and how long ago the user bought."""
        age = when - self._launch[columns]
        now, earlier = (
            np.searchsorted(self._of_products, self._line(columns, moment)) for moment in (when, when - RECENT)
        )
        of_all = np.searchsorted(self._times, when) - np.searchsorted(self._times, when - RECENT)
        last = self._times_of(np.maximum(end - 1, 0))
        return {
            "rate since launch": self._rate[columns],
            "launched": age >= 0,
            "age": np.log1p(np.maximum(age, 0) / DAY),
            "recent sales": np.log((now - earlier + 20 * self._shares[columns]) / (of_all + 20)),
            "pause": np.log1p(np.where(end > start, when - last, 365 * DAY) / DAY),
        }

    def _times_of(self, places: np.ndarray) -> np.ndarray:
        span = 2 * (self._end - self._first + RECENT)
        return self._of_users[places] % span + self._first - RECENT

    def _history_features(self, columns: np.ndarray, start: np.ndarray, end: np.ndarray) -> dict[str, np.ndarray]:
        """Return how often the candidates were bought near what the user bought last: n_ij / (√n_i √n_j + 5).

        n_ij are the pairs of purchases at a distance of at most five in a user's sequence, each divided by it.
        """
        found = {"purchases before": np.log1p(end - start)}
        back = np.arange(1, max(DEPTHS) + 1)
        row, place = np.nonzero(end - start >= back)
        last, weight = self._sequence[end[row, 0] - back[place]], (1 / back[place]).astype(np.float32)
        for depth in DEPTHS:
            some = place < depth
            history = csr_array((weight[some], (row[some], last[some])), shape=(len(columns), len(self.products)))
            near = np.take_along_axis((history @ self._near).toarray(), columns, axis=1)
            found[f"near the last {depth}"] = np.log(near + 0.003)
        return found

    def requests(self, reviews: pd.DataFrame, count: int, *, random_negatives: bool = False, seed: int = 0) -> Requests:
        """Return the candidates for rows that `train` doesn't hold, and which of them each row's user bought.

        With `random_negatives` the candidates are the product that was bought and others at random from the catalogue,
        which is how a ranker should *not* be trained.
        """
        if reviews.empty:
            raise ValueError("there are no rows to learn from: expected purchases that the sources haven't seen.")
        found: Requests | None = None
        rng = np.random.default_rng(seed)
        order = np.argsort(self._users.get_indexer(pd.Index(reviews[USER])), kind="stable")  # see `_runs`
        step = max(LEAST_ROWS, CELLS // (2 * len(self.products)))  # half as many as on a scoreboard, for the features
        for start in range(0, len(order), step):
            rows = order[start : start + step]
            some = reviews.iloc[rows]
            target = self._catalogue.get_indexer(pd.Index(some[PRODUCT]))[:, None]
            scores = self.scores(some[[column for column in (USER, TIMESTAMP) if column in some]])  # not the answers
            columns, shown = self.candidates(some, next(iter(scores.values())), count)
            if random_negatives:
                columns = rng.integers(len(self.products), size=columns.shape)
                columns[:, :1] = np.where(target >= 0, target, columns[:, :1])
                shown = np.ones_like(shown)
                shown[:, 1:] = columns[:, 1:] != target
            part = Requests(self.features(some, columns, scores), shown, shown & (columns == target))
            if found is None:
                found = Requests(*(np.empty((len(order), *array.shape[1:]), array.dtype) for array in part))
            for whole, array in zip(found, part):
                whole[rows] = array
        assert found is not None  # there are rows
        return found


def _seconds(times: pd.Series) -> np.ndarray:
    return ((pd.to_datetime(times, utc=True) - pd.Timestamp(0, tz="UTC")) // pd.Timedelta(seconds=1)).to_numpy(np.int64)


def _score_features(name: str, scores: np.ndarray, columns: np.ndarray) -> dict[str, np.ndarray]:
    """Return the score in standard deviations of all products' scores, and the logarithm of the rank."""
    first, run = _runs(scores)
    ordered = np.sort(scores[first], axis=1)
    mean, spread = ordered.mean(axis=1, keepdims=True), np.maximum(ordered.std(axis=1, keepdims=True), 1e-9)
    some = np.take_along_axis(scores, columns, axis=1)
    not_above = [np.searchsorted(ordered[row], values, side="right") for row, values in zip(run, some)]
    return {
        f"{name} score": (some - mean[run]) / spread[run],
        f"{name} rank": np.log1p(scores.shape[1] - np.array(not_above)),
    }


def _runs(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first row of each run of equal rows, and the number of each row's run: one user's are sorted once."""
    new = np.concatenate([[True], (rows[1:] != rows[:-1]).any(axis=1)])
    return np.flatnonzero(new), np.cumsum(new) - 1


class Ranker(tfrs.Model):
    """Says how probable it is that a candidate is bought, from crosses of features.

    Each cross layer multiplies the features with weighted sums of them (Wang et al. 2021, "DCN V2"):

        x_{l+1} = x_0 ⊙ (W_l x_l + b_l) + x_l                    logit = w · x_L + c

    Args:
        requests: what it will be trained on: the features' means and spreads are learned from it, and how often
            anything is bought.
        crosses: number of cross layers; with none, this is logistic regression.
        softmax: the loss of a request is that of a choice among its candidates, and requests without a purchase don't
            count; otherwise it is the log loss of each candidate by itself.
    """

    def __init__(self, requests: Requests, *, crosses: int = 2, softmax: bool = False):
        super().__init__()
        of_shown = requests.features[requests.shown]
        self.scale = tf.keras.layers.Normalization(mean=of_shown.mean(axis=0), variance=of_shown.var(axis=0) + 1e-6)
        self.crosses = [tfrs.layers.dcn.Cross(kernel_initializer="zeros") for _ in range(crosses)]
        first = np.eye(of_shown.shape[1], 1, dtype=np.float32)  # it starts as the first feature: retrieval's score
        share = np.clip(requests.bought[requests.shown].mean(), 1e-6, 0.5)
        self.logit = tf.keras.layers.Dense(1, kernel_initializer=tf.keras.initializers.Constant(first))
        self.logit.build((None, of_shown.shape[1]))
        self.logit.bias.assign([0.0 if softmax else np.log(share / (1 - share))])
        self.softmax = softmax

    def call(self, features: tf.Tensor) -> tf.Tensor:
        """Return the logits `[rows, candidates]` of features `[rows, candidates, features]`."""
        x = x_0 = tf.clip_by_value(self.scale(features), -5.0, 5.0)
        for cross in self.crosses:
            x = cross(x_0, x)
        return self.logit(x)[:, :, 0]

    def compute_loss(self, inputs: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """Return the loss of a batch of requests, the mean over them."""
        logits, bought = self(inputs["features"]), tf.cast(inputs["bought"], tf.float32)
        shown = tf.cast(inputs["shown"], tf.float32)
        if self.softmax:
            any_bought = tf.reduce_sum(bought, axis=1)  # TensorFlow's gradient of a request without one isn't 0
            losses = tf.nn.softmax_cross_entropy_with_logits(bought, logits - 1e9 * (1 - shown)) * any_bought
            return tf.math.divide_no_nan(tf.reduce_sum(losses), tf.reduce_sum(any_bought))
        losses = tf.nn.sigmoid_cross_entropy_with_logits(bought, logits) * shown
        return tf.reduce_mean(tf.reduce_sum(losses, axis=1))

    def probabilities(self, features: np.ndarray, shown: np.ndarray | None = None) -> np.ndarray:
        """Return the probability that each candidate is bought, `[rows, candidates]`.

        With `softmax` they sum to 1 over those that are `shown`, `[rows, candidates]`, or over all.
        """
        if not hasattr(self, "_answer"):
            spec = tf.TensorSpec([None, None, features.shape[2]], tf.float32)
            self._answer = tf.function(self.call, input_signature=[spec])
        steps = range(0, max(1, len(features)), ROWS)
        logits = np.concatenate([self._answer(features[start : start + ROWS]) for start in steps])
        if self.softmax and shown is not None:
            logits = np.where(shown, logits, -np.inf)
        return (tf.nn.softmax(logits) if self.softmax else tf.sigmoid(logits)).numpy()


def train_ranker(ranker: Ranker, requests: Requests, *, epochs: int = EPOCHS, seed: int = 0) -> None:
    """Train a ranker in place by Adam, with a rate that falls to 0 as a cosine."""
    rows = {name: tf.constant(values) for name, values in requests._asdict().items()}
    count = len(requests.bought)
    steps = -(-count // BATCH)
    ranker.compile(tf.keras.optimizers.Adam(tf.keras.optimizers.schedules.CosineDecay(LEARNING_RATE, epochs * steps)))
    batches = row_numbers(count, BATCH, np.random.default_rng(seed))
    batches = batches.map(lambda some: {name: tf.gather(values, some) for name, values in rows.items()})
    ranker.fit(batches, epochs=epochs, steps_per_epoch=steps, verbose=0)


class TwoStages:
    """Retrieval, then a ranker: a recommender.

    Args:
        first_stage: picks the candidates.
        ranker: trained on the candidates of a first stage with the same features.
        candidates: how many there are.
    """

    def __init__(self, first_stage: FirstStage, ranker: Ranker, *, candidates: int = 100):
        self.first_stage, self.ranker, self.count = first_stage, ranker, candidates

    @property
    def products(self) -> list[str]:
        return self.first_stage.products

    def scores(self, reviews: pd.DataFrame) -> np.ndarray:
        """Return the probability that a candidate is bought, and for the rest retrieval's score below 0.

        `[rows, products]`; what the user has bought in the training rows is no candidate. `reviews` hold the users and,
        if the moments matter, the times; without times, it is now: after all training rows.
        """
        scores = self.first_stage.scores(reviews)
        retrieval = next(iter(scores.values())).astype(float)
        columns, shown = self.first_stage.candidates(reviews, retrieval, self.count)
        probabilities = self.ranker.probabilities(self.first_stage.features(reviews, columns, scores))
        answer = retrieval - retrieval.max(axis=1, keepdims=True) - 1
        row, place = shown.nonzero()
        answer[row, columns[row, place]] = probabilities[row, place]
        return answer


def fit_two_stages(
    fits: Mapping[str, Callable[[pd.DataFrame], Any]],
    train: pd.DataFrame,
    parts: Split,
    *,
    candidates: int = 100,
    groups: Sequence[str] = GROUPS,
    seed: int = 0,
    **ranker: Any,
) -> TwoStages:
    """Fit retrieval, train the ranker on rows that it didn't see, fit retrieval on all rows; return both stages.

    Args:
        fits: functions that fit a recommender on a reviews table, by name; see `FirstStage`.
        parts: the training rows in two parts, split as the test rows were split off: the second part is what the ranker
            learns from, at most 10,000 rows of it.
        ranker: arguments of `Ranker`.
    """
    held_back = parts.test.sample(min(len(parts.test), REQUESTS), random_state=seed)
    before = FirstStage(parts.train, {name: fit(parts.train) for name, fit in fits.items()}, groups=groups)
    requests = before.requests(held_back, candidates)
    tf.keras.utils.set_random_seed(seed)
    model = Ranker(requests, **ranker)
    train_ranker(model, requests, seed=seed)
    after = FirstStage(train, {name: fit(train) for name, fit in fits.items()}, groups=groups)
    return TwoStages(after, model, candidates=candidates)
