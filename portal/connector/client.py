"""HTTP as a member speaks it: session, CSRF token and origin, problem details turned into `ServerRefused`."""

from collections.abc import Mapping
from html.parser import HTMLParser
from typing import Any, Self
from urllib.parse import urljoin, urlsplit

import httpx

from portal.core.errors import PortalError

TIMEOUT_SECONDS = 30.0
Json = dict[str, Any]


class ServerRefused(PortalError):
    """The portal answered with a problem; `code` and `extra` are its own words, `http_status` its status."""

    def __init__(self, http_status: int, code: str, extra: Mapping[str, object]) -> None:
        self.http_status = http_status
        super().__init__(code, extra=extra)


class PortalClient:
    """One session at a portal. Every method raises ServerRefused, or httpx.TransportError when nothing answered."""

    def __init__(self, base_url: str, *, transport: httpx.BaseTransport | None = None) -> None:
        parts = urlsplit(base_url)
        self.origin = f"{parts.scheme}://{parts.netloc}"
        self.http = httpx.Client(
            base_url=self.origin,
            transport=transport,
            timeout=TIMEOUT_SECONDS,
            trust_env=False,
            headers={"Origin": self.origin, "Accept": "application/json"},
        )
        self._session: Json | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        self.http.close()

    def use_cookie(self, value: str) -> None:
        """Go on as the session with this cookie value."""
        name = "__Host-portal_session" if self.origin.startswith("https://") else "portal_session"
        self.http.cookies.clear()
        self.http.cookies.set(name, value)
        self._session = None

    def sign_in(self, login: str, password: str) -> None:
        """Sign in as a browser does: to the provider, fill in its form, and back.

        Serves providers whose first page is a form with a name and a password. Raises ServerRefused (`login-failed`).
        """
        page = self._follow("GET", "/login")
        form = LoginForm.in_page(page.text)
        if form is None:
            raise ServerRefused(page.status_code, "login-failed", {})
        address = urljoin(str(page.url), form.action)
        came = self._follow("POST", address, data=form.filled(login, password))
        self._session = None
        if not str(came.url).startswith(self.origin) or self.session()["account"] is None:
            raise ServerRefused(came.status_code, "login-failed", {})

    def session(self) -> Json:
        """What GET /api/session says, asked once until `forget_session`."""
        if self._session is None:
            self._session = self._read(self.http.get("/api/session"))
        return self._session

    def forget_session(self) -> None:
        """Ask for the session's state anew."""
        self._session = None

    @property
    def account_id(self) -> str:
        """The person signed in. Raises ServerRefused (`not-signed-in`)."""
        account = self.session()["account"]
        if account is None:
            raise ServerRefused(401, "not-signed-in", {})
        return str(account["id"])

    def get(self, path: str, **query: str | int) -> Json:
        """Read JSON."""
        return self._read(self.http.get(path, params=query))

    def post(self, path: str, body: Mapping[str, Any] | None = None, *, key: str | None = None) -> Json:
        """Act; `key` is the Idempotency-Key."""
        headers = {"X-CSRF-Token": self.session()["csrf"], **({"Idempotency-Key": key} if key else {})}
        return self._read(self.http.post(path, json=dict(body or {}), headers=headers))

    def put(self, path: str, body: Mapping[str, Any]) -> Json:
        """Replace."""
        return self._read(self.http.put(path, json=dict(body), headers={"X-CSRF-Token": self.session()["csrf"]}))

    def put_bytes(self, path: str, content: bytes, **query: int) -> Json:
        """Upload a part."""
        headers = {"X-CSRF-Token": self.session()["csrf"], "Content-Type": "application/octet-stream"}
        return self._read(self.http.put(path, content=content, headers=headers, params=query))

    def get_bytes(self, path: str, start: int) -> bytes:
        """What the portal gives of a stored file from `start` on."""
        answer = self.http.get(path, headers={"Range": f"bytes={start}-"})
        if answer.is_error:
            self._read(answer)
        return answer.content

    def _follow(self, method: str, address: str, data: Mapping[str, str] | None = None) -> httpx.Response:
        headers = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate"}
        # Pages of the provider are no pages of the portal: the Origin header of its form is its own.
        if data is not None:
            parts = urlsplit(address)
            headers["Origin"] = f"{parts.scheme}://{parts.netloc}"
        return self.http.request(method, address, data=data, headers=headers, follow_redirects=True)

    @staticmethod
    def _read(answer: httpx.Response) -> Json:
        if answer.is_success:
            return dict(answer.json()) if answer.content else {}
        try:
            problem = answer.json()
        except ValueError:
            problem = {}
        known = {"type", "status", "code", "detail"}
        extra = {name: value for name, value in problem.items() if name not in known}
        raise ServerRefused(answer.status_code, str(problem.get("code", f"http-{answer.status_code}")), extra)


class LoginForm(HTMLParser):
    """The first form of a page that asks for a password."""

    def __init__(self) -> None:
        super().__init__()
        self.action = ""
        self._hidden: dict[str, str] = {}
        self._name = ""
        self._password = ""
        self._inside = False
        self._done = False

    @classmethod
    def in_page(cls, html: str) -> "LoginForm | None":
        """The form, None if there is none."""
        form = cls()
        form.feed(html)
        return form if form._done else None

    def filled(self, login: str, password: str) -> dict[str, str]:
        """What a browser sends."""
        return {**self._hidden, self._name: login, self._password: password}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notes forms and their fields."""
        given = {name: value or "" for name, value in attrs}
        if self._done:
            return
        if tag == "form":
            self._inside, self.action = True, given.get("action", "")
            self._hidden, self._name, self._password = {}, "", ""
        elif tag == "input" and self._inside and given.get("name"):
            kind = given.get("type", "text")
            if kind == "hidden":
                self._hidden[given["name"]] = given.get("value", "")
            elif kind == "password":
                self._password = given["name"]
            elif kind in ("text", "email") and not self._name:
                self._name = given["name"]

    def handle_endtag(self, tag: str) -> None:
        """A form ends: was it the one?"""
        if tag == "form" and self._inside:
            self._inside = False
            self._done = self._done or bool(self._name and self._password)
