"""Sealing again, with the cluster secret that is used now, what was sealed with the one before."""

from collections.abc import Iterable, Iterator

from croncord.errors import NotReady, StoreError
from croncord.ports import Vault
from croncord.raft.access_commands import Reseal, Resealed
from croncord.raft.sealed_values import sealed_values
from croncord.service.agreement import Agreement
from croncord.service.views import View
from croncord.service.who import Who

_BATCH_BYTES = 256 * 1024
"""About how much is agreed on at once."""


class ResealReport(View, frozen=True, kw_only=True):
    """What became of the sealed values: secrets, addresses of channels, passwords."""

    resealed: int
    current: int
    """Sealed with the present secret already."""
    unreadable: list[str]
    """Sealed with a secret that the asked node does not have; they have to be set again."""


async def reseal(agreement: Agreement, vault: Vault | None, who: Who) -> ResealReport:
    """Seal everything with the secret that the asked node uses. Raises NotReady."""
    who.require("admin")
    if vault is None:
        raise NotReady("this node has no key to seal secrets with")
    key_id, current, unreadable = vault.key_id, 0, []
    values: list[Resealed] = []
    for name, sealed, sealed_with in sealed_values(await agreement.read()):
        if sealed_with == key_id:
            current += 1
            continue
        try:
            new = vault.seal(name, vault.open(name, sealed))
        except StoreError:
            unreadable.append(name)  # told to who asks: only they can set it again
            continue
        values.append(Resealed(name=name, old=sealed, new=new))
    done = 0
    for batch in _batches(values):
        done += await _agree(agreement, who, key_id, batch)
    return ResealReport(resealed=done, current=current, unreadable=sorted(unreadable))


async def _agree(agreement: Agreement, who: Who, key_id: str, values: tuple[Resealed, ...]) -> int:
    replaced: int = await agreement.change(
        lambda at: Reseal(at=at, by=who.name, key_id=key_id, values=values), draws_secret=True
    )
    return replaced


def _batches(values: Iterable[Resealed]) -> Iterator[tuple[Resealed, ...]]:
    batch: list[Resealed] = []
    for value in values:
        batch.append(value)
        if sum(len(it.old) + len(it.new) for it in batch) >= _BATCH_BYTES:
            yield tuple(batch)
            batch = []
    if batch:
        yield tuple(batch)
