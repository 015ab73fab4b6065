"""A shop of three shoppers and twenty products, and models of it whose scores are worked out by hand."""

import math

import numpy as np
import pandas as pd

from recsys_teach.lab.sweep import Factors, Sweep

USERS = ["ann", "bob", "<script>cy"]  # with tastes 1, -1, 0
PRODUCTS = list("abcdefghijklmnopqrst")
OWNERS = np.repeat(USERS, [5, 5, 10])  # ann owns a, …, e
TRAIN = pd.DataFrame({"user_id": OWNERS, "product_id": PRODUCTS, "rating": 4.0, "category": "<i>toys"})
TRAIN["title"] = "<script>" + TRAIN["product_id"]
TEST = pd.DataFrame({"user_id": ["ann", "ann", "bob", "bob"], "product_id": list("fpat"), "rating": [5.0, 3, 4, 4]})
FLOOR = math.sqrt(0.5)  # popularity: all tied, so no hits; damped biases: 4 stars to everyone, off by 1, 1, 0, 0

# What is added to a score of 2.0 for a, 1.9 for b, … 0.1 for t; to the products' tastes; to the stars. Hits, RMSE:
MODELS = {
    (1.0, 0.0): ({}, {"p": -1.2}, {"f": 1.0, "p": -0.3}),  # from 0.1 for a to 2.0 for t: 1 of 4, √(0.01 / 4)
    (0.0, 1.0): ({"t": 1.05}, {"p": 1.2}, {}),  # 4 of 4, √(3.56 / 4)
    (0.25, 1.0): ({}, {"p": 1.2}, {"f": 0.5, "p": -1.1}),  # 3 of 4, √(0.5 / 4)
    (1.0, 1.0): ({}, {}, {"f": 0.75, "p": -0.75}),  # 2 of 4, √(0.125 / 4)
    (4.0, 1.0): ({}, {}, {"f": 0.9, "p": -0.9}),  # 2 of 4, √(0.02 / 4)
    (2.0, 1.0): ({}, {}, {"f": -2.0}),  # 2 of 4, √(10 / 4): worse than all others
    (0.5, 1.0): ({}, {"p": 1.2}, {"f": -0.1, "p": -0.6}),  # 3 of 4, √(2.21 / 4): a little worse than the floor
}
PAIRS = list(MODELS)[:5]


def tables(pair):
    lifts, tastes, stars = (pd.Series(part, PRODUCTS, dtype=float).fillna(0) for part in MODELS[pair])
    scores = np.arange(20, 0, -1)[:: -1 if pair == (1.0, 0.0) else 1] / 10 + lifts
    users = np.array([[0, 0], [1, 0], [-1, 0], [0, 0]], dtype=float)
    return users, np.vstack([np.zeros(3), np.stack([tastes, stars, scores], axis=1)]), np.array([0.5])


def factors(pair):
    return Factors(USERS, PRODUCTS, *tables(pair), 4.0)


def planted(pairs=PAIRS, oracle=None):
    return Sweep.from_recommenders({pair: factors(pair) for pair in pairs}, TRAIN, TEST, oracle=oracle)


class Specialist:
    """A recommender that does one of the two only."""

    products = PRODUCTS

    def __init__(self, pair):
        rating_weight, retrieval_weight = pair
        if retrieval_weight:
            self.scores = factors(pair).scores
        if rating_weight:
            self.ratings = factors(pair).ratings


SWEEP = planted()
WITH_ORACLE = planted(oracle=factors((4.0, 1.0)))
SPECIALISTS = Sweep.from_recommenders({pair: Specialist(pair) for pair in PAIRS}, TRAIN, TEST)
