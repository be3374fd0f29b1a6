"""A person's browser in tests of the web layer: signs in at the tests' provider, follows redirects, posts forms."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from flask.testing import FlaskClient
from misbehaving import MisbehavingProvider
from werkzeug.test import TestResponse

ORIGIN = "http://localhost"


@dataclass
class Browser:
    """One person's browser."""

    client: FlaskClient
    provider: MisbehavingProvider

    def sign_in(self, name: str, *, start: str = "/login", **claims: Any) -> TestResponse:
        """Go to `start`, sign in as `name` at the provider, come back."""
        return self.come_back(self.client.get(start), name, **claims)

    def come_back(self, redirect: TestResponse, name: str, **claims: Any) -> TestResponse:
        """Follow a redirect to the provider and come back as `name`."""
        assert redirect.status_code == 303, redirect.get_data(as_text=True)[:2000]
        person = {"sub": name, "name": name.capitalize(), "sid": f"sid-{name}"} | roles_of(name) | claims
        self.provider.person = {key: value for key, value in person.items() if value is not None}
        answer = {key: values[0] for key, values in self.provider.answer(redirect.headers["Location"]).items()}
        back = self.client.get("/login/callback?" + urlencode(answer))
        if back.status_code == 303 and location(back).startswith("/login/problem/"):
            return self.client.get(location(back))
        return back

    def session(self) -> dict[str, Any]:
        """GET /api/session."""
        return dict(self.client.get("/api/session").get_json())

    def post(self, path: str, json: object = None, **headers: str) -> TestResponse:
        """A POST of the client's JavaScript."""
        known = {"Origin": ORIGIN, "X-CSRF-Token": str(self.session()["csrf"])}
        return self.client.post(path, json={} if json is None else json, headers=known | headers)

    def submit(self, path: str, **fields: str) -> TestResponse:
        """A form without JavaScript."""
        fields = {"csrf_token": str(self.session()["csrf"]), **fields}
        return self.client.post(path, data=fields, headers={"Origin": ORIGIN, "Sec-Fetch-Mode": "navigate"})

    def page(self, path: str) -> TestResponse:
        """A person goes to a page."""
        return self.client.get(path, headers={"Sec-Fetch-Mode": "navigate", "Accept": "text/html"})

    @property
    def cookie(self) -> str | None:
        """The value of the session's cookie."""
        kept = self.client.get_cookie("portal_session")
        return kept.value if kept is not None else None

    def with_cookie(self, value: str) -> "Browser":
        """Somebody else's browser into which the cookie was copied."""
        other = self.client.application.test_client()
        other.set_cookie("portal_session", value)
        return Browser(other, self.provider)


def roles_of(name: str) -> dict[str, Any]:
    """The claims of one of the people of the tests."""
    if name in ("bob", "erin", "carol"):
        return {"roles": ["pharmacist"], "pharmacy": "harbor" if name == "carol" else "riverside"}
    return {"roles": ["operator" if name == "ivan" else "patient"]}


def location(answer: TestResponse) -> str:
    """Where a redirect of the portal leads."""
    parts = urlsplit(answer.headers["Location"])
    return parts.path + (f"?{parts.query}" if parts.query else "")
