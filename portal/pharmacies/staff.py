"""Accounts as an operator keeps them: listed, disabled, given another role, their sessions ended, patients invited.

Disabling, a change of role and the end of the last day of work act at once: sessions end, open invitations are taken
back, seats in teams are without access, and the teams' keys are changed by the next member's browser.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.accounts import awaited, invitations
from portal.accounts.awaited import CAME
from portal.accounts.roles import STAFF, ClosedBy, Role
from portal.accounts.tables import Account
from portal.audit import Action, Agent, Entity, Purpose, record
from portal.core import clock
from portal.core.bus import Bus
from portal.core.database import Database
from portal.core.errors import BadInput, NotFound
from portal.identity import sessions
from portal.identity.session_life import EndedBy
from portal.pharmacies import connections, staff_invitations, teams
from portal.pharmacies.tables import Pharmacy

# Who acts when time does, and when a command does: the machine's operator, whose name the portal does not know.
MACHINE = Agent(account_id=None, role=None)
OPERATOR = Agent(account_id=None, role=Role.OPERATOR.value, address="command-line")


@dataclass(frozen=True)
class Row:
    """An account in the operator's list: how it signs in, never whom it is about."""

    id: str
    issuer: str
    subject: str
    role: Role
    pharmacy_id: str | None
    last_login_at: datetime | None
    disabled_at: datetime | None


@dataclass(frozen=True)
class Ended:
    """What followed: how many sessions ended, and which teams need a new generation of their key."""

    sessions: int
    teams: tuple[str, ...]


def accounts(session: Session, *, pharmacy_id: str | None = None) -> list[Row]:
    """All accounts of people who have come, or those of a pharmacy's staff."""
    wanted = select(Account).where(CAME).order_by(Account.role, Account.subject, Account.id)
    if pharmacy_id is not None:
        wanted = wanted.where(Account.pharmacy_id == pharmacy_id)
    return [
        Row(row.id, row.issuer, row.subject, Role(row.role), row.pharmacy_id, row.last_login_at, row.disabled_at)
        for row in session.scalars(wanted)
    ]


def find(session: Session, name: str) -> str:
    """The id of the account with this id or subject. Raises NotFound, BadInput when two subjects are the same."""
    found = list(session.scalars(select(Account.id).where((Account.id == name) | (Account.subject == name), CAME)))
    if not found:
        raise NotFound("unknown-account")
    if len(found) > 1:
        raise BadInput("account-not-unique")
    return found[0]


def disable(session: Session, *, bus: Bus, account_id: str, agent: Agent = OPERATOR) -> Ended:
    """Close an account: it cannot sign in, its sessions end, its seats are without access. Raises NotFound."""
    account = _account(session, account_id)
    if account.disabled_at is None:
        account.disabled_at = clock.now()
        _note(session, agent, Action.ACCOUNT_DISABLED, account)
    account.closed_by = ClosedBy.OPERATOR.value
    return _end(session, bus, account, EndedBy.DISABLED, agent)


def enable(session: Session, *, account_id: str, agent: Agent = OPERATOR) -> None:
    """Open a closed account again; seats in teams have to be asked for anew. Raises NotFound.

    A last day that has passed goes with it: who is let in by hand stays until another one is set.
    """
    account = _account(session, account_id)
    account.disabled_at = account.closed_by = None
    if account.ends_at is not None and account.ends_at <= clock.now():
        account.ends_at = None
    _note(session, agent, Action.ACCOUNT_ENABLED, account)


def change_role(
    session: Session, *, bus: Bus, account_id: str, role: Role, pharmacy_id: str | None, agent: Agent = OPERATOR
) -> Ended:
    """Give an account another role or pharmacy. Raises NotFound, BadInput when staff would have no pharmacy."""
    account = _account(session, account_id)
    if (role in STAFF) != (pharmacy_id is not None):
        raise BadInput("role-pharmacy")
    if pharmacy_id is not None and session.get(Pharmacy, pharmacy_id) is None:
        raise NotFound("unknown-pharmacy")
    account.role, account.pharmacy_id = role.value, pharmacy_id
    session.flush()
    _note(session, agent, Action.ROLE_CHANGED, account)
    return _end(session, bus, account, EndedBy.ROLE, agent)


def end_sessions(session: Session, *, bus: Bus, account_id: str, agent: Agent = OPERATOR) -> int:
    """End all sessions of an account; it may sign in again. Returns how many. Raises NotFound."""
    _account(session, account_id)
    return sessions.end_all(session, bus, account_id, EndedBy.OPERATOR, agent=agent)


def close_past(database: Database, bus: Bus, *, limit: int = 50) -> int:
    """Close the accounts whose last day has passed: sessions end, seats are without access. Returns how many.

    The worker calls it several times a minute; it writes only when there is something to write.
    """
    wanted = select(Account.id).where(Account.ends_at <= clock.now(), Account.disabled_at.is_(None)).limit(limit)
    with database.reading() as session:
        due = list(session.scalars(wanted))
    for account_id in due:
        with database.transaction() as session:
            concerned = _members_of(session, _close_past(session, bus, account_id))
        _tell(bus, concerned)
    return len(due)


def close_uninvited(database: Database, bus: Bus, *, limit: int = 50) -> int:
    """Take back the seats, and end the keys made ahead, of people whose invitation ran out. Returns how many."""
    with database.reading() as session:
        due = staff_invitations.run_out(session, limit=limit)
    for invitation_id in due:
        with database.transaction() as session:
            concerned = _members_of(session, staff_invitations.close_run_out(session, invitation_id, agent=MACHINE))
        _tell(bus, concerned)
    return len(due)


def _members_of(session: Session, concerned: Iterable[str]) -> dict[str, frozenset[str]]:
    session.flush()
    return {team: teams.members(session, team) for team in concerned}


def _tell(bus: Bus, concerned: Mapping[str, Iterable[str]]) -> None:
    # Open browsers of who is left make the next generation of the team's key.
    for team, members in concerned.items():
        teams.tell(bus, team, members)


def _close_past(session: Session, bus: Bus, account_id: str) -> tuple[str, ...]:
    account = _account(session, account_id)
    # The day may have been moved since it was looked at.
    if account.disabled_at is not None or account.ends_at is None or account.ends_at > clock.now():
        return ()
    account.disabled_at, account.closed_by = clock.now(), ClosedBy.LAST_DAY.value
    session.flush()
    ended = _end(session, bus, account, EndedBy.LAST_DAY, MACHINE)
    record(
        session,
        Action.STAFF_ENDED,
        agent=MACHINE,
        pharmacy_id=account.pharmacy_id,
        entity=Entity("Account", account_id),
        purpose=Purpose.HOPERAT,
        detail={"teams": list(ended.teams)},
    )
    return ended.teams


def invite(session: Session, *, pharmacy_id: str, fhir_id: str, agent: Agent = OPERATOR) -> str:
    """A code for a patient of a pharmacy, through its first EHR connection. Raises NotFound without one.

    Whether the EHR knows the patient is asked before: portal.care.matching.check_invited.
    """
    if session.get(Pharmacy, pharmacy_id) is None:
        raise NotFound("unknown-pharmacy")
    connection = connections.of_pharmacy(session, pharmacy_id)
    if connection is None:
        raise NotFound("no-ehr-connection")
    _, code = invitations.create(
        session, agent=agent, pharmacy_id=pharmacy_id, connection_id=connection.id, fhir_id=fhir_id
    )
    return code


def _account(session: Session, account_id: str) -> Account:
    account = session.get(Account, account_id, with_for_update=True)
    if account is None or not awaited.has_come(account):
        raise NotFound("unknown-account")
    return account


def _end(session: Session, bus: Bus, account: Account, by: EndedBy, agent: Agent) -> Ended:
    ended = sessions.end_all(session, bus, account.id, by, agent=agent)
    left = staff_invitations.revoke_all_of(session, account.id, agent=agent)
    return Ended(ended, tuple(dict.fromkeys([*teams.withdraw(session, account.id, why=by.value), *left])))


def _note(session: Session, agent: Agent, action: Action, account: Account) -> None:
    record(
        session,
        action,
        agent=agent,
        pharmacy_id=account.pharmacy_id,
        entity=Entity("Account", account.id),
        purpose=Purpose.HOPERAT,
        detail={"role": account.role},
    )
