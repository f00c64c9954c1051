"""Saving many jobs one after the other: one that is refused does not stop the others."""

from collections.abc import Awaitable, Callable, Sequence

from croncord.cli.output import note
from croncord.cli.progress import Steps
from croncord.errors import Conflict, CronCordError, Invalid, NotFound, TooLarge

Step = tuple[str, Callable[[], Awaitable[object]]]
"""The name of a job and what is to be done with it."""

_ABOUT_ONE_JOB = (Invalid, Conflict, NotFound, TooLarge)


async def save_each(doing: str, steps: Sequence[Step]) -> dict[str, CronCordError]:
    """Take every step; returns the errors of jobs that were refused, by name.

    An error that every further job would meet too, such as no leader, ends it and is raised.
    """
    refused: dict[str, CronCordError] = {}
    with Steps(doing, len(steps)) as progress:
        for done, (name, save) in enumerate(steps):
            progress.step(name)
            try:
                await save()
            except _ABOUT_ONE_JOB as e:
                refused[name] = e
            except CronCordError:
                if done:
                    note(f"{done - len(refused)} of {len(steps)} were saved before this happened:")
                raise
    return refused
