"""Options of the whole suite."""

import signal

# A shell ignores SIGINT in what it starts with `&`, and children inherit that; the tests of
# Ctrl-C need programs that can be interrupted.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser):
    parser.addoption(
        "--rewrite", action="store_true", help="write the transcripts anew, see tests/datadriven.py"
    )
