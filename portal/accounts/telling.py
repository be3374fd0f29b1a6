"""What a person wants to be told, by which channel, and when not.

Whoever has chosen nothing is told everything. What concerns the safety of an account (keys, sessions, who acts for
whom) is no kind of notice here: it is always sent and never waits, since somebody else may have chosen for the person.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.accounts.actor import Actor
from portal.accounts.tables import Account, NoticeChoice
from portal.audit import Action, Agent, Entity, Purpose, record
from portal.core import clock
from portal.core.errors import BadInput, NotFound


class Kind(StrEnum):
    """What people may be told about, and may choose not to be."""

    # A message lies unread.
    MESSAGE = "message"
    # Something ends soon: an access that somebody has.
    REMINDER = "reminder"


class Channel(StrEnum):
    """How people are told."""

    MAIL = "mail"


_CLOCK = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]")


@dataclass(frozen=True)
class Quiet:
    """Hours of the person's own clock in which nothing comes that can wait: "22:00" to "07:00", also over midnight."""

    start: str
    end: str


@dataclass(frozen=True)
class Choices:
    """What a person has chosen: for each kind and channel whether it comes, and the quiet hours."""

    wanted: Mapping[tuple[Kind, Channel], bool]
    quiet: Quiet | None


def of(session: Session, account_id: str) -> Choices:
    """What an account has chosen. Raises NotFound."""
    account = session.get(Account, account_id)
    if account is None:
        raise NotFound()
    rows = session.scalars(select(NoticeChoice).where(NoticeChoice.account_id == account_id))
    chosen = {(row.kind, row.channel): row.wanted for row in rows}
    wanted = {(kind, channel): chosen.get((kind.value, channel.value), True) for kind in Kind for channel in Channel}
    return Choices(wanted, _quiet_of(account))


def wants(session: Session, account_id: str, kind: Kind, channel: Channel) -> bool:
    """Whether a person is to be told about `kind` by `channel`."""
    row = session.get(NoticeChoice, (account_id, kind.value, channel.value))
    return row is None or row.wanted


def choose(
    session: Session, *, actor: Actor, wanted: Mapping[tuple[Kind, Channel], bool], quiet: tuple[str, str], zone: str
) -> None:
    """Keep a person's choices; `quiet` is start and end as typed on the clock of `zone`, both empty for none.

    Raises BadInput `quiet-hours`.
    """
    start, end = quiet
    right = (not start and not end) or (_is_clock(start) and _is_clock(end) and start != end)
    if not right:
        raise BadInput("quiet-hours", extra={"field": "quiet"})
    account = session.get(Account, actor.account_id, with_for_update={"key_share": True})
    if account is None:
        raise NotFound()
    changed = [
        f"{kind}-{channel}" for (kind, channel), on in wanted.items() if _set(session, account.id, kind, channel, on)
    ]
    if (account.quiet_from or "", account.quiet_until or "") != (start, end):
        account.quiet_from, account.quiet_until = start or None, end or None
        account.quiet_zone = zone if start else None
        changed.append("quiet")
    if changed:
        _note(session, actor.agent, account.id, {"changed": changed})


def set_by_link(session: Session, *, account_id: str, kind: Kind, channel: Channel, wanted: bool, agent: Agent) -> None:
    """Stop one kind of notice, or have it again, by the link in a notice. Once more does nothing. Raises NotFound."""
    if session.get(Account, account_id, with_for_update={"key_share": True}) is None:
        raise NotFound()
    if _set(session, account_id, kind, channel, wanted):
        _note(session, agent, account_id, {"changed": [f"{kind}-{channel}"], "wanted": wanted, "by": "link"})


def quiet_until(account: Account) -> datetime | None:
    """When the quiet hours end that a person has now, on the own clock; None outside them."""
    quiet = _quiet_of(account)
    if quiet is None:
        return None
    now = clock.now().astimezone(ZoneInfo(account.time_zone or account.quiet_zone or "UTC"))
    start, end = time.fromisoformat(quiet.start), time.fromisoformat(quiet.end)
    at = now.time().replace(tzinfo=None)
    inside = start <= at < end if start < end else at >= start or at < end
    if not inside:
        return None
    # By the wall clock: on a night with a change of the hour it ends at the time that was chosen.
    day = now.date() if at < end else now.date() + timedelta(days=1)
    return datetime.combine(day, end, now.tzinfo).astimezone(clock.now().tzinfo)


def _quiet_of(account: Account) -> Quiet | None:
    if account.quiet_from is None or account.quiet_until is None:
        return None
    return Quiet(account.quiet_from, account.quiet_until)


def _is_clock(text: str) -> bool:
    return _CLOCK.fullmatch(text) is not None


def _set(session: Session, account_id: str, kind: Kind, channel: Channel, wanted: bool) -> bool:
    """Whether that changed anything."""
    if wants(session, account_id, kind, channel) is wanted:
        return False
    row = session.get(NoticeChoice, (account_id, kind.value, channel.value))
    if row is None:
        row = NoticeChoice(account_id=account_id, kind=kind.value, channel=channel.value)
        session.add(row)
    row.wanted = wanted
    return True


def _note(session: Session, agent: Agent, account_id: str, detail: Mapping[str, object]) -> None:
    record(
        session,
        Action.SETTINGS_CHANGED,
        agent=agent,
        entity=Entity("Person", account_id),
        purpose=Purpose.PATRQT,
        detail=dict(detail),
    )
