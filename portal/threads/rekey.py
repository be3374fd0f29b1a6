"""When a sender must first make a new epoch, and when nobody may write (docs/protocol.md section 6).

No key is changed in the background: the next sender's browser posts epoch and message in one request.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import CompoundSelect, Table, bindparam, func, literal, null, select, union_all
from sqlalchemy.orm import Session

from portal.accounts.actor import Actor
from portal.accounts.tables import Device, DirectoryEntry
from portal.core.errors import Conflict, Unprocessable
from portal.e2ee.verify import ThreadState
from portal.pharmacies.tables import TeamRecord
from portal.threads.tables import Receipt, Thread


@dataclass(frozen=True)
class _Found:
    """What the server knows against the current epoch: newest generations, who started again, ended devices."""

    newest: dict[str, int]
    started_again: frozenset[str]
    ended: frozenset[str]
    somebody_cannot_read: bool


_ENTRIES: Table = DirectoryEntry.__table__  # type: ignore[assignment]
_TEAMS: Table = TeamRecord.__table__  # type: ignore[assignment]
_DEVICES: Table = Device.__table__  # type: ignore[assignment]
_RECEIPTS: Table = Receipt.__table__  # type: ignore[assignment]
# One statement for every send. Persons' entries come with their generation and whether it began by a reset.
_QUERY: CompoundSelect[Any] = union_all(
    select(literal("entry").label("what"), _ENTRIES.c.id, _ENTRIES.c.gen, _ENTRIES.c.reset).where(
        _ENTRIES.c.id.in_(bindparam("people", expanding=True))
    ),
    select(literal("team"), _TEAMS.c.team_id, func.max(_TEAMS.c.gen), null())
    .where(_TEAMS.c.team_id.in_(bindparam("teams", expanding=True)))
    .group_by(_TEAMS.c.team_id),
    select(literal("ended"), _DEVICES.c.id, null(), null()).where(
        _DEVICES.c.account_id.in_(bindparam("owners", expanding=True)), _DEVICES.c.revocation.is_not(None)
    ),
    select(literal("unreadable"), _RECEIPTS.c.account_id, null(), null()).where(
        _RECEIPTS.c.thread_id == bindparam("thread_id"),
        _RECEIPTS.c.kind == "unreadable",
        _RECEIPTS.c.epoch == bindparam("epoch"),
    ),
)


def demand(session: Session, *, actor: Actor, thread: Thread, state: ThreadState, has_epoch: bool) -> None:
    """Raises Conflict `reset` or `rekey` when the current epoch may not be written under any more.

    `reset`: a member started again after the current epoch; only staff may lift it, by an epoch they make. `rekey`
    names the ids with newer generations and the devices to revoke, for the browser to build the epoch from.
    """
    if thread.head_seq == 0:
        return
    found = _look(session, thread, state.keys.values())
    behind = [member["id"] for member in thread.members if found.newest.get(member["id"], 0) > member["gen"]]
    started_again = [id for id in behind if id in found.started_again]
    if started_again and not (has_epoch and actor.staff):
        raise Conflict("reset", extra={"members": started_again})
    if has_epoch:
        return
    revoked = sorted(found.ended - set(state.revoked))
    if behind or revoked or found.somebody_cannot_read:
        raise Conflict("rekey", extra={"members": behind, "revoked": revoked})


def complete(session: Session, *, thread: Thread, state: ThreadState, maker: str) -> None:
    """A new epoch, already in `thread` and `state`, leaves nothing of the past behind.

    Raises Unprocessable unless every member stands there with its newest generation, Conflict `rekey` when a device
    was ended that the chain does not name yet (docs/protocol.md section 3). `maker` is the device that made the epoch,
    which never names itself.
    """
    found = _look(session, thread, state.keys.values())
    if any(found.newest.get(member["id"], 0) != member["gen"] for member in thread.members):
        raise Unprocessable("member-key")
    if unnamed := sorted(found.ended - set(state.revoked) - {maker}):
        raise Conflict("rekey", extra={"members": [], "revoked": unnamed})


def _look(session: Session, thread: Thread, speakers: Iterable[str]) -> _Found:
    """Devices are looked up of the members in person and of all who have spoken."""
    known = {member["id"]: member["gen"] for member in thread.members}
    people = [member["id"] for member in thread.members if member["role"] != "team"]
    rows = session.execute(
        _QUERY,
        {
            "people": people,
            "teams": [member["id"] for member in thread.members if member["role"] == "team"],
            "owners": sorted({*people, *speakers}),
            "thread_id": thread.id,
            "epoch": thread.epoch,
        },
    ).all()
    newest: dict[str, int] = {}
    for what, id, gen, _ in rows:
        if what in ("entry", "team"):
            newest[id] = max(gen, newest.get(id, 0))
    return _Found(
        newest=newest,
        # A reset anywhere after the epoch's generation counts, also below a later rotation.
        started_again=frozenset(id for what, id, gen, reset in rows if what == "entry" and reset and gen > known[id]),
        ended=frozenset(id for what, id, _, _ in rows if what == "ended"),
        somebody_cannot_read=any(what == "unreadable" for what, *_ in rows),
    )
