"""What towers gain from histories and from features, over five seeds: `python benchmarks/features.py`.

A shop that stays open knows, at each test row, what its user bought before (`earlier_purchases`): the scoreboard shows
it to all recommenders, and excludes it for all. In a random split there is no before, so the histories are the training
rows. Options: which data (see `DATA`), `--seeds 5`, `--choose`, and `--store`, which writes notebook 10's table.

Nothing was chosen on these seeds. The settings in `SETTINGS` are what `--choose` finds on validation rows, held back
from the training rows of seeds 1 to 3.
"""

import time
from collections.abc import Iterator
from functools import cache, partial
from typing import Any, NamedTuple

import pandas as pd
from honest_numbers import FIRST_SEED, Rows, as_text, asked, rows_of, store

from recsys_teach import ladder
from recsys_teach.backend import tf
from recsys_teach.evaluation import board_of_rows
from recsys_teach.features import learn_vocabulary
from recsys_teach.files.loading import load_reviews
from recsys_teach.histories import LAST, earlier_purchases
from recsys_teach.ladder import VALIDATION_SHARE, Defaults, build_retrieval, choose_defaults
from recsys_teach.schema import HISTORY, PRODUCT, TITLE
from recsys_teach.shop import generate_shop
from recsys_teach.splits import Split, new_products, split_at_random, split_by_time
from recsys_teach.training import train_model

CLASSICS = ("popularity", "rate since launch", "ItemKNN", "EASE")
RIVALS = ("popularity", "rate since launch", "EASE")  # EASE with the last products, where towers read those alone


class Setting(NamedTuple):
    """How the models with histories are trained on a data set, and for how many epochs each model is."""

    earlier: bool = False  # are the histories of training rows what was bought before, or all other rows?
    last: int = LAST
    epochs: tuple[int, int, int, int] = (10, 6, 8, 6)  # ids, histories, features, both


SETTINGS = {
    "movielens-time": Setting(earlier=True, last=5, epochs=(8, 9, 8, 9)),
    "taste-time": Setting(epochs=(6, 5, 6, 5)),
    "habit-time": Setting(earlier=True, last=3, epochs=(6, 10, 6, 10)),
    "movielens-random": Setting(epochs=(8, 10, 8, 10)),
    "taste-random": Setting(epochs=(6, 6, 6, 6)),
    "habit-random": Setting(epochs=(11, 10, 11, 10)),
}
CANDIDATES = [Setting(), *(Setting(earlier=True, last=last) for last in (50, 10, 5, 3))]


class LastOnly:
    """A classic that reads no more than the last products of a history, as the towers do that were chosen."""

    def __init__(self, classic: Any, last: int):
        self.classic, self.last, self.products = classic, last, classic.products

    def scores(self, reviews: pd.DataFrame) -> Any:
        recent = reviews[HISTORY].map(lambda history: history[-self.last :])
        return self.classic.scores(reviews.assign(user_id="", history=recent))  # nothing of the training rows


def reviews_of(data: str, seed: int) -> pd.DataFrame:
    """Return the reviews of a data set; the year of a film is in its title."""
    if not data.startswith("movielens"):
        return generate_shop(kind=data.split("-")[0], seed=seed).reviews  # type: ignore[arg-type]
    reviews = load_reviews("movielens")
    return reviews.assign(year=reviews[TITLE].str.extract(r"\((\d{4})\)\s*$")[0].astype(float))


def features_of(data: str) -> list[str]:
    """Return the columns that product towers read."""
    return ["categories", "year"] if data.startswith("movielens") else ["category"]


def hold_back(reviews: pd.DataFrame, data: str, seed: int, **share: float) -> Split:
    """Split the reviews; by time, with what was bought before each row."""
    if data.endswith("random"):
        return split_at_random(reviews, seed=seed, **share)
    return split_by_time(reviews if HISTORY in reviews else earlier_purchases(reviews), **share)


def models(data: str, setting: Setting) -> dict[str, tuple[Any, bool, int]]:
    """Return for each model what builds it, whether its training rows keep their histories, and its epochs."""
    both: dict[str, Any] = {"history": True, "last": setting.last}
    features = {"features": features_of(data)}
    hows = {"retrieval": {}, "+ history": both, "+ features": features, "+ both": both | features}
    return {
        name: (partial(build_retrieval, **how), setting.earlier and "history" in how, epochs)
        for (name, how), epochs in zip(hows.items(), setting.epochs)
    }


def training_table(train: pd.DataFrame, earlier: bool) -> pd.DataFrame:
    """Return the training rows, without histories unless those before each row are to be read."""
    return train if earlier else train.drop(columns=HISTORY, errors="ignore")


def fit(build: Any, train: pd.DataFrame, defaults: Defaults, *, epochs: int, seed: int) -> Any:
    """Train a model for this number of epochs."""
    tf.keras.utils.set_random_seed(seed)
    model = build(learn_vocabulary(train), defaults)
    train_model(
        model,
        train,
        epochs=epochs,
        batch_size=defaults.batch_size,
        learning_rate=defaults.learning_rate,
        seed=seed,
    )
    return model


def split_of(data: str, seed: int) -> tuple[pd.DataFrame, pd.DataFrame, Split]:
    """Return the training rows, the test rows, and both parts of the training rows."""
    train, test = hold_back(reviews_of(data, seed), data, seed)
    return train, test, hold_back(train, data, seed, test_share=VALIDATION_SHARE)


@cache
def classic_rows(data: str, seed: int) -> Rows:
    """Return the metrics of each test row for the floors and the classics."""
    train, test, parts = split_of(data, seed)
    fitted: dict[str, Any] = {name: ladder.fit_classic(ladder.CLASSICS[name], train, parts) for name in CLASSICS}
    last = SETTINGS[data].last
    if last < LAST and HISTORY in test:
        fitted |= {f"{name}, last {last}": LastOnly(fitted[name], last) for name in ("ItemKNN", "EASE")}
    return rows_of(fitted, train, test)


def seed_rows(data: str, seed: int) -> tuple[Rows, pd.Series]:
    """Return the metrics of each test row, and which rows are of products that training never saw."""
    train, test, parts = split_of(data, seed)
    defaults = choose_defaults(*parts)
    fitted = {
        name: fit(build, training_table(train, earlier), defaults, epochs=epochs, seed=seed)
        for name, (build, earlier, epochs) in models(data, SETTINGS[data]).items()
    }
    rows = rows_of(fitted, train, test)
    classics = classic_rows(data, FIRST_SEED if data == "movielens-time" else seed)  # whose split has no chance in it
    values = classics.values | rows.values
    new = new_products(train, test)
    if data.endswith("time"):  # with the new products as candidates, whose vectors are from what is known of them
        model = fitted["+ both"]
        model.add_products(test[new].drop_duplicates(PRODUCT))
        values |= rows_of({"+ both, new products": model}, train, test).values
    users = rows.users if data.startswith("movielens") else f"{seed} " + rows.users
    return rows._replace(values=values, users=users), new


def boards(data: str, seeds: list[int]) -> Iterator[pd.DataFrame]:
    """Yield the scoreboards of all rows, of new users and of new products, each with the gains over the rivals."""
    found = []
    for seed in seeds:
        start = time.perf_counter()
        found.append(seed_rows(data, seed))
        print(f"{data}, seed {seed}: {time.perf_counter() - start:.0f} s", flush=True)
    frames = {name: pd.concat([rows.values[name][0] for rows, _ in found]) for name in found[0][0].values}
    users, new = (pd.concat([getattr(rows, name) for rows, _ in found]) for name in ("users", "new"))
    masks = {"all": new | True, "new users": new, "new products": pd.concat([mask for _, mask in found])}
    for part, mask in masks.items():
        if not mask.any():
            continue
        some = {name: [frame[mask.to_numpy()]] for name, frame in frames.items()}
        board = board_of_rows(some, users[mask], interval=True)[["hit@10", "hit@10 low", "hit@10 high"]]
        board["ndcg@10"] = board_of_rows(some, users[mask])["ndcg@10"]
        for rival in RIVALS:
            against = next((name for name in frames if name.startswith(rival) and name != "EASE"), rival)
            gains = board_of_rows(some, users[mask], against=against)
            for end in ("", " low", " high"):
                board[f"over {rival}{end}"] = gains[f"hit@10 gain{end}"]
        print(f"\n{data}, {part} ({mask.mean():.0%} of the rows)\n{as_text(board)}", flush=True)
        print(board.round(4).to_string(), flush=True)
        board.insert(0, "share", mask.mean())
        yield board.rename_axis("model").reset_index().assign(data=data, rows=part)


def choose(data: str) -> None:
    """Print, on validation rows of seeds 1 to 3, the quality of each setting, and each model's best epoch."""
    for seed in (1, 2, 3):
        train, _, parts = split_of(data, seed)
        defaults = choose_defaults(*parts)
        candidates = [one for one in CANDIDATES if not one.earlier or HISTORY in train]
        found = {}
        for setting in candidates:
            build = partial(build_retrieval, history=True, last=setting.last)
            table = Split(training_table(parts.train, setting.earlier), parts.test)
            found[setting] = ladder.find_best_epoch(build, table, defaults, seed=seed)
            print(f"{data}, seed {seed}: {setting[:2]}: epoch {found[setting][0]}, {found[setting][1]:.4f}", flush=True)
        best = max(found, key=lambda setting: found[setting][1])
        for name, (build, earlier, _) in models(data, best).items():
            table = Split(training_table(parts.train, earlier), parts.test)
            epoch, quality = ladder.find_best_epoch(build, table, defaults, seed=seed)
            print(f"{data}, seed {seed}: {name}: epoch {epoch}, {quality:.4f}", flush=True)


def main() -> None:
    """Print the tables of each data set."""
    flags = {"choose": "look at the settings on validation rows", "store": "put the results in notebook 10's tables"}
    arguments = asked(__doc__, SETTINGS, **flags)
    for data in arguments.names:
        if arguments.choose:
            choose(data)
            continue
        found = pd.concat(boards(data, arguments.seeds))
        if arguments.store:
            store(found, "features")


if __name__ == "__main__":
    main()
