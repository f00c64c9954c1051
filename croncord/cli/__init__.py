"""The door for terminals: the `croncord` command."""
