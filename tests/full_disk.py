"""A disk that is full, without one: no file may grow beyond some bytes."""

from contextlib import contextmanager

import pytest


@contextmanager
def full_disk(*, after):
    """In this block, a write beyond so many bytes of any file fails with an OSError (EFBIG)."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (after, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
