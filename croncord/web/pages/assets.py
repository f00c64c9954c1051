"""The style sheet, scripts and icons: served from memory under an address that names their content.

All files share one hash, so that a script's `import "./times.js"` stays within it, and a browser
may keep them for a year.
"""

import hashlib
import mimetypes
from importlib import resources

from aiohttp import web

mimetypes.add_type("text/javascript", ".js")
_FOREVER = "public, max-age=31536000, immutable"


class Assets:
    """The files of `static/`, read once."""

    def __init__(self) -> None:
        folder = resources.files("croncord.web") / "static"
        self._files = {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}
        digest = hashlib.sha256()
        for name in sorted(self._files):
            digest.update(name.encode() + b"\0" + self._files[name] + b"\0")
        self.hash = digest.hexdigest()[:12]

    def url(self, name: str) -> str:
        """Return the address of a file; KeyError when there is none of that name."""
        if name not in self._files:
            raise KeyError(name)
        return f"/static/{self.hash}/{name}"

    async def serve(self, request: web.Request) -> web.Response:
        """Answer `GET /static/{hash}/{name}`; an address of another version is not kept."""
        name = request.match_info["name"]
        if name not in self._files:
            raise web.HTTPNotFound
        current = request.match_info["hash"] == self.hash
        response = web.Response(
            body=self._files[name],
            content_type=mimetypes.guess_type(name)[0] or "application/octet-stream",
            charset="utf-8",
            headers={"Cache-Control": _FOREVER if current else "no-cache"},
        )
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.enable_compression()
        return response
