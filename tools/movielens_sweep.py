"""The sweep of MovieLens that comes with the package: `python tools/movielens_sweep.py` trains it and writes it.

It needs MovieLens latest-small (in RECSYS_TEACH_DATA, or from the network) and two minutes. The models are the
ladder's multitask model with its defaults, except for the weights: a pair's weights are plain factors of the two sums,
as in notebook 05, where the ladder divides its rating weight by the variance of the ratings.
"""

from typing import Any

from recsys_teach import build_multitask, choose_defaults, learn_vocabulary, load_reviews, split_at_random, tf
from recsys_teach.lab import Sweep, train_sweep
from recsys_teach.lab.sweep import STORED

WEIGHTS = [(0, 1), (1 / 256, 1), (1 / 64, 1), (1 / 16, 1), (1 / 8, 1), (1 / 4, 1)]
WEIGHTS += [(0.4, 1), (1, 1), (2, 1), (4, 1), (1, 0)]
EPOCHS = 14
SEED = 0


def main() -> None:
    """Train the pairs in one run, and write what the lab shows of them into the package."""
    train, test = split_at_random(load_reviews("movielens"), seed=SEED)
    defaults = choose_defaults(*split_at_random(train, test_share=0.1, seed=SEED))
    tf.keras.utils.set_random_seed(SEED)
    model = build_multitask(learn_vocabulary(train), defaults)
    settings: dict[str, Any] = {"batch_size": defaults.batch_size, "learning_rate": defaults.learning_rate}
    sweep = train_sweep(model, WEIGHTS, train, test, epochs=EPOCHS, seed=SEED, **settings)
    sweep.save(STORED["movielens"])
    print(Sweep.load("movielens").board.round(4))


if __name__ == "__main__":
    main()
