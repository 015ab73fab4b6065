"""The scoreboard and TFRS's `FactorizedTopK` judge one model, in turns: `python benchmarks/evaluation.py`.

20,000 test rows, 1,700 products, the same towers and rating head on both sides, with the vectors that they were born
with: what is timed doesn't depend on them. TFRS is timed twice, both with a `BruteForce` index and with ids, and
without building the index: as its tutorials write it (strings, cached batches of 4,096, its own five k), and as fast
as we could get it (numbers looked up beforehand, batches of 1,024, three k). Ours starts from the tables, and gives
nDCG and MRR besides. Every product is a candidate on both sides. The scoreboard scores each user once, since our models
say that their scores depend on the user alone, where TFRS scores each row; so it is timed without this, too. Two bare
matmuls are timed in the same turns, of the vectors of the rows and of those of the users: whoever scores them takes no
less. It fails if a hit rate differs by one row.
"""

import statistics
from functools import partial

import numpy as np
import pandas as pd
from side_by_side import Row, in_turns, ratios, report

from recsys_teach.backend import tf, tfrs
from recsys_teach.evaluation import CELLS, scoreboard
from recsys_teach.features import Features, learn_vocabulary, string_tensors
from recsys_teach.multitask import MultitaskModel
from recsys_teach.schema import PRODUCT, RATING, USER
from recsys_teach.towers import ProductTower, UserTower, training_rows

USERS, PRODUCTS, TRAIN, TEST = 1_000, 1_700, 80_000, 20_000
TUTORIAL, FEW = (1, 5, 10, 50, 100), (1, 10, 50)
TURNS = 25  # more than elsewhere: TFRS takes now 0.3 s, now 0.6


class EachRow(MultitaskModel):
    """The same model, but a class that doesn't say what its scores depend on, so that it is asked for every row."""


class Judged(tfrs.Model):
    """The same model as TFRS evaluates it: top-k shares and the RMSE; of strings or, with `numbers`, of ids."""

    def __init__(self, model: MultitaskModel, *, k: tuple[int, ...], numbers: bool):
        super().__init__()
        self.model, self.numbers = model, numbers
        tower = model.product_tower
        names = tower.catalogue[PRODUCT] if numbers else tf.constant(model.products)
        index = tfrs.layers.factorized_top_k.BruteForce().index(tower.embed(tower.catalogue), names)
        self.retrieval = tfrs.tasks.Retrieval(metrics=tfrs.metrics.FactorizedTopK(index, ks=k))
        self.ranking = tfrs.tasks.Ranking(
            loss=tf.keras.losses.MeanSquaredError(), metrics=[tf.keras.metrics.RootMeanSquaredError("rmse")]
        )

    def compute_loss(self, rows: Features, training: bool = False) -> tf.Tensor:
        ids = rows
        if not self.numbers:
            ids = self.model.user_tower.preprocess(rows) | self.model.product_tower.preprocess(rows)
        users, products = self.model(ids)
        self.retrieval(users, products, candidate_ids=rows[PRODUCT], compute_batch_metrics=False)
        return self.ranking(labels=rows[RATING][:, None], predictions=self.model.ranking.head(users, products, ids))


def planted_reviews() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training and test rows; every product is in the training rows."""
    rng = np.random.default_rng(0)
    popularity = rng.dirichlet(np.full(PRODUCTS, 0.5))
    what = np.concatenate([np.arange(PRODUCTS), rng.choice(PRODUCTS, TRAIN + TEST - PRODUCTS, p=popularity)])
    who = rng.integers(USERS, size=len(what))
    names = {USER: [f"user {user}" for user in who], PRODUCT: [f"product {product}" for product in what]}
    reviews = pd.DataFrame(names | {RATING: rng.integers(1, 6, len(what)).astype(float)})
    return reviews[:TRAIN], reviews[TRAIN:].reset_index(drop=True)


def main() -> None:
    """Time them, and compare their numbers."""
    tf.keras.utils.set_random_seed(0)
    train, test = planted_reviews()
    vocabulary = learn_vocabulary(train)
    towers = UserTower(vocabulary), ProductTower(vocabulary)
    model = MultitaskModel(*towers, rating_weight=1.0, retrieval_weight=1.0)
    each_row = EachRow(*towers, rating_weight=1.0, retrieval_weight=1.0)
    texts = string_tensors(test, (USER, PRODUCT)) | {RATING: tf.constant(test[RATING], tf.float32)}
    numbers = training_rows(test, model.user_tower, model.product_tower)
    answers = {}

    def theirs(name, rows, batch_size, **arguments):
        judged = Judged(model, **arguments)
        judged.compile()
        batches = tf.data.Dataset.from_tensor_slices(rows).batch(batch_size).cache()

        def judge():
            answers[name] = judged.evaluate(batches, verbose=0, return_dict=True)

        return judge

    def ours(model=model, **settings):
        return scoreboard({"it": model}, train, test, k=TUTORIAL, **settings).loc["it"]

    def all_candidates():
        answers["ours"] = ours(exclude_seen=False)

    def rows_alone():
        answers["each row"] = ours(each_row, exclude_seen=False)

    queries, candidates = model.retrieval.queries(test), model.retrieval.candidates()
    users = model.retrieval.queries(test.drop_duplicates(USER))

    def matmul(queries):
        for block in np.array_split(queries, -(-len(queries) * PRODUCTS // CELLS)):
            block @ candidates.T

    tutorial = theirs("tutorial", texts, 4_096, k=TUTORIAL, numbers=False)
    fastest = theirs("fastest", numbers, 1_024, k=FEW, numbers=True)

    columns = in_turns(
        *(tutorial, fastest, all_candidates, rows_alone, partial(matmul, queries), partial(matmul, users), ours),
        repeats=TURNS,
    )
    assert answers["ours"].drop("rmse").equals(answers["each row"].drop("rmse")), answers
    for name, depths in (("tutorial", TUTORIAL), ("fastest", FEW)):
        for k in depths:
            hits = answers[name][f"factorized_top_k/top_{k}_categorical_accuracy"] * TEST
            assert round(hits) == round(answers["ours"][f"hit@{k}"] * TEST), (name, k, answers)
        assert abs(answers[name]["rmse"] - answers["ours"]["rmse"]) < 1e-4, (name, answers)
    t, f, o, r, m, u, seen = (f"{statistics.median(column):.3f} s" for column in columns)
    as_written, at_its_fastest, whole, of_rows, matmul_of_rows, matmul_of_users, _ = columns
    turns = f"Medians of {TURNS} repeats: FactorizedTopK takes now once, now twice as long, from one to the next."
    same = "Every hit rate is the same to the row, and so is the RMSE to 0.0001 stars."
    left_out = f"The scoreboard's default, which leaves out what was seen (80 purchases a user), takes {seen}."
    theirs_written = f"{t}: FactorizedTopK as in TFRS's tutorials"
    report(
        __file__,
        [
            Row(
                "evaluation, 20,000 rows of 1,000 users x 1,700 products",
                o,
                theirs_written,
                ratios(as_written, whole),
                at_least=10,
                notes=[turns, same, left_out],
            ),
            Row("the same, ids as numbers", o, f"{f}: FactorizedTopK at its fastest", ratios(at_its_fastest, whole)),
            Row(
                "the same, by a class without `reads`: each row is scored",
                r,
                theirs_written,
                ratios(as_written, of_rows),
            ),
            Row(
                "of which: a bare matmul of the users' vectors",
                u,
                f"{o}: the scoreboard",
                ratios(matmul_of_users, whole),
            ),
            Row(
                "of each row: a bare matmul of the rows' vectors",
                m,
                f"{r}: the scoreboard, each row scored",
                ratios(matmul_of_rows, of_rows),
            ),
        ],
    )


if __name__ == "__main__":
    main()
