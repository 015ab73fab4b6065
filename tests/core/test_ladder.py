from dataclasses import replace
from functools import partial
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest

from recsys_teach import ladder
from recsys_teach.backend import tf
from recsys_teach.baselines import EASE, DampedBiases, ItemKNN, Oracle
from recsys_teach.evaluation import scoreboard
from recsys_teach.features import learn_vocabulary
from recsys_teach.ladder import Defaults, choose_defaults
from recsys_teach.ranking import RankingModel
from recsys_teach.shop import generate_shop
from recsys_teach.splits import Split, split_at_random, split_by_time, split_last
from recsys_teach.towers import ProductTower, UserTower
from recsys_teach.training import train_model

pytestmark = pytest.mark.slow

CLASSICS = ["popularity", "rate since launch", "damped biases", "ItemKNN", "EASE", "iALS"]
ALL = [*CLASSICS, "textbook retrieval", "retrieval", "ranking", "multitask"]
RUNGS = [name for name in ALL if name != "iALS" or find_spec("implicit")]
SHOP = generate_shop(users=400, products=120, seed=5)
SPLIT = split_at_random(SHOP.reviews, seed=5)


@pytest.fixture(scope="module")
def board() -> pd.DataFrame:
    recommenders, _ = ladder.fit_ladder(SPLIT.train, seed=0)
    return scoreboard(recommenders | {"oracle": Oracle(SHOP)}, *SPLIT)


def test_the_ladder_has_its_rungs_in_order(board):
    assert list(board.index) == [*RUNGS, "oracle"]


@pytest.mark.parametrize("metric", ["hit@10", "ndcg@10"])
def test_the_textbook_is_below_the_floor_classics_above_it_and_multitask_above_them(board, metric):
    found = board[metric]
    assert found["textbook retrieval"] < found["popularity"] < found["retrieval"]
    assert found["popularity"] < min(found["ItemKNN"], found["EASE"])
    assert max(found["ItemKNN"], found["EASE"]) < found["multitask"]


def test_nothing_beats_the_truth(board):
    models = board.drop("oracle")
    assert (models["hit@10"].dropna() < board.loc["oracle", "hit@10"]).all()
    assert (models["rmse"].dropna() > board.loc["oracle", "rmse"]).all()


def test_ratings_are_better_than_damped_biases(board):
    assert board.loc["ranking", "rmse"] < board.loc["damped biases", "rmse"]
    assert board.loc["multitask", "rmse"] < board.loc["ranking", "rmse"]


SMALL = generate_shop(users=50, products=30, reviews_per_user=8, rated_share=0.7, seed=2).reviews


def ndcg_by_loops(recommender, train, held_back):
    """The mean nDCG without a cut, a row and a product at a time."""
    known, gains = set(zip(train["user_id"], train["product_id"])), []
    for user, product, scores in zip(held_back["user_id"], held_back["product_id"], recommender.scores(held_back)):
        candidates = {one: score for one, score in zip(recommender.products, scores) if (user, one) not in known}
        if product in candidates:
            gains.append(1 / np.log2(1 + sum(score >= candidates[product] for score in candidates.values())))
        else:
            gains.append(0.0)
    return np.mean(gains)


class Run:
    """A ladder on a small shop, and what was asked of `split` and of `train_model` meanwhile."""

    def __init__(self):
        self.splits, self.trainings = [], []
        train_model = ladder.train_model

        def split(reviews, **settings):
            self.splits.append((reviews, settings))
            return split_by_time(reviews, **settings)

        def recorded(model, train, **settings):
            losses = train_model(model, train, **settings)
            self.trainings.append((train, settings, losses))
            return losses

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ladder, "train_model", recorded)
            self.recommenders, self.seconds = ladder.fit_ladder(SMALL, seed=4, split=split)


@pytest.fixture(scope="module")
def run() -> Run:
    return Run()


def test_every_rung_has_its_recommender_and_its_seconds(run):
    assert list(run.recommenders) == list(run.seconds) == RUNGS
    assert all(seconds >= 0 for seconds in run.seconds.values())


def test_every_rung_knows_all_products_of_the_training_rows(run):
    products = sorted(set(SMALL["product_id"]))
    offered = {name: model for name, model in run.recommenders.items() if hasattr(model, "products")}
    assert list(offered) == [name for name in RUNGS if name not in ("damped biases", "ranking")]
    assert all(model.products == products for model in offered.values())
    assert run.recommenders["ranking"].product_tower.vocabulary.products == products


def test_no_rung_says_nan_where_some_purchases_are_unrated(run):
    assert SMALL["rating"].isna().any()
    for name, model in run.recommenders.items():
        if hasattr(model, "ratings"):
            assert np.isfinite(model.ratings(SMALL)).all(), name
        if hasattr(model, "scores"):
            assert np.isfinite(model.scores(SMALL)).all(), name


def test_validation_rows_are_held_back_once_by_the_split_it_is_given(run):
    [(reviews, settings)] = run.splits
    assert reviews is SMALL
    assert settings == {"test_share": 0.1}


def test_a_split_that_takes_no_share_holds_back_what_it_does(monkeypatch):
    seen = []
    monkeypatch.setattr(ladder, "MODELS", {})
    monkeypatch.setattr(ladder, "fit_classic", lambda settings, train, parts, **_: seen.append(parts))
    ladder.fit_ladder(SMALL, split=split_last)
    for ours, theirs in zip(seen[0], split_last(SMALL)):
        pd.testing.assert_frame_equal(ours, theirs)


@pytest.mark.parametrize("split", [split_last, split_by_time])
def test_where_the_rest_cannot_be_split_so_again_the_validation_rows_are_drawn_at_random(monkeypatch, split):
    """Every user has one review left, and all of them are of the same second."""
    seen = []
    monkeypatch.setattr(ladder, "MODELS", {})
    monkeypatch.setattr(ladder, "fit_classic", lambda settings, train, parts, **_: seen.append(parts))
    rest = SMALL.drop_duplicates("user_id").assign(timestamp=SMALL["timestamp"].iloc[0])
    with pytest.raises(ValueError, match=r"split at random|or at random"):
        split(rest)
    ladder.fit_ladder(rest, split=split)
    for ours, theirs in zip(seen[0], split_at_random(rest, test_share=0.1)):
        pd.testing.assert_frame_equal(ours, theirs)


@pytest.mark.parametrize("known", ["first", "last"])
def test_ratings_on_one_side_of_the_validation_split_only_leave_the_length_of_training_open(monkeypatch, known):
    """Either no training row is rated, or no validation row is: the validation rows say nothing about stars."""
    lengths = []

    def recorded(model, train, **settings):
        lengths.append(settings["epochs"])
        return train_model(model, train, **settings)

    monkeypatch.setattr(ladder, "train_model", recorded)
    parts = split_by_time(TINY.assign(rating=[1.0 + n % 5 for n in range(len(TINY))]), test_share=0.1)
    unrated = parts.train if known == "last" else parts.test
    unrated["rating"] = np.nan
    both = pd.concat(parts, ignore_index=True)
    defaults = Defaults(batch_size=32, unknown_user_dropout=0.1, max_epochs=8)
    model = ladder.fit_model(ladder.build_ranking, both, parts, defaults, seed=0)
    assert lengths == [8, ladder.PLAIN_EPOCHS]
    assert np.isfinite(model.ratings(both)).all()


@pytest.mark.parametrize("place", [0, 2, 4, 6])
def test_every_model_trains_as_long_on_everything_as_was_best_without_the_validation_rows(run, place):
    first, _ = split_by_time(SMALL, test_share=0.1)
    train, settings, losses = run.trainings[place]
    pd.testing.assert_frame_equal(train, first)
    assert settings["epochs"] == 30
    assert "validation" not in settings
    again, final, last_losses = run.trainings[place + 1]
    assert again is SMALL
    assert not {"validation", "quality"} & set(final)
    best = losses["quality"].idxmax()
    assert len(last_losses) == final["epochs"] == best
    assert len(losses) == min(best + 4, 30)
    assert len(run.trainings) == 8


@pytest.mark.parametrize(("place", "build"), [(2, ladder.build_retrieval), (6, ladder.build_multitask)])
def test_epochs_are_chosen_by_the_quality_on_the_validation_rows(run, place, build):
    parts = split_by_time(SMALL, test_share=0.1)
    _, settings, losses = run.trainings[place]
    tf.keras.utils.set_random_seed(4)
    model = build(learn_vocabulary(parts.train), choose_defaults(*parts))
    train_model(model, parts.train, epochs=2, batch_size=settings["batch_size"], seed=4)
    expected = ndcg_by_loops(model, *parts)
    if hasattr(model, "ratings"):
        expected /= np.sqrt(np.nanmean((model.ratings(parts.test) - parts.test["rating"]) ** 2))
    assert losses["quality"][2] == pytest.approx(expected, rel=1e-5)


def test_nothing_is_left_of_the_model_that_was_trained_without_the_validation_rows(run):
    recipe = choose_defaults(*split_by_time(SMALL, test_share=0.1))
    tf.keras.utils.set_random_seed(4)
    afresh = ladder.build_ranking(learn_vocabulary(SMALL), recipe)
    _, settings, _ = run.trainings[5]
    train_model(afresh, SMALL, epochs=settings["epochs"], batch_size=recipe.batch_size, seed=4)
    np.testing.assert_array_equal(run.recommenders["ranking"].ratings(SMALL), afresh.ratings(SMALL))


def test_all_train_by_the_recipe_for_the_two_parts(run):
    recipe = choose_defaults(*split_by_time(SMALL, test_share=0.1))
    assert {settings["batch_size"] for _, settings, _ in run.trainings} == {recipe.batch_size}
    for name in ("retrieval", "multitask"):
        model = run.recommenders[name]
        assert getattr(model, "retrieval", model).unknown_user_dropout == recipe.unknown_user_dropout
    assert {run.recommenders[name].l2 for name in ("retrieval", "ranking", "multitask")} == {recipe.l2}
    assert run.recommenders["textbook retrieval"].l2 == 0


@pytest.mark.parametrize(
    ("build", "corrected"),
    [(ladder.build_textbook_retrieval, False), (ladder.build_retrieval, True), (ladder.build_multitask, True)],
)
def test_the_textbook_has_no_correction_and_the_others_have_all(build, corrected):
    model = build(learn_vocabulary(SMALL), Defaults(batch_size=32, unknown_user_dropout=0.3))
    retrieval = getattr(model, "retrieval", model)
    on = retrieval.log_q is not None, retrieval.remove_accidental_hits, retrieval.product_bias is not None
    assert (*on, retrieval.unknown_user_dropout, model.l2) == ((True,) * 3 + (0.3, 0.15) if corrected else (False,) * 5)


def test_errors_of_ratings_count_by_their_variance():
    variance = np.nanvar(SMALL["rating"])
    settings = learn_vocabulary(SMALL), Defaults(batch_size=32, unknown_user_dropout=0.1)
    ranking, multitask = ladder.build_ranking(*settings), ladder.build_multitask(*settings)
    assert ranking.rating_weight == pytest.approx(1 / variance)
    assert multitask.rating_weight == pytest.approx(0.5 / variance)
    assert multitask.retrieval_weight == 1


def test_only_ranking_has_no_weights_of_its_own_for_the_dimensions():
    settings = learn_vocabulary(SMALL), Defaults(batch_size=32, unknown_user_dropout=0.1)
    ranking, multitask = ladder.build_ranking(*settings).head, ladder.build_multitask(*settings).ranking.head
    for head, learned in ((ranking, False), (multitask, True)):
        head.build((None, 64))
        assert head.weight.trainable == learned


def test_the_same_seed_gives_the_same_model_whatever_was_fitted_before(run, monkeypatch):
    monkeypatch.setattr(ladder, "CLASSICS", {})
    monkeypatch.setattr(ladder, "MODELS", {"multitask": ladder.build_multitask})
    recommenders, _ = ladder.fit_ladder(SMALL, seed=4, split=split_by_time)
    np.testing.assert_array_equal(recommenders["multitask"].scores(SMALL), run.recommenders["multitask"].scores(SMALL))
    np.testing.assert_array_equal(
        recommenders["multitask"].ratings(SMALL), run.recommenders["multitask"].ratings(SMALL)
    )


def test_another_seed_gives_another_model(run):
    parts = split_by_time(SMALL, test_share=0.1)
    other = ladder.fit_model(ladder.build_textbook_retrieval, SMALL, parts, choose_defaults(*parts), seed=5)
    assert (other.scores(SMALL) != run.recommenders["textbook retrieval"].scores(SMALL)).any()


def test_a_model_of_texts_learns_the_words_of_the_rows_it_is_trained_on():
    parts = split_by_time(SMALL, test_share=0.5)
    vocabularies = []

    def build(vocabulary, recipe):
        vocabularies.append(vocabulary)
        return RankingModel(UserTower(vocabulary), ProductTower(vocabulary, title=True))

    recipe = replace(choose_defaults(*parts), max_epochs=1)
    model = ladder.fit_model(build, SMALL, parts, recipe, seed=0, max_words=20)
    expected = [learn_vocabulary(rows, max_words=20) for rows in (parts.train, SMALL)]
    assert [each.title_words for each in vocabularies] == [each.title_words for each in expected]
    assert [each.words for each in vocabularies] == [each.words for each in expected]
    assert expected[0].title_words != expected[1].title_words
    assert model.product_tower.vocabulary is vocabularies[1]


TINY = SMALL[:100]


@pytest.mark.parametrize("exclude_seen", [True, False])
@pytest.mark.parametrize(("qualities", "epochs"), [([1.0, 3.0, 2.0], 2), ([1.0, 3.0, 3.0], 2), ([3.0, 1.0, 2.0], 1)])
def test_both_trainings_of_a_model_by_hand(monkeypatch, qualities, epochs, exclude_seen):
    trainings = []

    def train(model, rows, *, epochs, quality=None, **settings):
        trainings.append((model, rows, epochs, quality))
        return pd.DataFrame({"quality": qualities}, index=[1, 2, 3])

    monkeypatch.setattr(ladder, "CLASSICS", {})
    monkeypatch.setattr(ladder, "MODELS", {"vocabulary": lambda vocabulary, recipe: vocabulary})
    monkeypatch.setattr(ladder, "train_model", train)
    monkeypatch.setattr(ladder, "quality", lambda *given, exclude_seen: (*given, exclude_seen))
    recommenders, _ = ladder.fit_ladder(TINY, split=split_by_time, exclude_seen=exclude_seen)
    [(first, rows, most, how_good), (last, all_rows, best, none)] = trainings
    pd.testing.assert_frame_equal(rows, TINY[:90])
    recommender, known, held_back, excluded = how_good()
    assert (recommender is first, known is rows, excluded) == (True, True, exclude_seen)
    pd.testing.assert_frame_equal(held_back, TINY[90:].reset_index(drop=True))
    assert (all_rows is TINY, most, best, none) == (True, 30, epochs, None)
    assert (first.user_counts.sum(), last.user_counts.sum()) == (90, 100)
    assert recommenders["vocabulary"] is last


def trained(build, reviews):
    """A model after two epochs, always of the same seed."""
    tf.keras.utils.set_random_seed(4)
    model = build(learn_vocabulary(reviews), Defaults(batch_size=32, unknown_user_dropout=0.1))
    train_model(model, reviews, epochs=2, batch_size=32)
    return model


@pytest.mark.parametrize("build", [ladder.build_ranking, ladder.build_multitask])
def test_stars_are_learned_the_same_whether_they_go_up_to_5_or_to_100(build):
    low = trained(build, TINY)
    high = trained(build, TINY.assign(rating=20 * TINY["rating"]))
    np.testing.assert_allclose(high.ratings(SMALL), 20 * low.ratings(SMALL), rtol=1e-3)
    assert low.ratings(SMALL).std() > 0.1


@pytest.mark.parametrize("build", [ladder.build_ranking, ladder.build_multitask])
def test_where_all_ratings_are_equal_that_is_what_is_predicted(build):
    np.testing.assert_allclose(trained(build, TINY.assign(rating=4.0)).ratings(SMALL), 4.0, atol=0.01)


def test_a_tenth_of_nine_rows_is_too_little(monkeypatch):
    monkeypatch.setattr(ladder, "MODELS", {})
    with pytest.raises(ValueError, match=r"9 training rows are too few .* expected 10 or more"):
        ladder.fit_ladder(SMALL[:9])
    recommenders, _ = ladder.fit_ladder(SMALL[:10])
    assert list(recommenders) == [name for name in RUNGS if name in CLASSICS]


@pytest.mark.parametrize("known", [0, 1])
def test_without_a_validation_row_of_a_known_product_training_has_a_fixed_length(monkeypatch, known):
    trainings = []

    def recorded(model, train, **settings):
        trainings.append((train, settings, train_model(model, train, **settings)))
        return trainings[-1][-1]

    monkeypatch.setattr(ladder, "train_model", recorded)
    new = TINY["product_id"].isin(TINY["product_id"].unique()[:3])
    parts = Split(TINY[~new], pd.concat([TINY[new], TINY[~new][:known]]))
    model = ladder.fit_model(ladder.build_ranking, TINY, parts, replace(choose_defaults(*parts), max_epochs=1), seed=0)
    assert len(trainings) == 1 + known
    train, settings, losses = trainings[-1]
    assert train is TINY
    assert "quality" not in settings
    assert len(losses) == settings["epochs"] == (1 if known else ladder.PLAIN_EPOCHS)
    assert np.isfinite(model.ratings(TINY)).all()


@pytest.fixture
def names(monkeypatch):
    """Names of the rungs that are fitted to reviews, with `implicit`, and without the fitting."""
    monkeypatch.setattr(ladder, "fit_classic", lambda settings, *_, **__: settings)
    monkeypatch.setattr(ladder, "fit_model", lambda build, *_, **__: build)
    monkeypatch.setattr(ladder, "find_spec", lambda name: name == "implicit" or None)
    return lambda reviews: list(ladder.fit_ladder(reviews)[0])


@pytest.mark.parametrize(
    ("reviews", "missing"),
    [
        (SMALL, set()),
        (SMALL.drop(columns="timestamp"), {"rate since launch"}),
        (SMALL.drop(columns="rating"), {"damped biases", "ranking", "multitask"}),
        (SMALL.assign(rating=np.nan), {"damped biases", "ranking", "multitask"}),
        (SMALL.assign(rating=4.0), {"damped biases", "ranking", "multitask"}),
    ],
)
def test_what_the_reviews_cannot_teach_is_left_out_and_the_order_stays(names, reviews, missing):
    assert names(reviews) == [name for name in ALL if name not in missing]


@pytest.mark.parametrize(
    ("names_of", "cells"), [({}, 29 * 29), ({"user_id": "product_id", "product_id": "user_id"}, 29 * 50)]
)
def test_ease_is_left_out_where_what_it_keeps_is_too_large(names, monkeypatch, names_of, cells):
    assert SMALL[["user_id", "product_id"]].nunique().tolist() == [50, 29]
    reviews = SMALL.rename(columns=names_of)
    monkeypatch.setattr(EASE, "CELLS", cells)
    assert names(reviews) == ALL
    monkeypatch.setattr(EASE, "CELLS", cells - 1)
    assert names(reviews) == [name for name in ALL if name != "EASE"]


def test_ials_is_left_out_without_its_library(names, monkeypatch):
    monkeypatch.setattr(ladder, "find_spec", lambda name: None if name == "implicit" else True)
    assert names(SMALL) == [name for name in ALL if name != "iALS"]


class Ranks:
    """Always puts its products in the order of their names; keeps the rows that were scored."""

    def __init__(self, products=20):
        self.products = [f"p{number:05}" for number in range(1, products + 1)]
        self.asked = []

    def scores(self, reviews):
        self.asked.append(reviews)
        return np.broadcast_to(-np.arange(len(self.products), dtype=np.float32), (len(reviews), len(self.products)))


class Stars:
    """Always says three stars, and counts the rows."""

    rows = 0

    def ratings(self, reviews):
        self.rows += len(reviews)
        return np.full(len(reviews), 3.0)


class Both(Ranks, Stars):
    pass


def rows_of(*rows):
    return pd.DataFrame(rows, columns=["user_id", "product_id", "rating"])


# Ranks 15, 3, 1, ∞ and, since eve has bought two of the eight before hers, 7; errors -2, 0, none, 2, 0 stars.
KNOWN = rows_of(("eve", "p00001", 5.0), ("eve", "p00002", 4.0), ("eve", "p00020", 1.0))
HELD_BACK = rows_of(
    *(("ann", "p00015", 5.0), ("bob", "p00003", 3.0), ("cy", "p00001", np.nan)),
    *(("dan", "new", 1.0), ("eve", "p00009", 3.0)),
)
NDCG = (1 / 4 + 1 / 2 + 1 + 0 + 1 / 3) / 5  # 1 / log2(1 + rank): of 16, 4, 2, ∞ and 8
RMSE = np.sqrt((4 + 0 + 4 + 0) / 4)


@pytest.mark.parametrize(("recommender", "expected"), [(Ranks, NDCG), (Stars, 1 / RMSE), (Both, NDCG / RMSE)])
def test_the_quality_by_hand(recommender, expected):
    assert ladder.quality(recommender(), KNOWN, HELD_BACK) == pytest.approx(expected)


@pytest.mark.parametrize("held_back", [HELD_BACK.drop(columns="rating"), HELD_BACK.assign(rating=np.nan)])
def test_the_quality_of_purchases_is_that_of_the_ranks(held_back):
    assert ladder.quality(Both(), KNOWN, held_back) == pytest.approx(NDCG)


def test_the_quality_without_any_error_is_finite():
    threes = HELD_BACK.assign(rating=3.0)
    assert np.isfinite(ladder.quality(Both(), KNOWN, threes))
    assert ladder.quality(Both(), KNOWN, threes) > 1_000 * ladder.quality(Both(), KNOWN, HELD_BACK)


@pytest.mark.parametrize(
    ("products", "rows", "asked"),
    [(20_000, 2_000, 2_000), (20_000, 2_003, 2_000), (50_000, 1_007, 1_000), (50_000, 999, 999)],
)
def test_at_most_forty_million_scores_are_asked_for_but_a_thousand_rows_always_are(products, rows, asked):
    rng = np.random.default_rng(0)
    held_back = pd.DataFrame(
        {"user_id": "ann", "product_id": [f"p{n:05}" for n in rng.integers(1, products + 1, rows)]}
    )
    held_back["rating"] = 4.0
    recommender = Both(products)
    quality = ladder.quality(recommender, KNOWN, held_back)
    some = pd.concat(recommender.asked)
    assert len(some) == asked
    assert some.index.is_unique
    pd.testing.assert_frame_equal(some, held_back.loc[some.index])
    assert recommender.rows == rows  # ratings are cheap
    ranks = some["product_id"].str[1:].astype(int)
    assert quality == pytest.approx((1 / np.log2(1 + ranks)).mean() / 1.0)
    again = Both(products)
    assert ladder.quality(again, KNOWN, held_back) == quality
    pd.testing.assert_frame_equal(pd.concat(again.asked), some)


def test_what_was_bought_before_counts_where_it_is_a_candidate():
    class Fixed:
        products = ("a", "b", "c")

        def scores(self, reviews):
            return np.tile([0.3, 0.2, 0.1], (len(reviews), 1))

    known = pd.DataFrame({"user_id": ["ann", "ann"], "product_id": ["a", "b"]})
    again = pd.DataFrame({"user_id": ["ann", "ann"], "product_id": ["b", "c"]})
    assert ladder.quality(Fixed(), known, again) == pytest.approx((0 + 1) / 2)  # c is the only candidate
    assert ladder.quality(Fixed(), known, again, exclude_seen=False) == pytest.approx((1 / np.log2(3) + 1 / 2) / 2)


def test_texts_of_the_held_back_rows_can_be_read():
    class Reader(Ranks):
        def scores(self, reviews):
            words = reviews["summary"].to_numpy()
            return np.array([[word == product for product in self.products] for word in words], dtype=float)

    held_back = HELD_BACK[:3].assign(summary=["p00015", "p00003", "nothing"])
    # Two right answers, and 20 ties, which count against the recommender: rank 20.
    assert ladder.quality(Reader(), KNOWN, held_back) == pytest.approx((1 + 1 + 1 / np.log2(21)) / 3)


class Guess:
    """Always says the same number of stars."""

    def __init__(self, train, *, stars, fits):
        self.stars = stars
        fits.append((stars, train))

    def ratings(self, reviews):
        return np.full(len(reviews), self.stars)


@pytest.mark.parametrize(
    ("guesses", "truth", "chosen"),
    [
        ([1.0, 4.0, 2.0], 4.0, 4.0),
        ([1.0, 4.0, 2.0], 2.4, 2.0),
        ([1.0, 4.0, 2.0], 0.0, 1.0),
        ([5.0, 1.0, 3.0], 4.0, 5.0),  # 5 and 3 are both wrong by one: the first
        ([3.0, 1.0, 5.0], 4.0, 3.0),
    ],
)
def test_a_classic_has_the_settings_that_validation_rows_favour_and_is_fitted_to_all_rows(guesses, truth, chosen):
    fits = []
    parts = Split(TINY[:90], TINY[90:].assign(rating=truth))
    settings = [partial(Guess, stars=stars, fits=fits) for stars in guesses]
    assert ladder.fit_classic(settings, TINY, parts).stars == chosen
    assert [stars for stars, _ in fits] == [*guesses, chosen]
    assert all(train is parts.train for _, train in fits[:-1])
    assert fits[-1][1] is TINY


def test_another_judge_chooses_other_settings_of_a_classic():
    parts = Split(TINY[:90], TINY[90:].assign(rating=4.0))
    settings = [partial(Guess, stars=stars, fits=[]) for stars in (1.0, 4.0, 2.0)]
    assert ladder.fit_classic(settings, TINY, parts, how_good=lambda guess, *_: -guess.stars).stars == 1.0


def test_a_classic_without_a_choice_is_fitted_once():
    fits = []
    parts = Split(TINY[:90], TINY[90:])
    ladder.fit_classic([partial(Guess, stars=4.0, fits=fits)], TINY, parts)
    [(_, train)] = fits
    assert train is TINY


def test_a_classic_whose_settings_are_all_alike_has_the_first():
    parts = Split(TINY[:90], TINY[90:].assign(product_id="new"))  # every setting misses every row
    knn = ladder.fit_classic(ladder.CLASSICS["ItemKNN"], TINY, parts)
    assert (knn.shrink, knn.neighbours) == (20, 50)


def of_tastes(seed, noise):
    """Twenty users with four ratings each: of their own taste, or of luck."""
    rng = np.random.default_rng(seed)
    taste = np.repeat(rng.choice([2.0, 4.0], 20), 4)
    users = np.repeat([f"u{user:02}" for user in range(20)], 4)
    products = np.tile(["kite", "rake", "tent", "wok"], 20)
    stars = 3 + rng.choice([-1.0, 1.0], 80) if noise else taste
    return pd.DataFrame({"user_id": users, "product_id": products, "rating": stars})


@pytest.mark.parametrize(("noise", "damping"), [(False, 1), (True, 20)])
def test_biases_are_damped_the_less_the_more_there_is_to_them(noise, damping):
    train = of_tastes(0, noise)
    last = train.groupby("user_id").cumcount() == 3
    parts = Split(train[~last], train[last].assign(product_id="new"))
    biases = ladder.fit_classic(ladder.CLASSICS["damped biases"], train, parts)
    assert biases.damping == damping
    np.testing.assert_array_equal(biases.ratings(train), DampedBiases(train, damping=damping).ratings(train))


def test_settings_of_item_knn_and_ease_are_those_of_the_best_ranks(run):
    first, validation = split_by_time(SMALL, test_share=0.1)
    found = {
        (shrink, neighbours): ndcg_by_loops(ItemKNN(first, shrink=shrink, neighbours=neighbours), first, validation)
        for shrink in (20, 0, 100)
        for neighbours in (50, 200)
    }
    knn = run.recommenders["ItemKNN"]
    assert (knn.shrink, knn.neighbours) == max(found, key=found.get)
    found = {l2: ndcg_by_loops(EASE(first, l2=l2), first, validation) for l2 in (300, 30, 100, 1_000)}
    assert run.recommenders["EASE"].l2 == max(found, key=found.get)
