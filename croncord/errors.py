"""Everything that can go wrong and be told to a person.

    CronCordError
    ├── Invalid            422  a value is wrong; names each field
    │   └── ScheduleError  422  a schedule or time zone is wrong
    ├── Malformed          400  the request cannot be read at all
    ├── Unauthenticated    401  nobody is signed in
    ├── Forbidden          403  signed in, but the role is too small
    ├── NotFound           404
    ├── Conflict           409  the name is taken, or the thing is in the wrong state
    │   └── VersionChanged 412  somebody saved another version meanwhile
    ├── TooLarge           413
    ├── NoLeader           503  no majority: nothing can be changed now
    ├── NotReady           503  this node has not caught up, or is still deciding what was due
    ├── OutcomeUnknown     504  sent, not confirmed; repeating it with the same key is safe
    ├── Unreachable        -    no node answered (command line)
    ├── StoreError         500  the disk refused, or what it holds is damaged
    └── ConfigError        -    the program was started with wrong settings

Each error carries an HTTP status, an exit code for the command line, and a hint: the next step.
`croncord.web.errors` is the one place that turns them into answers, `croncord.cli.errors` the one
that turns them into exit codes.
"""

from collections.abc import Sequence
from typing import ClassVar

import msgspec


class FieldError(msgspec.Struct, frozen=True):
    """One wrong field: its name as the API spells it, and what would be right."""

    field: str
    message: str


class CronCordError(Exception):
    """Base of all errors meant for people; `hint` says what to do next."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Invalid(CronCordError):
    """One or more fields hold a value that cannot be accepted. Nothing was changed."""

    status = 422
    title = "Invalid value"
    exit_code = 2

    def __init__(self, errors: Sequence[FieldError], *, hint: str = "") -> None:
        super().__init__("; ".join(f"{e.field}: {e.message}" for e in errors), hint=hint)
        self.errors = tuple(errors)


class ScheduleError(Invalid):
    """A schedule expression or time zone cannot be understood, or never fires."""

    def __init__(self, message: str, *, field: str = "schedule", hint: str = "") -> None:
        super().__init__([FieldError(field, message)], hint=hint)


class Malformed(CronCordError):
    """The request is not readable: broken JSON, a bad header, an impossible number."""

    status = 400
    title = "Malformed request"
    exit_code = 2


class Unauthenticated(CronCordError):
    """The caller did not say who they are, or the token is unknown."""

    status = 401
    title = "Not signed in"
    exit_code = 4


class Forbidden(CronCordError):
    """The caller is known but may not do this."""

    status = 403
    title = "Not allowed"
    exit_code = 4


class NotFound(CronCordError):
    """No job, run, node or page of that name."""

    status = 404
    title = "Not found"
    exit_code = 5


class Conflict(CronCordError):
    """The name is taken, or the thing is in a state that does not allow this."""

    status = 409
    title = "Conflict"
    exit_code = 6


class VersionChanged(Conflict):
    """The job was saved by somebody else since it was read."""

    status = 412
    title = "Changed meanwhile"


class TooLarge(CronCordError):
    """The body is larger than the limit that the message names."""

    status = 413
    title = "Too large"
    exit_code = 2


class NoLeader(CronCordError):
    """No majority of the nodes can be reached, so nothing can be agreed."""

    status = 503
    title = "No leader"
    exit_code = 3


class NotReady(CronCordError):
    """This node cannot answer yet: it is starting, catching up or shutting down."""

    status = 503
    title = "Not ready"
    exit_code = 3


class OutcomeUnknown(CronCordError):
    """The change was sent and not confirmed in time; it may or may not take effect."""

    status = 504
    title = "Outcome unknown"
    exit_code = 3


class Unreachable(CronCordError):
    """No node of the cluster answered."""

    status = 503
    title = "No node reachable"
    exit_code = 3


class StoreError(CronCordError):
    """The local store cannot be read or written."""

    title = "Store error"


class ConfigError(CronCordError):
    """The settings contradict each other or are impossible."""

    title = "Wrong settings"
    exit_code = 2
