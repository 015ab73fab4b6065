"""The closing challenge: a new shop. How much of the gap between floor and ceiling does a recommender close?

`challenge()` returns the training reviews, and `submit(recommender)` scores on test reviews that are never shown. The
test reviews are the latest, because a shop wants to know what its users will buy *next*. They are the latest tenth and
not a fifth, so that about two thirds of the rows are of users in the training part, and one third of new users.

The shop's seed is made from a phrase, so nobody sees it by chance, but a reader of this file can find it. Whoever
generates the shop knows its truth and its test rows, and deceives only themselves.
"""

import hashlib
from dataclasses import dataclass
from functools import cache
from html import escape
from typing import Any

import pandas as pd

from recsys_teach._util import escape_math
from recsys_teach.baselines import DampedBiases, Oracle, Popularity
from recsys_teach.evaluation import beats_oracle, scoreboard
from recsys_teach.exercises.exercise import COLOURS, DOTS, NOT_ATTEMPTED, NOT_YET, RIGHT, Exercise, Feedback, empty
from recsys_teach.schema import SUMMARY
from recsys_teach.shop import Shop, generate_shop
from recsys_teach.splits import Split, split_by_time

PHRASE = "Which ten products would you show her?"
HITS, STARS = "hit@10", "rmse"
PARTS = ["all", "warm users", "new users"]
FLOOR, YOURS, CEILING, CLOSED = "floor", "yours", "ceiling", "gap closed"
NEAR = 0.8  # of the gap: more than training reviews can give in a shop with so many new users
FLOORS = {HITS: "the bestsellers", STARS: "damped biases"}
NOTE = (
    "Floor (0 %): popularity for hit@10, damped biases for rmse. Ceiling (100 %): the oracle, which knows the true "
    "tastes, also those of new users, which no other recommender can know."
)
CHALLENGE = Exercise(
    number="The closing challenge",
    reference=None,
    mistakes=(),
    hint="First submit a recommender whose result you know: Popularity(to_learn_from) is the floor, so it closes 0 %. "
    "Then train a model of the course on the same reviews, with some of the latest held back as validation rows. Look "
    "at the reviews before you train: are the same products popular in every month?",
    right="",
)


@cache
def _shop() -> Shop:
    seed = int(hashlib.sha256(PHRASE.encode()).hexdigest(), 16)
    return generate_shop(users=2_500, drift=1.0, seed=seed)


@cache
def _parts() -> Split:
    """Return the training reviews, and the test reviews in random order without their summaries."""
    train, test = split_by_time(_shop().reviews, test_share=0.1)
    return Split(train, test.drop(columns=SUMMARY).sample(frac=1, random_state=1, ignore_index=True))


def challenge() -> pd.DataFrame:
    """Return the training reviews of the challenge's shop with all columns; a copy, which you may change.

    The test reviews are later than all of these. A recommender gets their user and time (`scores`), or their user,
    product and time (`ratings`).
    """
    return _parts().train.copy()


def _lines(recommenders: dict[str, Any]) -> pd.DataFrame:
    """Return hit@10 and rmse of all test rows, of warm users' and of new users', a row for each recommender."""
    wide = scoreboard(recommenders, *_parts(), k=[10], slices=True)[[HITS, STARS]].unstack("test rows")
    return pd.DataFrame(wide).loc[list(recommenders), pd.MultiIndex.from_product([[HITS, STARS], PARTS])]


@cache
def _floor_and_ceiling() -> pd.DataFrame:
    """Return the two lines, `[floor and ceiling, metrics and parts]`."""
    train = _parts().train
    lines = _lines({"p": Popularity(train), "b": DampedBiases(train), CEILING: Oracle(_shop())})
    return pd.DataFrame({FLOOR: lines.loc["p"].fillna(lines.loc["b"]), CEILING: lines.loc[CEILING]}).T


@dataclass(frozen=True)
class Certificate:
    """The result of a recommender: `table` has the lines floor, yours, ceiling, and the share of the gap closed."""

    name: str
    table: pd.DataFrame

    def closed(self, metric: str) -> float:
        """Return the share of the gap that is closed in `hit@10` or `rmse`, over all test rows; NaN if not offered."""
        return float(self.table[metric, "all"][CLOSED])

    @property
    def words(self) -> str:
        """A sentence about purchases and one about stars."""
        return " ".join(_sentence(metric, self.closed(metric)) for metric in (HITS, STARS))

    def _shown(self) -> pd.DataFrame:
        shown = self.table.astype(object)
        for line, text in ((line, _percent if line == CLOSED else "{:.3f}".format) for line in self.table.index):
            shown.loc[line] = ["–" if pd.isna(value) else text(value) for value in self.table.loc[line]]
        return shown.rename(columns={STARS: "rmse (stars)"})

    def __repr__(self) -> str:
        return f"{CHALLENGE.number}: {self.name}\n{self._shown().to_string()}\n{self.words}\n{NOTE}"

    def _repr_html_(self) -> str:
        shares = [self.closed(metric) for metric in (HITS, STARS)]
        colour = COLOURS[RIGHT if all(0 < share < NEAR for share in shares if share == share) else NOT_YET]
        return escape_math(
            f'<div style="border: 4px double {colour}; padding: 0.5em 1.5em; display: inline-block; max-width: 50em">'
            f"<p>{CHALLENGE.number}</p><p><b>{escape(self.name)}</b></p>{self._shown().to_html()}"
            f"<p><b>{self.words}</b></p><p><small>{NOTE}</small></p></div>"
        )


def _percent(share: float) -> str:
    return f"{round(100 * share)} %"


def _sentence(metric: str, share: float) -> str:
    task, floor = {HITS: "Purchases", STARS: "Stars"}[metric], FLOORS[metric]
    if pd.isna(share):
        return f"{task}: not offered."
    if share < 0:
        return f"{task}: below the floor, {floor} do better."
    if share < NEAR:
        return f"{task}: {_percent(share)} of the way from {floor} to the truth."
    return f"{task}: near the ceiling, which training reviews alone can't reach. What other data does it use?"


def submit(recommender: Any, *, name: str = YOURS) -> Certificate | Feedback:
    """Score a recommender on the test reviews of the challenge.

    Args:
        recommender: anything with `products` and `scores(reviews)`, with `ratings(reviews)`, or with both, as in
            `scoreboard`; or a function that makes one of the training reviews.
        name: your name, for the certificate.

    Returns:
        The certificate; feedback if no recommender was given, or if it is better than the truth by more than chance
        (see `evaluation.beats_oracle`).

    Raises:
        ValueError: it has neither scores nor ratings, or no products, or returns a wrong shape.
    """
    recommender = _made(recommender)
    if empty(recommender):
        return Feedback(CHALLENGE, NOT_ATTEMPTED, DOTS)
    offers = [each for each in ("scores", "ratings") if hasattr(recommender, each)]
    if not offers or ("scores" in offers and not hasattr(recommender, "products")):
        raise ValueError(
            f"a {type(recommender).__name__} with {', '.join(offers) or 'neither scores nor ratings'} can't be judged: "
            "expected products and scores(reviews), or ratings(reviews), or all three."
        )
    lines = _floor_and_ceiling()
    table = pd.concat([lines.loc[[FLOOR]], _lines({YOURS: recommender}), lines.loc[[CEILING]]])
    if better := beats_oracle(recommender, Oracle(_shop()), *_parts()):
        return Feedback(CHALLENGE, NOT_YET, _leak(better))
    table.loc[CLOSED] = (table.loc[YOURS] - table.loc[FLOOR]) / (table.loc[CEILING] - table.loc[FLOOR])
    return Certificate(name, table)


def _made(answer: Any) -> Any:
    """Return the recommender itself, or the one that a function or a class makes of the training reviews."""
    ready = hasattr(answer, "scores") or hasattr(answer, "ratings")
    return answer(challenge()) if isinstance(answer, type) or (callable(answer) and not ready) else answer


def _leak(better: dict[str, float]) -> str:
    return (
        f"no certificate. In {', '.join(better)} it is better than the truth, by more than chance. That is impossible "
        "with the training reviews alone. So this is a leak: it uses the test rows, or data that is known only after "
        "a purchase."
    )
