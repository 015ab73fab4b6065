"""A generated shop whose truth is known, so that every scoreboard can have a ceiling.

Real data never shows how good a recommender could have been. Here the reviews are drawn from a known model, so the
best possible scores are known too. There are two kinds of shop. In both of them users join and products are launched
in the course of two years, so a split by time meets new ones. Users buy only what is launched, and nothing twice. If
only a share of the purchases is rated, chance decides which. Popularity and stars have the same form in both:

    popularity(i, day)      skew · z_i + drift · d_i · (day / 730 - ½)                       z_i, d_i ~ N(0, 1)
    rating                  round(mean + noise), clipped to 1 … 5 stars                      noise ~ N(0, 0.7²)
    mean                    3.6 + liking(u, i) + quality_i + generosity_u        quality_i, generosity_u ~ N(0, 0.3²)
    expected rating         1 + Σ_{s=2..5} Φ((mean - (s - 0.5)) / 0.7)

**kind="taste".** Users buy what they like. User taste t_u and product p_i are unit vectors in eight interests, one per
category, and their dot product decides purchases and stars alike:

    affinity(u, i)          a = t_u · p_i
    purchase probability    P(i | u, day) ∝ exp(strength · a + popularity(i, day))
    liking(u, i)            2 (a - 0.3)

Models of two towers have the same formulas, so they have a home advantage in this shop.

**kind="habit".** Users buy what goes with their last purchases; they have no taste in what they buy. Each product is
linked with four others on average, drawn at random: it picks one of its category and one anywhere, and a link holds
both ways. Short vectors of products can represent only a part of such links. Let l_1, l_2, l_3 be the user's last three
purchases, the latest first, and let Π be the softmax of popularity(i, day) over the products that the user can buy now:

    purchase probability    P(i | u, day, history) ∝ 0.7 · Σ_k w_k · [i is linked with l_k] / (number of links of l_k)
                                                   + 0.2 · [i is in the category of l_1] · Π(i) / Π(that category)
                                                   + 0.1 · Π(i)
                            w = 3/6, 2/6, 1/6; after two purchases 3/5, 2/5; after one 1; the first one follows Π alone
    liking(u, i)            f_us ~ N(0, 0.5²), where s is the hidden style of product i, one of twelve

Styles are independent of categories and links, so what users buy says nothing about what they like. The purchases of a
user are at least a second apart, so it is always clear which came before.

**Is the truth the ceiling?** In a taste shop it is, for models that know the training rows alone. In a habit shop it is
if each user's training rows are earlier than the test rows, as in a split by time or by each user's last reviews. In a
split by time no model comes near: the truth also knows the user's earlier *test* rows, while the last purchases in the
training rows are soon out of date (hit@10 on three shops: popularity 0.08, ItemKNN 0.09, the truth 0.67). By each
user's last review, these are 0.10, 0.22 and 0.68.

In a random split, the truth of a habit shop isn't strictly the ceiling. It looks back only, but the purchase just
*after* a test row is often linked with it, and may be a training row. ItemKNN is still far below the truth (0.27, the
truth 0.69). But a recommender that knows the true links *and* the user's next training row is above it (0.76; its hit@1
is twice the truth's): `tests/core/test_leaks.py` shows it.

**Large shops.** Up to four million cells of users × products, each step draws the next purchase of all users, with a
random number for every cell (`_draw_in_steps`). Larger shops are drawn user by user, with a few random numbers for each
purchase: another way to draw from the same distribution (`_draw_by_user`).
"""

import math
from bisect import bisect_right
from collections.abc import Collection
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import numpy as np
import pandas as pd
from scipy.sparse import csr_array
from scipy.special import ndtr

from recsys_teach.schema import CATEGORY, PRODUCT, RATING, SUMMARY, TIMESTAMP, TITLE, USER, check_reviews

AVERAGE, SLOPE, NOISE = 3.6, 2.0, 0.7  # stars
GOES_WITH, SAME_CATEGORY = 0.7, 0.2  # shares of the purchases in a habit shop; the rest is popularity
RECENCY = np.array([3.0, 2.0, 1.0])  # weights of the last purchases, the latest first
STYLES, STYLE_SPREAD = 12, 0.5  # hidden styles in a habit shop; stars
SMALL = 4_000_000  # users × products; larger shops are drawn user by user
CELLS = 500_000  # of a smaller shop that are drawn for at once: 4 MB as float64
TRIES = 20  # draws from a user's products before those that are owned are left out
FIRST_DAY, DAYS = pd.Timestamp("2022-01-01", tz="UTC"), 730.0


@dataclass(frozen=True)
class LowRank:
    """A table of users × products as the product of two thin ones, so that any part of it can be made on demand."""

    users: np.ndarray  # [users, k]
    products: np.ndarray  # [products, k]

    def rows(self, users: np.ndarray | slice) -> np.ndarray:
        """Return the rows of these users, `[len(users), products]`."""
        return self.users[users] @ self.products.T

    def cells(self, users: np.ndarray, products: np.ndarray) -> np.ndarray:
        """Return one cell of each pair of a user and a product, `[len(users)]`."""
        return np.einsum("nk,nk->n", self.users[users], self.products[products])


@dataclass(frozen=True)
class Shop:
    """A generated shop: the visible part (`reviews`, `products`, `users`) and the hidden truth (the rest)."""

    reviews: pd.DataFrame  # the reviews table, ordered by time; the rating of an unrated purchase is NaN
    products: pd.DataFrame  # product_id, title, category, launched (UTC)
    users: pd.DataFrame  # user_id, joined (UTC)
    attraction_factors: LowRank  # of the exponent on the middle day
    trend: np.ndarray  # [products], change of the exponent from the first day to the last
    rating_factors: LowRank  # of the mean rating
    links: csr_array | None = None  # [products, products], in a habit shop: what goes with what; each row sums to 1

    @property
    def attraction(self) -> np.ndarray:
        """The exponent on the middle day, `[users, products]`; in a habit shop, popularity in every row.

        This and `mean_rating` compute the whole table, 2 GB in a shop of 50,000 users and 5,000 products.
        """
        return self.attraction_factors.rows(slice(None))

    @property
    def mean_rating(self) -> np.ndarray:
        """The mean rating before noise, rounding and clipping, `[users, products]`."""
        return self.rating_factors.rows(slice(None))

    def purchase_probability(self, reviews: pd.DataFrame) -> np.ndarray:
        """Return P(product | user, time of the row), `[rows, products]`; 0 for products that weren't launched yet.

        In a taste shop, products that the user owns already are still in it: the scoreboard excludes them for every
        recommender. In a habit shop, the probability depends on all that the user bought before the time of the row,
        according to `self.reviews`, and is 0 for those products. What the user bought later isn't used, not even if it
        is among the training rows: see the module's docstring.
        """
        user, day = _places(self.users[USER], reviews[USER]), _days(reviews[TIMESTAMP])
        logits = self.attraction_factors.rows(user)  # the softmax is made in it
        logits += self.trend * (day[:, None] / DAYS - 0.5)
        logits[day[:, None] < _days(self.products["launched"])] = -np.inf
        if self.links is None:
            return _softmax(logits)
        last, owned = self._history(user, day)
        logits[owned] = -np.inf
        return habit_probability(logits, last, self.links, pd.factorize(self.products[CATEGORY])[0])

    def _history(self, user: np.ndarray, day: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
        """Return the columns of the last purchases before each row, `[rows, 3]`, and the cells of all purchases.

        The latest purchase comes first; -1 stands for a purchase that there wasn't.
        """
        buyer, when = _places(self.users[USER], self.reviews[USER]), _days(self.reviews[TIMESTAMP])
        order = np.lexsort([when, buyer])  # all purchases of the first user, then those of the second …
        what = _places(self.products[PRODUCT], self.reviews[PRODUCT])[order]
        far = 1_000.0  # days from one user to the next, on a single line of time
        start = np.searchsorted(buyer[order], user)
        end = np.searchsorted((far * buyer + when)[order], far * user + np.clip(day, -1, far - 2))
        before = end[:, None] - 1 - np.arange(len(RECENCY))
        last = np.where(before >= start[:, None], what[np.maximum(before, 0)], -1)
        bought = end - start
        row = np.repeat(np.arange(len(user)), bought)
        place = np.arange(len(row)) - np.repeat(np.cumsum(bought) - bought, bought)
        return last, (row, what[start[row] + place])

    def expected_rating(self, reviews: pd.DataFrame) -> np.ndarray:
        """Return E[stars | user, product] after rounding and clipping, `[rows]`."""
        user, product = _places(self.users[USER], reviews[USER]), _places(self.products[PRODUCT], reviews[PRODUCT])
        mean = self.rating_factors.cells(user, product)
        return 1 + np.sum([ndtr((mean - (stars - 0.5)) / NOISE) for stars in (2, 3, 4, 5)], axis=0)


def generate_shop(
    *,
    kind: Literal["taste", "habit"] = "taste",
    users: int = 1_500,
    products: int = 400,
    reviews_per_user: float = 20.0,
    popularity_skew: float = 1.2,
    taste_strength: float = 4.0,
    drift: float = 0.0,
    rated_share: float = 1.0,
    seed: int = 0,
) -> Shop:
    """Generate a shop; the same arguments give the same shop, to the last review.

    Args:
        kind: "taste": users buy what they like; "habit": what goes with their last purchases (see the module).
        users, products: how many there are; some of the rarest products are never bought.
        reviews_per_user: an average; some users buy only twice (the minimum), others a hundred times.
        popularity_skew: at 0, popularity has no influence; at 1.2, half of the sales come from a sixth of the products
            in a taste shop, from a quarter in a habit shop.
        taste_strength: at 0, all users buy alike; at 4, the favourite category is far ahead of the others. In a habit
            shop, taste decides no purchases: any other value than the default is refused.
        drift: how much popularity changes in two years; at 1, some products gain or lose a factor e and more.
        rated_share: the share of the purchases that get a rating and a summary.
        seed: of all random draws.
    """
    _check_arguments(**{name: value for name, value in locals().items() if name != "seed"})
    rng = np.random.default_rng(seed)
    more = rng.spawn(1)[0]  # draws from it don't change the others
    categories = np.arange(products) % len(CATALOGUE)
    links = None
    if kind == "taste":
        taste = _unit(rng.dirichlet(np.full(8, 0.3), users) + 0.1 * rng.standard_normal((users, 8)))
        nature = _unit(np.eye(8)[categories] + 0.3 * rng.standard_normal((products, 8)))
        popularity = popularity_skew * rng.standard_normal(products)
        attraction = LowRank(_with_columns(taste_strength * taste, 1), _with_columns(nature, popularity))
        likes, liked, average = SLOPE * taste, nature, AVERAGE - SLOPE * 0.3
    else:
        popularity = popularity_skew * rng.standard_normal(products)
        attraction = LowRank(np.ones((users, 1)), popularity[:, None])
        links = _links(rng, categories)
        liked = np.eye(STYLES)[rng.integers(STYLES, size=products)]
        likes, average = rng.normal(0, STYLE_SPREAD, (users, STYLES)), AVERAGE
    trend = drift * more.standard_normal(products)
    quality, generosity = rng.normal(0, 0.3, products), rng.normal(0, 0.3, users)
    mean_rating = LowRank(_with_columns(likes, 1, generosity), _with_columns(liked, average + quality, 1))

    launched = np.where(rng.random(products) < 0.75, 0.0, rng.uniform(0, DAYS, products))
    joined = np.where(rng.random(users) < 0.3, 0.0, rng.uniform(0, 0.95 * DAYS, users))
    counts = np.clip(rng.poisson(reviews_per_user * rng.gamma(2.0, 0.5, users)), 2, max(2, products // 2))
    who, what, when = _purchases(rng, attraction, trend, counts, joined, launched, links, categories)
    stars = np.clip(np.rint(mean_rating.cells(who, what) + rng.normal(0, NOISE, len(who))), 1, 5)
    rated = more.random(len(who)) < rated_share

    catalogue = make_catalogue(rng, categories).assign(launched=_dates(launched))
    people = pd.DataFrame({USER: [f"U{u:05d}" for u in range(users)], "joined": _dates(joined)})
    summaries = write_summaries(rng, stars, catalogue, what)
    bought = catalogue.iloc[what].reset_index(drop=True)
    reviews = pd.DataFrame(
        {
            USER: people[USER].to_numpy()[who],
            PRODUCT: bought[PRODUCT],
            RATING: np.where(rated, stars, np.nan),
            SUMMARY: np.where(rated, summaries, ""),
            TIMESTAMP: _dates(when),
            TITLE: bought[TITLE],
            CATEGORY: bought[CATEGORY],
        }
    )
    reviews = check_reviews(reviews.sort_values(TIMESTAMP, kind="stable"), source="the generated shop", unrated=True)
    return Shop(reviews, catalogue.drop(columns="noun"), people, attraction, trend, mean_rating, links)


def _check_arguments(
    kind, users, products, reviews_per_user, popularity_skew, taste_strength, drift, rated_share
) -> None:
    if kind not in ("taste", "habit"):
        raise ValueError(f'kind is {kind!r}: expected "taste" or "habit".')
    if users < 2 or products < 2 or not 0 < reviews_per_user <= 1e6:
        raise ValueError(
            f"a shop of {users} users, {products} products and {reviews_per_user} reviews a user: expected at least "
            "2 users, 2 products, more than 0 reviews a user, and no more than a million."
        )
    amounts = {"popularity_skew": popularity_skew, "taste_strength": taste_strength, "drift": drift}
    for name, amount in amounts.items():
        if not 0 <= amount < np.inf:
            raise ValueError(f"{name} is {amount}: expected a number, 0 or more.")
    if kind == "habit" and taste_strength != 4.0:
        raise ValueError(
            f'taste_strength is {taste_strength}: leave it out, taste decides no purchases of kind="habit".'
        )
    if not 0 < rated_share <= 1:
        raise ValueError(f"rated_share is {rated_share}: expected a share above 0, at most 1.")


def _dates(days: np.ndarray) -> pd.DatetimeIndex:
    return FIRST_DAY + pd.to_timedelta(np.rint(days * 86_400), unit="s")


def _days(times: pd.Series) -> np.ndarray:
    return ((times - FIRST_DAY) / pd.Timedelta(days=1)).to_numpy()


def _places(known: pd.Series, wanted: pd.Series) -> np.ndarray:
    """Return the position of each of the `wanted` ids among the `known` ones."""
    places = pd.Index(known).get_indexer(pd.Index(wanted))
    if (places < 0).any():
        unknown = wanted.iloc[int((places < 0).argmax())]
        raise ValueError(f"this shop has no {wanted.name} {unknown!r}: its truth is about its own reviews only.")
    return places


def _with_columns(vectors: np.ndarray, *more: np.ndarray | float) -> np.ndarray:
    """Return the vectors with more columns; a number fills a column."""
    return np.column_stack([vectors, *(np.broadcast_to(column, len(vectors)) for column in more)])


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _softmax(logits: np.ndarray) -> np.ndarray:
    """Return the softmax of each row, made in place; products that can't be bought have the logit -inf."""
    np.exp(logits - logits.max(axis=1, keepdims=True), out=logits)
    return np.divide(logits, logits.sum(axis=1, keepdims=True), out=logits)


def _links(rng, categories: np.ndarray) -> csr_array:
    """Draw what goes with what: each product picks one of its category and one anywhere; a link holds both ways."""
    count, number = len(categories), np.arange(len(categories))
    size, place = np.bincount(categories)[categories], number // len(CATALOGUE)  # of a product within its category
    in_category = categories + len(CATALOGUE) * ((place + rng.integers(1, np.maximum(size, 2))) % size)
    anywhere = (number + rng.integers(1, count, count)) % count
    picks = np.ones(2 * count), (np.tile(number, 2), np.concatenate([in_category, anywhere]))
    picked = csr_array(picks, shape=(count, count))
    linked = ((picked + picked.T) > 0).astype(float)
    linked.setdiag(0)  # the only product of its category picks itself
    linked.eliminate_zeros()
    linked.data /= np.diff(linked.indptr).repeat(np.diff(linked.indptr))
    return linked


def habit_probability(logits: np.ndarray, last: np.ndarray, links: csr_array, categories: np.ndarray) -> np.ndarray:
    """Return the purchase probabilities of a habit shop, `[rows, products]`.

    Args:
        logits: the popularity of each product, -inf if it can't be bought, `[rows, products]`; overwritten.
        last: the columns of the last three purchases, the latest first, -1 if there are fewer, `[rows, 3]`.
        links: what goes with what, `[products, products]`; each row sums to 1.
        categories: of the products, `[products]`.
    """
    there = last >= 0
    weights = RECENCY * there / np.maximum((RECENCY * there).sum(axis=1, keepdims=True), 1)
    cells = weights[there], (there.nonzero()[0], last[there])
    goes_with = (csr_array(cells, shape=logits.shape) @ links).toarray()
    goes_with[np.isneginf(logits)] = 0
    popular = _softmax(logits)
    near = np.where((categories[last[:, :1]] == categories) & there[:, :1], popular, 0)
    near /= np.maximum(near.sum(axis=1, keepdims=True), np.finfo(float).tiny)  # 0 if there is nothing left of it
    mixture = GOES_WITH * goes_with + SAME_CATEGORY * near + (1 - GOES_WITH - SAME_CATEGORY) * popular
    return mixture / mixture.sum(axis=1, keepdims=True)


def _purchases(rng, attraction, trend, counts, joined, launched, links, categories):
    """Draw every user's purchases in order of time; return three arrays: user, product, day."""
    span = rng.exponential(200.0, len(counts))
    times = [
        np.sort(start + rng.random(n) * min(length, DAYS - start)) for n, start, length in zip(counts, joined, span)
    ]
    if links is not None:
        times = [_a_second_apart(days) for days in times]
    draw = _draw_in_steps if len(counts) * len(trend) <= SMALL else _draw_by_user
    return draw(rng, attraction, trend, times, launched, links, categories)


def _draw_in_steps(rng, attraction, trend, times, launched, links, categories):
    """Draw the n-th purchase of all users in one step, in blocks of users that bound the memory.

    Adding Gumbel noise to the logits and taking the largest draws from their softmax. Products that aren't launched or
    are owned are excluded.
    """
    counts = np.array([len(days) for days in times])
    bought, (who, what, when) = np.zeros((len(times), len(trend)), bool), ([], [], [])
    last = np.full((len(times), len(RECENCY)), -1)  # purchases of each user
    block_rows = max(1, CELLS // len(trend))
    for step in range(counts.max()):
        everybody = np.flatnonzero(counts > step)
        for users in np.split(everybody, range(block_rows, len(everybody), block_rows)):
            now = np.array([times[user][step] for user in users])
            out_of_reach = bought[users] | (launched > now[:, None])
            logits = attraction.rows(users) + trend * (now[:, None] / DAYS - 0.5)
            if links is not None:
                logits[out_of_reach] = -np.inf
                with np.errstate(divide="ignore", invalid="ignore"):  # log(0), and users for whom nothing is in reach
                    logits = np.log(habit_probability(logits, last[users], links, categories))
            keys = np.where(out_of_reach, -np.inf, logits + rng.gumbel(size=out_of_reach.shape))
            picks, buys = keys.argmax(axis=1), keys.max(axis=1) > -np.inf
            users, picks, now = users[buys], picks[buys], now[buys]
            bought[users, picks] = True
            last[users] = np.column_stack([picks, last[users, :-1]])
            who.append(users), what.append(picks), when.append(now)
    return np.concatenate(who), np.concatenate(what), np.concatenate(when)


def _draw_by_user(rng, attraction, trend, times, launched, links, categories):
    """Draw all purchases of a user, then those of the next one, from products in the order of their launch."""
    order = np.argsort(launched, kind="stable")
    products, trend, launched = attraction.products[order], trend[order], launched[order]
    numbers = np.arange(len(order))
    who, what, when = [], [], []
    if links is not None:
        popularity = _Stock(numbers, products[:, 0], trend)
        draw = _habit(popularity, links[order][:, order], categories[order])
    for user, days in enumerate(times):
        if links is None:
            draw = _Stock(numbers, products @ attraction.users[user], trend).draw
        basket = {}  # product: day, the latest purchase last
        for day, reach in zip(days.tolist(), np.searchsorted(launched, days, side="right").tolist()):
            product = draw(rng, basket, day, reach)
            if product is not None:
                basket[product] = day
        who += [user] * len(basket)
        what += basket
        when += basket.values()
    return np.array(who, int), order[np.array(what, int)], np.array(when)


class _Stock:
    """Some products of a shop, to draw one from the softmax of their logits on a day.

    Products are numbered in the order of their launch, so those that are launched are the first ones of each array. A
    random number is looked up in the cumulative sums of their weights; what is owned is rejected, and another number
    looked up. With drift the weights are the largest that each product has on any day, and a product is rejected with
    the probability that makes up for the difference. If every try is rejected, the sums are made anew, of the weights
    on that day, without what is owned.
    """

    def __init__(self, numbers: np.ndarray, logits: np.ndarray, trend: np.ndarray):
        self.numbers, self.logits, self.trend = numbers, logits, trend  # [products], the numbers in ascending order
        largest = logits + np.abs(trend) / 2
        self.sums = np.exp(largest - largest.max()).cumsum()

    def part(self, numbers: np.ndarray) -> "_Stock":
        """Return some of these products; this one has them all, so numbers are places in its arrays."""
        return _Stock(numbers, self.logits[numbers], self.trend[numbers])

    def draw(self, rng: np.random.Generator, owned: Collection[int], day: float, reach: int) -> int | None:
        """Return the number of a product below `reach` that isn't owned; None if there is none."""
        launched, time = int(self.numbers.searchsorted(reach)), day / DAYS - 0.5
        if not launched:
            return None
        total = self.sums[launched - 1]
        for _ in range(TRIES):
            place = int(self.sums.searchsorted(rng.random() * total, side="right"))
            if place < launched and (number := int(self.numbers[place])) not in owned:
                trend = self.trend[place]
                if rng.random() < math.exp(trend * time - abs(trend) / 2):
                    return number
        free = np.flatnonzero(~np.isin(self.numbers[:launched], list(owned)))
        if not len(free):
            return None
        logits = self.logits[free] + self.trend[free] * time
        sums = np.exp(logits - logits.max()).cumsum()
        return int(self.numbers[free[sums.searchsorted(rng.random() * sums[-1], side="right")]])


def _habit(popularity, links, categories):
    """Return a function that draws as `_Stock.draw` does, from the purchase probabilities of a habit shop.

    It draws one of the three parts of the mixture, then from this part. A linked product that can't be bought, or a
    category of which nothing is left, leads to another draw of the part, as the probabilities are divided by their sum.
    """
    linked = np.split(links.indices, links.indptr[1:-1])  # with each product
    category = {one: popularity.part(np.flatnonzero(categories == one)) for one in np.unique(categories)}
    recency = np.cumsum(RECENCY)

    def draw(rng, owned, day, reach):
        last = list(islice(reversed(owned), len(RECENCY)))  # the latest first
        while last:
            part = rng.random()
            if part < GOES_WITH:
                goes_with = linked[last[bisect_right(recency, rng.random() * recency[len(last) - 1])]]
                product = int(goes_with[int(rng.random() * len(goes_with))])
                if product < reach and product not in owned:
                    return product
            elif part < GOES_WITH + SAME_CATEGORY:
                product = category[categories[last[0]]].draw(rng, owned, day, reach)
                if product is not None:
                    return product
            else:
                break
        return popularity.draw(rng, owned, day, reach)

    return draw


def _a_second_apart(days: np.ndarray) -> np.ndarray:
    """Return the same times in whole seconds, each at least one later than the one before."""
    step = np.arange(len(days))
    return (np.maximum.accumulate(np.rint(days * 86_400) - step) + step) / 86_400


# The words of the shop. A title tells the topic (a noun belongs to one category); a summary the topic *and* the stars.
CATALOGUE = {
    "camping": ("tent", "sleeping bag", "camp stove", "headlamp", "hammock", "cool box"),
    "cooking": ("saucepan", "chef's knife", "pepper mill", "baking tin", "wok", "kettle"),
    "garden": ("rake", "watering can", "pruning shears", "plant pot", "bird feeder", "wheelbarrow"),
    "music": ("ukulele", "metronome", "microphone", "headphones", "guitar strap", "keyboard stand"),
    "office": ("desk lamp", "notebook", "fountain pen", "stapler", "monitor stand", "paper tray"),
    "pets": ("dog lead", "cat tree", "fish tank", "chew toy", "litter tray", "pet carrier"),
    "sports": ("yoga mat", "skipping rope", "football", "tennis racket", "dumbbell", "swim goggles"),
    "toys": ("jigsaw puzzle", "toy train", "building blocks", "board game", "kite", "teddy bear"),
}
BRANDS = (
    *("Aldous", "Birch", "Corvid", "Dapple", "Ember", "Fennel", "Gable", "Harbour", "Inkwell", "Juniper", "Kestrel"),
    *("Lantern", "Meadow", "Nimbus", "Orchard", "Pebble", "Quill", "Rowan", "Saffron", "Thistle", "Umber", "Vesper"),
    *("Willow", "Yarrow"),
)
PHRASES = {
    1: ("Broken {noun}, want my money back", "Terrible {noun}", "Awful, the worst {noun} for {category}"),
    2: ("Disappointing {noun}", "Poor {noun}, would not buy again", "Weak {noun}, bad for {category}"),
    3: ("Average {noun}", "The {noun} is okay, nothing special", "Decent {noun} for {category}"),
    4: ("Good {noun}", "Solid {noun}, works well", "Nice {noun} for {category}"),
    5: ("Love this {noun}", "Perfect {noun}, highly recommended", "Excellent {noun} for {category}"),
}


def make_catalogue(rng, categories: np.ndarray) -> pd.DataFrame:
    """Return products of these categories, each with a title of its own, such as "Kestrel tent"."""
    copies: dict[tuple[str, str], int] = {}
    names, rows = list(CATALOGUE), []
    for number, category in enumerate(categories):
        nouns = CATALOGUE[names[category]]
        noun, brand = nouns[rng.integers(len(nouns))], BRANDS[rng.integers(len(BRANDS))]
        copies[brand, noun] = copy = copies.get((brand, noun), 0) + 1
        title = f"{brand} {noun}" + (f" {copy}" if copy > 1 else "")
        rows.append((f"P{number:05d}", title, names[category], noun))
    return pd.DataFrame(rows, columns=[PRODUCT, TITLE, CATEGORY, "noun"])


def write_summaries(rng, stars: np.ndarray, catalogue: pd.DataFrame, what: np.ndarray) -> np.ndarray:
    """Return a line about each bought product, a row of the catalogue, in a tone that fits the stars."""
    lines = np.array(
        [
            [[phrase.format(noun=noun, category=category) for phrase in PHRASES[tone]] for tone in sorted(PHRASES)]
            for noun, category in zip(catalogue["noun"], catalogue[CATEGORY])
        ],
        dtype=object,
    )
    return lines[what, stars.astype(int) - 1, rng.integers(3, size=len(stars))]
