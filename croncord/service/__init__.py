"""The desk: one use case per method: who may, is it valid, which command."""

from croncord.service.desk import Desk
from croncord.service.who import Who

__all__ = ["Desk", "Who"]
