"""Training speed and peak memory as the data grows a hundredfold: `python benchmarks/growth.py`, about two minutes.

The ladder's multitask model is trained on generated shops of 10,000, 100,000 and 1,000,000 reviews, each with ten times
the users and the products of the one before. Rows a second are those of the second epoch on: tracing is told apart.
Every training is a process of its own, whose peak memory is measured; what TensorFlow takes by itself is the peak of
one that only imports it. Batches are the recipe's: 128 rows for the smallest shop, 256 for the others. The picture is
`growth.png`. It fails if a larger shop trains at less than 0.7 of the smallest one's speed, or if the largest one takes
more than 30 seconds of processor time or 1,500 MB to generate.
"""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from side_by_side import Row, ratios, report, run_process

# reviews (about): users, products, reviews of each (of a small catalogue, nobody buys more than half), epochs
SIZES = {10_000: (500, 50, 30, 16), 100_000: (5_000, 500, 20, 5), 1_000_000: (50_000, 5_000, 20, 3)}
REPEATS, AT_LEAST, SAMPLE = 3, 0.7, 1_000
SHOP_SECONDS, SHOP_MEGABYTES = 30, 1_500  # at most, to generate the largest shop; seconds of the processor
STAGES = {
    "generating": "generated",
    "splitting": "split",
    "vocabulary": "its vocabulary learnt",
    "lookup": "strings looked up",
    "first": "first epoch, with a lookup and the tracing",
    "steady": "each later epoch",
    "scoring": f"{SAMPLE:,} rows scored against all products, and their ratings predicted",
}


def generate(size: int, folder: Path) -> None:
    """Keep a generated shop's reviews, and how long it took."""
    from recsys_teach.shop import generate_shop

    users, products, each, _ = SIZES[size]
    start, processor = time.perf_counter(), time.process_time()
    reviews = generate_shop(users=users, products=products, reviews_per_user=each).reviews
    took = {"generating": time.perf_counter() - start, "processor": time.process_time() - processor}
    (folder / f"generate{size}.json").write_text(json.dumps(took | {"reviews": len(reviews)}))
    reviews.to_parquet(folder / f"{size}.parquet")


def train(size: int, folder: Path) -> None:
    """Train on it; keep the seconds of each stage, and the training rows a second of the second epoch on."""
    from recsys_teach import ladder
    from recsys_teach.features import learn_vocabulary
    from recsys_teach.ladder import choose_defaults
    from recsys_teach.splits import split_at_random
    from recsys_teach.towers import training_rows
    from recsys_teach.training import train_model

    took = {}

    def timed(stage, do):
        start = time.perf_counter()
        result = do()
        took[stage] = time.perf_counter() - start
        return result

    reviews = pd.read_parquet(folder / f"{size}.parquet")
    rows, test = timed("splitting", lambda: split_at_random(reviews, test_share=0.01))
    vocabulary = timed("vocabulary", lambda: learn_vocabulary(rows))
    recipe = choose_defaults(rows, test)

    times, model = [time.perf_counter()], ladder.build_multitask(vocabulary, recipe)
    settings = {"epochs": SIZES[size][3], "batch_size": recipe.batch_size, "learning_rate": recipe.learning_rate}
    train_model(model, rows, **settings, after_epoch=lambda _: times.append(time.perf_counter()))
    first, *later = np.diff(times)
    took |= {"first": first, "steady": statistics.median(later)}
    timed("lookup", lambda: training_rows(rows, model.user_tower, model.product_tower))
    sample = test.sample(SAMPLE, replace=True, random_state=0)
    timed("scoring", lambda: (model.scores(sample), model.ratings(sample)))
    (folder / f"train{size}.json").write_text(json.dumps(took | {"speed": len(rows) / took["steady"]}))


def picture(runs: pd.DataFrame, alone: float) -> None:
    """Speed and peak memory by size, every repeat a dot, in `growth.png`."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    from recsys_teach.plots.charts import BLUE, GREY

    _, panels = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
    for ax, column, title in zip(
        panels, ("speed", "peak"), ("training rows a second, second epoch on", "peak memory of the process (MB)")
    ):
        ax.plot(runs["reviews"], runs[column], "o", color=BLUE, alpha=0.5)
        medians = runs.groupby("reviews")[column].median()
        ax.plot(medians.index, medians, color=BLUE, label="training")
        ax.set(xscale="log", xlabel="reviews", title=title, ylim=(0, 1.15 * runs[column].max()))
        ax.xaxis.set_major_formatter("{x:,.0f}")
        ax.yaxis.set_major_formatter("{x:,.0f}")
        ax.grid(axis="y", alpha=0.3)
        ax.spines[["top", "right"]].set_visible(False)
    least = AT_LEAST * runs.loc[runs["size"] == min(SIZES), "speed"].median()
    panels[0].axhline(least, color=GREY, linestyle="--", label=f"{AT_LEAST} of the smallest's")
    panels[1].axhline(alone, color=GREY, linestyle="--", label="TensorFlow alone, imported")
    for ax in panels:
        ax.legend(frameon=False, loc="lower right")
    plt.savefig(Path(__file__).with_suffix(".png"), dpi=110)


def main() -> None:
    """Generate the shops, train on each in turns, and report."""
    results = []
    with tempfile.TemporaryDirectory() as name:
        call = [sys.executable, __file__]
        shops = {size: run_process([*call, "generate", str(size), name])[1] for size in SIZES}
        alone = run_process([sys.executable, "-c", "import recsys_teach.backend"])[1]
        for _ in range(REPEATS):
            for size in SIZES:
                peak = run_process([*call, "train", str(size), name])[1]
                kept = [json.loads((Path(name) / f"{what}{size}.json").read_text()) for what in ("generate", "train")]
                results.append({"size": size, "peak": peak, "shop_peak": shops[size], **kept[0], **kept[1]})
    runs = pd.DataFrame(results)
    picture(runs, alone)
    by_size = dict(list(runs.groupby("size")))
    small, *larger = by_size.values()
    rows = []
    for part in larger:
        speeds = [f"{of['speed'].median():,.0f} rows/s" for of in (part, small)]
        sizes = [f"{of['reviews'].iloc[0]:,}" for of in (part, small)]
        what = f"speed of training, {sizes[0]} reviews against {sizes[1]}"
        rows.append(Row(what, *speeds, ratios(part["speed"], small["speed"]), at_least=AT_LEAST))
    for part in by_size.values():
        words = f"peak {part['peak'].median():,.0f} MB", f"{alone:,.0f} MB: a process that only imports TensorFlow"
        what = f"memory of training on {part['reviews'].iloc[0]:,} reviews, above TensorFlow's own"
        rows.append(Row(what, *words, list(part["peak"] - alone), unit="MB"))
    median = larger[-1].median()
    users, products, *_ = SIZES[max(SIZES)]
    what = f"generating a shop of {users:,} users and {products:,} products, {median['reviews']:,.0f} reviews"
    took, processor, peak = median["generating"], median["processor"], median["shop_peak"]
    words = f"{processor:.1f} s of the processor, {took:.1f} s by the clock"
    rows.append(Row(what, words, "", [processor], at_most=SHOP_SECONDS, unit="s"))
    rows.append(Row(f"memory of {what}", f"peak {peak:,.0f} MB", "", [peak], at_most=SHOP_MEGABYTES, unit="MB"))
    notes = [f"{words}: {median[stage]:.2f} s" for stage, words in STAGES.items()]
    what = f"{larger[-1]['reviews'].iloc[0]:,} reviews, every stage once"
    total = larger[-1][list(STAGES)].sum(axis=1)
    rows.append(Row(what, f"{total.median():.0f} s", "", list(total), unit="s", notes=notes))
    report(__file__, rows)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        {"generate": generate, "train": train}[sys.argv[1]](int(sys.argv[2]), Path(sys.argv[3]))
    else:
        main()
