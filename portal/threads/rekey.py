"""When a sender must first make a new epoch, and when nobody may write (docs/protocol.md section 6).

No key is changed in the background: the next sender's browser posts epoch and message in one request.
"""

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.accounts.actor import Actor
from portal.accounts.tables import Device, DirectoryEntry
from portal.core.errors import Conflict, Unprocessable
from portal.e2ee.verify import ThreadState
from portal.pharmacies.teams import newest_generations
from portal.threads.tables import Receipt, Thread


def demand(session: Session, *, actor: Actor, thread: Thread, state: ThreadState, has_epoch: bool) -> None:
    """Raises Conflict `reset` or `rekey` when the current epoch may not be written under any more.

    `reset`: a member started again after the current epoch; only staff may lift it, by an epoch they make. `rekey`
    names the ids with newer generations and the devices to revoke, for the browser to build the epoch from.
    """
    if thread.head_seq == 0:
        return
    newest = _newest_generations(session, thread)
    behind = [member for member in thread.members if newest.get(member["id"], (0, False))[0] > member["gen"]]
    started_again = [member["id"] for member in behind if newest[member["id"]][1]]
    if started_again and not (has_epoch and actor.staff):
        raise Conflict("reset", extra={"members": started_again})
    if has_epoch:
        return
    revoked = _revoked_devices(session, thread, state)
    if behind or revoked or _somebody_cannot_read(session, thread):
        raise Conflict("rekey", extra={"members": [member["id"] for member in behind], "revoked": revoked})


def newest_only(session: Session, *, thread: Thread) -> None:
    """Raises Unprocessable unless every member of the thread's epoch stands there with its newest generation."""
    newest = _newest_generations(session, thread)
    if any(newest.get(member["id"], (0, False))[0] != member["gen"] for member in thread.members):
        raise Unprocessable("member-key")


def _newest_generations(session: Session, thread: Thread) -> dict[str, tuple[int, bool]]:
    """Newest generation of each member, and whether it came by a reset."""
    people = [member["id"] for member in thread.members if member["role"] != "team"]
    teams = [member["id"] for member in thread.members if member["role"] == "team"]
    found: dict[str, tuple[int, bool]] = {}
    if people:
        rows = session.execute(
            select(DirectoryEntry.id, DirectoryEntry.gen, DirectoryEntry.reset)
            .where(DirectoryEntry.id.in_(people))
            .order_by(DirectoryEntry.n)
        )
        known = {member["id"]: member["gen"] for member in thread.members}
        for owner, gen, reset in rows:
            # A reset anywhere after the epoch's generation counts, also below a later rotation.
            earlier = found.get(owner, (0, False))[1]
            found[owner] = (gen, earlier or (reset and gen > known[owner]))
    if teams:
        found |= {team: (gen, False) for team, gen in newest_generations(session, teams).items()}
    return found


def _revoked_devices(session: Session, thread: Thread, state: ThreadState) -> list[str]:
    """Devices of members in person, and of all who have spoken, that were ended and are not yet named in the chain."""
    people = [member["id"] for member in thread.members if member["role"] != "team"]
    rows = session.scalars(
        select(Device.id).where(Device.account_id.in_({*people, *state.keys.values()}), Device.revocation.is_not(None))
    )
    return sorted(set(rows) - set(state.revoked))


def _somebody_cannot_read(session: Session, thread: Thread) -> bool:
    query = (
        select(Receipt.account_id)
        .where(Receipt.thread_id == thread.id, Receipt.kind == "unreadable", Receipt.epoch == thread.epoch)
        .limit(1)
    )
    return session.execute(query).first() is not None
