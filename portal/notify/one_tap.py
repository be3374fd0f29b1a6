"""The link in a notice that stops notices of its kind with one tap, without signing in (RFC 8058).

Its token is sealed for this one purpose and names a person, a kind and a channel, so it can do nothing else. It has no
end: an old mail must stop them too, and can start again only what it stopped.
"""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass

from portal.core.secrets_box import CannotOpen, SecretsBox

PATH = "/stop-notices"
_PURPOSE = "stop notices"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{40,400}")
_FORM = re.compile(r"([0-9a-f]{32}) ([a-z]{1,16}) ([a-z]{1,16})")


@dataclass(frozen=True)
class Stopped:
    """What a link is about."""

    account_id: str
    kind: str
    channel: str


class OneTap:
    """Makes and reads the links of one portal."""

    def __init__(self, keys: Sequence[str], base_url: str) -> None:
        """`keys` is `Settings.secret_keys`: links made under the last one still work."""
        self._box = SecretsBox(keys, _PURPOSE)
        self._base_url = base_url.rstrip("/")

    def link(self, account_id: str, kind: str, channel: str) -> str:
        """The address that a mail names."""
        sealed = self._box.seal(f"{account_id} {kind} {channel}")
        return f"{self._base_url}{PATH}/{base64.urlsafe_b64encode(sealed).decode().rstrip('=')}"

    def read(self, token: str) -> Stopped | None:
        """What a token is about; None for one that this portal has not made."""
        if not _TOKEN.fullmatch(token):
            return None
        try:
            found = _FORM.fullmatch(self._box.open(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))))
        except (CannotOpen, ValueError):
            return None
        return Stopped(*found.groups()) if found is not None else None
