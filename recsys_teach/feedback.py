"""Feedback: a shop whose recommender decides what is seen, and learns from what is bought. No TensorFlow is needed.

A scoreboard asks which product a user bought. It can't ask what would have been bought from *other* lists, nor what a
recommender's lists do to the rows that it will learn from. A generated shop can, because its truth is known. In each
round every visitor is shown ten products; then the recommender is fitted again, on all purchases so far:

    wants        a visitor u wants one product, drawn from the true P(i | u) over what u doesn't own
    finds        it is bought if it is in the list; if not, it is found by search with probability `organic`
    so           P(u buys i from the list) = P(i | u) for each i in the list, whatever else is in it

Lists don't change what people want, only what they find: a cautious model of a shop. In one where lists also persuade
(Chaney et al. 2018, "How algorithmic confounding in recommendation systems increases homogeneity and decreases
utility"), the loop is stronger.

**Exploration.** `explore` of the ten places are filled at random, each time from all products that the user neither
owns nor is shown already. How likely a product was to be shown, its propensity, is then known exactly, and logged with
each exposure, since `off_policy` needs it. It is 1 for the other places, and for a random one

    propensity = explore / (products that the user doesn't own - the 10 - explore others)
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from recsys_teach import metrics
from recsys_teach._util import shown as quoted
from recsys_teach.evaluation import best_columns, scores_of
from recsys_teach.schema import CATEGORY, PRODUCT, TIMESTAMP, TITLE, USER
from recsys_teach.shop import DAYS, FIRST_DAY, Shop

PLACES = 10  # of a list
ROUND, PLACE, PROPENSITY, BOUGHT = "round", "place", "propensity", "bought"  # columns of the log
A_ROUND = pd.Timedelta(hours=1)  # from one round to the next


class Feedback(NamedTuple):
    """What happened in a simulated shop."""

    rounds: pd.DataFrame  # a row for each round, see `simulate`
    exposures: pd.DataFrame  # the log: round, user_id, place, product_id, propensity, bought (from the list)
    reviews: pd.DataFrame  # all purchases, with the round of each; 0 for those before the simulation


def simulate(
    shop: Shop,
    fit: Callable[[pd.DataFrame], Any],
    *,
    rounds: int = 10,
    explore: int = 0,
    organic: float = 0.1,
    visit_share: float = 1.0,
    seed: int = 0,
    start: pd.DataFrame | None = None,
) -> Feedback:
    """Simulate a shop with a recommender in the loop; return its rounds, its log, and all purchases.

    The table of the rounds has, for the lists: `hit@10`, the true probability that what a visitor wants is in the list
    (no luck in it); `coverage@10`, `gini@10`, `diversity@10` (see `metrics`). For what was bought: `purchases`, their
    number; `tail`, the share of them in the long tail; `tail wanted`, what that share would be if everybody found what
    they want; `ever sold`, the share of the shop's products that have sold so far. The long tail are the products
    outside the smallest set that covers half of what users want at the start.

    The same seed gives the same visitors and, as long as they own the same, the same wants, with any recommender: so
    differences between two simulations are hardly due to luck.

    Args:
        fit: a function of all purchases so far that returns a recommender; it is called before each round. To keep one
            recommender as it is, `lambda reviews: recommender`.
        rounds: of visits, an hour apart, after the last purchase of `start` and the shop's two years.
        explore: how many of the ten places are filled at random.
        organic: the probability that what isn't in the list is found by search.
        visit_share: the probability that a user visits in a round.
        start: the purchases before the first round, with their columns of a reviews table, such as another
            simulation's `reviews`; the shop's own if there are none.

    Raises:
        ValueError: a number out of its range, or a recommender without scores or with products that the shop hasn't.
    """
    for name, value, most in (("explore", explore, PLACES), ("organic", organic, 1), ("visit_share", visit_share, 1)):
        if not 0 <= value <= most:
            raise ValueError(f"{name} is {value}: expected a number from 0 to {most}.")
    if rounds < 1:
        raise ValueError(f"rounds is {rounds}: expected 1 or more.")
    reviews = shop.reviews if start is None else start
    first_round = int(reviews[ROUND].max()) if ROUND in reviews else 0
    reviews = reviews if ROUND in reviews else reviews.assign(**{ROUND: 0})
    opening = max(reviews[TIMESTAMP].max(), FIRST_DAY + pd.Timedelta(days=DAYS))
    products, users = pd.Index(shop.products[PRODUCT]), pd.Index(shop.users[USER])
    categories = pd.factorize(shop.products[CATEGORY])[0]
    owned = np.zeros((len(users), len(products)), bool)
    owned[users.get_indexer(pd.Index(reviews[USER])), products.get_indexer(pd.Index(reviews[PRODUCT]))] = True
    tail: np.ndarray | None = None
    table, log = [], []
    for number in range(first_round + 1, first_round + rounds + 1):
        visits, wants, places = (np.random.default_rng([seed, number, stream]) for stream in range(3))
        visitors = np.flatnonzero(visits.random(len(users)) < visit_share)
        now = opening + (number - first_round) * A_ROUND
        asked = pd.DataFrame({USER: users[visitors], TIMESTAMP: now})
        lists, propensity = _lists(fit(reviews), asked, products, owned[visitors], explore, places)
        chance = _chances(replace(shop, reviews=reviews), asked, owned[visitors])
        tail = _long_tail(chance) if tail is None else tail

        with np.errstate(divide="ignore"):
            wanted = (np.log(chance) + wants.gumbel(size=chance.shape)).argmax(axis=1)
        left = chance.max(axis=1) > 0  # is there anything that this user doesn't own?
        found = (lists == wanted[:, None]) & left[:, None]
        in_list = found.any(axis=1)
        buys = in_list | (left & (wants.random(len(visitors)) < organic))
        bought = wanted[buys]
        owned[visitors[buys], bought] = True
        new = shop.products.iloc[bought][[PRODUCT, TITLE, CATEGORY]].reset_index(drop=True)
        new = new.assign(**{USER: users[visitors[buys]], TIMESTAMP: now, ROUND: number})
        reviews = pd.concat([reviews, new], ignore_index=True)

        table.append(
            {
                "hit@10": _in_lists(chance, lists).mean(),
                "coverage@10": metrics.coverage(lists, len(products)),
                "gini@10": metrics.exposure_gini(lists, len(products)),
                "diversity@10": pd.Series(metrics.diversity(lists, categories)).mean(),
                "purchases": buys.sum(),
                "tail": tail[bought].mean() if len(bought) else np.nan,
                "tail wanted": chance[:, tail].sum(axis=1).mean(),
                "ever sold": reviews[PRODUCT].nunique() / len(products),
            }
        )
        row, place = np.nonzero(lists >= 0)
        shown = {ROUND: number, USER: users[visitors[row]], PLACE: place + 1, PRODUCT: products[lists[row, place]]}
        log.append(pd.DataFrame({**shown, PROPENSITY: propensity[row, place], BOUGHT: found[row, place]}))
    numbers = pd.RangeIndex(first_round + 1, first_round + rounds + 1, name=ROUND)
    return Feedback(pd.DataFrame(table, numbers), pd.concat(log, ignore_index=True), reviews)


def ab_test(
    shop: Shop,
    recommenders: Mapping[str, Any],
    reviews: pd.DataFrame,
    *,
    rounds: int = 1,
    seed: int = 0,
    **how: Any,
) -> pd.DataFrame:
    """Give each user one of the recommenders by chance; return what each arm bought from its lists, with intervals.

    The recommenders stay as they are. A row for each arm: `users`, `purchases` from the list per visit, and its `gain`
    over the first arm's, with 95 % intervals `low` and `high` from the spread between users (a user's visits aren't
    independent; the arms are). Users who were shown nothing at all don't count. `how` are more arguments of
    `simulate`, `reviews` its `start`.
    """
    if len(recommenders) < 2:
        raise ValueError(f"an A/B test of {len(recommenders)} recommender: expected two or more, by name.")
    arm = np.random.default_rng([seed, 0]).permutation(len(shop.users)) % len(recommenders)
    arms = _Arms(shop, dict(recommenders), pd.Series(arm, pd.Index(shop.users[USER])))
    log = simulate(shop, lambda _: arms, rounds=rounds, seed=seed, start=reviews, **how).exposures
    of_user = log.groupby(USER, observed=True).agg(bought=(BOUGHT, "sum"), visits=(ROUND, "nunique"))
    rates = {}
    for number, name in enumerate(recommenders):
        some = of_user[arms.arm[of_user.index].to_numpy() == number]
        rates[name] = len(some), *ratio(some["bought"], some["visits"])
    table = pd.DataFrame.from_dict(rates, "index", columns=["users", "purchases", "error"]).rename_axis("arm")
    first = table.iloc[0]
    gain, error = table["purchases"] - first["purchases"], np.hypot(table["error"], first["error"])
    error.iloc[0] = 0
    half, half_gain = 1.96 * table.pop("error"), 1.96 * error
    table["purchases low"], table["purchases high"] = table["purchases"] - half, table["purchases"] + half
    table["gain"], table["gain low"], table["gain high"] = gain, gain - half_gain, gain + half_gain
    return table


def ratio(numerator: pd.Series, denominator: pd.Series) -> tuple[float, float]:
    """Return Σ numerator / Σ denominator of independent users, and its standard error.

    The error is that of the residuals numerator - ratio · denominator (the delta method; Cochran 1977, "Sampling
    Techniques", 6.4). Both are NaN if the denominators sum to 0.

    >>> ratio(pd.Series([1.0, 3.0]), pd.Series([2.0, 2.0]))
    (1.0, 0.5)
    """
    if not denominator.sum():
        return np.nan, np.nan
    value = numerator.sum() / denominator.sum()
    rest = numerator - value * denominator
    users = len(rest)
    spread = np.sqrt(users / max(users - 1, 1) * (rest**2).sum())
    return float(value), float(spread / denominator.sum())


class _Arms:
    """A recommender that asks the one of each user's arm."""

    def __init__(self, shop: Shop, recommenders: dict[str, Any], arm: pd.Series):
        self.products, self.recommenders, self.arm = list(shop.products[PRODUCT]), recommenders, arm

    def scores(self, reviews: pd.DataFrame) -> np.ndarray:
        scores, arm = np.full((len(reviews), len(self.products)), -np.inf), self.arm[reviews[USER]].to_numpy()
        for number, (name, one) in enumerate(self.recommenders.items()):
            row, column = np.flatnonzero(arm == number), _columns(one, pd.Index(self.products))
            if len(row):
                scores[np.ix_(row, column)] = scores_of(one, reviews.iloc[row], len(column), name)
        return scores


def _columns(recommender: Any, products: pd.Index) -> np.ndarray:
    """Return the shop's column of each of the recommender's products; raise a ValueError if there is none."""
    if not hasattr(recommender, "scores"):
        raise ValueError(
            f"a {type(recommender).__name__} has no scores, so it can't fill a list: expected a recommender with them."
        )
    columns = products.get_indexer(pd.Index(recommender.products))
    if (columns < 0).any():
        unknown = recommender.products[int((columns < 0).argmax())]
        raise ValueError(
            f"the shop has no product {quoted(unknown)}, which this {type(recommender).__name__} recommends: "
            "fit it on the shop's own purchases."
        )
    return columns


def _lists(
    recommender: Any,
    asked: pd.DataFrame,
    products: pd.Index,
    owned: np.ndarray,
    explore: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the list of each visitor as columns of the shop, `[rows, 10]`, -1 if empty, and their propensities."""
    columns = _columns(recommender, products)
    scores, chosen = np.full(owned.shape, -np.inf), PLACES - explore
    scores[:, columns] = scores_of(recommender, asked, len(columns), f"this {type(recommender).__name__}")
    scores[owned] = -np.inf
    lists = best_columns(scores, PLACES)
    propensity = np.ones(lists.shape)
    if explore:
        taken = owned.copy()
        row, place = np.nonzero(lists[:, :chosen] >= 0)
        taken[row, lists[row, place]] = True
        lists[:, chosen:] = best_columns(np.where(taken, -np.inf, rng.random(taken.shape)), explore)
        propensity[:, chosen:] = np.minimum(explore / np.maximum((~taken).sum(axis=1), 1), 1)[:, None]
    return lists, propensity


def _chances(shop: Shop, asked: pd.DataFrame, owned: np.ndarray) -> np.ndarray:
    """Return P(product | user) over what the user doesn't own, `[rows, products]`; zeros if there is nothing left."""
    chance = np.where(owned, 0, shop.purchase_probability(asked))
    total = chance.sum(axis=1, keepdims=True)
    return chance / np.where(total > 0, total, 1)


def _in_lists(chance: np.ndarray, lists: np.ndarray) -> np.ndarray:
    """Return the probability that what a visitor wants is in the list, `[rows]`."""
    return np.where(lists >= 0, np.take_along_axis(chance, np.maximum(lists, 0), axis=1), 0).sum(axis=1)


def _long_tail(chance: np.ndarray) -> np.ndarray:
    """Return which products are outside the smallest set that covers half of what visitors want, `[products]`."""
    demand = chance.mean(axis=0)
    order = np.argsort(-demand, kind="stable")
    tail = np.ones(len(demand), bool)
    tail[order[: int(np.searchsorted(demand[order].cumsum(), (0.5 - 1e-9) * demand.sum())) + 1]] = False
    return tail
