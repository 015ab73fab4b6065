"""Recommender systems, taught and measured: load reviews, split them, train models, compare all on one scoreboard.

The public names are loaded when they are first used, so that `from recsys_teach import load_reviews, scoreboard` does
not wait for TensorFlow. Rooms of the package that a notebook asks for by name: `plots`, `exercises`, `lab`, `serving`
and `scale`.

TensorFlow Recommenders is written for Keras 2. TensorFlow 2.16 and later use Keras 3 as `tf.keras` unless
`TF_USE_LEGACY_KERAS=1` is set before `tf.keras` is first touched, so it is set here, once; so is the level of
TensorFlow's C++ log, which is read when TensorFlow is loaded. Arrow, which pandas keeps texts in, takes memory from the
system, since its own store keeps what it has let go of: 30 to 50 MB of a notebook about real reviews.
"""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")

if "tensorflow" in sys.modules:
    _keras = getattr(sys.modules["tensorflow"].keras, "__version__", "2.16")  # only Keras 2.16 has no version number
    if not _keras.startswith("2."):
        raise ImportError(
            f"TensorFlow is already running on Keras {_keras}, but TensorFlow Recommenders needs Keras 2: "
            "restart the kernel (or the Python process) and import recsys_teach before tensorflow."
        )

if TYPE_CHECKING:  # for type checkers and editors; must list the same names as _PUBLIC
    from recsys_teach import exercises as exercises
    from recsys_teach import lab as lab
    from recsys_teach import plots as plots
    from recsys_teach import scale as scale
    from recsys_teach import serving as serving
    from recsys_teach.adapters import recommender as recommender
    from recsys_teach.backend import tf as tf
    from recsys_teach.backend import tfrs as tfrs
    from recsys_teach.baselines import EASE as EASE
    from recsys_teach.baselines import IALS as IALS
    from recsys_teach.baselines import DampedBiases as DampedBiases
    from recsys_teach.baselines import ItemKNN as ItemKNN
    from recsys_teach.baselines import Oracle as Oracle
    from recsys_teach.baselines import Popularity as Popularity
    from recsys_teach.baselines import RateSinceLaunch as RateSinceLaunch
    from recsys_teach.consequences.feedback import ab_test as ab_test
    from recsys_teach.consequences.feedback import simulate as simulate
    from recsys_teach.consequences.off_policy import off_policy_board as off_policy_board
    from recsys_teach.consequences.reranking import CategoryPenalty as CategoryPenalty
    from recsys_teach.consequences.reranking import PopularityPenalty as PopularityPenalty
    from recsys_teach.evaluation import activity_groups as activity_groups
    from recsys_teach.evaluation import beats_oracle as beats_oracle
    from recsys_teach.evaluation import board_of_rows as board_of_rows
    from recsys_teach.evaluation import row_metrics as row_metrics
    from recsys_teach.evaluation import scoreboard as scoreboard
    from recsys_teach.features import earlier_summaries as earlier_summaries
    from recsys_teach.features import learn_vocabulary as learn_vocabulary
    from recsys_teach.features import string_tensors as string_tensors
    from recsys_teach.files import load_reviews as load_reviews
    from recsys_teach.files import write_amazon as write_amazon
    from recsys_teach.histories import earlier_purchases as earlier_purchases
    from recsys_teach.histories import training_purchases as training_purchases
    from recsys_teach.ladder import build_multitask as build_multitask
    from recsys_teach.ladder import choose_defaults as choose_defaults
    from recsys_teach.ladder import fit_ladder as fit_ladder
    from recsys_teach.ladder import fit_model as fit_model
    from recsys_teach.multitask import MultitaskModel as MultitaskModel
    from recsys_teach.ranking import DenseHead as DenseHead
    from recsys_teach.ranking import FactorHead as FactorHead
    from recsys_teach.ranking import RankingModel as RankingModel
    from recsys_teach.retrieval import RetrievalModel as RetrievalModel
    from recsys_teach.schema import check_reviews as check_reviews
    from recsys_teach.sharing import JointModel as JointModel
    from recsys_teach.sharing import expert_towers as expert_towers
    from recsys_teach.shop import generate_shop as generate_shop
    from recsys_teach.splits import Split as Split
    from recsys_teach.splits import describe as describe
    from recsys_teach.splits import split_at_random as split_at_random
    from recsys_teach.splits import split_by_time as split_by_time
    from recsys_teach.splits import split_last as split_last
    from recsys_teach.towers import ProductTower as ProductTower
    from recsys_teach.towers import UserTower as UserTower
    from recsys_teach.towers import training_rows as training_rows
    from recsys_teach.training import train_model as train_model
    from recsys_teach.two_stages import FirstStage as FirstStage
    from recsys_teach.two_stages import Ranker as Ranker
    from recsys_teach.two_stages import TwoStages as TwoStages
    from recsys_teach.two_stages import fit_two_stages as fit_two_stages
    from recsys_teach.two_stages import train_ranker as train_ranker

_PUBLIC = {
    "backend": ("tf", "tfrs"),
    "schema": ("check_reviews",),
    "files": ("load_reviews", "write_amazon"),
    "shop": ("generate_shop",),
    "splits": ("Split", "describe", "split_at_random", "split_by_time", "split_last"),
    "histories": ("earlier_purchases", "training_purchases"),
    "baselines": ("DampedBiases", "EASE", "IALS", "ItemKNN", "Oracle", "Popularity", "RateSinceLaunch"),
    "evaluation": ("activity_groups", "beats_oracle", "board_of_rows", "row_metrics", "scoreboard"),
    "consequences.reranking": ("CategoryPenalty", "PopularityPenalty"),
    "consequences.feedback": ("ab_test", "simulate"),
    "consequences.off_policy": ("off_policy_board",),
    "features": ("earlier_summaries", "learn_vocabulary", "string_tensors"),
    "towers": ("ProductTower", "UserTower", "training_rows"),
    "retrieval": ("RetrievalModel",),
    "ranking": ("DenseHead", "FactorHead", "RankingModel"),
    "multitask": ("MultitaskModel",),
    "sharing": ("JointModel", "expert_towers"),
    "adapters": ("recommender",),
    "training": ("train_model",),
    "ladder": ("build_multitask", "choose_defaults", "fit_ladder", "fit_model"),
    "two_stages": ("FirstStage", "Ranker", "TwoStages", "fit_two_stages", "train_ranker"),
}
_ROOMS = ("exercises", "lab", "plots", "scale", "serving")


def _lazy(
    package: str, public: Mapping[str, Sequence[str]], rooms: Sequence[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the `__getattr__` and the `__dir__` of a package whose modules are imported on first use.

    `public` are the names of each module, `rooms` the packages in it (PEP 562).
    """
    homes = {name: module for module, names in public.items() for name in names}

    def load(name: str) -> Any:
        if name in rooms:
            return import_module(f"{package}.{name}")
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(f"{package}.{homes[name]}"), name)
        setattr(sys.modules[package], name, value)  # the next use finds it there
        return value

    return load, lambda: sorted([*homes, *rooms])


__getattr__, __dir__ = _lazy(__name__, _PUBLIC, _ROOMS)
