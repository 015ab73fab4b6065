"""Floor 1: a generated shop whose truth is known, so that every scoreboard can have a ceiling.

Real data never tells you how good a recommender could have been. Here the reviews are drawn from a model that we
hold in our hands, so the best possible scores are known too. With user taste t_u and product p_i as unit vectors
in eight interests, one per category:

    affinity(u, i)        a = t_u · p_i
    purchase probability  P(i | u) ∝ exp(4 a + popularity_i)  over the products launched; nothing is bought twice
    rating                round(3.6 + 2 (a - 0.3) + quality_i + generosity_u + noise), clipped to 1 … 5 stars
    expected rating       1 + Σ_{s=2..5} Φ((mean - (s - 0.5)) / σ_noise)

Users join and products are launched in the course of two years, so a split by time meets new ones.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import ndtr, softmax

from recsys_teach.schema import CATEGORY, PRODUCT, RATING, SUMMARY, TIMESTAMP, TITLE, USER, check_reviews

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
TASTE_STRENGTH, AVERAGE, SLOPE, NOISE = 4.0, 3.6, 2.0, 0.7
FIRST_DAY, DAYS = pd.Timestamp("2022-01-01", tz="UTC"), 730.0


@dataclass(frozen=True)
class Shop:
    """A generated shop: what anybody can see of it (`reviews`, `products`) and its hidden truth (the arrays)."""

    reviews: pd.DataFrame  # the reviews table, ordered by time
    products: pd.DataFrame  # product_id, title, category, launched (UTC)
    users: pd.DataFrame  # user_id, joined (UTC)
    affinity: np.ndarray  # [users, products], taste · product
    popularity: np.ndarray  # [products], log scale
    mean_rating: np.ndarray  # [users, products], before noise, rounding and clipping

    def purchase_probability(self, reviews: pd.DataFrame) -> np.ndarray:
        """P(product | user, time of the row), `[rows, products]`; 0 for what wasn't launched yet.

        What the user owns already is still in it: the scoreboard leaves that out, for every recommender alike.
        """
        rows = _places(self.users[USER], reviews[USER])
        logits = TASTE_STRENGTH * self.affinity[rows] + self.popularity
        now, launched = (
            times.dt.tz_localize(None).to_numpy() for times in (reviews[TIMESTAMP], self.products["launched"])
        )
        unlaunched = now[:, None] < launched[None, :]
        return softmax(np.where(unlaunched, -np.inf, logits), axis=1)

    def expected_rating(self, reviews: pd.DataFrame) -> np.ndarray:
        """E[stars | user, product] after rounding and clipping, `[rows]`."""
        columns = _places(self.products[PRODUCT], reviews[PRODUCT])
        mean = self.mean_rating[_places(self.users[USER], reviews[USER]), columns]
        return 1 + sum(ndtr((mean - (stars - 0.5)) / NOISE) for stars in (2, 3, 4, 5))


def generate_shop(*, users: int = 1_500, products: int = 400, reviews_per_user: float = 20.0, seed: int = 0) -> Shop:
    """Generate a shop. The same arguments give the same shop, to the last review.

    `reviews_per_user` is an average: some people buy twice (nobody less), others a hundred times.
    """
    if users < 2 or products < 2 or not reviews_per_user > 0:
        raise ValueError(
            f"a shop of {users} users, {products} products and {reviews_per_user} reviews a user: "
            "expected at least 2 users and 2 products, and more than 0 reviews."
        )
    rng = np.random.default_rng(seed)
    categories = np.arange(products) % len(CATALOGUE)
    taste = _unit(rng.dirichlet(np.full(len(CATALOGUE), 0.3), users) + 0.1 * rng.standard_normal((users, 8)))
    nature = _unit(np.eye(8)[categories] + 0.3 * rng.standard_normal((products, 8)))
    affinity = taste @ nature.T
    popularity = rng.normal(0, 1.2, products)
    quality, generosity = rng.normal(0, 0.3, products), rng.normal(0, 0.3, users)
    mean_rating = AVERAGE + SLOPE * (affinity - 0.3) + quality + generosity[:, None]

    launched = np.where(rng.random(products) < 0.75, 0.0, rng.uniform(0, DAYS, products))
    joined = np.where(rng.random(users) < 0.3, 0.0, rng.uniform(0, 0.95 * DAYS, users))
    counts = np.clip(rng.poisson(reviews_per_user * rng.gamma(2.0, 0.5, users)), 2, products // 2)
    who, what, when = _purchases(rng, TASTE_STRENGTH * affinity + popularity, counts, joined, launched)
    stars = np.clip(np.rint(mean_rating[who, what] + rng.normal(0, NOISE, len(who))), 1, 5)

    catalogue = _catalogue(rng, categories)
    catalogue["launched"] = FIRST_DAY + pd.to_timedelta(np.rint(launched * 86_400), unit="s")
    people = pd.DataFrame({USER: [f"U{u:05d}" for u in range(users)]})
    people["joined"] = FIRST_DAY + pd.to_timedelta(np.rint(joined * 86_400), unit="s")
    bought = catalogue.iloc[what].reset_index(drop=True)
    reviews = pd.DataFrame(
        {
            USER: people[USER].to_numpy()[who],
            PRODUCT: bought[PRODUCT],
            RATING: stars,
            SUMMARY: _summaries(rng, stars, bought),
            TIMESTAMP: FIRST_DAY + pd.to_timedelta(np.rint(when * 86_400), unit="s"),
            TITLE: bought[TITLE],
            CATEGORY: bought[CATEGORY],
        }
    )
    reviews = check_reviews(reviews.sort_values(TIMESTAMP, kind="stable"), source="the generated shop")
    return Shop(reviews, catalogue.drop(columns="noun"), people, affinity, popularity, mean_rating)


def _places(known: pd.Series, wanted: pd.Series) -> np.ndarray:
    """Where each of the `wanted` ids stands among the `known` ones."""
    places = pd.Index(known).get_indexer(pd.Index(wanted))
    if (places < 0).any():
        stranger = wanted.iloc[int((places < 0).argmax())]
        raise ValueError(f"this shop has no {wanted.name} {stranger!r}: its truth is about its own reviews only.")
    return places


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _purchases(rng, logits, counts, joined, launched):
    """Draw every user's purchases in order of time: (user, product, day) of each, three arrays.

    The n-th purchase of all users is one step. Adding Gumbel noise to the logits and taking the largest draws
    from their softmax. What isn't launched or is bought already is out of reach; who reaches nothing buys nothing.
    """
    span = rng.exponential(200.0, len(counts))
    who, what, when = [], [], []
    times = [
        np.sort(start + rng.random(n) * min(length, DAYS - start)) for n, start, length in zip(counts, joined, span)
    ]
    bought = np.zeros(logits.shape, bool)
    for step in range(counts.max()):
        users = np.flatnonzero(counts > step)
        now = np.array([times[user][step] for user in users])
        out_of_reach = bought[users] | (launched > now[:, None])
        keys = np.where(out_of_reach, -np.inf, logits[users] + rng.gumbel(size=out_of_reach.shape))
        picks = keys.argmax(axis=1)
        buys = keys.max(axis=1) > -np.inf
        users, picks, now = users[buys], picks[buys], now[buys]
        bought[users, picks] = True
        who.append(users), what.append(picks), when.append(now)
    return np.concatenate(who), np.concatenate(what), np.concatenate(when)


def _catalogue(rng, categories: np.ndarray) -> pd.DataFrame:
    """Readable products: every one with a title of its own, such as "Kestrel tent"."""
    copies: dict[tuple[str, str], int] = {}
    names, rows = list(CATALOGUE), []
    for number, category in enumerate(categories):
        nouns = CATALOGUE[names[category]]
        noun, brand = nouns[rng.integers(len(nouns))], BRANDS[rng.integers(len(BRANDS))]
        copies[brand, noun] = copy = copies.get((brand, noun), 0) + 1
        title = f"{brand} {noun}" + (f" {copy}" if copy > 1 else "")
        rows.append((f"P{number:05d}", title, names[category], noun))
    return pd.DataFrame(rows, columns=[PRODUCT, TITLE, CATEGORY, "noun"])


def _summaries(rng, stars: np.ndarray, bought: pd.DataFrame) -> list[str]:
    phrase = rng.integers(3, size=len(stars))
    nouns, categories = bought["noun"], bought[CATEGORY]
    return [PHRASES[int(s)][p].format(noun=n, category=c) for s, p, n, c in zip(stars, phrase, nouns, categories)]
