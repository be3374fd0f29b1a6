"""The next signed generation of a team: who may add one, what it must say, and the seats that move with it.

A generation is stored and the seats follow in one transaction (docs/protocol.md section 3, design decision 13).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.accounts import ahead, directory, recovery
from portal.accounts.actor import Actor
from portal.accounts.forms import answering_refusals, first_wins
from portal.accounts.roles import Role, role_in_records
from portal.accounts.tables import Account
from portal.audit import Action
from portal.core import clock
from portal.core.errors import BadInput, Conflict, Unprocessable
from portal.e2ee.directory import heirs, still
from portal.e2ee.reasons import Reason
from portal.e2ee.records import Role as RecordRole
from portal.e2ee.teams import IdentitiesOf, read_team, verify_next
from portal.e2ee.teams import TeamRecord as SignedRecord
from portal.pharmacies import team_records, teams
from portal.pharmacies.tables import TeamRecord, TeamSeat
from portal.pharmacies.topics import TeamKind, recovery_id


@dataclass(frozen=True)
class Appended:
    """A generation that now stands."""

    team: str
    gen: int
    members: tuple[str, ...]
    joined: tuple[str, ...]
    left: tuple[str, ...]
    sole_member: bool


def append_record(session: Session, *, actor: Actor, team: str, record_: Mapping[str, Any]) -> Appended:
    """Store the next generation of a team, signed by the actor: founding, joining, leaving, a new key.

    Asks for a fresh login, a certified device and a recovery way of the actor, and for a seat where somebody has one.
    Raises NotFound for a team of another pharmacy, StepUpNeeded, Forbidden, Conflict `moved-generation` with the newest
    one, BadInput, Unprocessable with the reason in `extra`.
    """
    pharmacy_id, kind = teams.pharmacy_of(session, team)
    teams.may_act(actor, pharmacy_id, kind)
    recovery.needs_own_keys(session, actor=actor)
    signed, before = _next(session, team, {**record_, "by": actor.account_id}, _heirs(session, {actor.account_id}))
    if teams.members(session, team):
        # The last record still lists those who gave up their seat since: they decide nothing while somebody else can.
        teams.members_only(session, actor, team)
    return _append(session, actor, signed, before)


def append_by_recovery(
    session: Session, *, actor: Actor, team: str, record_: Mapping[str, Any], account_id: str
) -> Appended:
    """Store a generation that the pharmacy's recovery key signed: it lists that key and one person, nobody else.

    That two people have said so is the caller's business (recovery_acts). Signed by the newest identity of the
    recovery only, so that sheets which were replaced do nothing, and those made without the ones before nothing until a
    member has listed them. Raises as `append_record`, and Unprocessable `recovery-roster`.
    """
    pharmacy_id, kind = teams.pharmacy_of(session, team)
    teams.fitting(session, account_id, pharmacy_id, kind)
    recovery_ = recovery_id(pharmacy_id)
    chain = directory.chains(session, [recovery_]).get(recovery_, [])
    newest = directory.newest_identity(chain)
    raw = {**record_, "by": recovery_}
    signed, before = _next(session, team, raw, lambda _, who: [keys for keys in heirs(chain, who) if keys in newest])
    if {member.id for member in signed.members} != {recovery_, account_id}:
        raise Unprocessable("recovery-roster")
    if teams.seats_of(session, account_id).get(team) is teams.State.LEAVING:
        # Started again while a colleague still sat there: the old seat ends with this generation, a new one begins.
        teams.move(session, pharmacy_id, kind, account_id, teams.Event.UNLISTED, actor)
    return _append(session, actor, signed, before)


def _next(
    session: Session, team: str, raw: Mapping[str, Any], identities_of: IdentitiesOf
) -> tuple[SignedRecord, SignedRecord | None]:
    """The verified next generation in `raw`, and the one before it."""
    with answering_refusals():
        wanted = read_team(raw)
    stored = team_records.stored(session, [team], lock=True)
    if wanted.gen != len(stored) + 1:
        raise Conflict("moved-generation", extra={"gen": len(stored)})
    earlier = team_records.verified(session, stored)
    with answering_refusals():
        signed = verify_next(raw, earlier, identities_of)
    if signed.id != team:
        raise Unprocessable("refused", extra={"reason": "chain"})
    return signed, earlier[-1] if earlier else None


def _append(session: Session, actor: Actor, signed: SignedRecord, before: SignedRecord | None) -> Appended:
    pharmacy_id, kind = teams.pharmacy_of(session, signed.id)
    _check_roster(session, signed, pharmacy_id, kind)
    with first_wins(session, "moved-generation"):
        session.add(
            TeamRecord(
                team_id=signed.id,
                gen=signed.gen,
                pharmacy_id=pharmacy_id,
                signer=signed.by,
                record=signed.to_json(),
                created_at=clock.now(),
            )
        )
    return _follow(session, actor, signed, before, pharmacy_id, kind)


def _check_roster(session: Session, signed: SignedRecord, pharmacy_id: str, kind: TeamKind) -> None:
    listed = {member.id: member.role for member in signed.members}
    # Locked, so that nobody is listed whose account is closed at the same moment.
    rows = select(Account).where(Account.id.in_(list(listed))).order_by(Account.id).with_for_update(read=True)
    accounts = {row.id: row for row in session.scalars(rows.execution_options(populate_existing=True))}
    keyed = directory.have_keys(session, listed)
    gone = set(
        session.scalars(
            select(TeamSeat.account_id).where(
                TeamSeat.pharmacy_id == pharmacy_id, TeamSeat.kind == kind, TeamSeat.state == teams.State.LEAVING
            )
        )
    )
    untouched = ahead.waiting(session, listed)
    for id, role in listed.items():
        if role is RecordRole.SERVICE:
            # The pharmacy's recovery key: the record's own checks have settled whose it is.
            if id not in keyed:
                raise Unprocessable("member-without-keys", extra={"account": id})
            continue
        account = accounts.get(id)
        if account is None or account.pharmacy_id != pharmacy_id or Role(account.role) not in teams.ROLES[kind]:
            raise Unprocessable("team-not-for-role")
        if role.value != role_in_records(Role(account.role)):
            raise BadInput("form", extra={"field": "members"})
        if not teams.can_sit(account) or id in gone:
            raise Unprocessable("member-leaves", extra={"account": id})
        made = untouched.get(id)
        if made is not None and made.over(listed):
            raise Unprocessable("ahead-over", extra={"account": id})
        if id not in keyed:
            raise Unprocessable("member-without-keys", extra={"account": id})
    known = directory.chains(session, listed)
    if not all(still(known[member.id], member.who) for member in signed.members):
        # Nobody could speak for the team, or sign for it, who is listed by other keys than the present ones.
        raise Unprocessable("refused", extra={"reason": Reason.MEMBER_KEY.value})


def _follow(
    session: Session,
    actor: Actor,
    signed: SignedRecord,
    before: SignedRecord | None,
    pharmacy_id: str,
    kind: TeamKind,
) -> Appended:
    was, now = _people(before), _people(signed)
    for id in sorted(now):
        teams.move(session, pharmacy_id, kind, id, teams.Event.LISTED, actor)
    for id in sorted(was - now):
        teams.move(session, pharmacy_id, kind, id, teams.Event.UNLISTED, actor)
    joined, left = tuple(sorted(now - was)), tuple(sorted(was - now))
    if before is None:
        teams.note(session, actor, Action.TEAM_FOUNDED, signed.id, pharmacy_id, {"gen": 1})
    for action, people in ((Action.TEAM_JOINED, joined), (Action.TEAM_LEFT, left)):
        for id in people:
            teams.note(session, actor, action, signed.id, pharmacy_id, {"gen": signed.gen, "account": id})
    recovery_ = recovery_id(pharmacy_id)
    if signed.lists(recovery_) != (before is not None and before.lists(recovery_)):
        action = Action.TEAM_JOINED if signed.lists(recovery_) else Action.TEAM_LEFT
        teams.note(session, actor, action, signed.id, pharmacy_id, {"gen": signed.gen, "recovery": recovery_})
    if before is not None and not joined and not left:
        teams.note(session, actor, Action.KEY_ROTATED, signed.id, pharmacy_id, {"gen": signed.gen})
    return Appended(
        signed.id, signed.gen, tuple(sorted(now)), joined, left, sole_member=len(teams.who_came(session, now)) == 1
    )


def _people(signed: SignedRecord | None) -> set[str]:
    """Who has a seat by a record: everybody listed but the recovery key, which is nobody."""
    listed = signed.members if signed is not None else ()
    return {member.id for member in listed if member.role is not RecordRole.SERVICE}


def _heirs(session: Session, accounts: set[str]) -> IdentitiesOf:
    known = directory.chains(session, accounts)
    return lambda user, who: heirs(known.get(user, []), who)
