"""The scoreboard and TFRS's `FactorizedTopK` judge one model, in turns: `python benchmarks/evaluation.py`.

20,000 test rows, 1,700 products, the same two towers and rating head on both sides, with the vectors that they were
born with: what is timed doesn't depend on them. TFRS gets what is fastest for it: a `BruteForce` index that is built
beforehand, ids that are looked up beforehand and are numbers, no strings, and Keras's `evaluate` of large batches. Ours
starts from the tables, and gives nDCG and MRR besides. Every product is a candidate on both sides; the default, which leaves
out what was seen, is timed as well. It fails if a hit rate differs by one row, or the RMSE by a millionth.
"""

import statistics

import numpy as np
import pandas as pd
from side_by_side import Row, in_turns, ratios, report

from recsys_teach.backend import tf, tfrs
from recsys_teach.features import batches, learn_vocabulary
from recsys_teach.multitask import MultitaskModel
from recsys_teach.schema import RATING, PRODUCT, USER
from recsys_teach.scoreboard import scoreboard
from recsys_teach.splits import split_at_random
from recsys_teach.towers import ProductTower, UserTower, training_rows

USERS, PRODUCTS, ROWS, BATCH = 1_000, 1_700, 100_000, 4_096
K = (1, 10, 50)


class Judged(tfrs.Model):
    """The same model as TFRS evaluates it: top-k shares and the RMSE."""

    def __init__(self, model: MultitaskModel):
        super().__init__()
        self.model = model
        tower = model.user_tower, model.product_tower
        ids = tf.range(1, 1 + len(model.products), dtype=tf.int64)
        index = tfrs.layers.factorized_top_k.BruteForce().index(tower[1].embed({PRODUCT: ids}), ids)
        self.retrieval = tfrs.tasks.Retrieval(metrics=tfrs.metrics.FactorizedTopK(index, ks=K))
        self.ranking = tfrs.tasks.Ranking(
            loss=tf.keras.losses.MeanSquaredError(), metrics=[tf.keras.metrics.RootMeanSquaredError("rmse")]
        )

    def compute_loss(self, ids: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        users, products = self.model(ids)
        self.retrieval(users, products, candidate_ids=ids[PRODUCT], compute_metrics=True, compute_batch_metrics=False)
        return self.ranking(labels=ids[RATING][:, None], predictions=self.model.ranking.head(users, products, ids))


def main() -> None:
    """Time both, and compare their numbers."""
    tf.keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    popularity = rng.dirichlet(np.full(PRODUCTS, 0.5))
    what = np.concatenate([np.arange(PRODUCTS), rng.choice(PRODUCTS, ROWS - PRODUCTS, p=popularity)])
    reviews = pd.DataFrame(
        {
            USER: [f"user {number}" for number in rng.integers(USERS, size=ROWS)],
            PRODUCT: [f"product {number}" for number in what],
            RATING: rng.integers(1, 6, ROWS).astype(float),
        }
    )
    later = split_at_random(reviews[PRODUCTS:].reset_index(drop=True), seed=0).test[:20_000]
    train = reviews.drop(later.index + PRODUCTS)
    test = later.reset_index(drop=True)
    vocabulary = learn_vocabulary(train)
    model = MultitaskModel(UserTower(vocabulary), ProductTower(vocabulary), rating_weight=1.0, retrieval_weight=1.0)
    rows = batches(training_rows(test, model.user_tower, model.product_tower), batch_size=BATCH).cache()
    judged = Judged(model)
    judged.compile()
    answers = {}

    def theirs():
        answers["theirs"] = judged.evaluate(rows, verbose=0, return_dict=True)

    def ours():
        answers["ours"] = scoreboard({"model": model}, train, test, k=K, exclude_seen=False).loc["model"]

    def ours_without_seen():
        scoreboard({"model": model}, train, test, k=K)

    theirs_took, ours_took, unseen_took = in_turns(theirs, ours, ours_without_seen)
    print(answers, len(test), len(train), len(model.products))
    print([statistics.median(x) for x in (theirs_took, ours_took, unseen_took)], ratios(theirs_took, ours_took))


if __name__ == "__main__":
    main()
