"""The provider's own cookies: the session of somebody signed in, and a random value per browser for its forms."""

import threading
from dataclasses import dataclass
from datetime import timedelta

import httpx
from flask import request
from itsdangerous import BadData, URLSafeTimedSerializer
from sqlalchemy import select, update
from werkzeug.wrappers import Response

from portal.core import clock, ids
from portal.core.database import Database
from portal.demo.idp.keys import Keys
from portal.demo.idp.people import DemoAccount, Person
from portal.demo.idp.store import ProviderSession

SESSION_COOKIE = "idp_session"
BROWSER_COOKIE = "idp_browser"
SESSION_LIFE = timedelta(hours=10)
BROWSER_LIFE = timedelta(days=365)
FORM_SECONDS = 1800
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
DELIVERY_SECONDS = (0.0, 1.0, 4.0)


class Forms:
    """Form tokens: signed, half an hour, only for the browser that got the page."""

    def __init__(self, secret: str) -> None:
        self._signer = URLSafeTimedSerializer(secret, salt="idp-form")

    def token(self, browser: str) -> str:
        """A token for a form shown to this browser."""
        return str(self._signer.dumps(ids.digest(browser)))

    def fits(self, token: str, browser: str) -> bool:
        """Whether the form came from a page shown to this browser."""
        try:
            return bool(self._signer.loads(token, max_age=FORM_SECONDS) == ids.digest(browser))
        except BadData:
            return False


@dataclass(frozen=True)
class Ended:
    """A provider's session that has just ended, for telling the portal."""

    login: str
    sid: str


class Sessions:
    """Who is signed in at the provider."""

    def __init__(self, database: Database, people: dict[str, DemoAccount]) -> None:
        self._database = database
        self._people = people

    def current(self) -> Person | None:
        """The person signed in in the asking browser."""
        cookie = request.cookies.get(SESSION_COOKIE)
        if not cookie:
            return None
        with self._database.reading() as session:
            row = session.get(ProviderSession, ids.digest(cookie))
        if row is None or row.ended_at is not None or row.ends_at <= clock.now() or row.login not in self._people:
            return None
        return Person(self._people[row.login], row.sid, row.auth_time)

    def begin(
        self, account: DemoAccount, *, beside: bool = False, several: bool = False
    ) -> tuple[str, Person, Ended | None]:
        """Sign in: a new cookie value always; the same person keeps the `sid`, another one's session ends.

        `beside`: somebody answered a question that was meant for another person, whose session goes on; `several`: so
        does another one's in a browser that people share.
        """
        before, cookie, now = None if beside else self.current(), ids.token(32), clock.now()
        same = before is not None and before.account.login == account.login
        if several and not same:
            before = None
        person = Person(account, before.sid if before is not None and same else ids.random_id(), int(now.timestamp()))
        ended = None
        with self._database.transaction() as session:
            if before is not None:
                session.execute(
                    update(ProviderSession)
                    .where(ProviderSession.sid == before.sid, ProviderSession.ended_at.is_(None))
                    .values(ended_at=now)
                )
                ended = None if same else Ended(before.account.login, before.sid)
            session.add(
                ProviderSession(
                    cookie_hash=ids.digest(cookie),
                    sid=person.sid,
                    login=account.login,
                    auth_time=person.auth_time,
                    ends_at=now + SESSION_LIFE,
                )
            )
        return cookie, person, ended

    def end(self, sid: str) -> Ended | None:
        """End a session; None when there was none that lived."""
        with self._database.transaction() as session:
            row = session.scalars(
                select(ProviderSession).where(ProviderSession.sid == sid, ProviderSession.ended_at.is_(None))
            ).one_or_none()
            if row is None:
                return None
            row.ended_at = clock.now()
            return Ended(row.login, row.sid)

    def end_all(self, login: str) -> list[Ended]:
        """End all sessions of a person; those that ended."""
        with self._database.transaction() as session:
            rows = session.scalars(
                update(ProviderSession)
                .where(ProviderSession.login == login, ProviderSession.ended_at.is_(None))
                .values(ended_at=clock.now())
                .returning(ProviderSession)
            ).all()
            return [Ended(row.login, row.sid) for row in rows]


class Herald:
    """Tells the portal that a session ended (OpenID Connect Back-Channel Logout 1.0)."""

    def __init__(self, *, issuer: str, client_id: str, address: str, keys: Keys) -> None:
        self._issuer = issuer
        self._client_id = client_id
        self._address = address
        self._keys = keys
        self._stopped = threading.Event()

    def token(self, ended: Ended) -> str:
        """A logout token for one session."""
        now = int(clock.now().timestamp())
        claims = {
            "iss": self._issuer,
            "aud": self._client_id,
            "iat": now,
            "exp": now + 120,
            "jti": ids.random_id(),
            "sub": ended.login,
            "sid": ended.sid,
            "events": {LOGOUT_EVENT: {}},
        }
        return self._keys.sign(claims, kind="logout+jwt")

    def tell(self, ended: Ended) -> None:
        """Deliver beside the request; a portal that is down is tried again twice."""
        threading.Thread(target=self._deliver, args=(self.token(ended),), name="idp-logout", daemon=True).start()

    def _deliver(self, token: str) -> None:
        for delay in DELIVERY_SECONDS:
            self._stopped.wait(delay)
            try:
                answer = httpx.post(self._address, data={"logout_token": token}, timeout=3, trust_env=False)
            except httpx.HTTPError:
                continue
            if answer.status_code < 500:
                return


def set_cookie(answer: Response, name: str, value: str, life: timedelta, *, secure: bool) -> None:
    """One of the provider's cookies."""
    answer.set_cookie(
        name, value, max_age=int(life.total_seconds()), path="/", secure=secure, httponly=True, samesite="Lax"
    )
