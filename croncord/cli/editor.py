"""A text in the person's editor."""

import os
import shlex
import subprocess
import tempfile
from pathlib import Path

from croncord.errors import ConfigError


class Draft:
    """A text that a person edits in a file until it is accepted."""

    def __init__(self, text: str, *, suffix: str) -> None:
        self._original = text
        handle, name = tempfile.mkstemp(prefix="croncord-", suffix=suffix)
        os.close(handle)
        self.path = Path(name)
        """Where the text is, for a person whose text was not accepted."""
        self.path.write_text(text, "utf-8")

    def edit(self) -> str | None:
        """Open the editor; returns the text, or None when it is as it was, or empty.

        Raises ConfigError when the editor cannot be started or reports a failure.
        """
        editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
        try:
            command = [*shlex.split(editor), str(self.path)]
            # The person's own command, as every tool takes it: words, the first one a program.
            status = subprocess.run(command, check=False).returncode  # noqa: S603
        except (OSError, ValueError) as e:
            raise ConfigError(f"cannot start the editor {editor!r}: {e}", hint="Set EDITOR.") from e
        if status != 0:
            raise ConfigError(
                f"the editor {editor!r} ended with status {status}; nothing was changed"
            )
        text = self.path.read_bytes().decode("utf-8", errors="replace")
        return text if text.strip() and text != self._original else None

    def discard(self) -> None:
        """Remove the file."""
        self.path.unlink(missing_ok=True)
