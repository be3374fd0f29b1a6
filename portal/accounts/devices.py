"""Devices of a person: certified by the person's identity, bound to sessions, ended by the person.

The server keeps for each device a share, half of the key over the seeds in that browser: a copied browser profile opens
nothing without a session, and nothing at all once the device is ended (docs/protocol.md section 2).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from portal.accounts import directory, notices, policy, stops, vault
from portal.accounts.actor import Actor
from portal.accounts.forms import answering_refusals, clean_name, text_of_bytes, wrong
from portal.accounts.notices import What
from portal.accounts.on_record import note_keys
from portal.accounts.tables import Device, DeviceGuard
from portal.audit import Action, Entity
from portal.core import clock, ids
from portal.core.bus import Bus
from portal.core.errors import Conflict, Forbidden, NotFound, Unprocessable
from portal.core.lives import Life, Step
from portal.core.secrets_box import CannotOpen, SecretsBox
from portal.e2ee import certificates, form
from portal.e2ee.certificates import VerifiedDevice
from portal.e2ee.directory import Entry, identity_entry
from portal.e2ee.encoding import b64, sha256, unb64
from portal.e2ee.guard import AUTH_BYTES, SHARE_BYTES, Method
from portal.e2ee.hybrid import IdentityKeys
from portal.e2ee.reasons import Reason, Refused
from portal.identity import session_rows, sessions
from portal.identity.session_life import EndedBy
from portal.outbox import enqueue

SHARE_PURPOSE = "device share"
MOST_DEVICES = 20


class State(StrEnum):
    """Where the key of a device stands. `stale`: certified by an identity the person has since replaced."""

    ACTIVE = "active"
    STALE = "stale"
    ENDED = "ended"


class Event(StrEnum):
    """What happens to the key of a device."""

    CERTIFIED = "certified"
    NEW_IDENTITY = "new identity"
    ENDED = "ended by its owner"


LIFE: Life[State, Event] = Life(
    "device key",
    (
        Step(None, Event.CERTIFIED, State.ACTIVE),
        Step(State.ACTIVE, Event.CERTIFIED, State.ACTIVE),
        Step(State.ACTIVE, Event.NEW_IDENTITY, State.STALE),
        Step(State.STALE, Event.CERTIFIED, State.ACTIVE),
        Step(State.STALE, Event.NEW_IDENTITY, State.STALE),
        Step(State.ACTIVE, Event.ENDED, State.ENDED),
        Step(State.STALE, Event.ENDED, State.ENDED),
    ),
)


@dataclass(frozen=True)
class Given:
    """A device and the share that only its own session gets; None for a session on another device."""

    device: str
    share: bytes | None


@dataclass(frozen=True)
class GuardShare:
    """The server's part of a guard, as the browser drew it (docs/protocol.md section 2, "Shared devices")."""

    method: Method
    share: bytes
    # What has to be shown for it.
    auth: bytes


def share_box(secret_keys: Sequence[str]) -> SecretsBox:
    """What seals shares at rest (`Settings.secret_keys`)."""
    return SecretsBox(secret_keys, SHARE_PURPOSE)


def enrol(
    session: Session,
    *,
    actor: Actor,
    entry: dict[str, Any],
    certificate: dict[str, Any],
    sealed: dict[str, Any],
    name: str,
    box: SecretsBox,
    guard: GuardShare | None = None,
) -> Given:
    """The actor's first keys, in one act: first entry, first device, first vault; the session is bound to the device.

    With a `guard` the device is shared; what is given is then the share for the time of this session.

    Raises Conflict `already-enrolled`, BadInput, Unprocessable.
    """
    first = directory.add_first(session, actor=actor, entry=entry)
    vault.put(session, actor=actor, rev=1, vault=sealed)
    return _certify(session, actor, [first], certificate, name, box, guard)


def add(
    session: Session,
    *,
    actor: Actor,
    certificate: dict[str, Any],
    name: str,
    box: SecretsBox,
    guard: GuardShare | None = None,
) -> Given:
    """One more device of the actor, or an own living device certified anew by a new identity (same key, same share).

    Asks for a fresh login. Binds the session to a new device. Certificates are public, so one of a known device gives
    neither session nor share: these take a signature over the session's challenge (`bind`). `guard` as in `enrol`.
    Raises StepUpNeeded, Conflict, BadInput, Unprocessable.
    """
    policy.needs_step_up(actor)
    chain = directory.chains(session, [actor.account_id]).get(actor.account_id)
    if not chain:
        raise Conflict("not-enrolled")
    given = _certify(session, actor, chain, certificate, name, box, guard)
    notices.tell(session, actor, What.DEVICE_ADDED)
    return given


def bind(
    session: Session, *, actor: Actor, device_id: str, signature: str, challenge: str | None, box: SecretsBox
) -> Given:
    """Bind the session to a device that signs the session's challenge: only then is the share handed over.

    Raises NotFound for a foreign, ended or unknown device, Forbidden `device-stale`, BadInput, Unprocessable, Conflict
    `share-gone` when the operator's key that sealed the share is gone, `guard-needed` for a shared device.
    """
    row = living(session, actor, device_id)
    if row.shared:
        raise Conflict("guard-needed")
    if actor.agent.session_ref is None:
        raise NotFound()
    require_proof(session, actor, row, challenge, signature)
    share = _open_share(row, box)
    row.seen_at = clock.now()
    sessions.bind_device(session, actor.agent.session_ref, device_id)
    note_keys(session, actor=actor, action=Action.KEY_DEVICE_BOUND, entity=Entity("Device", device_id))
    return Given(device_id, share)


def living(session: Session, actor: Actor, device_id: str) -> Device:
    """The row of an own device that was not ended, locked: one that is being ended takes no session any more.

    Raises NotFound.
    """
    row = session.get(Device, device_id, with_for_update=True)
    if row is None or row.account_id != actor.account_id or row.ended_at is not None:
        raise NotFound()
    return row


def has_shared(session: Session, account_id: str) -> bool:
    """Whether one of a person's living devices is one that others use too."""
    mine = select(Device.id).where(Device.account_id == account_id, Device.shared, Device.ended_at.is_(None))
    return session.scalar(mine.limit(1)) is not None


def require_proof(session: Session, actor: Actor, row: Device, challenge: str | None, signature: str) -> None:
    """The device signs the session's challenge. Raises Forbidden `device-stale`, BadInput, Unprocessable."""
    device = verified(session, row)
    if device is None:
        raise Forbidden("device-stale")
    if challenge is None:
        raise Forbidden("no-challenge")
    stops.needs_later_login(actor, stops.standing(session, actor.account_id))
    with answering_refusals():
        certificates.verify_session(device, unb64(challenge), signature)


def rename(session: Session, *, actor: Actor, device_id: str, name: str) -> None:
    """Give an own living device the name its owner knows it by; nobody else sees it. Raises NotFound, BadInput."""
    cleaned = clean_name(name, "name")
    living(session, actor, device_id).name = cleaned
    note_keys(session, actor=actor, action=Action.KEY_DEVICE_RENAMED, entity=Entity("Device", device_id))


def end(session: Session, *, actor: Actor, device_id: str, revocation: dict[str, Any], bus: Bus) -> None:
    """End an own device: its share goes, its sessions end, the revocation is shown to everybody from now on.

    Asks for a fresh login. Raises StepUpNeeded, NotFound, BadInput, Unprocessable.
    """
    policy.needs_step_up(actor)
    stops.hold(session, actor.account_id)
    row = living(session, actor, device_id)
    chain = directory.chains(session, [actor.account_id])[actor.account_id]
    with answering_refusals():
        certificates.verify_revocation(revocation, actor.account_id, device_id, directory.newest_identity(chain))
    row.revocation = {"h": revocation["h"], "sig": revocation["sig"]}
    _end(session, actor, row)
    for other in session_rows.own(session, actor.account_id):
        if other.device_id == device_id:
            sessions.end(session, bus, other, EndedBy.PERSON, agent=actor.agent)
    enqueue(session, directory.CHANGED_JOB, {"account": actor.account_id, "what": "device-ended"})


def end_unsigned(session: Session, *, actor: Actor, device_id: str, bus: Bus) -> None:
    """End an own shared device whose keys nobody can open any more, without a revocation: sessions on it end but the
    actor's, which is on no device from now on. The caller has asked policy. Raises NotFound."""
    _end(session, actor, living(session, actor, device_id))
    for other in session_rows.own(session, actor.account_id):
        if other.device_id == device_id and other.ref != actor.agent.session_ref:
            sessions.end(session, bus, other, EndedBy.PERSON, agent=actor.agent)
    if actor.agent.session_ref is not None:
        sessions.unbind_device(session, actor.agent.session_ref)


def _end(session: Session, actor: Actor, row: Device) -> None:
    row.ended_at, row.share = clock.now(), None
    session.execute(update(DeviceGuard).where(DeviceGuard.device_id == row.id).values(share=None))
    note_keys(session, actor=actor, action=Action.KEY_DEVICE_ENDED, entity=Entity("Device", row.id))
    notices.tell(session, actor, What.DEVICE_ENDED)


@dataclass(frozen=True)
class OwnDevice:
    """A device as its owner sees it."""

    id: str
    name: str
    shared: bool
    state: State
    certificate: dict[str, Any]
    revocation: dict[str, Any] | None
    created_at: datetime
    seen_at: datetime
    ended_at: datetime | None
    current: bool


def own(session: Session, *, actor: Actor) -> list[OwnDevice]:
    """All devices of the actor, ended ones too, the oldest first."""
    chain = directory.chains(session, [actor.account_id]).get(actor.account_id, [])
    rows = session.scalars(
        select(Device).where(Device.account_id == actor.account_id).order_by(Device.created_at, Device.id)
    )
    return [
        OwnDevice(
            id=row.id,
            name=row.name,
            shared=row.shared,
            state=state_of(row, chain),
            certificate=row.certificate,
            revocation=row.revocation,
            created_at=row.created_at,
            seen_at=row.seen_at,
            ended_at=row.ended_at,
            current=row.id == actor.device_id,
        )
        for row in rows
    ]


def active(session: Session, *, actor: Actor) -> VerifiedDevice:
    """The device this session is bound to, verified under the person's newest identity: what may sign now.

    Raises Forbidden `device-needed` without one, or when it was ended or is stale.
    """
    row = session.get(Device, actor.device_id) if actor.device_id is not None else None
    device = verified(session, row) if row is not None and row.account_id == actor.account_id else None
    if row is None or row.ended_at is not None or device is None:
        raise Forbidden("device-needed")
    return device


def verified(session: Session, row: Device) -> VerifiedDevice | None:
    """The device of a row if its certificate holds under its owner's newest identity; else None."""
    chain = directory.chains(session, [row.account_id]).get(row.account_id, [])
    try:
        return certificates.verify_certificate(
            row.certificate, row.account_id, row.id, directory.newest_identity(chain)
        )
    except Refused:
        return None


class KeyRow(Protocol):
    """What of a device's row says where its key stands."""

    @property
    def ended_at(self) -> datetime | None: ...
    @property
    def signed_by(self) -> int: ...


def state_of(row: KeyRow, chain: Sequence[Entry]) -> State:
    """Where the key of a device stands, by its row and its owner's chain."""
    if row.ended_at is not None:
        return State.ENDED
    return State.ACTIVE if chain and row.signed_by >= identity_entry(chain).n else State.STALE


def _certify(
    session: Session,
    actor: Actor,
    chain: Sequence[Entry],
    certificate: dict[str, Any],
    name: str,
    box: SecretsBox,
    guard: GuardShare | None,
) -> Given:
    device = _verify(actor, certificate, directory.newest_identity(chain))
    stops.hold(session, actor.account_id)
    kept = {member: certificate[member] for member in ("h", "sig", "pop")}
    row = session.get(Device, device.dev, with_for_update=True)
    if row is not None and row.account_id == actor.account_id and row.ended_at is None and row.ed == device.ed.hex():
        row.certificate, row.signed_by = kept, chain[-1].n
        given = Given(device.dev, _open_share(row, box) if actor.device_id == device.dev and not row.shared else None)
    else:
        _refuse_used(session, actor, device, row)
        # Of a shared device this is the share for the time of the session; its own one stands in the guard.
        share = ids.random_bytes(SHARE_BYTES)
        sealed = box.seal(b64(share), actor.account_id, device.dev)
        session.add(
            Device(
                id=device.dev,
                account_id=actor.account_id,
                name=clean_name(name, "device_name"),
                ed=device.ed.hex(),
                certificate=kept,
                signed_by=chain[-1].n,
                share=None if guard is not None else sealed,
                shared=guard is not None,
                created_at=clock.now(),
                seen_at=clock.now(),
            )
        )
        if guard is not None:
            session.flush()
            keep_guard(session, actor=actor, device_id=device.dev, guard=guard, box=box)
        if actor.agent.session_ref is not None:
            sessions.bind_device(
                session, actor.agent.session_ref, device.dev, stay=sealed if guard is not None else None
            )
        given = Given(device.dev, share)
    note_keys(session, actor=actor, action=Action.KEY_DEVICE_ADDED, entity=Entity("Device", device.dev))
    return given


def keep_guard(session: Session, *, actor: Actor, device_id: str, guard: GuardShare, box: SecretsBox) -> None:
    """Store the server's part of a guard of an own shared device, a new one or another in its place."""
    if len(guard.share) != SHARE_BYTES or len(guard.auth) != AUTH_BYTES:
        wrong("guard")
    sealed = box.seal(b64(guard.share), actor.account_id, device_id, guard.method.value)
    row = session.get(DeviceGuard, (device_id, guard.method.value), with_for_update=True)
    if row is None:
        row = DeviceGuard(device_id=device_id, method=guard.method.value)
        session.add(row)
    row.share, row.auth_hash, row.set_at = sealed, sha256(guard.auth), clock.now()
    row.wrong = row.wrong_ever = 0
    note_keys(
        session,
        actor=actor,
        action=Action.KEY_GUARD_SET,
        entity=Entity("Device", device_id),
        detail={"method": guard.method.value},
    )


def _verify(actor: Actor, certificate: dict[str, Any], identities: list[IdentityKeys]) -> VerifiedDevice:
    with answering_refusals():
        header = unb64(certificate.get("h"))
        _, members = form.read_header(header, certificates.FORMS)
        device = certificates.verify_certificate(certificate, actor.account_id, members["dev"], identities)
    if not ids.is_id(device.dev):
        wrong("certificate")
    return device


def _refuse_used(session: Session, actor: Actor, device: VerifiedDevice, row: Device | None) -> None:
    # A device id and a key belong to one person, once (docs/protocol.md section 3).
    if row is not None or session.scalar(select(Device.id).where(Device.ed == device.ed.hex())) is not None:
        raise Unprocessable("refused", extra={"reason": Reason.CERTIFICATE.value})
    living = select(Device.id).where(Device.account_id == actor.account_id, Device.ended_at.is_(None))
    if len(session.scalars(living).all()) >= MOST_DEVICES:
        raise Conflict("too-many-devices")


def _open_share(row: Device, box: SecretsBox) -> bytes:
    try:
        if row.share is None:
            raise CannotOpen("no share")
        return text_of_bytes(box.open(row.share, row.account_id, row.id), "share", length=SHARE_BYTES)
    except CannotOpen as problem:
        raise Conflict("share-gone") from problem
