"""Layer 0: a progress bar where something takes longer than two seconds; when it has ended, nothing is left of it."""

import os
from collections.abc import Iterable
from typing import Any

from tqdm.auto import tqdm


def progress_bar(items: Iterable | None = None, *, shown: bool = True, **options: Any) -> tqdm:
    """A bar of `tqdm`, with its `options`; none if it isn't to be `shown`, or with TQDM_DISABLE=1.

    (By itself, tqdm doesn't heed that variable in notebooks.)
    """
    disable = not shown or bool(os.environ.get("TQDM_DISABLE"))
    return tqdm(items, leave=False, delay=2, disable=disable, **options)
