"""Browsers of the people of `world`: signed in without a provider, with the headers a browser sends."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse
from world import World

from portal.core import clock
from portal.core.database import Database
from portal.core.settings import Settings
from portal.identity import sessions
from portal.identity.session_life import Proof

ORIGIN = "http://localhost"


def portal_app(settings: Settings, database: Database, **adapters: object) -> Flask:
    """The whole portal with stand-ins for what lies outside, and a built client that has every file."""
    from portal.app import create_app  # only tests of the web layer pay for importing it

    made = create_app(settings, database=database, adapters=adapters)
    made.testing = True
    made.jinja_env.globals.update(asset_url=lambda name: f"/static/{name}", asset_integrity=lambda name: "sha384-test")
    return made


class Browser:
    """One person's browser. `session_ref` names its session."""

    def __init__(self, app: Flask, world: World, name: str, *, auth_time: datetime | None = None) -> None:
        self.client: FlaskClient = app.test_client()
        with world.database.transaction() as session:
            actor = world.actor(name)
            cookie, current = sessions.begin(
                session,
                account_id=actor.account_id,
                role=actor.role.value,
                proof=Proof(auth_time or clock.now(), None, (), None, None),
            )
        self.session_ref = current.ref
        self.client.set_cookie("portal_session", cookie, domain="localhost")
        self._csrf: str | None = None

    def state(self) -> dict[str, Any]:
        """What GET /api/session says."""
        answer: dict[str, Any] = self.get("/api/session").get_json()
        return answer

    def get(self, path: str, **query: Any) -> TestResponse:
        """Read."""
        return self.client.get(path, query_string=query, headers={"Accept": "application/json"})

    def post(self, path: str, body: Any = None, **headers: str) -> TestResponse:
        """Act; without a body an empty object is sent."""
        return self.send("POST", path, {} if body is None else body, **headers)

    def fill(self, path: str, given: Mapping[str, str | list[str]]) -> TestResponse:
        """Send a page's form, with the token that it carries."""
        form = {**given, "csrf_token": self.csrf}
        return self.client.post(path, data=form, headers={"Origin": ORIGIN, "Accept": "text/html"})

    def put(self, path: str, body: Any) -> TestResponse:
        """Replace."""
        return self.send("PUT", path, body)

    def delete(self, path: str) -> TestResponse:
        """Remove."""
        return self.client.delete(path, headers={"Origin": ORIGIN, "X-CSRF-Token": self.csrf})

    def send(self, method: str, path: str, body: Any, **headers: str) -> TestResponse:
        """Any request with a JSON body."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.open(
            path, method=method, json=body, headers={"Origin": ORIGIN, "X-CSRF-Token": self.csrf, **named}
        )

    @property
    def csrf(self) -> str:
        """The session's token, asked for once."""
        if self._csrf is None:
            self._csrf = self.state()["csrf"]
        return self._csrf
