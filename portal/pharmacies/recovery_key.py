"""The recovery key of a pharmacy: a member of its teams whose private half lies on three printed sheets only.

The browser that makes it keeps nothing of it, and the server gets the public half alone. Who has two sheets can let
somebody in again when nobody of a team can, in an act of two people (recovery_acts; docs/protocol.md section 3).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.accounts import directory, notices, policy, recovery
from portal.accounts.actor import Actor
from portal.accounts.roles import STAFF, Role
from portal.accounts.tables import Account
from portal.audit import Action, Entity, Purpose, record
from portal.core import clock
from portal.core.errors import BadInput, Conflict, NotFound
from portal.notify.words import Template, moment, plain_name
from portal.outbox import Job, enqueue
from portal.pharmacies import team_records, teams
from portal.pharmacies.tables import Pharmacy, RecoveryAct, RecoverySheets
from portal.pharmacies.topics import TeamKind, recovery_id, team_id

# The job that tells one person what was done with the sheets; payload {account, pharmacy, what, who, at}.
NOTICE_JOB = "notice.sheets"
HOLDERS = 3
LONGEST_HOLDER = 120


@dataclass(frozen=True)
class Sheets:
    """The sheets that open the newest recovery key. `tried_at`: when two of them were last typed in."""

    n: int
    holders: tuple[str, ...]
    made_by: str
    made_at: datetime
    tried_by: str
    tried_at: datetime


def sheets(session: Session, pharmacy_id: str) -> Sheets | None:
    """The newest sheets of a pharmacy. One query; policy is the caller's."""
    row = _newest(session, pharmacy_id)
    if row is None:
        return None
    return Sheets(row.n, tuple(row.holders), row.made_by, row.made_at, row.tried_by, row.tried_at)


def covered(session: Session, pharmacy_id: str, made: Sheets | None) -> dict[TeamKind, bool]:
    """For each founded team whether its newest key is sealed to the recovery key as it is now. One query."""
    known = team_records.newest_records(session, [team_id(pharmacy_id, kind) for kind in TeamKind])
    found: dict[TeamKind, bool] = {}
    for kind in TeamKind:
        if (newest := known.get(team_id(pharmacy_id, kind))) is not None:
            signed, at = newest
            found[kind] = made is not None and signed.lists(recovery_id(pharmacy_id)) and at >= made.made_at
    return found


def keep(session: Session, *, actor: Actor, pharmacy_id: str, entry: dict[str, Any], holders: tuple[str, ...]) -> int:
    """Store a new recovery key: its public half, and who holds its three sheets. Gives the number of its entry.

    The browser has made sure that two of the printed sheets give the key. Asks for a fresh login, a certified device
    and a recovery way of the actor. Not while somebody is to be let in with the sheets: the second person has said yes
    to those that are there. Raises NotFound, Forbidden, StepUpNeeded, Conflict `moved-chain` or `recovery-act-first`,
    BadInput, Unprocessable.
    """
    _may_make(session, actor, pharmacy_id)
    recovery.needs_own_keys(session, actor=actor)
    named = tuple(name.strip() for name in holders)
    if len(named) != HOLDERS or not all(0 < len(name) <= LONGEST_HOLDER and name.isprintable() for name in named):
        raise BadInput("recovery-sheets", extra={"field": "holders"})
    hold_pharmacy(session, pharmacy_id)
    if _asked_for(session, pharmacy_id):
        raise Conflict("recovery-act-first")
    kept = directory.add_recovery(session, id=recovery_id(pharmacy_id), entry=entry)
    now = clock.now()
    session.add(
        RecoverySheets(
            pharmacy_id=pharmacy_id,
            n=kept.n,
            holders=list(named),
            made_by=actor.account_id,
            made_at=now,
            tried_by=actor.account_id,
            tried_at=now,
        )
    )
    note(session, actor, Action.SHEETS_MADE, pharmacy_id, {"n": kept.n, "reset": kept.reset})
    tell_everybody(session, actor, pharmacy_id, Template.SHEETS_MADE)
    return kept.n


def hold_pharmacy(session: Session, pharmacy_id: str) -> None:
    """Lock a pharmacy until the transaction ends: new sheets, asking for them and using them wait for one another.

    Raises NotFound.
    """
    if session.get(Pharmacy, pharmacy_id, with_for_update={"key_share": True}) is None:
        raise NotFound()


def tried(session: Session, *, actor: Actor, pharmacy_id: str, n: int) -> datetime:
    """Note that two sheets were typed in and gave the key. Raises NotFound, Forbidden, also for older sheets."""
    _may_make(session, actor, pharmacy_id)
    row = _newest(session, pharmacy_id)
    if row is None or row.n != n:
        raise NotFound()
    row.tried_by, row.tried_at = actor.account_id, clock.now()
    note(session, actor, Action.SHEETS_TRIED, pharmacy_id, {"n": n})
    return row.tried_at


def note_print(session: Session, *, actor: Actor, pharmacy_id: str) -> None:
    """Put on record that sheets are printed. Raises NotFound, Forbidden."""
    _may_make(session, actor, pharmacy_id)
    note(session, actor, Action.PRINTED, pharmacy_id, {"what": "sheets"})


def note(
    session: Session, actor: Actor, action: Action, pharmacy_id: str, detail: Mapping[str, Any], act: str | None = None
) -> None:
    """One row about the recovery key of a pharmacy, or about an act with it."""
    record(
        session,
        action,
        agent=actor.agent,
        pharmacy_id=pharmacy_id,
        entity=Entity("RecoveryAct", act) if act is not None else Entity("Team", recovery_id(pharmacy_id)),
        purpose=Purpose.HOPERAT,
        detail=detail,
    )


def tell_everybody(session: Session, actor: Actor, pharmacy_id: str, what: Template) -> None:
    """Tell all who work at a pharmacy, and the operators, by mail what somebody does with the sheets."""
    at = clock.now().isoformat(timespec="seconds")
    for account_id in _concerned(session, pharmacy_id):
        told = {"account": account_id, "pharmacy": pharmacy_id, "what": what.value, "who": actor.account_id, "at": at}
        enqueue(session, NOTICE_JOB, told, pharmacy_id=pharmacy_id)


def _concerned(session: Session, pharmacy_id: str) -> list[str]:
    here = (Account.pharmacy_id == pharmacy_id) & Account.role.in_([role.value for role in STAFF])
    wanted = select(Account.id).where(here | (Account.role == Role.OPERATOR.value), Account.disabled_at.is_(None))
    return list(session.scalars(wanted.order_by(Account.id)))


class SheetsNotice(notices.AccountMail):
    """The handler of `NOTICE_JOB`. The mail says what was done with the sheets, by whom, where and when."""

    def __call__(self, job: Job) -> None:
        """Raises Retry when the mail server does not answer, Dead for a refused mailbox."""
        told = job.payload
        with self._database.reading() as session:
            account = session.get(Account, str(told["account"]))
            doer = session.get(Account, str(told["who"]))
            pharmacy = session.get(Pharmacy, str(told["pharmacy"]))
        if pharmacy is None:
            return
        self.tell(
            job,
            account,
            Template(told["what"]),
            next=f"/pharmacies/{pharmacy.id}/recovery",
            pharmacy_id=pharmacy.id,
            who=plain_name(doer.display_name if doer is not None else ""),
            place=plain_name(pharmacy.name),
            when=moment(datetime.fromisoformat(told["at"]), pharmacy.time_zone),
        )


def _may_make(session: Session, actor: Actor, pharmacy_id: str) -> None:
    own = teams.teams_of(session, actor.account_id)
    in_team = any(team_id(pharmacy_id, kind) in own for kind in TeamKind)
    policy.allow_make_sheets(actor, pharmacy_id=pharmacy_id, in_team=in_team)


def _asked_for(session: Session, pharmacy_id: str) -> bool:
    wanted = select(RecoveryAct.id).where(
        RecoveryAct.pharmacy_id == pharmacy_id, RecoveryAct.ended_at.is_(None), RecoveryAct.expires_at > clock.now()
    )
    return session.scalar(wanted.limit(1)) is not None


def _newest(session: Session, pharmacy_id: str) -> RecoverySheets | None:
    return session.scalar(
        select(RecoverySheets)
        .where(RecoverySheets.pharmacy_id == pharmacy_id)
        .order_by(RecoverySheets.n.desc())
        .limit(1)
    )
