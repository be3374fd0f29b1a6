"""Key chains of persons: signed entries that are only ever added, and looked up for many at once.

Every entry is verified with its chain before it is stored (docs/protocol.md section 3); clients verify it again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import bindparam, delete, select
from sqlalchemy.orm import Session

from portal.accounts import notices, policy, stops, vault
from portal.accounts.actor import Actor
from portal.accounts.forms import answering_refusals, first_wins
from portal.accounts.notices import What
from portal.accounts.on_record import note_keys
from portal.accounts.tables import Account, AheadKeys, Device, DeviceOffer, DirectoryEntry, RecoveryWrap
from portal.audit import Action
from portal.core import clock
from portal.core.database import table_of
from portal.core.errors import BadInput, Conflict, Forbidden, Unprocessable
from portal.e2ee.directory import Entry, EntryRole, SignedEntry, read_entry, verify_chain
from portal.e2ee.hybrid import IdentityKeys
from portal.identity import sessions
from portal.outbox import enqueue

# The outbox job for what others do when somebody's keys change (threads that wait for them); payload {account, what}.
CHANGED_JOB = "keys.changed"


_TABLE = table_of(DirectoryEntry)
_ENTRIES = (
    select(_TABLE.c.id, _TABLE.c.entry)
    .where(_TABLE.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(_TABLE.c.id, _TABLE.c.n)
)


@dataclass(frozen=True)
class Person:
    """What others may know of a person in the directory."""

    id: str
    role: str
    pharmacy_id: str | None
    name: str
    disabled: bool
    entries: tuple[dict[str, Any], ...]
    devices: tuple["PublicDevice", ...]


@dataclass(frozen=True)
class PublicDevice:
    """A device as others see it: no name, no times of use."""

    id: str
    certificate: dict[str, Any]
    revocation: dict[str, Any] | None
    signed_by: int


def add_first(session: Session, *, actor: Actor, entry: dict[str, Any]) -> Entry:
    """Store the first entry of the actor. Raises Conflict `already-enrolled`, BadInput, Unprocessable."""
    signed = _first(session, actor.account_id, entry)
    if signed.entry.ahead is not None:
        raise BadInput("form", extra={"field": "entry"})
    _store(session, actor.account_id, signed)
    note_keys(session, actor=actor, action=Action.KEY_ENROLLED, detail=_which(signed.entry))
    return signed.entry


def add_ahead(session: Session, *, account_id: str, entry: dict[str, Any]) -> None:
    """Store the first entry of somebody else, made ahead; who may is the caller's business. Raises as `add_first`."""
    signed = _first(session, account_id, entry)
    if signed.entry.ahead is None:
        raise BadInput("form", extra={"field": "entry"})
    _store(session, account_id, signed)


def add_next(session: Session, *, actor: Actor, entry: dict[str, Any], sealed: dict[str, Any], rev: int) -> Entry:
    """Store the next entry (a new generation or identity) together with the vault that holds its seeds.

    Asks for a fresh login; but for a `reset`, for a certified device too. A reset starts again without the old
    identity: the recovery ways lead to the old keys and go, and no session is on a device any more. Who takes over
    keys that were made ahead has no device yet, and their code goes in the same way. Raises StepUpNeeded, Forbidden
    (`ahead-ended`: those keys were not taken over in time), Conflict `moved-chain` with the newest number, BadInput,
    Unprocessable.
    """
    policy.needs_step_up(actor)
    stops.hold(session, actor.account_id)
    there = [row.entry for row in _rows(session, [actor.account_id], lock=True)]
    if not there:
        raise Conflict("not-enrolled")
    with answering_refusals():
        new = read_entry(entry)
    if new.entry.n != len(there) + 1:
        raise Conflict("moved-chain", extra={"n": len(there)})
    made_ahead = session.get(AheadKeys, actor.account_id, with_for_update=True) if len(there) == 1 else None
    if actor.device_id is None and made_ahead is None and not new.entry.reset:
        raise Forbidden("device-needed")
    if made_ahead is not None and not new.entry.reset and made_ahead.ends_at <= clock.now():
        raise Forbidden("ahead-ended")
    with answering_refusals():
        signed = verify_chain(id=actor.account_id, raws=[*there, entry])[-1]
    _store(session, actor.account_id, signed)
    vault.put(session, actor=actor, rev=rev, vault=sealed)
    if made_ahead is not None:
        made_ahead.taken_at = clock.now()
    if made_ahead is not None or signed.entry.reset:
        for ways in (RecoveryWrap, DeviceOffer):
            session.execute(delete(ways).where(ways.account_id == actor.account_id))
    if signed.entry.reset:
        # The devices are the lost identity's: what asks for one asks for a device of the new identity from now on.
        sessions.unbind_devices(session, actor.account_id)
        notices.tell(session, actor, What.RESET)
    kept = Action.KEY_ENROLLED if made_ahead is not None else Action.KEY_ROTATED
    action = Action.KEY_RESET if signed.entry.reset else kept
    note_keys(session, actor=actor, action=action, detail=_which(signed.entry))
    return signed.entry


def add_recovery(session: Session, *, id: str, entry: dict[str, Any]) -> Entry:
    """Store the next entry of an organisation's recovery; who may is the caller's business.

    Raises Conflict `moved-chain` with the newest number, BadInput, Unprocessable.
    """
    there = [row.entry for row in _rows(session, [id], lock=True)]
    with answering_refusals():
        new = read_entry(entry)
    if new.entry.n != len(there) + 1:
        raise Conflict("moved-chain", extra={"n": len(there)})
    with answering_refusals():
        signed = verify_chain(id=id, raws=[*there, entry])[-1]
    _keep(session, id, EntryRole.SERVICE, signed)
    return signed.entry


def chains(session: Session, ids: Iterable[str]) -> dict[str, list[Entry]]:
    """The verified chains of many persons, oldest entry first; who has no keys is left out. One query.

    Raises Unprocessable when what is stored does not verify: then nothing may be built on it.
    """
    return {id: chain_of(id, entries) for id, entries in entries_of(session, ids).items()}


def chain_of(id: str, entries: Iterable[dict[str, Any]]) -> list[Entry]:
    """The verified chain in these entries, oldest first. Raises Unprocessable when they do not verify."""
    with answering_refusals():
        return list(_verified(id, tuple(map(_as_text, entries))))


def identities(chain: Sequence[Entry]) -> list[IdentityKeys]:
    """All identities of a chain, the newest first."""
    return list(dict.fromkeys(entry.identity for entry in reversed(chain) if entry.identity is not None))


def newest_identity(chain: Sequence[Entry]) -> list[IdentityKeys]:
    """The one identity under which certificates are accepted on append (docs/protocol.md section 3)."""
    return identities(chain)[:1]


def have_keys(session: Session, ids: Iterable[str]) -> frozenset[str]:
    """Those who have enrolled. One query."""
    return frozenset(
        session.scalars(select(DirectoryEntry.id).where(DirectoryEntry.id.in_(list(ids)), DirectoryEntry.n == 1))
    )


def generations(session: Session, ids: Iterable[str]) -> dict[str, int]:
    """The newest key generation of each person who has keys. One query, nothing verified."""
    rows = session.execute(
        select(DirectoryEntry.id, DirectoryEntry.gen)
        .where(DirectoryEntry.id.in_(list(ids)))
        .order_by(DirectoryEntry.id, DirectoryEntry.n)
    )
    return dict(rows.all())


def people(session: Session, ids: Iterable[str]) -> dict[str, Person]:
    """Persons with their entries and devices, by id. Three queries, whatever their number; policy is the caller's."""
    wanted = list(ids)
    accounts = session.scalars(select(Account).where(Account.id.in_(wanted))).all()
    entries: dict[str, list[dict[str, Any]]] = {}
    for row in _rows(session, wanted):
        entries.setdefault(row.id, []).append(row.entry)
    devices: dict[str, list[PublicDevice]] = {}
    for device in session.scalars(
        select(Device).where(Device.account_id.in_(wanted)).order_by(Device.created_at, Device.id)
    ):
        shown = PublicDevice(device.id, device.certificate, device.revocation, device.signed_by)
        devices.setdefault(device.account_id, []).append(shown)
    return {
        account.id: Person(
            id=account.id,
            role=account.role,
            pharmacy_id=account.pharmacy_id,
            name=account.display_name,
            disabled=account.disabled_at is not None,
            entries=tuple(entries.get(account.id, ())),
            devices=tuple(devices.get(account.id, ())),
        )
        for account in accounts
    }


def entries_of(session: Session, ids: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
    """The chains of some ids as they travel; who has none is left out. One query."""
    found: dict[str, list[dict[str, Any]]] = {}
    for id, entry in session.execute(_ENTRIES, {"ids": list(ids)}):
        found.setdefault(id, []).append(entry)
    return found


def own_entries(session: Session, account_id: str) -> list[dict[str, Any]]:
    """The chain of one person as it travels."""
    return [entry for _, entry in session.execute(_ENTRIES, {"ids": [account_id]})]


def _as_text(entry: dict[str, Any]) -> tuple[str, str, str | None]:
    return entry["h"], entry["sig"], entry.get("prevsig")


@lru_cache(maxsize=1024)
def _verified(id: str, texts: tuple[tuple[str, str, str | None], ...]) -> tuple[Entry, ...]:
    # A chain's verdict depends on its id and exact bytes alone, so it is found once in a process.
    raws = [{"h": h, "sig": sig, "prevsig": prevsig} for h, sig, prevsig in texts]
    return tuple(signed.entry for signed in verify_chain(id=id, raws=raws))


def _rows(session: Session, ids: list[str], *, lock: bool = False) -> list[DirectoryEntry]:
    wanted = select(DirectoryEntry).where(DirectoryEntry.id.in_(ids)).order_by(DirectoryEntry.id, DirectoryEntry.n)
    return list(session.scalars(wanted.with_for_update() if lock else wanted))


def _first(session: Session, account_id: str, entry: dict[str, Any]) -> SignedEntry:
    stops.hold(session, account_id)
    if _rows(session, [account_id]):
        raise Conflict("already-enrolled")
    with answering_refusals():
        return verify_chain(id=account_id, raws=[entry])[-1]


def _store(session: Session, account_id: str, signed: SignedEntry) -> None:
    _keep(session, account_id, EntryRole.PERSON, signed)
    what = "reset" if signed.entry.reset else "entry"
    enqueue(session, CHANGED_JOB, {"account": account_id, "what": what})


def _keep(session: Session, id: str, role: EntryRole, signed: SignedEntry) -> None:
    entry = signed.entry
    if entry.id != id or entry.role is not role:
        raise Unprocessable("refused", extra={"reason": "unknown user"})
    with first_wins(session, "already-enrolled" if entry.n == 1 else "moved-chain"):
        session.add(
            DirectoryEntry(
                id=entry.id,
                n=entry.n,
                role=entry.role.value,
                gen=entry.gen,
                kid=entry.kid.hex(),
                reset=entry.reset,
                entry=signed.to_json(),
                created_at=clock.now(),
            )
        )


def _which(entry: Entry) -> dict[str, int]:
    return {"n": entry.n, "gen": entry.gen}
