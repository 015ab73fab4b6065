from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from recsys_teach import ladder
from recsys_teach.backend import tf
from recsys_teach.baselines import Oracle
from recsys_teach.evaluation import scoreboard
from recsys_teach.features import learn_vocabulary
from recsys_teach.ladder import Defaults, choose_defaults
from recsys_teach.ranking import RankingModel
from recsys_teach.shop import generate_shop
from recsys_teach.splits import Split, split_at_random, split_by_time
from recsys_teach.towers import ProductTower, UserTower
from recsys_teach.training import train_model

pytestmark = pytest.mark.slow

MODELS = ["popularity", "damped biases", "textbook retrieval", "retrieval", "ranking", "multitask"]
SHOP = generate_shop(users=400, products=120, seed=5)
SPLIT = split_at_random(SHOP.reviews, seed=5)


@pytest.fixture(scope="module")
def board() -> pd.DataFrame:
    recommenders, _ = ladder.fit_ladder(SPLIT.train, seed=0)
    return scoreboard(recommenders | {"oracle": Oracle(SHOP)}, *SPLIT)


def test_the_ladder_has_its_rungs_in_order(board):
    assert list(board.index) == [*MODELS, "oracle"]


def test_the_textbook_is_below_the_floor_and_the_corrected_models_above_it(board):
    hits = board["hit@10"]
    assert hits["textbook retrieval"] < hits["popularity"] < hits["retrieval"]
    assert hits["popularity"] < hits["multitask"]


def test_nothing_beats_the_truth(board):
    models = board.drop("oracle")
    assert (models["hit@10"].dropna() < board.loc["oracle", "hit@10"]).all()
    assert (models["rmse"].dropna() > board.loc["oracle", "rmse"]).all()


def test_ratings_are_better_than_damped_biases(board):
    assert board.loc["ranking", "rmse"] < board.loc["damped biases", "rmse"]
    assert board.loc["multitask", "rmse"] < board.loc["ranking", "rmse"]


SMALL = generate_shop(users=50, products=30, reviews_per_user=8, rated_share=0.7, seed=2).reviews


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
    assert list(run.recommenders) == list(run.seconds) == MODELS
    assert all(seconds >= 0 for seconds in run.seconds.values())


def test_every_rung_knows_all_products_of_the_training_rows(run):
    products = sorted(set(SMALL["product_id"]))
    offered = {name: model for name, model in run.recommenders.items() if hasattr(model, "products")}
    assert list(offered) == [name for name in MODELS if name not in ("damped biases", "ranking")]
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


@pytest.mark.parametrize("place", [0, 2, 4, 6])
def test_every_model_trains_as_long_on_everything_as_was_best_without_the_validation_rows(run, place):
    first, validation = split_by_time(SMALL, test_share=0.1)
    train, settings, losses = run.trainings[place]
    pd.testing.assert_frame_equal(train, first)
    pd.testing.assert_frame_equal(settings["validation"], validation)
    assert settings["epochs"] == 30
    again, final, last_losses = run.trainings[place + 1]
    assert again is SMALL
    assert final.get("validation") is None
    assert len(last_losses) == final["epochs"] == losses["validation"].idxmin()
    assert len(run.trainings) == 8


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
    assert (*on, retrieval.unknown_user_dropout, model.l2) == ((True,) * 3 + (0.3, 0.1) if corrected else (False,) * 5)


def test_errors_of_ratings_count_by_their_variance():
    variance = np.nanvar(SMALL["rating"])
    settings = learn_vocabulary(SMALL), Defaults(batch_size=32, unknown_user_dropout=0.1)
    ranking, multitask = ladder.build_ranking(*settings), ladder.build_multitask(*settings)
    assert ranking.rating_weight == pytest.approx(1 / variance)
    assert multitask.rating_weight == pytest.approx(0.4 / variance)
    assert multitask.retrieval_weight == 1


def test_the_same_seed_gives_the_same_model_whatever_was_fitted_before(run, monkeypatch):
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


def test_both_trainings_of_a_model_by_hand(monkeypatch):
    trainings = []

    def train(model, rows, *, epochs, validation=None, **settings):
        trainings.append((model, rows, epochs, validation))
        return pd.DataFrame({"validation": [3.0, 1.0, 2.0]})

    monkeypatch.setattr(ladder, "MODELS", {"vocabulary": lambda vocabulary, recipe: vocabulary})
    monkeypatch.setattr(ladder, "train_model", train)
    recommenders, _ = ladder.fit_ladder(TINY, split=split_by_time)
    [(first, rows, most, held_back), (last, all_rows, best, none)] = trainings
    pd.testing.assert_frame_equal(rows, TINY[:90])
    pd.testing.assert_frame_equal(held_back, TINY[90:].reset_index(drop=True))
    assert (all_rows is TINY, most, best, none) == (True, 30, 2, None)
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
    assert list(recommenders) == MODELS[:2]


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
    assert settings.get("validation") is None
    assert len(losses) == settings["epochs"] == (1 if known else ladder.PLAIN_EPOCHS)
    assert np.isfinite(model.ratings(TINY)).all()
