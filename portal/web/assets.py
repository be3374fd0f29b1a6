"""The built browser client: its files by name, the hashes browsers check, and the one route that hands them out.

`node client/build.mjs` writes portal/static and its manifest; nothing outside the manifest is ever served.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from flask import Blueprint, Response, make_response, request, send_file

from portal.core import resources
from portal.core.errors import NotFound

URL_PREFIX = "/static/"
# The service worker that shows the kept page of help (docs/decisions/0020).
HELP_WORKER = "worker-help-"
# A file's name holds the hash of its content, so it may be kept for as long as a browser likes.
_FOR_EVER = "public, max-age=31536000, immutable"
_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".jpg": "image/jpeg",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
    ".webmanifest": "application/manifest+json",
}

blueprint = Blueprint("assets", __name__)


class UnknownAsset(LookupError):
    """A template names a file that the built client does not have."""


@dataclass(frozen=True)
class Asset:
    """One built file: its hashed name, its Subresource Integrity value, its size plain and compressed in bytes."""

    file: str
    integrity: str
    bytes: int
    gz: int


class Assets:
    """The manifest, read once and only when the first file is asked for: the JSON routes work without a client."""

    def __init__(self, folder: Path | None = None) -> None:
        self._given = folder

    def url(self, name: str) -> str:
        """The address of `name`, one of the manifest: "thread.js", "portal.css", "worker-crypto.js", "texts-en.json".

        Raises UnknownAsset, or FileNotFoundError when the client was never built.
        """
        return URL_PREFIX + self._find(name).file

    def integrity(self, name: str) -> str:
        """The value of the `integrity` attribute for `name`. Raises as `url` does."""
        return self._find(name).integrity

    @cached_property
    def folder(self) -> Path:
        """Where the built files lie. Raises FileNotFoundError when the client was never built."""
        return self._given or resources.directory("static")

    @cached_property
    def manifest(self) -> dict[str, Asset]:
        """All built files by name. Raises FileNotFoundError when the client was never built."""
        listed = json.loads((self.folder / "manifest.json").read_text("utf-8"))
        return {name: Asset(**entry) for name, entry in listed.items()}

    @cached_property
    def files(self) -> dict[str, str]:
        """The served files: hashed file name to media type."""
        return {entry.file: _TYPES[Path(entry.file).suffix] for entry in self.manifest.values()}

    def _find(self, name: str) -> Asset:
        try:
            return self.manifest[name]
        except KeyError:
            raise UnknownAsset(
                f"the built client has no {name!r}; it has {', '.join(sorted(self.manifest)) or 'nothing'}"
            ) from None


assets = Assets()


@blueprint.get("/static/<file>")
def static_file(file: str) -> Response:
    """One file of the built client, compressed where the browser takes it; unknown names are not found."""
    try:
        media_type = assets.files.get(file)
    except FileNotFoundError:
        raise NotFound() from None
    if media_type is None:
        raise NotFound()
    packed = assets.folder / f"{file}.gz"
    compressed = request.accept_encodings.quality("gzip") > 0 and packed.is_file()
    answer = make_response(send_file(packed if compressed else assets.folder / file, mimetype=media_type, etag=False))
    answer.headers["Content-Type"] = media_type
    answer.headers["Cache-Control"] = _FOR_EVER
    answer.headers["Vary"] = "Accept-Encoding"
    answer.headers.pop("Last-Modified", None)
    if compressed:
        answer.headers["Content-Encoding"] = "gzip"
    # A worker lives under the policy of its own file, and Argon2 is WebAssembly.
    answer.key_page = file.startswith("worker-")  # type: ignore[attr-defined]
    if file.startswith(HELP_WORKER):
        # It stands in for any page that cannot be loaded, not only for those below /static/.
        answer.headers["Service-Worker-Allowed"] = "/"
    return answer
