from croncord.raft.engine import Engine
from croncord.raft.engine.founding import Founding
from croncord.raft.engine.membership import Roles
from croncord.raft.entrylog import plain


def test_the_overrides_name_what_they_are_for():
    for part in Engine.__mro__:
        if part.__module__.startswith("croncord") and part is not Engine:
            assert part.__doc__, part


def test_plain_gives_entries_of_the_wire_their_stored_form():
    assert plain([bytearray(b"x"), 3, 1]) == (b"x", 3, 1)
    assert issubclass(Engine, Roles)
    assert issubclass(Engine, Founding)
