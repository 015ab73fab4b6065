"""Layer 2: settings by rule of thumb, from the size of the data, so that nobody has to tune.

Each rule was found on generated shops of 1,000 to 300,000 reviews and is as simple as the results allowed. How many
epochs to train isn't a rule: validation rows, held back from the training rows, decide it.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from recsys_teach.splits import new_users


@dataclass(frozen=True)
class Recipe:
    """How to train a model.

    Args:
        batch_size: a power of two that makes about a hundred batches an epoch, from 32 (small data still gets enough
            steps) to 256 (the in-batch softmax costs the square of it; 1,024 took twice the time on 80,000 to 240,000
            rows, and hit@10 was the same within 0.0015).
        unknown_user_dropout: half the share of validation rows from new users, from 0.05 to 0.5: the more strangers
            there will be, the more training their vector needs, at the expense of everybody else's.
        l2: 0.1 is right for ten reviews a user as for a hundred, since the penalty is paid per review: who has written
            more may have longer vectors. Training stops before a somewhat small penalty does harm.
        learning_rate: Adagrad adapts it to the size of the losses by itself.
        max_epochs: where training ends if validation rows don't end it before.
    """

    batch_size: int
    unknown_user_dropout: float
    l2: float = 0.1
    learning_rate: float = 0.1
    max_epochs: int = 30


def recipe_for(train: pd.DataFrame, validation: pd.DataFrame) -> Recipe:
    """The recipe for training rows and the validation rows that were held back from them."""
    return recipe_by_rule(rows=len(train), new_user_share=new_users(train, validation).mean())


def recipe_by_rule(*, rows: int, new_user_share: float) -> Recipe:
    """The recipe for so many training rows; `new_user_share` is that of the validation rows from new users.

    It is NaN where no rows were held back for validation: then nothing is known of new users, and few are expected.
    """
    batch_size = 2 ** round(np.log2(rows / 100))
    return Recipe(
        batch_size=int(np.clip(batch_size, 32, 256)),
        unknown_user_dropout=float(np.clip(np.nan_to_num(new_user_share) / 2, 0.05, 0.5)),
    )
