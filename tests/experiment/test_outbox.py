"""Records of a store that fails for a while, or that does not take one of them."""

import pytest

from ilvf.experiment.outbox import Outbox


class Store:
    """Keeps names of records; refuses some, or all while it is down."""

    def __init__(self, *refused):
        self.refused = refused
        self.down = False
        self.kept = []

    def record(self, name):
        def send():
            if self.down or name in self.refused:
                raise OSError(f"no {name}")
            self.kept.append(name)

        return send


def send(outbox, store, names, kind):
    for name in names:
        outbox.retry()
        outbox.send(store.record(name), kind)


@pytest.mark.parametrize("kind", ["metrics", "files"])
def test_records_wait_while_a_store_is_down(kind):
    outbox = Outbox()
    store = Store()
    store.down = True
    with pytest.warns(UserWarning, match="no a") as warned:
        send(outbox, store, "abc", kind)
    assert len(warned) == 1
    assert outbox.missing == 3
    store.down = False
    outbox.retry()
    outbox.flush(kind)
    assert store.kept == ["a", "b", "c"]
    assert (outbox.missing, outbox.left_out) == (0, 0)


def test_a_file_that_is_never_taken_does_not_hold_up_the_others():
    outbox = Outbox()
    store = Store("b")
    with pytest.warns(UserWarning, match="no b"):
        send(outbox, store, "abcd", "files")
    assert store.kept == ["a", "c", "d"]
    assert (outbox.missing, outbox.left_out) == (0, 1)


def test_metrics_keep_their_order():
    outbox = Outbox()
    store = Store("b")
    with pytest.warns(UserWarning, match="no b"):
        send(outbox, store, "abcd", "metrics")
    assert store.kept == ["a"]
    assert outbox.missing == 3
