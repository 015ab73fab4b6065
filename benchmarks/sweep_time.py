"""One model and a stack of eleven, trained in turns on the default generated shop: `python benchmarks/sweep_time.py`.

It fails if the stack takes more than 2.5 times as long, or if the pair (0.4, 1) in it isn't the model trained alone.
Both start from scratch each time, so the tracing of their graphs is part of what is timed.
"""

import statistics

from side_by_side import Row, in_turns, ratios, report

from recsys_teach.backend import tf, tfrs
from recsys_teach.evaluation import scoreboard
from recsys_teach.features import Vocabulary, learn_vocabulary
from recsys_teach.lab.stacking import StackedModel
from recsys_teach.lab.sweep import Factors
from recsys_teach.multitask import MultitaskModel
from recsys_teach.ranking import FactorHead
from recsys_teach.shop import generate_shop
from recsys_teach.splits import split_at_random
from recsys_teach.towers import ProductTower, UserTower
from recsys_teach.training import train_model

MOST_TIMES, MOST_DIFFERENCE = 2.5, 1e-3
PAIR = (0.4, 1.0)
WEIGHTS = [(0.0, 1.0), *((2.0**power, 1.0) for power in range(-6, 2)), PAIR, (1.0, 0.0)]  # 11 pairs
CORRECTIONS = {"log_q": True, "remove_accidental_hits": True, "product_bias": True, "l2": 0.1}  # nobody is forgotten:
# which users would be is drawn anew by every model, and then no two are the same


def untrained(vocabulary: Vocabulary) -> MultitaskModel:
    """The ladder's multitask model, always of the same first parameters."""
    tf.keras.utils.set_random_seed(0)
    towers = UserTower(vocabulary), ProductTower(vocabulary)
    weights = dict(zip(("rating_weight", "retrieval_weight"), PAIR))
    return MultitaskModel(*towers, **weights, head=FactorHead(vocabulary), **CORRECTIONS)


def main() -> None:
    """Time both in turns, and see how far apart the two models of one pair are."""
    train, test = split_at_random(generate_shop().reviews, seed=0)
    vocabulary = learn_vocabulary(train)
    models: dict[str, tfrs.Model] = {}

    def trained(name: str) -> None:
        model = untrained(vocabulary)
        models[name] = model if name == "alone" else StackedModel(model, WEIGHTS)
        train_model(models[name], train, epochs=6, batch_size=256)

    one, eleven = in_turns(lambda: trained("alone"), lambda: trained("stack"))
    tables = (table[WEIGHTS.index(PAIR)] for table in models["stack"].tables())
    same = Factors(vocabulary.users, vocabulary.products, *tables, models["alone"].ranking.head.mean)
    board = scoreboard({"alone": models["alone"], "in the stack": same}, train, test)[["hit@10", "rmse"]]
    apart = board.diff().iloc[-1].abs().max()
    ours, against = (f"{statistics.median(times):.2f} s" for times in (eleven, one))
    what = f"{len(WEIGHTS)} pairs of weights in one training, tracing included"
    same_pair = "largest difference of hit@10 or RMSE between a pair in the stack and alone"
    report(
        __file__,
        [
            Row(what, ours, f"{against}: one model", ratios(eleven, one), at_most=MOST_TIMES),
            Row(same_pair, f"{apart:.6f}", "", [float(apart)], at_most=MOST_DIFFERENCE, unit=""),
        ],
    )


if __name__ == "__main__":
    main()
