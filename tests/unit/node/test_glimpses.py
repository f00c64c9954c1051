import pytest

from croncord.node.glimpses import GLIMPSE_BYTES, Glimpses


def test_a_second_passes_before_the_first_glimpse_and_it_says_how_far_the_output_is():
    glimpses = Glimpses()
    assert glimpses.due_at is None
    glimpses.note(b"one\ntwo\n", 100.0)
    assert glimpses.due_at == 101.0
    assert glimpses.take(100.9) == b""
    assert glimpses.take(101.0) == b"8 bytes further on, not all of them kept:\none\ntwo"
    assert glimpses.due_at is None
    assert glimpses.take(999.0) == b""


def test_the_last_whole_lines_are_shown():
    glimpses = Glimpses()
    glimpses.note(b"".join(b"line %d\n" % n for n in range(5000)), 0.0)
    told = glimpses.take(1.0).split(b"\n")
    assert told[1:] == [b"line %d" % n for n in range(4995, 5000)]


@pytest.mark.parametrize("piece", [b"x", b"x" * 70_000])
def test_output_without_lines_shows_its_end(piece):
    glimpses = Glimpses()
    glimpses.note(piece, 0.0)
    assert glimpses.take(1.0).endswith(b":\n" + piece[-GLIMPSE_BYTES:])


@pytest.mark.parametrize(("days", "most"), [(1, 600), (30, 850)])
def test_they_get_rarer_so_that_a_month_of_them_stays_small(days, most):
    glimpses = Glimpses()
    now, count = 0.0, 0
    while now < days * 86_400:
        glimpses.note(b"line\n", now)
        now = glimpses.due_at
        count += bool(glimpses.take(now))
    assert 64 < count < most
