"""What stands around every page: whose pharmacy it is, how to reach it, where one can go, and the emergency line.

It never fails: an error page needs it most when something else is down. Then the pharmacies last seen are shown.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import cast
from urllib.parse import quote

from flask import current_app, g, request
from flask.sansio.app import App
from markupsafe import Markup, escape
from sqlalchemy.exc import SQLAlchemyError

from portal.accounts.actor import Actor
from portal.accounts.roles import CLINICAL, Role
from portal.core import clock, resources, strict_json
from portal.core.errors import PortalError
from portal.identity import flask_session
from portal.identity.session_life import CurrentSession
from portal.pharmacies import care, emergency, profiles
from portal.pharmacies.profiles import Profile
from portal.web import pages
from portal.web.acting import current_actor
from portal.web.public import closed, opening
from portal.web.wiring import services

PHARMACY_COOKIE = "portal_pharmacy"
# Set by the browser client (client/store/shared.ts): others use this computer too.
SHARED_COOKIE = "portal_shared"
LANGUAGE_NAMES = (("en", "English"), ("es", "Español"))
_PATIENT = (
    ("/home", "home", "home"),
    ("/messages", "message", "messages"),
    ("/medicines", "pill", "medicines"),
    ("/orders", "box", "orders"),
    ("/record", "eye", "record"),
    ("/account", "person", "account"),
)
_PHARMACY = (
    ("/inbox", "message", "inbox"),
    ("/new", "people", "patients"),
    ("/invitations", "send", "invitations"),
    ("/team", "key", "team"),
    ("/staff", "list", "staff"),
    ("/account", "person", "account"),
)
_MENUS = {
    Role.PATIENT: _PATIENT,
    Role.PHARMACIST: _PHARMACY,
    Role.TECHNICIAN: _PHARMACY,
    Role.SUPERVISOR: _PHARMACY,
    Role.PRIVACY: (("/privacy-office", "eye", "privacy-office"), *_PHARMACY[:1], *_PHARMACY[3:]),
    Role.OPERATOR: (
        ("/pharmacies", "box", "pharmacies"),
        ("/operator", "device", "operator"),
        ("/account", "person", "account"),
    ),
}


@dataclass(frozen=True)
class Link:
    """A place in the menu."""

    href: str
    icon: str
    text: str
    current: bool


@dataclass(frozen=True)
class Reach:
    """How to reach a pharmacy, in one line each."""

    id: str
    name: str
    phone: str
    hours_line: str
    open_now: bool | None


class Frame:
    """Read by templates/base.html; each part is made when it is first asked for."""

    contact = "/contact"
    help = "/help"
    privacy = "/privacy-policy"
    preferences = "/preferences"
    # Pages of the browser client: a new question, a way back to one's keys, the list of devices, a pharmacy's code.
    ask = "/new"
    recovery = "/recovery"
    devices = "/devices"
    invitation = "/invitation"
    signout = "/logout"
    lock = "/lock"
    languages = LANGUAGE_NAMES

    @cached_property
    def account(self) -> Actor | None:
        """The person signed in; None for anyone else and whenever that cannot be known now."""
        try:
            return current_actor()
        except (PortalError, SQLAlchemyError):
            return None

    @cached_property
    def profile(self) -> Profile | None:
        """The pharmacy in view: of staff their own, of others the one chosen, else the only one there is."""
        known = {profile.id: profile for profile in known_pharmacies()}
        if self.account is not None and self.account.pharmacy_id:
            return known.get(self.account.pharmacy_id)
        wanted = chosen_pharmacy(self.account)
        if wanted in known:
            return known[wanted]
        return next(iter(known.values())) if len(known) == 1 else None

    @cached_property
    def pharmacy(self) -> Reach | None:
        """The pharmacy in view as the header shows it."""
        return None if self.profile is None else reach(self.profile)

    @cached_property
    def emergency(self) -> emergency.Numbers | None:
        """The numbers of the pharmacy's country, or of the one country in which all of them are."""
        countries = {one.country for one in known_pharmacies()} if self.profile is None else {self.profile.country}
        return emergency.numbers(countries.pop()) if len(countries) == 1 else None

    @property
    def shared(self) -> bool:
        """Whether somebody said that others use this computer too."""
        return request.cookies.get(SHARED_COOKIE) == "1"

    @cached_property
    def guarded(self) -> CurrentSession | None:
        """The session of a person on a device that others use too: it can be locked, and goes on by PIN or passkey."""
        if self.account is None:
            return None
        current = flask_session.current_login()
        return current if current is not None and current.shared else None

    @property
    def own_pharmacy(self) -> str | None:
        """The checklist of the pharmacy that this person is in charge of."""
        known = self.account
        return f"/pharmacies/{known.pharmacy_id}" if known is not None and known.role in CLINICAL else None

    @property
    def ends_stops(self) -> bool:
        """Whether this person may end somebody's emergency stop."""
        return self.account is not None and self.account.role in CLINICAL | {Role.PRIVACY}

    @property
    def audience(self) -> str:
        """`patient` reads larger text than `staff`."""
        return "staff" if self.account is not None and self.account.role is not Role.PATIENT else "patient"

    @property
    def home(self) -> str:
        """Where the name of the pharmacy leads."""
        return "/" if self.account is None else _MENUS[self.account.role][0][0]

    @property
    def signin(self) -> str:
        """Where to sign in, and back to this page."""
        return "/login" if self.here == "/" else f"/login?next={quote(self.here, safe='')}"

    @property
    def pharmacies(self) -> list[Reach]:
        """All pharmacies, to choose from."""
        return [reach(profile) for profile in known_pharmacies()]

    @property
    def here(self) -> str:
        """This page, to come back to after a switch; the first page when it was the answer to a form."""
        return request.full_path.rstrip("?") if request.method == "GET" else "/"

    @property
    def menu(self) -> list[Link]:
        """The places of a person's role."""
        if self.account is None:
            return []
        return [
            Link(href, icon, pages.translate(f"common.nav.{name}"), current=self._stands_at(href))
            for href, icon, name in _MENUS[self.account.role]
        ]

    def _stands_at(self, href: str) -> bool:
        # A person's colleagues stand under their pharmacy.
        return request.path == href or (href == "/staff" and request.blueprint == "people")


def reach(profile: Profile) -> Reach:
    """How to reach a pharmacy now."""
    now = clock.now()
    return Reach(
        id=profile.id,
        name=profile.name,
        phone=profile.phone,
        hours_line=opening.line(profile.opening, now, language=pages.spoken()),
        open_now=profile.opening.is_open(now),
    )


def known_pharmacies() -> list[Profile]:
    """All pharmacies; those last seen while the database is down."""
    if "pharmacies" not in g:
        try:
            with services().database.reading() as session:
                g.pharmacies = current_app.extensions[closed.LAST_SEEN] = profiles.everyone(session)
            closed.keep_fresh(g.pharmacies)
        except (PortalError, SQLAlchemyError):
            g.pharmacies = current_app.extensions.get(closed.LAST_SEEN, [])
    return cast(list[Profile], g.pharmacies)


def chosen_pharmacy(actor: Actor | None) -> str | None:
    """The pharmacy a person chose in this browser, else the one that has cared for them longest."""
    cookie = request.cookies.get(PHARMACY_COOKIE)
    if cookie is not None or actor is None or not actor.acting:
        return cookie
    patients = [acting.patient_id for acting in actor.acting]
    try:
        with services().database.reading() as session:
            caring = care.pharmacies_of(session, patients)
    except (PortalError, SQLAlchemyError):
        return None
    return next((pharmacy for patient in patients for pharmacy in caring[patient]), None)


def current_frame() -> Frame:
    """The frame of this request. Times are shown in the pharmacy's zone to whoever has not chosen one."""
    if "frame" not in g:
        g.frame = Frame()
        if not g.get("time_zone") and g.frame.profile is not None:
            g.time_zone = g.frame.profile.time_zone
    return cast(Frame, g.frame)


def prepare(app: App) -> None:
    """Give templates the frame, the icons and the phone filter."""
    drawing = icon_reader()
    app.jinja_env.globals["icon_path"] = drawing
    app.jinja_env.filters["phone_uri"] = phone_uri
    app.jinja_env.filters["unbroken"] = unbroken
    app.jinja_env.filters["as_date"] = _as_date
    app.jinja_env.filters["as_moment"] = datetime.fromisoformat
    app.jinja_env.globals["format_time"] = _format_time
    app.context_processor(lambda: {"frame": current_frame()})


def icon_reader() -> Callable[[str], str]:
    """Reads templates/icons.json once; the browser client is built from the same file."""
    drawn = strict_json.loads((resources.directory("templates") / "icons.json").read_bytes())
    return lambda name: cast(str, drawn[name])


def unbroken(sentence: str, number: str) -> Markup:
    """A sentence in which a phone number stands on one line, where the line is long enough for it."""
    return escape(sentence).replace(escape(number), Markup('<span class="nowrap">{}</span>').format(number))


def phone_uri(phone: str) -> str:
    """A phone number as the path of a tel: link (RFC 3966): digits and a leading plus."""
    return ("+" if phone.startswith("+") else "") + "".join(digit for digit in phone if digit.isdigit())


def _as_date(text: str) -> date:
    """A calendar day of the EHR, which may stop at the month or the year."""
    return date.fromisoformat(text[:10] if len(text) >= 10 else f"{text}-01-01"[:10])


def _format_time(moment: datetime) -> str:
    return opening.clock_time(moment, pages.zone().key, pages.spoken())
