"""Runs mutmut with functions that Keras 2 can still look through: `python tools/mutants.py run [NAME ...]`.

mutmut wraps each function in one that chooses the mutant. Keras reads the arguments of `call` from its signature, so
the wrapper gets the signature of what it wraps.
"""

import inspect
from collections.abc import Callable
from typing import Any

from mutmut.__main__ import cli
from mutmut.mutation import trampoline

wrap = trampoline.wrap_in_trampoline


def wrap_in_trampoline(*args: Any, **options: Any) -> Callable:
    """Return mutmut's decorator, which keeps the signature."""

    def decorate(function: Callable) -> Callable:
        wrapped = wrap(*args, **options)(function)
        wrapped.__signature__ = inspect.signature(function)
        return wrapped

    return decorate


trampoline.wrap_in_trampoline = wrap_in_trampoline

if __name__ == "__main__":
    cli()
