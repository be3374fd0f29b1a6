"""Flask's session over the database, so that Flask-Login and Flask-WTF work on rows that can be ended.

The row is read when something first asks for it, once a request; pages that never ask (health, public pages) go on
working while the database is down. A cookie is written only when its value changes.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ParamSpec, Protocol, TypeVar, cast
from urllib.parse import quote

from flask import Flask, Request, Response, current_app, g, redirect, request, session
from flask.sessions import SessionInterface, SessionMixin
from flask.typing import ResponseReturnValue
from flask_login import LoginManager, UserMixin, login_user, logout_user
from itsdangerous import BadData, URLSafeTimedSerializer
from sqlalchemy import Select

from portal.core import clock, ids
from portal.core.bus import Bus
from portal.core.database import Database
from portal.core.errors import NotSignedIn
from portal.core.prepared import Row
from portal.core.settings import Settings
from portal.core.together import Answers
from portal.identity import session_life, session_rows, sessions
from portal.identity.session_life import CurrentSession, State
from portal.identity.session_rows import Finding

__all__ = [
    "asked",
    "attach",
    "beside",
    "browser_session",
    "cookie_name",
    "current_login",
    "go_on_as",
    "guard",
    "open_when_locked",
    "require_login",
    "settled_login",
    "sign_in",
    "sign_out",
]

# How long a form may lie open in a browser that is not signed in.
VISITOR_SECONDS = 4 * 3600
# A request that has taken longer (a slow upload) asks anew what it learnt at its beginning of who is asking.
FRESH_SECONDS = 1.0
# Blueprints whose pages are the same for everybody: they answer without a session and while it is locked.
PUBLIC_BLUEPRINTS = frozenset({"assets", "checkpoints", "health", "openapi", "public"})

P = ParamSpec("P")
R = TypeVar("R")


class _Services(Protocol):
    settings: Settings
    database: Database
    bus: Bus


class SignedIn(UserMixin):  # type: ignore[misc]
    """The account of the session, as Flask-Login wants to see it."""

    def __init__(self, current: CurrentSession) -> None:
        self.id = current.account_id
        self.role = current.role


class PortalSession(SessionMixin):
    """What Flask, Flask-Login and Flask-WTF keep in a session; `current` is the row behind it.

    A visitor who is not signed in has no row: the token of a form lies in a signed cookie of its own.
    """

    def __init__(self, finding: Finding, cookie: str | None, visitor: dict[str, Any]) -> None:
        self._finding = finding
        self._cookie = cookie
        self._loaded = cookie is None
        self._values = visitor
        self._current: CurrentSession | None = None
        self._beside: Answers = {}
        self._found_at = 0.0
        self.modified = False
        self.accessed = False
        # The value to set, "" to remove the cookie, None to leave it as it is.
        self.new_cookie: str | None = None

    @property
    def current(self) -> CurrentSession | None:
        """The session's row, also one that has ended; None for a browser without one."""
        self._load()
        return self._current

    def beside(self, name: str) -> list[Row] | None:
        """What was asked together with the row, by its name; None when it was not, or too long ago to act upon."""
        self._load()
        return self._beside.get(name) if clock.monotonic() - self._found_at < FRESH_SECONDS else None

    def adopt(self, cookie: str, current: CurrentSession) -> None:
        """Go on under a new cookie value; the old one is dead."""
        self._beside = {}
        self._loaded, self._current, self.new_cookie = True, current, cookie
        self._values, self.modified = dict(current.web), False

    def drop(self) -> None:
        """The session has ended: forget it, and tell the browser to."""
        self._beside = {}
        self._loaded, self._current, self.new_cookie = True, None, ""
        self._values, self.modified = {}, False

    def values_to_keep(self) -> dict[str, Any]:
        """What is to be written."""
        return dict(self._values)

    def _load(self) -> None:
        self.accessed = True
        if self._loaded or self._cookie is None:
            return
        # Asked once a request: what runs after the page that says "down" must not fail on the same again.
        self._loaded = True
        self._found_at = clock.monotonic()
        found, self._beside = self._finding.find(_services().database, self._cookie)
        self._current = found
        if found is not None and found.signed_in:
            self._values = dict(found.web)

    def __getitem__(self, key: str) -> Any:
        self._load()
        return self._values[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._load()
        self._values[key] = value
        self.modified = True

    def __delitem__(self, key: str) -> None:
        self._load()
        del self._values[key]
        self.modified = True

    def __iter__(self) -> Iterator[str]:
        self._load()
        return iter(self._values)

    def __len__(self) -> int:
        self._load()
        return len(self._values)


class DatabaseSessions(SessionInterface):
    """Opens and saves `PortalSession`."""

    def __init__(self, settings: Settings, finding: Finding) -> None:
        self._finding = finding
        self._secure = settings.origin.startswith("https://")
        self._cookie = cookie_name("portal_session", settings)
        # Apart from the session's, so that a late answer to a visitor never replaces the cookie of a login.
        self._visitor = cookie_name("portal_visitor", settings)

    def open_session(self, app: Flask, request: Request) -> PortalSession:
        cookie = request.cookies.get(self._cookie)
        kept = cookie if cookie and len(cookie) <= 128 else None
        return PortalSession(self._finding, kept, self._read_visitor(app, request))

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        kept = cast(PortalSession, session)
        if kept.modified:
            self._write(app, kept, response)
        if kept.accessed:
            response.headers.add("Vary", "Cookie")
        if kept.new_cookie:
            self._set(response, self._cookie, kept.new_cookie)
        elif kept.new_cookie == "":
            response.delete_cookie(self._cookie, path="/", secure=self._secure, httponly=True, samesite="Lax")

    def _write(self, app: Flask, kept: PortalSession, response: Response) -> None:
        current = kept.current
        if current is not None and current.signed_in:
            with _services().database.transaction() as rows:
                sessions.keep_web(rows, current, kept.values_to_keep())
        else:
            self._set(response, self._visitor, str(_signer(app).dumps(kept.values_to_keep())), VISITOR_SECONDS)

    def _set(self, response: Response, name: str, value: str, seconds: int | None = None) -> None:
        response.set_cookie(name, value, max_age=seconds, path="/", secure=self._secure, httponly=True, samesite="Lax")

    def _read_visitor(self, app: Flask, request: Request) -> dict[str, Any]:
        cookie = request.cookies.get(self._visitor)
        if not cookie or len(cookie) > 1024:
            return {}
        try:
            values = _signer(app).loads(cookie, max_age=VISITOR_SECONDS)
        except BadData:
            return {}
        return dict(values) if isinstance(values, dict) else {}


def cookie_name(plain: str, settings: Settings) -> str:
    """The cookie's name: with __Host- over TLS (no other host or path can set it), plain on http loopback."""
    return f"__Host-{plain}" if settings.origin.startswith("https://") else plain


def attach(app: Flask, settings: Settings, beside: Mapping[str, Select[Any]]) -> None:
    """Put sessions, Flask-Login and the guard into the app; its services are expected in `extensions["portal"]`.

    `beside` is what else is asked with each session (`session_rows.Finding`), for `beside()`.
    """
    app.session_interface = DatabaseSessions(settings, Finding(beside))
    manager = LoginManager()
    # The address of a phone changes all day; what protects the session is the cookie, its hash and its ends.
    manager.session_protection = None
    manager.user_loader(_load_user)
    manager.unauthorized_handler(_refuse)
    # Not init_app: it would ask for the session at the end of every request, also of those that need none.
    app.login_manager = manager  # type: ignore[attr-defined]
    app.before_request(guard)


def asked() -> Request:
    """The request itself, for whoever looks at it more than once: each look through Flask's proxy finds it anew."""
    return cast(Request, cast(Any, request)._get_current_object())


def browser_session() -> CurrentSession | None:
    """The session this browser's cookie names, also one that has ended; None without one."""
    return _session().current


def beside(name: str) -> list[Row] | None:
    """The answers to a question that was asked with this browser's session; None when it has to be asked anew."""
    return _session().beside(name)


def current_login() -> CurrentSession | None:
    """The session of this request's signed-in person, active or locked; None for anybody else."""
    current = _session().current
    return current if current is not None and current.signed_in else None


def settled_login() -> CurrentSession | None:
    """As `current_login`, after writing down what time has done: a lock that has come gives another challenge."""
    current = current_login()
    if current is None or current.settled:
        return current
    _settle(current)
    with _services().database.reading() as rows:
        found = session_rows.by_ref(rows, current.ref)
    return found if found is not None and found.signed_in else None


def require_login() -> CurrentSession:
    """The session of a signed-in person who may act. Raises NotSignedIn (`locked`, `session-ended`)."""
    current = _session().current
    if current is None:
        raise NotSignedIn()
    if current.state is State.ENDED:
        raise NotSignedIn("session-ended")
    if current.state is State.LOCKED:
        raise NotSignedIn("locked")
    return current


def guard() -> ResponseReturnValue | None:
    """Runs before every view: a locked session gets nothing but what leads out of the lock; acts are noted.

    Raises NotSignedIn("locked"); a page asked for while locked leads to unlocking instead.
    """
    request = asked()
    _refuse_other_person(request)
    if request.endpoint is None or request.blueprint in PUBLIC_BLUEPRINTS or _open_when_locked(request.endpoint):
        return None
    current = _session().current
    if current is None:
        return None
    if current.state is State.ENDED:
        _settle(current)
        return None
    if current.state is State.LOCKED:
        _settle(current)
        if _is_navigation(request) and request.method == "GET":
            way = "/lock" if current.shared else "/unlock"
            return redirect(f"{way}?next=" + quote(request.full_path.rstrip("?"), safe=""), 303)
        raise NotSignedIn("locked")
    kept = cast(Any, g)._get_current_object()
    kept.language, kept.time_zone, kept.large_text = current.language, current.time_zone, current.large_text
    if _is_act(request) and clock.now() - current.active_at >= session_life.touch_every(current):
        with _services().database.transaction() as rows:
            sessions.touch(rows, current)
    return None


def _refuse_other_person(request: Request) -> None:
    # A page of one person that wakes up while another is signed in here: nothing of the one gets into the other's.
    claimed = request.environ.get("HTTP_PORTAL_ACCOUNT")
    if claimed is None:
        return
    current = _session().current
    if current is not None and current.account_id != claimed:
        raise NotSignedIn("session-ended")


def open_when_locked(view: Callable[P, R]) -> Callable[P, R]:
    """Mark a view that answers whatever the session's state is: login, logout, unlocking, the session's own state."""
    view.open_when_locked = True  # type: ignore[attr-defined]
    return view


def sign_in(cookie: str, current: CurrentSession) -> None:
    """This browser goes on as the session that `sessions.begin` or `sessions.confirm` just made."""
    kept = _session()
    kept.adopt(cookie, current)
    login_user(SignedIn(current))
    # One token for the session's life: two tabs that ask for the first time at once must not get different ones.
    kept.setdefault("csrf_token", ids.random_id())


def go_on_as(cookie: str, current: CurrentSession) -> None:
    """This browser goes on as another session of its own, which is locked."""
    logout_user()
    _session().adopt(cookie, current)


def sign_out() -> None:
    """This browser forgets its session, which was just ended, or locked and put aside."""
    logout_user()
    _session().drop()


def _load_user(account_id: str) -> SignedIn | None:
    current = _session().current
    if current is None or current.state is not State.ACTIVE or current.account_id != account_id:
        return None
    return SignedIn(current)


def _refuse() -> ResponseReturnValue:
    require_login()
    raise NotSignedIn()


def _settle(current: CurrentSession) -> None:
    services = _services()
    if not current.settled:
        with services.database.transaction() as rows:
            sessions.settle(rows, services.bus, current, request_id=g.get("request_id"))


def _open_when_locked(endpoint: str) -> bool:
    return getattr(current_app.view_functions.get(endpoint), "open_when_locked", False) is True


def _is_navigation(request: Request) -> bool:
    """Whether a person moved: a page or a form, never a fetch, a stream or a beacon of a script."""
    mode = request.environ.get("HTTP_SEC_FETCH_MODE")
    if mode is not None:
        return bool(mode == "navigate")
    return "text/html" in request.environ.get("HTTP_ACCEPT", "") and not request.path.startswith("/api/")


def _is_act(request: Request) -> bool:
    """Whether a person moved, and by what stands here: a page elsewhere that opens ours must not keep it open."""
    return _is_navigation(request) and request.environ.get("HTTP_SEC_FETCH_SITE") in (None, "same-origin", "none")


def _signer(app: Flask) -> URLSafeTimedSerializer:
    keys = [*reversed(app.config.get("SECRET_KEY_FALLBACKS") or []), app.config["SECRET_KEY"]]
    return URLSafeTimedSerializer(keys, salt="portal-visitor")


def _session() -> PortalSession:
    return cast(PortalSession, session._get_current_object())  # type: ignore[attr-defined]


def _services() -> _Services:
    return cast(_Services, current_app.extensions["portal"])
