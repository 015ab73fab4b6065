"""Ctrl-C while a block of code defers it."""

import signal
import threading

import pytest

from recsys_teach._util import deferred_interrupt


def press():
    signal.raise_signal(signal.SIGINT)


@pytest.fixture(autouse=True)
def usual_handler():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def test_it_waits_for_the_place_where_it_is_safe():
    def work():
        with deferred_interrupt() as raise_if_interrupted:
            raise_if_interrupted()
            press()
            reached.append("after it was pressed")
            raise_if_interrupted()
            reached.append("never")

    reached: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        work()
    assert reached == ["after it was pressed"]


def test_without_such_a_place_it_comes_at_the_end():
    with pytest.raises(KeyboardInterrupt), deferred_interrupt():
        press()


def test_the_second_one_comes_at_once():
    with deferred_interrupt() as raise_if_interrupted:
        press()
        with pytest.raises(KeyboardInterrupt):
            press()
        with pytest.raises(KeyboardInterrupt):
            raise_if_interrupted()


def test_an_error_of_the_block_is_the_one_that_is_seen():
    def work():
        with deferred_interrupt():
            press()
            raise LookupError

    with pytest.raises(LookupError):
        work()


def test_a_handler_of_somebody_else_stays():
    heard = []
    signal.signal(signal.SIGINT, lambda *_: heard.append(True))
    with deferred_interrupt():
        press()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    assert heard == [True]


def test_another_thread_hears_nothing_and_changes_nothing():
    def work():
        with deferred_interrupt() as raise_if_interrupted:
            raise_if_interrupted()
            found.append(signal.getsignal(signal.SIGINT))

    found: list = []
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [signal.default_int_handler]
