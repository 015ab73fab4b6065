"""A recommendation's time as the catalogue grows, exact and approximate: `python benchmarks/serving_latency.py`.

A multitask model with planted vectors is exported and loaded again: products and tastes scatter around 64 centres, and
dot products and biases vary among the products about equally, as they do in models trained on the default shop. One
user at a time asks for ten products that are not bought yet: the SavedModel finds, masks and ranks them and predicts
their stars. Beside it, numpy only multiplies the same vectors and picks the ten best. At 100,000 products the
approximate index of `approximate` is asked the same with several efforts: recall@10 against time is
`serving_latency.png`. It fails if the SavedModel's ten differ from numpy's, or if no effort has a recall of 0.95 in 0.3
of the exact median.
"""

import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from side_by_side import Row, report

from recsys_teach.backend import tf
from recsys_teach.features import learn_vocabulary
from recsys_teach.multitask import MultitaskModel
from recsys_teach.ranking import FactorHead
from recsys_teach.schema import PRODUCT, RATING, USER
from recsys_teach.serving.approximate import ApproximateIndex, recall
from recsys_teach.serving.saved_model import export
from recsys_teach.serving.server import Server
from recsys_teach.towers import ProductTower, UserTower

SIZES, APPROXIMATE, BOUGHT, DIM, CENTRES, K = (10_000, 100_000, 1_000_000), 100_000, 20, 32, 64, 10
WARM_UP, ASKED = 20, 200
EFFORTS = (10, 20, 40, 80, 160, 320, 640)
RECALL, AT_MOST = 0.95, 0.3


def planted(products: int) -> tuple[Server, pd.DataFrame]:
    """A server of this many products, each bought once, and the purchases; its vectors look like trained ones."""
    rng = np.random.default_rng(0)
    who, what = np.arange(products) // BOUGHT, rng.permutation(products)
    names = {USER: [f"U{user:07d}" for user in who], PRODUCT: [f"P{product:07d}" for product in what]}
    train = pd.DataFrame(names | {RATING: rng.integers(1, 6, products).astype(float)})
    vocabulary = learn_vocabulary(train)
    towers = UserTower(vocabulary, dim=DIM), ProductTower(vocabulary, dim=DIM)
    weights = {"rating_weight": 1.0, "retrieval_weight": 1.0}
    model = MultitaskModel(*towers, head=FactorHead(vocabulary), product_bias=True, **weights)
    model.ratings(train[:1])  # makes all parameters
    centres = rng.normal(size=(CENTRES, DIM)) / np.sqrt(DIM)
    for tower, spread in zip(towers, (0.5, 0.3)):
        rows = tower.embedding.input_dim
        scatter = spread * rng.normal(size=(rows, DIM)) / np.sqrt(DIM)
        tower.embedding.set_weights([2 * (centres[rng.integers(CENTRES, size=rows)] + scatter)])
    model.retrieval.product_bias.set_weights([rng.normal(size=(products + 1, 1))])
    return Server(model, train), train


def times(ask, users) -> np.ndarray:
    """Milliseconds of each call, after some to warm up."""
    for user in users[:WARM_UP]:
        ask(user)
    took = []
    for user in users[WARM_UP:]:
        start = time.perf_counter()
        ask(user)
        took.append(1e3 * (time.perf_counter() - start))
    return np.array(took)


def best(scores: np.ndarray, k: int) -> np.ndarray:
    """The columns of the k highest scores, best first."""
    found = np.argpartition(scores, -k)[-k:]
    return found[np.argsort(-scores[found])]


def quantiles(took: np.ndarray) -> str:
    """The median and the 99th percentile, in words."""
    return "p50 {:.2f} ms, p99 {:.2f} ms".format(*np.percentile(took, [50, 99]))


def exact(products: int, folder: str) -> tuple[Row, Server, np.ndarray]:
    """The SavedModel against numpy; the server, and the queries that were asked."""
    server, train = planted(products)
    loaded = tf.saved_model.load(str(export(server, folder)))
    recommend, vectors, k = (*(loaded.signatures[name] for name in ("serving_default", "user_vectors")), tf.constant(K))
    users = np.random.default_rng(1).choice(train[USER].unique(), WARM_UP + ASKED)
    queries = {user: vectors(user_id=tf.constant([user]))["vector"].numpy()[0] for user in users}
    own = train.groupby(USER)[PRODUCT]
    columns = pd.Index(server.names.numpy().astype(str))
    seen = {user: columns.get_indexer(own.get_group(user)) for user in set(users)}

    for user in users[:WARM_UP]:
        scores = server.candidate_vectors @ queries[user]
        scores[seen[user]] = -np.inf
        answer = recommend(user_id=tf.constant([user]), k=k)["product_id"].numpy()[0].astype(str)
        assert answer.tolist() == columns[best(scores, K)].tolist(), user
    whole = times(lambda user: recommend(user_id=tf.constant([user]), k=k), users)
    plain = times(lambda user: best(server.candidate_vectors @ queries[user], K), users)
    what = f"ten of {products:,} products for one user"
    row = Row(what, quantiles(whole), f"{quantiles(plain)}: numpy's matmul", [np.median(whole) / np.median(plain)])
    return row, server, np.stack([queries[user] for user in users])


def approximate(server: Server, queries: np.ndarray) -> list[Row]:
    """Recall against time, as a picture, and the cheapest effort that finds enough."""
    start = time.perf_counter()
    index = ApproximateIndex(server.candidate_vectors)
    build = time.perf_counter() - start
    truth = np.stack([best(server.candidate_vectors @ query, K) for query in queries])
    plain = np.median(times(lambda query: best(server.candidate_vectors @ query, K), queries))
    curve = []
    for effort in EFFORTS:
        found, _ = index.search(queries, K, effort=effort)
        took = times(lambda query, effort=effort: index.search(query[None], K, effort=effort), queries)
        curve.append({"effort": effort, "recall": recall(found, truth), "p50": np.median(took)})
    curve = pd.DataFrame(curve)
    picture(curve, plain)
    enough = curve[curve["recall"] >= RECALL]
    chosen = enough.iloc[0] if len(enough) else curve.iloc[-1]
    points = "; ".join(f"effort {row.effort}: {row.recall:.3f}, {row.p50:.3f} ms" for row in curve.itertuples())
    notes = [f"recall@10 and p50 at {APPROXIMATE:,} products: {points}. Built in {build:.1f} s."]
    what = f"approximate, {APPROXIMATE:,} products"
    ours = f"recall@10 {chosen['recall']:.3f} in {chosen['p50']:.3f} ms (effort {chosen['effort']:.0f})"
    return [
        Row(f"{what}: recall@10", ours, "numpy's exact ten", [chosen["recall"]], at_least=RECALL, unit="", notes=notes),
        Row(f"{what}: time", ours, f"p50 {plain:.2f} ms: numpy, exact", [chosen["p50"] / plain], at_most=AT_MOST),
    ]


def picture(curve: pd.DataFrame, plain: float) -> None:
    """Recall against time in `serving_latency.png`."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    from recsys_teach.plots.charts import BLUE, GREY, ORANGE

    _, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
    ax.plot(curve["p50"], curve["recall"], "o-", color=BLUE, label="approximate (HNSW), by effort")
    for row in curve.itertuples():
        ax.annotate(f"{row.effort}", (row.p50, row.recall), xytext=(0, -14), textcoords="offset points", ha="center")
    ax.plot(plain, 1, "s", color=ORANGE, label="exact: all products multiplied")
    ax.axvline(AT_MOST * plain, color=GREY, linestyle="--", label=f"{AT_MOST} of the exact time")
    ax.axhline(RECALL, color=GREY, linestyle=":", label=f"recall {RECALL}")
    ax.set(xscale="log", xlabel="median milliseconds a user", ylabel="recall@10", ylim=(0.94, 1.005))
    ax.set_title(f"Ten of {APPROXIMATE:,} products")
    ax.legend(loc="center right", framealpha=1)
    ax.spines[["top", "right"]].set_visible(False)
    plt.savefig(Path(__file__).with_suffix(".png"), dpi=110)


def main() -> None:
    """Time each catalogue, then the approximate index."""
    rows, late = [], []
    with tempfile.TemporaryDirectory() as folder:
        for products in SIZES:
            row, server, queries = exact(products, f"{folder}/{products}")
            rows.append(row)
            if products == APPROXIMATE:
                late = approximate(server, queries)
    report(__file__, rows + late)


if __name__ == "__main__":
    main()
