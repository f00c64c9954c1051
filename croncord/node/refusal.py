"""Why a script is not started."""


class StartRefused(Exception):
    """The script cannot be started on this machine; the message is for the person who reads the run.

    It never leaves this package: the runner turns it into a run that ended as `start_failed`.
    """
