"""Entry point of the `croncord` command: the nouns of the command line, and those of a node."""

import sys
from collections.abc import Sequence

from croncord.cli.main import NOUNS as CLIENT_NOUNS
from croncord.cli.main import Noun, run_command

NOUNS = {
    "serve": Noun("croncord.serve", "run a node in the foreground"),
    "demo": Noun("croncord.demo", "a whole cluster on this machine, to try"),
    **CLIENT_NOUNS,
    "cluster": CLIENT_NOUNS["cluster"]._replace(module="croncord.recover"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, that of `sys.argv` by default, and return its exit status."""
    return run_command(sys.argv[1:] if arguments is None else arguments, NOUNS)


if __name__ == "__main__":
    sys.exit(main())
