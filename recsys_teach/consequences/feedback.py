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

**Exploration.** The last `explore` of the ten places are not the recommender's. Two rules fill them, from the products
that the user neither owns nor is shown already:

    random       each of them is as likely as any other
    thompson     the highest θ_i ~ Beta(1 + bought_i, 30 + shown_i - bought_i), drawn for each visitor anew

The second rule is Thompson sampling (Thompson 1933; Chapelle & Li 2011, "An empirical evaluation of Thompson
sampling"), which knows products but no users: it shows what may sell well, and stops when it has seen that it doesn't.
The counts are those of the simulation's lists so far.

How likely a product was to be shown, its propensity, is logged with each exposure, since `off_policy` needs it. It is 1
for the recommender's places. For a random one it is known exactly; for Thompson's there is no formula, and it is NaN:

    propensity = explore / (products that the user doesn't own - the 10 - explore others)
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from recsys_teach import metrics
from recsys_teach._util import shown as quoted
from recsys_teach.evaluation import CELLS, best_columns, scores_of
from recsys_teach.schema import CATEGORY, PRODUCT, TIMESTAMP, TITLE, USER
from recsys_teach.shop import DAYS, FIRST_DAY, Shop

PLACES = 10  # of a list
ROUND, PLACE, PROPENSITY, BOUGHT = "round", "place", "propensity", "bought"  # columns of the log
PRIOR = 30  # exposures without a purchase, of each product, before Thompson sampling has seen any
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
    explore_by: Literal["random", "thompson"] = "random",
    organic: float = 0.05,
    visit_share: float = 1.0,
    seed: int = 0,
    start: pd.DataFrame | None = None,
) -> Feedback:
    """Simulate a shop with a recommender in the loop; return its rounds, its log, and all purchases.

    The table of the rounds has, for the lists: `hit@10`, the true probability that what a visitor wants is in the list
    (no luck in it); `coverage@10`, `gini@10`, `diversity@10` (see `metrics`). For what was bought: `purchases`, their
    number; `tail` and `new`, the share of them in the long tail and of products that hadn't sold before the start;
    `tail wanted` and `new wanted`, what these shares would be if everybody found what they want; `ever sold`, the share
    of the shop's products that have sold so far. The long tail are the products outside the smallest set that covers
    half of what all users want at the start. Where nobody visits, all but `purchases` and `ever sold` are NaN.

    The same seed gives the same visitors and, as long as they own the same, the same wants, with any recommender: so
    differences between two simulations are hardly due to luck.

    Args:
        fit: a function of all purchases so far that returns a recommender; it is called before each round. To keep one
            recommender as it is, `lambda reviews: recommender`.
        rounds: of visits, an hour apart, after the last purchase of `start` and the shop's two years.
        explore, explore_by: how many of the ten places are not the recommender's, and who fills them (see the module).
        organic: the probability that what isn't in the list is found by search.
        visit_share: the probability that a user visits in a round.
        start: the purchases before the first round, with their columns of a reviews table, such as another
            simulation's `reviews`; the shop's own if there are none.

    Raises:
        ValueError: a number out of its range, or a recommender without scores or with products that the shop hasn't.
    """
    if explore not in range(PLACES + 1):
        raise ValueError(f"explore is {explore}: expected a number of places, from 0 to {PLACES}.")
    for name, value in (("organic", organic), ("visit_share", visit_share)):
        if not 0 <= value <= 1:
            raise ValueError(f"{name} is {value}: expected a probability from 0 to 1.")
    if explore_by not in ("random", "thompson"):
        raise ValueError(f'explore_by is {explore_by!r}: expected "random" or "thompson".')
    if rounds < 1:
        raise ValueError(f"rounds is {rounds}: expected 1 or more.")
    reviews = shop.reviews if start is None else start
    first_round = int(reviews[ROUND].max()) if ROUND in reviews else 0
    reviews = reviews if ROUND in reviews else reviews.assign(**{ROUND: 0})
    opening = max(reviews[TIMESTAMP].max(), FIRST_DAY + pd.Timedelta(days=DAYS))
    products, users = pd.Index(shop.products[PRODUCT]), pd.Index(shop.users[USER])
    categories = pd.factorize(shop.products[CATEGORY])[0]
    buyer, what = users.get_indexer(pd.Index(reviews[USER])), products.get_indexer(pd.Index(reviews[PRODUCT]))
    if (np.minimum(buyer, what) < 0).any():
        raise ValueError("start has users or products that this shop hasn't: expected purchases of this shop.")
    owned = np.zeros((len(users), len(products)), bool)
    owned[buyer, what] = True
    new = ~np.isin(np.arange(len(products)), what)
    shown, sold = np.zeros(len(products)), np.zeros(len(products))  # in these rounds' lists, and from them
    block = max(1, CELLS // len(products))  # visitors at once
    demand = np.zeros(len(products))
    for some in np.split(np.arange(len(users)), range(block, len(users), block)):
        asked = pd.DataFrame({USER: users[some], TIMESTAMP: opening + A_ROUND})
        demand += _chances(replace(shop, reviews=reviews), asked, owned[some]).sum(axis=0)
    tail = _long_tail(demand)
    table, log = [], []
    for number in range(first_round + 1, first_round + rounds + 1):
        visits, wants, places = (np.random.default_rng([seed, number, stream]) for stream in range(3))
        visitors = np.flatnonzero(visits.random(len(users)) < visit_share)
        now = opening + (number - first_round) * A_ROUND
        recommender, truth = fit(reviews), replace(shop, reviews=reviews)
        of_lists, of_wants = [], []
        for some in np.split(visitors, range(block, len(visitors), block)):
            asked = pd.DataFrame({USER: users[some], TIMESTAMP: now})
            scores = _scores(recommender, asked, products)
            keys: np.ndarray | None = None
            if explore and explore_by == "thompson":
                keys = places.beta(1 + sold, PRIOR + shown - sold, size=scores.shape)
            elif explore:
                keys = places.random(scores.shape)
            of_lists.append(_lists(scores, owned[some], explore, keys))
            chance = _chances(truth, asked, owned[some])
            of_wants.append(_wants(chance, of_lists[-1][0], wants, tail, new))
        lists, propensity = (np.concatenate(each) for each in zip(*of_lists))
        if explore_by == "thompson":
            propensity[:, PLACES - explore :] = np.nan
        of_visits = pd.concat(of_wants)
        wanted, left = of_visits["product"].to_numpy(), of_visits["left"].to_numpy()

        found = (lists == wanted[:, None]) & left[:, None]
        in_list = found.any(axis=1)
        buys = in_list | (left & (wants.random(len(visitors)) < organic))
        bought = wanted[buys]
        owned[visitors[buys], bought] = True
        shown += np.bincount(lists[lists >= 0], minlength=len(products))
        sold += np.bincount(lists[found], minlength=len(products))
        more = shop.products.iloc[bought][[PRODUCT, TITLE, CATEGORY]].reset_index(drop=True)
        more = more.assign(**{USER: users[visitors[buys]], TIMESTAMP: now, ROUND: number})
        reviews = pd.concat([reviews, more], ignore_index=True) if len(more) else reviews

        measures = _measures(lists, of_visits, bought, categories, tail, new)
        table.append({**measures, "ever sold": reviews[PRODUCT].nunique() / len(products)})
        row, place = np.nonzero(lists >= 0)
        of_list = {ROUND: number, USER: users[visitors[row]], PLACE: place + 1, PRODUCT: products[lists[row, place]]}
        log.append(pd.DataFrame({**of_list, PROPENSITY: propensity[row, place], BOUGHT: found[row, place]}))
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

    The recommenders stay as they are. A row for each arm: `users`, `purchases` from the list per visit, and its
    `purchases gain` over the first arm's, each with a 95 % interval, `low` and `high`, from the spread between users (a
    user's visits aren't independent; the arms are). Users who were shown nothing at all don't count. `how` are more
    arguments of `simulate`, `reviews` its `start`.
    """
    if len(recommenders) < 2:
        raise ValueError(f"an A/B test of {len(recommenders)} recommender: expected two or more, by name.")
    arm = np.random.default_rng([seed, 0]).permutation(len(shop.users)) % len(recommenders)
    arms = _Arms(shop, dict(recommenders), pd.Series(arm, pd.Index(shop.users[USER])))
    log = simulate(shop, lambda _: arms, rounds=rounds, seed=seed, start=reviews, **how).exposures
    of_user = log.groupby(USER).agg(bought=(BOUGHT, "sum"), visits=(ROUND, "nunique"))
    table = {}
    for number, name in enumerate(recommenders):
        some = of_user[arms.arm[of_user.index].to_numpy() == number]
        rate, error = ratio(some["bought"].to_numpy(), some["visits"].to_numpy())
        if number == 0:
            first, first_error = rate, error
        of_gain = np.hypot(error, first_error) if number else 0.0
        table[name] = {"users": len(some), **interval("purchases", rate, error)}
        table[name] |= interval("purchases gain", rate - first, of_gain)
    return pd.DataFrame.from_dict(table, "index").rename_axis("arm")


def interval(name: str, value: float, error: float) -> dict[str, float]:
    """Return a value by its name, with the ends of its 95 % interval by the normal approximation.

    >>> interval("hits", 0.5, 0.1)
    {'hits': 0.5, 'hits low': 0.304, 'hits high': 0.696}
    """
    return {name: value, f"{name} low": value - 1.96 * error, f"{name} high": value + 1.96 * error}


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> tuple[float, float]:
    """Return Σ numerator / Σ denominator of independent users, and its standard error.

    >>> ratio(np.array([1, 3]), np.array([2, 2]))
    (1.0, 0.5)
    """
    value, parts = ratio_parts(numerator, denominator)
    return value, error_of(parts)


def ratio_parts(numerator: np.ndarray, denominator: np.ndarray) -> tuple[float, np.ndarray]:
    """Return Σ numerator / Σ denominator, and each user's part in its error, `[users]`.

    That is (numerator - ratio · denominator) / Σ denominator (the delta method; Cochran 1977, "Sampling Techniques",
    6.4). The parts of the difference of two ratios are the differences of their parts. All are NaN if the denominators
    sum to 0.
    """
    total = denominator.sum() or np.nan
    value = float(numerator.sum() / total)
    return value, (numerator - value * denominator) / total


def error_of(parts: np.ndarray) -> float:
    """Return the standard error that follows from the users' parts in it."""
    users = len(parts)
    return float(np.sqrt(users / max(users - 1, 1) * (parts**2).sum()))


class _Arms:
    """A recommender that asks the one of each user's arm."""

    def __init__(self, shop: Shop, recommenders: dict[str, Any], arm: pd.Series):
        self.products, self.recommenders, self.arm = list(shop.products[PRODUCT]), recommenders, arm

    def scores(self, reviews: pd.DataFrame) -> np.ndarray:
        scores, arm = np.full((len(reviews), len(self.products)), -np.inf), self.arm[reviews[USER]].to_numpy()
        for number, one in enumerate(self.recommenders.values()):
            if (mine := arm == number).any():
                scores[mine] = _scores(one, reviews[mine], pd.Index(self.products))
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


def _scores(recommender: Any, asked: pd.DataFrame, products: pd.Index) -> np.ndarray:
    """Return the scores of all of the shop's products, `[rows, products]`; -inf for what the recommender hasn't."""
    columns = _columns(recommender, products)
    scores = np.full((len(asked), len(products)), -np.inf)
    scores[:, columns] = scores_of(recommender, asked, len(columns), f"this {type(recommender).__name__}")
    return scores


def _lists(
    scores: np.ndarray, owned: np.ndarray, explore: int, keys: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return each visitor's list as columns of the shop, `[rows, 10]`, -1 if empty, and the propensities.

    The last `explore` places have the highest `keys`, which are random numbers.
    """
    lists = best_columns(np.where(owned, -np.inf, scores), PLACES)
    propensity = np.ones(lists.shape)
    if keys is not None:
        chosen, taken = PLACES - explore, owned.copy()
        row, place = np.nonzero(lists[:, :chosen] >= 0)
        taken[row, lists[row, place]] = True
        lists[:, chosen:] = best_columns(np.where(taken, -np.inf, keys), explore)
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


def _wants(
    chance: np.ndarray, lists: np.ndarray, rng: np.random.Generator, tail: np.ndarray, new: np.ndarray
) -> pd.DataFrame:
    """Return what each visitor wants, a row each: a product, whether one is left that they don't own, and shares."""
    with np.errstate(divide="ignore"):
        wanted = (np.log(chance) + rng.gumbel(size=chance.shape)).argmax(axis=1)
    shares = {"hit@10": _in_lists(chance, lists)}
    shares |= {"tail wanted": chance[:, tail].sum(axis=1), "new wanted": chance[:, new].sum(axis=1)}
    return pd.DataFrame({"product": wanted, "left": chance.max(axis=1) > 0, **shares})


def _measures(
    lists: np.ndarray,
    of_visits: pd.DataFrame,
    bought: np.ndarray,
    categories: np.ndarray,
    tail: np.ndarray,
    new: np.ndarray,
) -> dict[str, float]:
    """Return what the table of the rounds says of one round: of its lists, and of the products that were `bought`."""
    products = len(tail)
    return {
        "hit@10": of_visits["hit@10"].mean(),
        "coverage@10": metrics.coverage(lists, products) if len(lists) else np.nan,
        "gini@10": metrics.exposure_gini(lists, products) if len(lists) else np.nan,
        "diversity@10": pd.Series(metrics.diversity(lists, categories), dtype=float).mean(),
        "purchases": len(bought),
        "tail": tail[bought].mean() if len(bought) else np.nan,
        "tail wanted": of_visits["tail wanted"].mean(),
        "new": new[bought].mean() if len(bought) else np.nan,
        "new wanted": of_visits["new wanted"].mean(),
    }


def _long_tail(demand: np.ndarray) -> np.ndarray:
    """Return which products are outside the smallest set that covers half of the demand, all `[products]`."""
    order = np.argsort(-demand, kind="stable")
    tail = np.ones(len(demand), bool)
    tail[order[: int(np.searchsorted(demand[order].cumsum(), (0.5 - 1e-9) * demand.sum())) + 1]] = False
    return tail
