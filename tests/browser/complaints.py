"""What a browser complains about, heard and weighed."""

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Request

OWN_HOSTS = frozenset({"localhost", "127.0.0.1"})
INNER_SCHEMES = frozenset({"data", "blob", "about", "chrome-error"})


@dataclass
class Complaints:
    """What browsers said that they should not have had to say."""

    allowed: list[re.Pattern[str]] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)

    def allow(self, pattern: str) -> None:
        """This test makes a complaint matching `pattern` (a regular expression) happen on purpose."""
        self.allowed.append(re.compile(pattern))

    def note(self, words: str) -> None:
        """Keep a complaint."""
        self.heard.append(words)

    def unexpected(self) -> list[str]:
        """Those that no test announced."""
        return [words for words in self.heard if not any(pattern.search(words) for pattern in self.allowed)]

    def listen(self, context: BrowserContext) -> None:
        """Hear everything that goes wrong in any page of `context`."""
        context.on("console", self._console)
        context.on("weberror", lambda problem: self.note(f"uncaught: {problem.error}"))
        context.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error" or "Content Security Policy" in message.text or "Trusted Type" in message.text:
            self.note(f"console {message.type}: {message.text} ({message.location.get('url', '')})")

    def _request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in INNER_SCHEMES and parts.hostname not in OWN_HOSTS:
            self.note(f"third party: {request.url}")
