"""What is made to stay is out of the garbage collector's sight, and garbage of before is not kept with it."""

import gc
import threading
import weakref

import pytest

from serving.long_lived import made_to_stay


@pytest.fixture(autouse=True)
def thawed():
    """Whatever is out of sight comes back after a test."""
    yield
    gc.unfreeze()
    assert gc.isenabled()


class Thing:
    """Something that can be in a cycle."""


def test_what_was_made_is_not_looked_at_and_goes_when_it_is_replaced():
    with made_to_stay():
        stays = [[number] for number in range(1_000)]
    assert not any(each is stays for each in gc.get_objects())
    thing = Thing()
    gone, stays[0] = weakref.ref(thing), thing
    del stays, thing
    assert gone() is None


def test_a_cycle_that_was_garbage_before_is_freed():
    thing = Thing()
    thing.itself, gone = thing, weakref.ref(thing)
    gc.disable()
    del thing
    with made_to_stay():
        assert gone() is None


def test_two_threads_that_make_something_at_once_both_finish_before_the_collector_works_again():
    entered, may_leave = threading.Event(), threading.Event()

    def make():
        with made_to_stay():
            entered.set()
            may_leave.wait(10)

    other = threading.Thread(target=make)
    with made_to_stay():
        other.start()
        entered.wait(10)
    assert not gc.isenabled()
    may_leave.set()
    other.join()
    assert gc.isenabled()


def test_the_collector_works_again_after_a_failure():
    with pytest.raises(ValueError, match="broken"), made_to_stay():
        raise ValueError("broken")
    assert gc.isenabled()
