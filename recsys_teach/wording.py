"""Layer 0: what the generated shop's products are called, and what its customers write about them.

A title carries the topic (the noun belongs to a category); a summary carries the topic *and* the stars.
"""

import numpy as np
import pandas as pd

from recsys_teach.schema import CATEGORY, PRODUCT, TITLE

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


def catalogue(rng, categories: np.ndarray) -> pd.DataFrame:
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


def summaries(rng, stars: np.ndarray, bought: pd.DataFrame) -> list[str]:
    """A line about each bought product, in the tone that the stars call for."""
    phrase = rng.integers(3, size=len(stars))
    nouns, categories = bought["noun"], bought[CATEGORY]
    return [PHRASES[int(s)][p].format(noun=n, category=c) for s, p, n, c in zip(stars, phrase, nouns, categories)]
