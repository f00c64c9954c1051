"""Named locks and semaphores: `db` is for one run at a time, `db:3` for three. Pure.

A run may hold a lock together with others as long as there are no more of them than the smallest
number that any of them names. So a job that says `db` is alone with it, whatever others say.
"""

from collections.abc import Mapping


def name_and_places(lock: str) -> tuple[str, int]:
    """Split `db:3` into its name and how many runs may hold it at once."""
    name, _, places = lock.partition(":")
    return name, int(places) if places else 1


def has_room(places: int, holders: Mapping[str, int]) -> bool:
    """Whether one more may hold the lock; `holders` maps runs to the places they name."""
    return len(holders) < min([places, *holders.values()])
