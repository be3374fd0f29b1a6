"""What every answer carries, whatever it is: policies, no-store, and nothing that a proxy or a guest may bend."""

from dataclasses import replace

import pytest
from ehr_fakes import FakeEhr, context_of
from flask import Flask
from werkzeug.test import TestResponse
from world_routes import MATRIX, UNKNOWN, Scene, ask, scene_of
from world_web import Browser, portal_app

from portal.core.database import Database
from portal.core.errors import Unavailable
from portal.core.settings import Settings

PAGE = {
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "font-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "manifest-src 'self'",
    "base-uri 'none'",
    "object-src 'none'",
    "frame-src 'none'",
    "frame-ancestors 'none'",
    "form-action 'self' http://idp.test",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
}
KEY_PAGE = (PAGE - {"script-src 'self'", "img-src 'self'", "trusted-types 'none'"}) | {
    "script-src 'self' 'wasm-unsafe-eval'",
    "img-src 'self' blob:",
    "worker-src 'self'",
    "trusted-types portal-worker",
}
DATA = {"default-src 'none'", "frame-ancestors 'none'", "sandbox"}
EVERYWHERE = {
    "Integrity-Policy": "blocked-destinations=(script)",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@pytest.fixture
def scene(settings: Settings, database: Database) -> Scene:
    return scene_of(portal_app(settings, database, ehr=FakeEhr({"alice": context_of("alice")})), database)


def policy(answer: TestResponse) -> set[str]:
    return {part.strip() for part in answer.headers["Content-Security-Policy"].split(";")}


def check(answer: TestResponse, where: str) -> None:
    for name, value in EVERYWHERE.items():
        assert answer.headers.getlist(name) == [value], f"{where}: {name}"
    seconds = answer.headers["Strict-Transport-Security"]
    assert int(seconds.split(";")[0].removeprefix("max-age=")) >= 31_536_000, where
    assert "includeSubDomains" in seconds
    assert policy(answer) in (PAGE, KEY_PAGE, DATA), where
    assert "unsafe-inline" not in answer.headers["Content-Security-Policy"]
    assert "nonce" not in answer.headers["Content-Security-Policy"]
    assert len(answer.headers["X-Request-Id"]) == 32
    if answer.get_data():
        kind = answer.headers["Content-Type"]
        assert not kind.startswith("text/") or "charset=utf-8" in kind, where


@pytest.mark.parametrize("route", MATRIX)
def test_every_route_answers_with_every_header_to_a_stranger_and_to_alice(route: str, scene: Scene) -> None:
    for name in (None, "alice"):
        answer = ask(scene.browser(name), route, MATRIX[route], UNKNOWN, UNKNOWN)
        if answer.mimetype == "text/event-stream":
            assert answer.headers["Cache-Control"] == "no-store"
            answer.close()
            continue
        check(answer, route)
        if route.startswith(("GET /static/", "GET /checkpoints/")) and answer.status_code == 200:
            continue
        assert answer.headers["Cache-Control"] == "no-store", route
        if " /api/" in route:
            assert policy(answer) == DATA, route


def test_key_pages_may_run_webassembly_and_workers_and_other_pages_may_not(scene: Scene) -> None:
    browser = scene.browser("alice")
    assert policy(browser.client.get("/setup")) == KEY_PAGE
    assert policy(browser.client.get("/home")) == PAGE
    assert policy(browser.client.get("/contact")) == PAGE


@pytest.fixture
def broken(scene: Scene) -> Scene:
    """The portal with three more routes: one that fails, one whose database is down, one that is overrun."""

    def fails() -> str:
        raise RuntimeError("Alice Ward takes metformin")

    def is_down() -> str:
        raise Unavailable("database-down", retry_after=2)

    scene.app.testing = False
    scene.app.add_url_rule("/fails", view_func=fails)
    scene.app.add_url_rule("/api/fails", endpoint="api-fails", view_func=fails)
    scene.app.add_url_rule("/is-down", view_func=is_down)
    return scene


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing-here", 404),
        ("GET", "/api/nothing-here", 404),
        ("POST", "/contact", 405),
        ("PUT", "/contact", 405),
        ("TRACE", "/contact", 405),
        ("DELETE", "/api/threads", 403),
        ("GET", "/api/threads", 401),
        ("GET", "/fails", 500),
        ("GET", "/api/fails", 500),
        ("GET", "/is-down", 503),
        ("GET", "/api/threads/%00", 400),
        ("GET", "/api/audit?patient=%00", 400),
    ],
)
def test_errors_carry_them_too_and_tell_nothing_of_the_inside(
    broken: Scene, method: str, path: str, status: int
) -> None:
    answer = broken.app.test_client().open(path, method=method)
    assert answer.status_code == status
    check(answer, path)
    body = answer.get_data(as_text=True)
    assert "metformin" not in body
    assert "Traceback" not in body
    if path.startswith("/api/"):
        assert answer.mimetype == "application/problem+json"
        assert answer.get_json()["status"] == status


def test_a_foreign_host_is_refused_with_the_headers(scene: Scene) -> None:
    for host in ("evil.example", "localhost.evil.example", "localhost@evil.example"):
        answer = scene.app.test_client().get("/contact", headers={"Host": host})
        assert answer.status_code == 400, host
        assert "evil" not in answer.get_data(as_text=True)
        check(answer, host)


def test_127_0_0_1_answers_machines_and_redirects_people(settings: Settings, database: Database) -> None:
    app = portal_app(replace(settings, base_url="http://localhost:5000"), database)
    client = app.test_client()
    for path in ("/healthz", "/readyz", "/metrics"):
        assert client.get(path, headers={"Host": "127.0.0.1:5000"}).status_code == 200
    moved = client.get("/contact?x=1", headers={"Host": "127.0.0.1:5000"})
    assert (moved.status_code, moved.headers["Location"]) == (308, "http://localhost:5000/contact?x=1")
    check(moved, "127.0.0.1")


SPOOFED = {
    "X-Forwarded-For": "203.0.113.9",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Proto": "gopher",
    "X-Forwarded-Prefix": "/evil",
    "X-Real-IP": "203.0.113.9",
    "Forwarded": "for=203.0.113.9;host=evil.example",
}


def where_from(app: Flask, peer: str, headers: dict[str, str]) -> tuple[str | None, str]:
    from flask import request

    seen: list[tuple[str | None, str]] = []
    app.view_functions["public.contact"] = lambda: seen.append((request.remote_addr, request.url)) or "seen"
    app.test_client().get("/contact", headers=headers, environ_base={"REMOTE_ADDR": peer})
    return seen[0]


def test_forwarding_headers_of_an_untrusted_peer_change_nothing(scene: Scene) -> None:
    plain = where_from(scene.app, "192.0.2.5", {})
    assert where_from(scene.app, "192.0.2.5", SPOOFED) == plain == ("192.0.2.5", "http://localhost/contact")


def test_the_listed_proxy_is_believed(settings: Settings, database: Database) -> None:
    app = portal_app(replace(settings, trusted_proxies="192.0.2.0/28"), database)
    headers = {"X-Forwarded-For": "198.51.100.1, 203.0.113.9", "X-Forwarded-Proto": "https"}
    assert where_from(app, "192.0.2.5", headers)[0] == "203.0.113.9"
    app = portal_app(replace(settings, trusted_proxies="192.0.2.0/28"), database)
    assert where_from(app, "192.0.2.99", headers)[0] == "192.0.2.99"


def test_metrics_are_for_the_operators_addresses(scene: Scene) -> None:
    client = scene.app.test_client()
    assert client.get("/metrics").status_code == 200
    assert client.get("/metrics", environ_base={"REMOTE_ADDR": "192.0.2.5"}).status_code == 404
    assert client.get("/metrics", headers=SPOOFED, environ_base={"REMOTE_ADDR": "192.0.2.5"}).status_code == 404


def test_cookies_of_a_session_are_kept_from_scripts_and_other_sites(settings: Settings, database: Database) -> None:
    secure = replace(settings, base_url="https://portal.example", trusted_hosts="portal.example")
    app = portal_app(secure, database)
    answer = app.test_client().get("/api/session", base_url="https://portal.example")
    cookies = answer.headers.getlist("Set-Cookie")
    assert cookies
    for cookie in cookies:
        assert cookie.startswith("__Host-")
        for part in ("Secure", "HttpOnly", "Path=/", "SameSite=Lax"):
            assert part in cookie
        assert "Domain" not in cookie


def test_the_session_cookie_is_in_no_body_and_no_address(scene: Scene) -> None:
    alice: Browser = scene.browser("alice")
    cookie = alice.client.get_cookie("portal_session")
    assert cookie is not None
    for route, row in MATRIX.items():
        if not route.startswith("GET ") or route == "GET /events":
            continue
        answer = ask(alice, route, row, UNKNOWN, UNKNOWN)
        assert cookie.value not in answer.get_data(as_text=True), route
        assert cookie.value not in answer.headers.get("Location", ""), route
