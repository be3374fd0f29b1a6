"""When a sender must first make a new epoch, and when nobody may write (docs/protocol.md sections 5 and 6).

No key is changed in the background: the next sender's browser posts epoch and message in one request. Somebody whose
account was closed or whose relation to the patient ended gets no newer epoch, and stops nobody else from writing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, bindparam, case, func, or_, select
from sqlalchemy.orm import Session

from portal.accounts import policy
from portal.accounts.actor import Actor
from portal.accounts.roles import Kind, Scope, scopes_reaching
from portal.accounts.tables import Account, Device, DirectoryEntry, Relation
from portal.core import clock
from portal.core.database import table_of
from portal.core.errors import Conflict, Unprocessable
from portal.core.together import Answers, Questions, among
from portal.e2ee.records import Role
from portal.e2ee.verify import ThreadState
from portal.pharmacies import identity_checks
from portal.pharmacies.tables import TeamRecord
from portal.pharmacies.topics import split_team_id
from portal.threads.tables import Receipt, ThreadRow


@dataclass(frozen=True)
class _Found:
    """What the server knows against the current epoch: newest generations, who started again, ended devices.

    `gone`: members in person who may not read any more, as their account was closed or their relation ended.
    """

    newest: dict[str, int]
    started_again: frozenset[str]
    checked: frozenset[str]
    ended: frozenset[str]
    gone: frozenset[str]
    somebody_cannot_read: bool


_ENTRIES = table_of(DirectoryEntry)
_TEAMS = table_of(TeamRecord)
_DEVICES = table_of(Device)
_RECEIPTS = table_of(Receipt)
_ACCOUNTS = table_of(Account)
_RELATIONS = table_of(Relation)
# What to ask of a thread, with `asked_of` as parameters; persons' entries come with whether they began by a reset.
QUESTIONS: Mapping[str, Select[Any]] = {
    "entries": select(_ENTRIES.c.id, _ENTRIES.c.gen, _ENTRIES.c.reset).where(among(_ENTRIES.c.id, "people")),
    "teams": select(_TEAMS.c.team_id, func.max(_TEAMS.c.gen))
    .where(among(_TEAMS.c.team_id, "teams"))
    .group_by(_TEAMS.c.team_id),
    "ended": select(_DEVICES.c.id).where(among(_DEVICES.c.account_id, "owners"), _DEVICES.c.revocation.is_not(None)),
    "unreadable": select(_RECEIPTS.c.account_id).where(
        _RECEIPTS.c.thread_id == bindparam("thread_id"),
        _RECEIPTS.c.kind == "unreadable",
        _RECEIPTS.c.epoch == bindparam("epoch"),
    ),
    "checks": identity_checks.QUESTION,
    "acting": select(
        _RELATIONS.c.account_id,
        case((_RELATIONS.c.kind == Kind.SELF.value, Role.PATIENT.value), else_=Role.PROXY.value),
    )
    .select_from(_RELATIONS.join(_ACCOUNTS, _ACCOUNTS.c.id == _RELATIONS.c.account_id))
    .where(
        _RELATIONS.c.patient_id == bindparam("patient_id"),
        _RELATIONS.c.starts_at <= bindparam("moment"),
        or_(_RELATIONS.c.ends_at.is_(None), _RELATIONS.c.ends_at > bindparam("moment")),
        # One by one: a list within a statement that is put into words once is no SQL that PostgreSQL reads.
        or_(*(_RELATIONS.c.scope == scope for scope in scopes_reaching(Scope.MESSAGES))),
        _ACCOUNTS.c.disabled_at.is_(None),
    ),
}
_ALONE = Questions(**QUESTIONS)


def demand(answers: Answers, *, actor: Actor, thread: ThreadRow, state: ThreadState, has_epoch: bool) -> None:
    """Raises Conflict `reset` or `rekey` when the current epoch may not be written under any more.

    `reset`: a member started again after the current epoch; who may vouch for people lifts it, by an epoch, once it is
    on record how the pharmacy made sure who it is (portal/pharmacies/identity_checks.py). `rekey`
    names the ids with newer generations, the devices to revoke and the members who may not read any more, for the
    browser to build the epoch from. `answers` are those to `QUESTIONS`.
    """
    found = _found(answers, thread)
    shut = {member["id"] for member in thread.members if member.get("ended")}
    # Parted as the wrong person, and joined again since: the next epoch has them back.
    undone = {member["id"] for member in thread.members if member.get("undone")} - found.gone
    behind = [
        member["id"]
        for member in thread.members
        if member["id"] not in found.gone and found.newest.get(member["id"], 0) > member["gen"]
    ]
    started_again = [id for id in behind if id in found.started_again]
    if started_again and not (has_epoch and _may_vouch(actor, thread) and found.checked.issuperset(started_again)):
        raise Conflict("reset", extra={"members": started_again})
    if has_epoch:
        return
    revoked = sorted(found.ended - set(state.revoked))
    if behind or revoked or found.somebody_cannot_read or found.gone != shut or undone:
        back = sorted((shut | undone) - found.gone - set(behind))
        raise Conflict("rekey", extra={"members": behind + back, "revoked": revoked, "ended": sorted(found.gone)})


def complete(
    session: Session,
    *,
    actor: Actor,
    thread: ThreadRow,
    before: Sequence[Mapping[str, Any]],
    state: ThreadState,
    maker: str,
) -> None:
    """A new epoch, already in `thread` and `state`, leaves nothing of the past behind.

    `before` are the members of the epoch before it. Raises Unprocessable unless every member stands there with its
    newest generation, Conflict `rekey` when a device was ended that the chain does not name yet (docs/protocol.md
    section 3) or somebody who may not read any more could have been left out. `maker` is the device that made the
    epoch, which never names itself. Who has to stay listed without reading is marked so in the thread's members.
    """
    found = _found(_ALONE.ask(session, asked_of(thread, state.keys.values())), thread)
    was = {member["id"]: member for member in before}
    unnamed = sorted(found.ended - set(state.revoked) - {maker})
    leaves_out = actor.staff or was.get(actor.account_id, {}).get("role") == Role.PATIENT.value
    avoidable = [member["id"] for member in thread.members if member["role"] == Role.PROXY.value and leaves_out]
    if unnamed or found.gone.intersection(avoidable):
        raise Conflict("rekey", extra={"members": [], "revoked": unnamed, "ended": sorted(found.gone)})
    for member in thread.members:
        if member["id"] in found.gone and member["id"] not in was:
            raise Unprocessable("membership-policy")
        # Who is gone stands there as before: a newer key would only be for somebody who is to read nothing.
        gen = was[member["id"]]["gen"] if member["id"] in found.gone else found.newest.get(member["id"], 0)
        if gen != member["gen"]:
            raise Unprocessable("member-key")
    thread.members = [
        {**was.get(member["id"], {}), **member, "ended": True} if member["id"] in found.gone else member
        for member in thread.members
    ]


def _may_vouch(actor: Actor, thread: ThreadRow) -> bool:
    # Which of the teams the actor speaks for is checked with the record itself, against the generation it names.
    splits = [split_team_id(member["id"]) for member in thread.members if member["role"] == Role.TEAM.value]
    return policy.may_vouch(actor, team_kinds={split[1].value for split in splits if split is not None})


def asked_of(thread: ThreadRow | None, speakers: Iterable[str]) -> dict[str, Any]:
    """The parameters of `QUESTIONS`. Devices are looked up of the members in person and of all who have spoken."""
    members = thread.members if thread is not None else []
    people = [member["id"] for member in members if member["role"] != "team"]
    return {
        "people": people,
        "teams": [member["id"] for member in members if member["role"] == "team"],
        "owners": sorted({*people, *speakers}),
        "thread_id": thread.id if thread is not None else "",
        "epoch": thread.epoch if thread is not None else 0,
        "patient_id": thread.patient_id if thread is not None else "",
        "pharmacy_id": thread.pharmacy_id if thread is not None else "",
        "moment": clock.now(),
    }


def _resets(answers: Answers) -> set[str]:
    return {id for id, _, reset in answers["entries"] if reset}


def _found(answers: Answers, thread: ThreadRow) -> _Found:
    known = {member["id"]: member["gen"] for member in thread.members}
    newest: dict[str, int] = {str(team): gen for team, gen in answers["teams"]}
    for id, gen, _ in answers["entries"]:
        newest[id] = max(gen, newest.get(id, 0))
    return _Found(
        newest=newest,
        checked=identity_checks.passed(
            answers["checks"],
            {id: max(gen for one, gen, reset in answers["entries"] if one == id and reset) for id in _resets(answers)},
        ),
        # A reset anywhere after the epoch's generation counts, also below a later rotation.
        started_again=frozenset(id for id, gen, reset in answers["entries"] if reset and gen > known[id]),
        ended=frozenset(id for (id,) in answers["ended"]),
        gone=frozenset(
            member["id"]
            for member in thread.members
            if member["role"] != Role.TEAM.value and (member["id"], member["role"]) not in answers["acting"]
        ),
        somebody_cannot_read=bool(answers["unreadable"]),
    )
