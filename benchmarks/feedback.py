"""What a recommender does to a shop, over five seeds: `python benchmarks/feedback.py`.

Tables: `curve` (hits against coverage, over the weights of two penalties), `groups` (hits by how much is known of a
user), `loop` (rounds of a shop in which half of the products are new, without and with exploration), `towers` (fewer
rounds, with two towers), `ab` (how often the better recommender is found offline, from a log with propensities, and by
an A/B test, on four times as many shops). Options: `--seeds 5`, which tables, and `--store`, which writes the table of
notebook 12. The settings were chosen on shops with other seeds.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations, product
from typing import Any

import numpy as np
import pandas as pd
from honest_numbers import FIRST_SEED, TABLES_OF_NOTEBOOKS, Rows, asked, rows_of, together
from scipy.special import stdtrit

from recsys_teach import ladder
from recsys_teach.baselines import EASE, IALS, ItemKNN, Oracle, Popularity
from recsys_teach.consequences.feedback import ROUND, ab_test, simulate
from recsys_teach.consequences.off_policy import off_policy_board
from recsys_teach.consequences.reranking import CategoryPenalty, PopularityPenalty
from recsys_teach.evaluation import activity_groups, scoreboard
from recsys_teach.files.loading import load_reviews
from recsys_teach.schema import PRODUCT
from recsys_teach.shop import Shop, generate_shop
from recsys_teach.splits import Split, split_at_random, split_by_time

WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)
LISTS = ("coverage@10", "gini@10", "novelty@10", "diversity@10")
Fit = Callable[[pd.DataFrame], Any]


def by_time(reviews: pd.DataFrame, seed: int) -> Split:
    """Split by time, in which there is no chance."""
    return split_by_time(reviews)


def at_random(reviews: pd.DataFrame, seed: int) -> Split:
    """Split at random."""
    return split_at_random(reviews, seed=seed)


DATA: dict[str, tuple[Callable[[int], pd.DataFrame], Callable[[pd.DataFrame, int], Split]]] = {
    "taste": (lambda seed: generate_shop(seed=seed).reviews, at_random),
    "habit": (lambda seed: generate_shop(kind="habit", seed=seed).reviews, at_random),
    "movielens": (lambda seed: first_category(load_reviews("movielens")), at_random),
    "movielens, by time": (lambda seed: first_category(load_reviews("movielens")), by_time),
}


def first_category(reviews: pd.DataFrame) -> pd.DataFrame:
    """Return reviews of films with the first of their genres as their category."""
    return reviews.assign(category=reviews["categories"].str.split("|").str[0])


def print_board(title: str, board: pd.DataFrame) -> None:
    """Print a table under its title."""
    print(f"\n{title}\n{board.round(4).to_string()}", flush=True)


def intervals_of(values: dict[Any, list[float]], rival: Any = None) -> pd.DataFrame:
    """Return the mean over seeds of each row and the paired gain, with 95 % intervals by Student's t.

    A percentile bootstrap over five seeds would be too narrow: it holds the mean of normal numbers 85 times in 100.
    """

    def interval(numbers: np.ndarray) -> list[float]:
        mean, error = numbers.mean(), numbers.std(ddof=1) / np.sqrt(len(numbers))
        wide = error * stdtrit(len(numbers) - 1, 0.975)
        return [mean, mean - wide, mean + wide]

    table = {}
    for name, some in values.items():
        numbers = np.array(some, float)
        table[name] = dict(zip(("mean", "low", "high"), interval(numbers)))
        if rival is not None:
            gain = interval(numbers - np.array(values[rival], float))
            table[name] |= dict(zip(("gain", "gain low", "gain high"), gain))
    return pd.DataFrame(table).T


def curve(seeds: list[int]) -> None:
    """Print hits, with gains over weight 0, and what the lists are like, for both penalties on EASE."""
    for data, (reviews_of, split) in DATA.items():
        kinds: tuple[Any, ...] = (PopularityPenalty,) if "movielens" in data else (PopularityPenalty, CategoryPenalty)
        parts, lists = [], []
        for seed in seeds if split is at_random else seeds[:1]:
            train, test = split(reviews_of(seed), seed)
            model = ease(train)
            fitted: dict[str, Any] = {"popularity": Popularity(train)}
            for kind, weight in product(kinds, WEIGHTS):
                fitted[f"{kind.__name__} {weight:g}"] = kind(model, train, weight=weight)
            rows = rows_of(fitted, train, test)
            parts.append(rows if "movielens" in data else rows._replace(users=f"{seed} " + rows.users))
            visits = test.drop_duplicates("user_id")  # a list for each user of the test part
            lists.append(scoreboard(fitted, train, visits, k=(10,), consequences=True)[list(LISTS)])
        board = together(iter(parts)).board("PopularityPenalty 0")
        kept = [name for name in board if name.startswith("hit@10")]
        print_board(f"{data}: re-ranking EASE", board[kept].join(sum(lists) / len(lists)))


def groups(seeds: list[int]) -> None:
    """Print the hits of each group of users."""
    for data, (reviews_of, split) in DATA.items():
        found: dict[str, list[Rows]] = {}
        for seed in seeds if split is at_random else seeds[:1]:
            train, test = split(reviews_of(seed), seed)
            fitted = {"popularity": Popularity(train), "EASE": EASE(train, l2=100), "iALS": IALS(train)}
            fitted["EASE, penalty 1"] = PopularityPenalty(fitted["EASE"], train, weight=1)
            rows = rows_of(fitted, train, test)
            if "movielens" not in data:
                rows = rows._replace(users=f"{seed} " + rows.users)
            for name, mask in activity_groups(train, test).items():
                if mask.any():
                    some = {model: [frames[0][mask]] for model, frames in rows.values.items()}
                    found.setdefault(name, []).append(Rows(some, rows.users[mask], rows.new[mask]))
        for name, parts in found.items():
            both = together(iter(parts))
            board = both.board("popularity")
            kept = [column for column in board if column.startswith("hit@10")]
            print_board(f"{data}: {name}, {len(both.users):,} test rows", board[kept])


def ease(reviews: pd.DataFrame) -> EASE:
    """Fit EASE."""
    return EASE(reviews, l2=100)


def retrieval(reviews: pd.DataFrame) -> Any:
    """Train two towers for a few epochs."""
    from recsys_teach.backend import tf
    from recsys_teach.features import learn_vocabulary
    from recsys_teach.training import train_model

    tf.keras.backend.clear_session()
    tf.keras.utils.set_random_seed(0)
    defaults = ladder.defaults_by_rule(rows=len(reviews), new_user_share=0.0)
    model = ladder.build_retrieval(learn_vocabulary(reviews), defaults)
    train_model(model, reviews, epochs=ladder.PLAIN_EPOCHS, batch_size=defaults.batch_size)
    return model


LOOPS: dict[str, tuple[Fit, dict[str, Any]]] = {
    "popularity": (Popularity, {}),
    "ItemKNN": (ItemKNN, {}),
    "iALS": (lambda reviews: IALS(reviews, dim=32), {}),
    "EASE": (ease, {}),
    "EASE, penalty 0.5": (lambda reviews: PopularityPenalty(ease(reviews), reviews, weight=0.5), {}),
    "EASE, 3 random": (ease, {"explore": 3}),
    "EASE, 3 Thompson": (ease, {"explore": 3, "explore_by": "thompson"}),
}
TOWERS: dict[str, tuple[Fit, dict[str, Any]]] = {
    "popularity": (Popularity, {}),
    "EASE": (ease, {}),
    "retrieval": (retrieval, {}),
    "retrieval, 3 Thompson": (retrieval, {"explore": 3, "explore_by": "thompson"}),
}


def newly_stocked(kind: str, seed: int) -> tuple[Shop, pd.DataFrame]:
    """Return a shop, and its purchases without those of half of its products, drawn at random: they are new."""
    shop = generate_shop(kind=kind, reviews_per_user=10, seed=seed)
    new = np.random.default_rng(seed).permutation(shop.products[PRODUCT])[: len(shop.products) // 2]
    return shop, shop.reviews[~shop.reviews[PRODUCT].isin(set(new))]


def loop(seeds: list[int], loops: dict[str, tuple[Fit, dict[str, Any]]], rounds: int) -> None:
    """Print what the loops sold in all rounds, and what they were like in the last five, with intervals over shops."""
    for kind in ("taste", "habit"):
        tables = []
        for seed in seeds:
            shop, start = newly_stocked(kind, seed)

            def truth(reviews: pd.DataFrame, shop: Shop = shop) -> Oracle:
                return Oracle(replace(shop, reviews=reviews))

            for name, (fit, how) in {**loops, "truth": (truth, {})}.items():
                table = simulate(shop, fit, rounds=rounds, seed=seed, start=start, **how).rounds
                tables.append(table.reset_index().assign(model=name, seed=seed))
        every = pd.concat(tables)
        last = every[every[ROUND] > rounds - 5].groupby(["model", "seed"], sort=False).mean(numeric_only=True)
        measures = {"purchases in all rounds": every.groupby(["model", "seed"], sort=False)["purchases"].sum()}
        measures |= {f"{column}, last five rounds": last[column] for column in last if column != ROUND}
        for title, values in measures.items():
            of_model = {name: list(some) for name, some in values.groupby("model", sort=False)}
            print_board(f"{kind}, {rounds} rounds: {title}", intervals_of(of_model, "EASE"))


LOGGERS: dict[str, Fit] = {"popularity": Popularity, "EASE": ease}
EXPLORED = 3  # places of ten that are filled at random in the logs


def candidates(reviews: pd.DataFrame) -> dict[str, Any]:
    """Fit the recommenders of the comparison."""
    fitted: dict[str, Any] = {"popularity": Popularity(reviews), "ItemKNN": ItemKNN(reviews), "EASE": ease(reviews)}
    fitted["iALS"] = IALS(reviews, dim=32)
    fitted["EASE, penalty 1"] = PopularityPenalty(fitted["EASE"], reviews, weight=1)
    return fitted


def experiments(kind: str, seeds: list[int]) -> Iterator[pd.DataFrame]:
    """Yield, for each seed and logger, the truth of each candidate and what each method says of it."""
    for seed in seeds:
        shop = generate_shop(kind=kind, reviews_per_user=5, seed=seed)
        for logger, fit in LOGGERS.items():
            before = simulate(shop, fit, rounds=5, explore=EXPLORED, seed=seed).reviews
            fitted = candidates(before)
            log = simulate(shop, lambda _, one=fitted[logger]: one, rounds=5, explore=EXPLORED, seed=seed, start=before)
            logged = log.reviews[log.reviews[ROUND] > before[ROUND].max()]
            table = off_policy_board(fitted, log.exposures, log.reviews)[["IPS", "clipped", "SNIPS"]]
            table["offline"] = scoreboard(fitted, before, logged, k=(10,))["hit@10"]
            test = ab_test(shop, fitted, before, rounds=5, seed=1_000 + seed)  # other visits than the log's
            table["A/B test"] = test["purchases"]
            table["truth"] = [
                simulate(shop, lambda _, one=one: one, rounds=1, seed=seed, start=before).rounds["hit@10"].item()
                for one in fitted.values()
            ]
            yield table.assign(logger=logger, seed=seed, kind=kind)


METHODS = ("offline", "IPS", "clipped", "SNIPS", "A/B test")


def judge(table: pd.DataFrame, logger: str) -> Iterator[dict[str, Any]]:
    """Yield what each method made of one log: is its best the best, which pairs has it in order, what does it cost?"""
    truth = table["truth"]
    pairs = [pair for pair in combinations(table.index, 2) if abs(truth[pair[0]] - truth[pair[1]]) > 0.01]
    for method in METHODS:
        said = table[method]
        in_order = [(said[one] > said[other]) == (truth[one] > truth[other]) for one, other in pairs]
        yield {
            "method": method,
            "best": float(said.idxmax() == truth.idxmax()),
            "pairs": np.mean(in_order),
            "logger first": float(said.idxmax() == logger),
            "loss": truth.max() - truth[said.idxmax()],
        }


def ab(seeds: list[int]) -> pd.DataFrame:
    """Return how often each method finds the best of five recommenders, by logger; pairs count if 0.01 apart."""
    results = []
    for kind in ("taste", "habit"):
        tables = list(experiments(kind, seeds))
        for logger in LOGGERS:
            mine = [table for table in tables if (table["logger"] == logger).all()]
            means = sum(table[["truth", *METHODS]] for table in mine) / len(mine)
            print_board(f"{kind}, the log of {logger}", means)
            judged = pd.DataFrame([row for table in mine for row in judge(table, logger)])
            for measure in ("best", "pairs", "logger first", "loss"):
                of_method = {name: list(some) for name, some in judged.groupby("method", sort=False)[measure]}
                found = intervals_of(of_method, "offline")
                if measure != "loss":  # a share: Student's interval doesn't know that it ends at 0 and 1
                    found[["low", "high"]] = found[["low", "high"]].clip(0, 1)
                    found[["gain low", "gain high"]] = found[["gain low", "gain high"]].clip(-1, 1)
                print_board(f"{kind}, the log of {logger}: {measure}", found)
                results.append(
                    found.rename_axis("method").reset_index().assign(kind=kind, logger=logger, measure=measure)
                )
    return pd.concat(results)


def main() -> None:
    """Print the tables."""
    tables: dict[str, Callable] = {"curve": curve, "groups": groups}
    tables["loop"] = lambda seeds: loop(seeds, LOOPS, 30)
    tables["towers"] = lambda seeds: loop(seeds, TOWERS, 10)
    tables["ab"] = lambda seeds: ab([FIRST_SEED + n for n in range(4 * len(seeds))])
    arguments = asked(__doc__, tables, store="write the table of notebook 12, which is that of `ab`")
    for name in arguments.names:
        found = tables[name](arguments.seeds)
        if arguments.store and name == "ab":
            found.round(4).to_csv(TABLES_OF_NOTEBOOKS / "feedback.csv", index=False)


if __name__ == "__main__":
    main()
