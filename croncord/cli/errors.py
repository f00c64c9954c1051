"""The one place that turns an error into what a person reads and an exit status."""

import sys

from croncord.cli import words
from croncord.cli.output import note, paint
from croncord.errors import CronCordError, Invalid

INTERRUPTED = 130
BROKEN_PIPE = 141


def report(error: CronCordError) -> int:
    """Print the error and its hint on standard error; returns the exit status.

    0 done · 1 the thing asked for failed · 2 usage or configuration · 3 no node or no leader ·
    4 denied · 5 not found · 6 conflict.
    """
    label = paint("error:", "red", sys.stderr)
    if isinstance(error, Invalid) and len(error.errors) > 1:
        note(f"{label} {len(error.errors)} values are wrong")
        for wrong in error.errors:
            note(f"  {words.printable(wrong.field)}: {words.printable(wrong.message)}")
    else:
        note(f"{label} {words.printable(error.message)}")
    if error.hint:
        note(f"hint: {words.printable(error.hint)}")
    return error.exit_code
