"""A generated shop whose truth is known, so that every scoreboard can have a ceiling.

Real data never shows how good a recommender could have been. Here the reviews are drawn from a known model, so the
best possible scores are known too. With user taste t_u and product p_i as unit vectors in eight interests, one per
category:

    affinity(u, i)          a = t_u · p_i
    popularity(i, day)      skew · z_i + drift · d_i · (day / 730 - ½)                       z_i, d_i ~ N(0, 1)
    purchase probability    P(i | u, day) ∝ exp(strength · a + popularity(i, day))
                            over the products launched by then; nothing is bought twice
    rating                  round(3.6 + 2 (a - 0.3) + quality_i + generosity_u + noise), clipped to 1 … 5 stars
                            quality_i, generosity_u ~ N(0, 0.3²), noise ~ N(0, 0.7²)
    expected rating         1 + Σ_{s=2..5} Φ((mean - (s - 0.5)) / 0.7)

Users join and products are launched in the course of two years, so a split by time meets new ones. If only a share of
the purchases is rated, chance decides which.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import ndtr

from recsys_teach.schema import CATEGORY, PRODUCT, RATING, SUMMARY, TIMESTAMP, TITLE, USER, check_reviews

AVERAGE, SLOPE, NOISE = 3.6, 2.0, 0.7  # stars
CELLS = 500_000  # of users and products that are drawn for at once: 4 MB as float64
FIRST_DAY, DAYS = pd.Timestamp("2022-01-01", tz="UTC"), 730.0


@dataclass(frozen=True)
class Shop:
    """A generated shop: the visible part (`reviews`, `products`, `users`) and the hidden truth (the arrays)."""

    reviews: pd.DataFrame  # the reviews table, ordered by time; the rating of an unrated purchase is NaN
    products: pd.DataFrame  # product_id, title, category, launched (UTC)
    users: pd.DataFrame  # user_id, joined (UTC)
    attraction: np.ndarray  # [users, products], the exponent of the purchase probability on the middle day
    trend: np.ndarray  # [products], change of the exponent from the first day to the last
    mean_rating: np.ndarray  # [users, products], before noise, rounding and clipping

    def purchase_probability(self, reviews: pd.DataFrame) -> np.ndarray:
        """Return P(product | user, time of the row), `[rows, products]`; 0 for products that weren't launched yet.

        Products that the user owns already are still in it: the scoreboard excludes them for every recommender.
        """
        day = _days(reviews[TIMESTAMP])[:, None]
        logits = self.attraction[_places(self.users[USER], reviews[USER])]  # a copy, and the softmax is made in it
        logits += self.trend * (day / DAYS - 0.5)
        logits[day < _days(self.products["launched"])] = -np.inf
        np.exp(logits - logits.max(axis=1, keepdims=True), out=logits)
        return np.divide(logits, logits.sum(axis=1, keepdims=True), out=logits)

    def expected_rating(self, reviews: pd.DataFrame) -> np.ndarray:
        """Return E[stars | user, product] after rounding and clipping, `[rows]`."""
        columns = _places(self.products[PRODUCT], reviews[PRODUCT])
        mean = self.mean_rating[_places(self.users[USER], reviews[USER]), columns]
        return 1 + sum(ndtr((mean - (stars - 0.5)) / NOISE) for stars in (2, 3, 4, 5))


def generate_shop(
    *,
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
        users, products: how many there are; some of the rarest products are never bought.
        reviews_per_user: an average; some users buy only twice (the minimum), others a hundred times.
        popularity_skew: at 0, taste alone decides; at 1.2, a sixth of the products makes half of the sales.
        taste_strength: at 0, all users buy alike; at 4, the favourite category is far ahead of the others.
        drift: how much popularity changes in two years; at 1, some products gain or lose a factor e and more.
        rated_share: the share of the purchases that get a rating and a summary.
        seed: of all random draws.
    """
    _check_arguments(**{name: value for name, value in locals().items() if name != "seed"})
    rng = np.random.default_rng(seed)
    more = rng.spawn(1)[0]  # draws from it don't change the others
    categories = np.arange(products) % len(CATALOGUE)
    taste = _unit(rng.dirichlet(np.full(8, 0.3), users) + 0.1 * rng.standard_normal((users, 8)))
    nature = _unit(np.eye(8)[categories] + 0.3 * rng.standard_normal((products, 8)))
    affinity = taste @ nature.T
    attraction = taste_strength * affinity + popularity_skew * rng.standard_normal(products)
    trend = drift * more.standard_normal(products)
    quality, generosity = rng.normal(0, 0.3, products), rng.normal(0, 0.3, users)
    mean_rating = AVERAGE + SLOPE * (affinity - 0.3) + quality + generosity[:, None]

    launched = np.where(rng.random(products) < 0.75, 0.0, rng.uniform(0, DAYS, products))
    joined = np.where(rng.random(users) < 0.3, 0.0, rng.uniform(0, 0.95 * DAYS, users))
    counts = np.clip(rng.poisson(reviews_per_user * rng.gamma(2.0, 0.5, users)), 2, max(2, products // 2))
    who, what, when = _purchases(rng, attraction, trend, counts, joined, launched)
    stars = np.clip(np.rint(mean_rating[who, what] + rng.normal(0, NOISE, len(who))), 1, 5)
    rated = more.random(len(who)) < rated_share

    catalogue = make_catalogue(rng, categories).assign(launched=_dates(launched))
    people = pd.DataFrame({USER: [f"U{u:05d}" for u in range(users)], "joined": _dates(joined)})
    bought = catalogue.iloc[what].reset_index(drop=True)
    reviews = pd.DataFrame(
        {
            USER: people[USER].to_numpy()[who],
            PRODUCT: bought[PRODUCT],
            RATING: np.where(rated, stars, np.nan),
            SUMMARY: np.where(rated, write_summaries(rng, stars, bought), ""),
            TIMESTAMP: _dates(when),
            TITLE: bought[TITLE],
            CATEGORY: bought[CATEGORY],
        }
    )
    reviews = check_reviews(reviews.sort_values(TIMESTAMP, kind="stable"), source="the generated shop", unrated=True)
    return Shop(reviews, catalogue.drop(columns="noun"), people, attraction, trend, mean_rating)


def _check_arguments(users, products, reviews_per_user, popularity_skew, taste_strength, drift, rated_share) -> None:
    if users < 2 or products < 2 or not 0 < reviews_per_user <= 1e6:
        raise ValueError(
            f"a shop of {users} users, {products} products and {reviews_per_user} reviews a user: expected at least "
            "2 users, 2 products, more than 0 reviews a user, and no more than a million."
        )
    amounts = {"popularity_skew": popularity_skew, "taste_strength": taste_strength, "drift": drift}
    for name, amount in amounts.items():
        if not 0 <= amount < np.inf:
            raise ValueError(f"{name} is {amount}: expected a number, 0 or more.")
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


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _purchases(rng, attraction, trend, counts, joined, launched):
    """Draw every user's purchases in order of time; return three arrays: user, product, day.

    The n-th purchase of all users is one step, in blocks of users that bound the memory. Adding Gumbel noise to the
    logits and taking the largest draws from their softmax. Products that aren't launched or are owned are excluded.
    """
    span = rng.exponential(200.0, len(counts))
    times = [
        np.sort(start + rng.random(n) * min(length, DAYS - start)) for n, start, length in zip(counts, joined, span)
    ]
    bought, (who, what, when) = np.zeros(attraction.shape, bool), ([], [], [])
    block_rows = max(1, CELLS // attraction.shape[1])
    for step in range(counts.max()):
        everybody = np.flatnonzero(counts > step)
        for users in np.split(everybody, range(block_rows, len(everybody), block_rows)):
            now = np.array([times[user][step] for user in users])
            out_of_reach = bought[users] | (launched > now[:, None])
            logits = attraction[users] + trend * (now[:, None] / DAYS - 0.5)
            keys = np.where(out_of_reach, -np.inf, logits + rng.gumbel(size=out_of_reach.shape))
            picks, buys = keys.argmax(axis=1), keys.max(axis=1) > -np.inf
            users, picks, now = users[buys], picks[buys], now[buys]
            bought[users, picks] = True
            who.append(users), what.append(picks), when.append(now)
    return np.concatenate(who), np.concatenate(what), np.concatenate(when)


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


def write_summaries(rng, stars: np.ndarray, bought: pd.DataFrame) -> list[str]:
    """Return a line about each bought product, in a tone that fits the stars."""
    phrase = rng.integers(3, size=len(stars))
    nouns, categories = bought["noun"], bought[CATEGORY]
    return [PHRASES[int(s)][p].format(noun=n, category=c) for s, p, n, c in zip(stars, phrase, nouns, categories)]
