"""Settings by rule of thumb: powers of two, and half the share of strangers, both within bounds."""

import numpy as np
import pandas as pd
import pytest

from recsys_teach.ladder import Defaults, choose_defaults, defaults_by_rule


def rows(known, strangers=0):
    return pd.DataFrame({"user_id": np.repeat([7, 8], [known, strangers])})


@pytest.mark.parametrize(
    ("reviews", "batch_size"),
    [(10, 32), (800, 32), (4_000, 32), (6_400, 64), (24_000, 256), (100_000, 256), (1_000_000, 256)],
)
def test_batches_are_a_power_of_two_of_about_a_hundredth_of_the_rows(reviews, batch_size):
    assert choose_defaults(rows(reviews), rows(1)).batch_size == batch_size


@pytest.mark.parametrize(
    ("strangers", "dropout"), [(0, 0.05), (9, 0.05), (10, 0.05), (20, 0.1), (60, 0.3), (99, 0.495), (100, 0.5)]
)
def test_dropout_is_half_the_share_of_strangers_within_bounds(strangers, dropout):
    recipe = choose_defaults(rows(50), rows(100 - strangers, strangers))
    assert recipe.unknown_user_dropout == pytest.approx(dropout)


@pytest.mark.parametrize(("share", "dropout"), [(0.0, 0.05), (0.3, 0.15), (1.0, 0.5), (float("nan"), 0.05)])
def test_the_rule_by_counts_is_the_same_and_expects_few_new_users_without_validation_rows(share, dropout):
    assert defaults_by_rule(rows=6_400, new_user_share=share) == Defaults(
        batch_size=64, unknown_user_dropout=pytest.approx(dropout)
    )


def test_no_validation_rows_are_no_new_users():
    assert choose_defaults(rows(6_400), rows(0)) == Defaults(batch_size=64, unknown_user_dropout=0.05)


def test_what_follows_from_no_rule_is_the_same_for_all_data():
    for settings in (choose_defaults(rows(10), rows(0, 1)), choose_defaults(rows(100_000), rows(1))):
        assert (settings.dim, settings.l2, settings.learning_rate, settings.max_epochs) == (64, 0.15, 0.1, 30)
