"""What a failover drill asks of a node. Frozen."""

from typing import Annotated, Final

import msgspec

from croncord.model import Value

FREEZE_SECONDS_MAX: Final = 30


class Freeze(Value, frozen=True, kw_only=True):
    """Stand still for so long, as a machine does whose disk or hypervisor hangs."""

    seconds: Annotated[int, msgspec.Meta(ge=1, le=FREEZE_SECONDS_MAX)] = 10


class FreezeOrder(Freeze, frozen=True, kw_only=True):
    """As one node asks another."""

    by: str = ""
    """Who asked, for the log."""
