"""Pharmacies and their profiles: what people need to reach one, also without an account."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from portal.accounts import policy
from portal.accounts.actor import Actor
from portal.audit import Action, Agent, Entity, Purpose, record
from portal.core import clock
from portal.core.errors import BadInput, Conflict, NotFound
from portal.core.texts import LANGUAGES
from portal.pharmacies import ages, hours, last_days, regulators
from portal.pharmacies.tables import Holiday, Pharmacy
from portal.pharmacies.topics import Topic

_ID = re.compile(r"[a-z][a-z0-9]{1,23}")
_COUNTRY = re.compile(r"[A-Z]{2}")
_PHONE = re.compile(r"\+?[0-9][0-9 ()./-]{2,30}")


@dataclass(frozen=True)
class Profile:
    """A pharmacy as people see it."""

    id: str
    name: str
    address: str
    phone: str
    country: str
    time_zone: str
    languages: tuple[str, ...]
    on_call_phone: str | None = None
    week: hours.Week | None = None
    holidays: Mapping[date, str] | None = None
    licence: dict[str, Any] | None = None
    # What patients may write about; None: nobody has chosen yet, and everything is offered.
    topics: tuple[str, ...] | None = None
    holidays_checked_at: datetime | None = None
    # The birthday on which what a parent may do ends; None: that of the country (portal/pharmacies/ages.py).
    parents_until_age: int | None = None

    @property
    def complaints(self) -> str | None:
        """Where to complain about it: as it says itself, else the authority of its country; name, and maybe a link."""
        return (self.licence or {}).get("complaints") or regulators.authority(self.country)

    @property
    def opening(self) -> hours.OpeningHours:
        """When it is at work."""
        return hours.OpeningHours(self.week, self.time_zone, frozenset(self.holidays or {}))


def create(session: Session, *, agent: Agent, profile: Profile) -> None:
    """Add a pharmacy. Raises BadInput naming the field in `extra`, Conflict when the id is taken."""
    _check(profile)
    if session.get(Pharmacy, profile.id) is not None:
        raise Conflict("pharmacy-exists")
    session.add(Pharmacy(id=profile.id, created_at=clock.now(), **_columns(profile)))
    session.flush()
    _set_holidays(session, profile)
    _record(session, agent, profile.id)


def change(session: Session, *, agent: Agent, profile: Profile) -> None:
    """Replace the profile of a pharmacy. Raises BadInput, or NotFound for an unknown one."""
    _check(profile)
    pharmacy = session.get(Pharmacy, profile.id)
    if pharmacy is None:
        raise NotFound()
    if pharmacy.time_zone != profile.time_zone:
        last_days.follow(session, profile.id, before=pharmacy.time_zone, now=profile.time_zone)
    for name, value in _columns(profile).items():
        setattr(pharmacy, name, value)
    session.execute(delete(Holiday).where(Holiday.pharmacy_id == profile.id))
    _set_holidays(session, profile)
    _record(session, agent, profile.id)


def settle(session: Session, *, actor: Actor, pharmacy_id: str, changed: Callable[[Profile], Profile]) -> None:
    """`change` by somebody on a page: `changed` makes the new profile of the present one.

    Raises NotFound and Forbidden as `policy.allow_pharmacy_settings` does, and what `changed` raises.
    """
    policy.allow_pharmacy_settings(actor, pharmacy_id=pharmacy_id)
    change(session, agent=actor.agent, profile=changed(get(session, pharmacy_id)))


def open_new(session: Session, *, actor: Actor, profile: Profile) -> None:
    """`create` by the operator on a page. Raises Forbidden for anybody else."""
    policy.allow_open_pharmacy(actor)
    create(session, agent=actor.agent, profile=profile)


def get(session: Session, pharmacy_id: str) -> Profile:
    """One pharmacy. Raises NotFound."""
    found = _load(session, pharmacy_id)
    if not found:
        raise NotFound()
    return found[0]


def takes(session: Session, pharmacy_id: str, topic: Topic) -> bool:
    """Whether patients may write to a pharmacy about a topic; everything while it has not chosen."""
    chosen = session.scalar(select(Pharmacy.topics).where(Pharmacy.id == pharmacy_id))
    return chosen is None or topic.value in chosen


def everyone(session: Session) -> list[Profile]:
    """All pharmacies of this portal, by name; two queries."""
    return _load(session, None)


def _load(session: Session, pharmacy_id: str | None) -> list[Profile]:
    wanted = select(Pharmacy).order_by(Pharmacy.name, Pharmacy.id)
    free = select(Holiday).order_by(Holiday.day)
    if pharmacy_id is not None:
        wanted = wanted.where(Pharmacy.id == pharmacy_id)
        free = free.where(Holiday.pharmacy_id == pharmacy_id)
    holidays: dict[str, dict[date, str]] = {}
    for day in session.scalars(free):
        holidays.setdefault(day.pharmacy_id, {})[day.day] = day.name
    return [
        Profile(
            id=row.id,
            name=row.name,
            address=row.address,
            phone=row.phone,
            country=row.country,
            time_zone=row.time_zone,
            languages=tuple(row.languages),
            on_call_phone=row.on_call_phone,
            week=row.hours,
            holidays=holidays.get(row.id, {}),
            licence=row.licence,
            topics=None if row.topics is None else tuple(row.topics),
            holidays_checked_at=row.holidays_checked_at,
            parents_until_age=row.parents_until_age,
        )
        for row in session.scalars(wanted)
    ]


def _columns(profile: Profile) -> dict[str, Any]:
    return {
        "name": profile.name,
        "address": profile.address,
        "phone": profile.phone,
        "on_call_phone": profile.on_call_phone,
        "country": profile.country,
        "time_zone": profile.time_zone,
        "languages": list(profile.languages),
        "hours": None if profile.week is None else dict(profile.week),
        "licence": profile.licence,
        "topics": None if profile.topics is None else list(profile.topics),
        "holidays_checked_at": profile.holidays_checked_at,
        "parents_until_age": profile.parents_until_age,
    }


def _set_holidays(session: Session, profile: Profile) -> None:
    session.add_all(
        Holiday(pharmacy_id=profile.id, day=day, name=name) for day, name in (profile.holidays or {}).items()
    )


def _record(session: Session, agent: Agent, pharmacy_id: str) -> None:
    record(
        session,
        Action.PHARMACY_CHANGED,
        agent=agent,
        pharmacy_id=pharmacy_id,
        entity=Entity("Organization", pharmacy_id),
        purpose=Purpose.HOPERAT,
    )


def _check(profile: Profile) -> None:
    phones = [profile.phone] if profile.on_call_phone is None else [profile.phone, profile.on_call_phone]
    right = {
        "id": _ID.fullmatch(profile.id) is not None,
        "name": 0 < len(profile.name.strip()) <= 120,
        "address": 0 < len(profile.address.strip()) <= 200,
        "phone": all(_PHONE.fullmatch(phone) for phone in phones),
        "country": _COUNTRY.fullmatch(profile.country) is not None,
        "languages": bool(profile.languages) and set(profile.languages) <= set(LANGUAGES),
        "topics": profile.topics is None or (bool(profile.topics) and set(profile.topics) <= set(Topic)),
        "licence": all(isinstance(value, str) and len(value) <= 200 for value in (profile.licence or {}).values()),
        "parents_until_age": profile.parents_until_age is None
        or ages.can_be(profile.parents_until_age, profile.country),
        "holidays": all(0 < len(name.strip()) <= 80 for name in (profile.holidays or {}).values()),
    }
    wrong = [name for name, fine in right.items() if not fine]
    if wrong:
        raise BadInput("pharmacy-profile", extra={"field": wrong[0]})
    hours.check_zone(profile.time_zone)
    hours.parse_week(profile.week)
