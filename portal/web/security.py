"""Headers, origin and host checks that hold on every route (design decision 3)."""

import ipaddress
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Response
from werkzeug.middleware.proxy_fix import ProxyFix

from portal.core import ids
from portal.core.errors import BadInput, Forbidden
from portal.core.settings import Settings
from portal.identity.flask_session import asked
from portal.notify.one_tap import PATH as STOP_NOTICES

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
# Answered for machines on the same host under 127.0.0.1; people are sent to the real address (WebAuthn needs it).
MACHINE_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
# The identity provider calls this one; it proves itself by a signed token, not by a cookie.
SERVER_TO_SERVER = frozenset({"/login/backchannel"})

_FORMS = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})
# The bytes of a form; the longest of ours, a pharmacy's hours and holidays, has a few thousand.
FORM_LIMIT = 128 * 1024

_ON_EVERY_ANSWER = (
    ("Integrity-Policy", "blocked-destinations=(script)"),
    ("Strict-Transport-Security", "max-age=63072000; includeSubDomains"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    (
        "Permissions-Policy",
        "geolocation=(), microphone=(), camera=(), payment=(), usb=(), "
        "publickey-credentials-get=(self), publickey-credentials-create=(self)",
    ),
)
_POLICY_OF_DATA = ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; sandbox")
_NOT_KEPT = ("Cache-Control", "no-store")
# Where the id of a request lies in its WSGI environment.
REQUEST_ID = "portal.request_id"
_COMMON = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "font-src": "'self'",
    "img-src": "'self'",
    "connect-src": "'self'",
    "manifest-src": "'self'",
    "base-uri": "'none'",
    "object-src": "'none'",
    "frame-src": "'none'",
    "frame-ancestors": "'none'",
    "require-trusted-types-for": "'script'",
}


def content_security_policy(settings: Settings, *, key_page: bool) -> str:
    """The policy of a page; key pages also get WebAssembly (Argon2), workers and blob images. Never a nonce."""
    provider = urlsplit(settings.oidc_issuer)
    sources = dict(_COMMON)
    sources["form-action"] = f"'self' {provider.scheme}://{provider.netloc}" if provider.netloc else "'self'"
    sources["trusted-types"] = "'none'"
    if key_page:
        sources["script-src"] = "'self' 'wasm-unsafe-eval'"
        sources["img-src"] = "'self' blob:"
        sources["worker-src"] = "'self'"
        sources["trusted-types"] = "portal-worker"
    return "; ".join(f"{name} {value}" for name, value in sources.items())


def protect(app: Flask, settings: Settings) -> None:
    """Refuse foreign origins before any view runs, and give key pages their policy; the rest is `OnEveryAnswer`'s."""
    of_key_pages = content_security_policy(settings, key_page=True)

    @app.before_request
    def limit_forms() -> None:
        # Werkzeug's own bounds for forms hold for those of parts alone. Two megabytes of "a=&a=&…" are a second's work,
        # for whoever sends them, without a login too.
        request = asked()
        if request.mimetype in _FORMS:
            request.max_content_length = FORM_LIMIT

    @app.before_request
    def refuse_foreign_origin() -> None:
        request = asked()
        if request.method in SAFE_METHODS or request.path in SERVER_TO_SERVER:
            return
        # Sent by mail programs from anywhere, and without cookies; the token in its path is all that counts.
        if request.path.startswith(f"{STOP_NOTICES}/"):
            return
        origin, site = request.environ.get("HTTP_ORIGIN"), request.environ.get("HTTP_SEC_FETCH_SITE")
        if request.path.startswith("/api/") and origin != settings.origin:
            raise Forbidden("origin")
        # Under Referrer-Policy: no-referrer browsers send a page's own forms with Origin: null (Fetch, "append a
        # request Origin header"); Sec-Fetch-Site, which no page can set, tells them from another site's.
        own_form = origin == "null" and site == "same-origin"
        if origin is not None and origin != settings.origin and not own_form:
            raise Forbidden("origin")
        if site not in (None, "same-origin", "none"):
            raise Forbidden("origin")

    @app.before_request
    def refuse_nul() -> None:
        # PostgreSQL takes no NUL in a text: what holds one can name nothing that exists.
        request = asked()
        form = request.form.values() if request.mimetype in _FORMS else ()
        if any("\0" in text for text in (request.path, *request.args.values(), *form)):
            raise BadInput("bad-field")

    @app.after_request
    def put_policy_of_key_pages(answer: Response) -> Response:
        if getattr(answer, "key_page", False):
            answer.headers.setdefault("Content-Security-Policy", of_key_pages)
        return answer


class OnEveryAnswer:
    """The headers of every answer, whoever gave it: a view, Flask, or an error on the way. Outermost of all.

    Here they are a list put to a list; Flask's headers look at all there are for each one more.
    """

    def __init__(self, application: Callable[..., Iterable[bytes]], settings: Settings) -> None:
        self._application = application
        self._policy = ("Content-Security-Policy", content_security_policy(settings, key_page=False))

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        environ[REQUEST_ID] = request_id = ids.random_id()
        api = environ.get("PATH_INFO", "").startswith("/api/")

        def begin(status: str, headers: list[tuple[str, str]], *exception: Any) -> Any:
            there = {name for name, _ in headers}
            more = [*_ON_EVERY_ANSWER, ("X-Request-Id", request_id)]
            if api:
                headers = [header for header in headers if header[0] != "Content-Security-Policy"]
                more.append(_POLICY_OF_DATA)
            elif "Content-Security-Policy" not in there:
                more.append(self._policy)
            if "Cache-Control" not in there:
                more.append(_NOT_KEPT)
            return start_response(status, headers + more, *exception)

        return self._application(environ, begin)


class TrustedProxies:
    """Believe X-Forwarded-* only from the listed peers; anyone else's are removed before the app sees them."""

    def __init__(self, application: Callable[..., Iterable[bytes]], listed: str) -> None:
        self._direct = application
        self._behind = ProxyFix(application, x_for=1, x_proto=1, x_host=1)
        self._networks = [ipaddress.ip_network(part.strip()) for part in listed.split(",") if part.strip()]
        self._trusted = lru_cache(maxsize=256)(self._listed)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if self._trusted(environ.get("REMOTE_ADDR", "")):
            return self._behind(environ, start_response)
        for name in [
            name for name in environ if name.startswith(("HTTP_X_FORWARDED", "HTTP_X_REAL", "HTTP_FORWARDED"))
        ]:
            del environ[name]
        return self._direct(environ, start_response)

    def _listed(self, peer: str) -> bool:
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:
            return False
        return any(address in network for network in self._networks)
