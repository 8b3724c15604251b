"""Items made in a thread, one ahead of their use."""

import threading

import pytest

from ance_plugin.ahead import one_ahead


@pytest.mark.parametrize("items", [[], [None], list(range(50))])
def test_order_is_kept(items):
    """Whatever the items are, None among them."""
    assert list(one_ahead(iter(items))) == items


def test_the_next_item_is_made_while_one_is_in_use():
    """The second comes without being asked for, the third not before the second is taken."""
    made = [threading.Event() for _ in range(3)]

    def make():
        for number, event in enumerate(made):
            event.set()
            yield number

    items = one_ahead(make())
    assert next(items) == 0
    assert made[1].wait(timeout=10)
    assert not made[2].wait(timeout=0.05)
    assert list(items) == [1, 2]


def test_errors_come_in_their_items_place():
    """What was made before one is seen first."""

    def make():
        yield 1
        raise ValueError("item 2 is damaged")

    items = one_ahead(make())
    assert next(items) == 1
    with pytest.raises(ValueError, match="item 2 is damaged"):
        next(items)
