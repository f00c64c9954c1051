"""What all importers do with the jobs that they made of others: compare with the jobs there are, save."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from croncord.cli.client import Client
from croncord.cli.plan import ChangeKind, merged
from croncord.cli.saving import Step, save_each
from croncord.cli.wire import path_of
from croncord.model import JobSpec

CHANGED: Final = {"create": "created", "update": "updated", "unchanged": "there already"}
"""What became of a job, by what importing it does."""
_ORIGIN: Final = "From "
"""Descriptions of imported jobs begin so; other jobs are not touched."""


@dataclass(kw_only=True)
class Imported(ABC):
    """Something that was read, and the job that does the same."""

    spec: JobSpec | None = None
    """None for what is no job, and for what is refused."""
    change: ChangeKind | None = None
    """What importing it does to the cluster, once that was compared."""
    version: int | None = None
    """Of the job that is updated."""
    refusal: str = ""
    """Why it is not imported."""

    @property
    @abstractmethod
    def told(self) -> Sequence[str]:
        """The fields of the job that what was read decides, again at each import."""


def compare(items: Iterable[Imported], current: Mapping[str, dict[str, Any]]) -> None:
    """Note for each job whether it is created, updated or there already.

    What a person has set on an imported job and its source does not tell, such as tags or a time
    limit, stays. A job of the same name that was not imported is left alone. `current` holds jobs
    as the API lists them.
    """
    for item in items:
        if item.spec is None:
            continue
        job = current.get(item.spec.name)
        if job is None:
            item.change = "create"
        elif not str(job["description"]).startswith(_ORIGIN):
            item.refusal = f"a job named {item.spec.name} exists that was not imported"
            item.spec = None
        else:
            item.change, item.spec, item.version = merged(item.spec, item.told, job)


async def save(client: Client, items: Sequence[Imported]) -> None:
    """Compare with the cluster's jobs and save what differs; what is refused is noted in the items."""
    compare(items, {job["name"]: job for job in await client.items(path_of("jobs"))})
    by_name = {item.spec.name: item for item in in_order(items) if item.spec is not None}
    steps: list[Step] = [
        (name, _step(client, item)) for name, item in by_name.items() if item.change != "unchanged"
    ]
    for name, error in (await save_each("importing", steps)).items():
        by_name[name].refusal = error.message


def _step(client: Client, item: Imported) -> Any:
    assert item.spec is not None
    path, fields = path_of("jobs", item.spec.name), msgspec.to_builtins(item.spec)
    return lambda: client.put(path, fields, if_match=item.version)


def in_order(items: Iterable[Imported]) -> Iterator[Imported]:
    """Yield jobs after those that they run after, which must be there first."""
    waiting = {item.spec.name: item for item in items if item.spec is not None}
    while waiting:
        ready = [
            name
            for name, item in waiting.items()
            if item.spec is not None and not any(entry.job in waiting for entry in item.spec.after)
        ]
        for name in ready or list(waiting):  # a circle: the node refuses it with its reason
            yield waiting.pop(name)
