"""What is made to stay is out of the garbage collector's sight, and garbage of before is not kept with it.

The collector is the process's, and applications of other tests are in it, whose threads make things at any moment.
"""

import gc
import threading
import weakref

import pytest

from serving.long_lived import made_to_stay


@pytest.fixture(autouse=True)
def thawed(eventually):
    """Whatever is out of sight comes back after a test."""
    yield
    gc.unfreeze()
    assert eventually(gc.isenabled)


class Thing:
    """Something that can be in a cycle."""


def test_what_was_made_is_not_looked_at_and_goes_when_it_is_replaced(eventually):
    with made_to_stay():
        stays = [[number] for number in range(1_000)]
    place = id(stays)
    assert eventually(lambda: all(id(each) != place for each in gc.get_objects()))
    thing = Thing()
    gone, stays[0] = weakref.ref(thing), thing
    del stays, thing
    assert gone() is None


def test_a_cycle_that_was_garbage_before_is_freed(eventually):
    thing = Thing()
    thing.itself, gone = thing, weakref.ref(thing)
    gc.disable()
    del thing

    def is_freed():
        with made_to_stay():
            return gone() is None

    assert eventually(is_freed)


def test_two_threads_that_make_something_at_once_both_finish_before_the_collector_works_again(eventually):
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
    assert eventually(gc.isenabled)


def test_the_collector_works_again_after_a_failure(eventually):
    with pytest.raises(ValueError, match="broken"), made_to_stay():
        raise ValueError("broken")
    assert eventually(gc.isenabled)
