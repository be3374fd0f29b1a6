"""The two providers that the contract is held to: the embedded one and Keycloak."""

import os
import threading
from pathlib import Path
from typing import Protocol

import httpx
from flask import Flask
from werkzeug.serving import make_server

from portal.core.settings import Settings
from portal.demo.idp import DemoAccount, create_idp, rotate_keys
from portal.demo.idp.app import Idp

PASSWORD = "demo"
PEOPLE = [
    DemoAccount("alice", "Alice Larkin", "patient", "alice@example.test"),
    DemoAccount("bob", "Bob Miller", "pharmacist", "bob@example.test", "riverside"),
    DemoAccount("mallory", "Mallory Stone", "astronaut", "mallory@example.test", "riverside"),
]


class Provider(Protocol):
    """What the tests ask of a provider besides OpenID Connect."""

    issuer: str
    client_secret: str

    def rotate(self) -> None:
        """Sign with a new key from now on."""

    def sign_out(self, login: str) -> None:
        """End all of the person's sessions at the provider, on the operator's word."""

    def close(self) -> None:
        """Let go of what was started."""


class Served:
    """A Flask app on loopback."""

    def __init__(self, app: Flask, port: int) -> None:
        self._server = make_server("127.0.0.1", port, app, threaded=True)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Embedded:
    """portal.demo.idp on a port of its own."""

    client_secret = "a client secret of the tests"

    def __init__(self, folder: Path, port: int, portal_origin: str) -> None:
        self.issuer = f"http://127.0.0.1:{port}"
        self.app = create_idp(
            Settings(oidc_client_secret=self.client_secret),
            database_path=str(folder / "idp.sqlite3"),
            base_url=self.issuer,
            portal_origin=portal_origin,
            accounts=PEOPLE,
        )
        self._served = Served(self.app, port)

    def rotate(self) -> None:
        rotate_keys(self.app)

    def sign_out(self, login: str) -> None:
        idp: Idp = self.app.extensions["idp"]
        for ended in idp.sessions.end_all(login):
            idp.herald.tell(ended)

    def close(self) -> None:
        self._served.close()


class Keycloak:
    """The server that tests/services/run.sh started."""

    client_secret = "portal-test-secret"

    def __init__(self) -> None:
        self.issuer = os.environ["PORTAL_TEST_KEYCLOAK"]
        self._admin = os.environ["PORTAL_TEST_KEYCLOAK_ADMIN"]
        base = self.issuer.split("/realms/")[0]
        self._client = httpx.Client(timeout=20)
        token = self._client.post(
            f"{base}/realms/master/protocol/openid-connect/token",
            data={"grant_type": "password", "client_id": "admin-cli", "username": "admin", "password": "admin"},
        ).json()["access_token"]
        self._client.headers["Authorization"] = f"Bearer {token}"

    def rotate(self) -> None:
        realm = self._client.get(self._admin).raise_for_status().json()["id"]
        keys = self._client.get(f"{self._admin}/components", params={"type": "org.keycloak.keys.KeyProvider"}).json()
        newest = max(int(key["config"].get("priority", ["0"])[0]) for key in keys)
        self._client.post(
            f"{self._admin}/components",
            json={
                "name": f"rotated-{newest + 1}",
                "parentId": realm,
                "providerId": "rsa-generated",
                "providerType": "org.keycloak.keys.KeyProvider",
                "config": {"priority": [str(newest + 1)], "keySize": ["2048"], "algorithm": ["RS256"]},
            },
        ).raise_for_status()

    def sign_out(self, login: str) -> None:
        found = self._client.get(f"{self._admin}/users", params={"username": login, "exact": "true"}).json()
        self._client.post(f"{self._admin}/users/{found[0]['id']}/logout").raise_for_status()

    def close(self) -> None:
        self._client.close()
