"""Where a training's time goes, and what the hardware alone would need: `python benchmarks/limits.py`.

The multitask model on 100,000 reviews. Importing TensorFlow, tracing and an epoch are timed; then a step is taken
apart: its softmax by itself, what the multiplications of its logits would take at the speed of a large matrix
product, and what moving the rows of its tables would take at the speed of copying memory.
"""

import statistics
import sys
import time

import numpy as np
from side_by_side import IMPORT_TFRS, Row, in_turns, report, run_process

from recsys_teach.backend import tf
from recsys_teach.features import learn_vocabulary
from recsys_teach.ladder import build_multitask, choose_defaults
from recsys_teach.shop import generate_shop
from recsys_teach.splits import split_at_random
from recsys_teach.training import train_model

DIM, FLOAT, EPOCHS = 32, 4, 6
SIDE, MEGABYTES = 2048, 256  # of the large matrix product, and of the copy


def softmax_seconds(batch_size: int) -> float:
    """One in-batch softmax of vectors that are there already, with its gradient."""
    rng = np.random.default_rng(0)
    users, products = (tf.constant(rng.normal(size=(batch_size, DIM)), tf.float32) for _ in range(2))
    own = tf.range(batch_size)

    @tf.function
    def many(times: tf.Tensor) -> tf.Tensor:
        total = 0.0
        for _ in tf.range(times):
            with tf.GradientTape() as tape:
                tape.watch([users, products])
                logits = tf.matmul(users, products, transpose_b=True)
                loss = tf.reduce_sum(tf.nn.sparse_softmax_cross_entropy_with_logits(own, logits))
            total += sum(tf.reduce_sum(gradient) for gradient in tape.gradient(loss, [users, products]))
        return total

    (times,) = in_turns(lambda: many(tf.constant(200)).numpy())
    return statistics.median(times) / 200


def hardware() -> tuple[float, float]:
    """Floating-point operations a second in a large matrix product, and bytes a second in a copy."""
    matrix = np.random.default_rng(0).normal(size=(SIDE, SIDE)).astype(np.float32)
    block, copy = np.ones(MEGABYTES * 2**18, np.float32), np.empty(MEGABYTES * 2**18, np.float32)
    products, copies = in_turns(lambda: matrix @ matrix, lambda: np.copyto(copy, block))
    return 2 * SIDE**3 / statistics.median(products), 2 * MEGABYTES * 2**20 / statistics.median(copies)


def main() -> None:
    """Time the parts of a training, and set a step beside the machine's own speed."""
    seconds_to_import, _ = run_process([sys.executable, "-c", IMPORT_TFRS])
    train, test = split_at_random(generate_shop(users=943, products=1682, reviews_per_user=133).reviews)
    recipe = choose_defaults(train, test)
    times = [time.perf_counter()]
    model = build_multitask(learn_vocabulary(train), recipe)
    train_model(
        model,
        train,
        epochs=EPOCHS,
        batch_size=recipe.batch_size,
        after_epoch=lambda _: times.append(time.perf_counter()),
    )
    epochs = np.diff(times).tolist()
    epoch = statistics.median(epochs[1:])
    step = epoch / -(-len(train) // recipe.batch_size)
    flops, bandwidth = hardware()
    size = recipe.batch_size
    logits = 3 * 2 * size**2 * (DIM + 1) / flops  # forwards once, backwards twice; the bias is one more number
    rows = 2 * size * (DIM + 2)  # a user's and a product's vectors, and their biases
    tables = 5 * rows * FLOAT / bandwidth  # parameters and what Adagrad keeps: both read and written; the gradient
    softmax = softmax_seconds(size)
    what = f"a step of {size} rows"
    report(
        __file__,
        [
            Row("importing TFRS", f"{seconds_to_import:.1f} s", "an epoch", [seconds_to_import / epoch]),
            Row("tracing", f"{epochs[0] - epoch:.2f} s", "an epoch", [(epochs[0] - epoch) / epoch]),
            Row(what, f"{1e3 * step:.2f} ms", f"its softmax by itself, {1e3 * softmax:.2f} ms", [step / softmax]),
            Row(what, "", f"its logits at {flops / 1e9:.0f} GFLOP/s, {1e3 * logits:.2f} ms", [step / logits]),
            Row(what, "", f"its tables' rows at {bandwidth / 1e9:.1f} GB/s, {1e3 * tables:.3f} ms", [step / tables]),
        ],
    )


if __name__ == "__main__":
    main()
