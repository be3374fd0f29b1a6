"""One's own keys over JSON: first keys, devices, vault, recovery ways. The server can open none of it."""

from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, jsonify, request
from sqlalchemy.orm import Session

from portal.accounts import ahead, devices, directory, offers, recovery, stops, vault
from portal.accounts.devices import Given, GuardShare, OwnDevice
from portal.core import ids
from portal.core.errors import NotFound
from portal.core.secrets_box import SecretsBox
from portal.e2ee.encoding import b64
from portal.e2ee.recovery import Method
from portal.identity import flask_session
from portal.pharmacies import teams
from portal.web.acting import current_actor
from portal.web.api.guards import read_share
from portal.web.api.teams import ahead_json
from portal.web.auth import browser
from portal.web.json import Nothing, stamp, takes
from portal.web.wiring import services

blueprint = Blueprint("keys", __name__, url_prefix="/api/keys")


@dataclass(frozen=True)
class Guard:
    """The server's part of what opens a shared device (docs/protocol.md section 2)."""

    method: str
    share: str
    auth: str


@dataclass(frozen=True)
class Enrolment:
    """First keys: entry, device certificate and vault together."""

    entry: dict[str, Any]
    certificate: dict[str, Any]
    vault: dict[str, Any]
    device_name: str
    # Of a device that others use too.
    guard: Guard | None = None


@dataclass(frozen=True)
class NewDevice:
    """A device the person certifies."""

    certificate: dict[str, Any]
    name: str
    guard: Guard | None = None


@dataclass(frozen=True)
class Binding:
    """A device's signature over the challenge of this session."""

    device: str
    sig: str


@dataclass(frozen=True)
class DeviceName:
    """By which its owner knows a device."""

    name: str


@dataclass(frozen=True)
class DeviceEnd:
    """A signed revocation."""

    revocation: dict[str, Any]


@dataclass(frozen=True)
class NextEntry:
    """A new generation, identity or reset, and the vault with its seeds."""

    entry: dict[str, Any]
    vault: dict[str, Any]
    rev: int


@dataclass(frozen=True)
class NextVault:
    """The vault as revision `rev`."""

    rev: int
    vault: dict[str, Any]


@dataclass(frozen=True)
class Wrap:
    """The root key wrapped under one recovery way; a passkey has a name."""

    wrap: dict[str, Any]
    name: str | None = None


@dataclass(frozen=True)
class NewOffer:
    """The root key under a code that this device shows to another one, and the name only that code gives."""

    name: str
    wrap: dict[str, Any]


@dataclass(frozen=True)
class Taking:
    """The name of the offer whose code was read."""

    name: str


@blueprint.get("/me")
def me() -> Response:
    """Everything the person's own browser needs of the own keys; `vault=0` leaves out the vault and its audit row."""
    actor = current_actor()
    with services().database.transaction() as session:
        kept = vault.read(session, actor=actor) if request.args.get("vault") != "0" else None
        stop = stops.standing(session, actor.account_id)
        answer = {
            "entries": directory.own_entries(session, actor.account_id),
            "devices": [_device(one) for one in devices.own(session, actor=actor)],
            "vault": None if kept is None else {"rev": kept.rev, "vault": kept.vault},
            "recovery": [
                {
                    "id": way.id,
                    "method": way.method.value,
                    "name": way.name,
                    "set_at": stamp(way.set_at),
                    "tried_at": stamp(way.tried_at),
                }
                for way in recovery.ways(session, actor.account_id)
            ],
            "stopped": None if stop is None else {"at": stamp(stop.at), "ends_at": stamp(stop.ends_at)},
            "teams": [
                {"team": team, "state": state.value}
                for team, state in sorted(teams.seats_of(session, actor.account_id).items())
            ],
        }
    return jsonify(answer)


@blueprint.post("/enrol")
@takes(Enrolment)
def enrol(new: Enrolment) -> tuple[Response, int]:
    """Make the first keys of this person known; binds the session to the device."""
    with services().database.transaction() as session:
        given = devices.enrol(
            session,
            actor=current_actor(),
            entry=new.entry,
            certificate=new.certificate,
            sealed=new.vault,
            name=new.device_name,
            box=_box(),
            guard=_guard(new.guard),
        )
        here = _seat(session, new.guard)
    return _given(given, here), 201


@blueprint.post("/devices")
@takes(NewDevice)
def add_device(new: NewDevice) -> tuple[Response, int]:
    """Certify one more device, after a fresh login."""
    with services().database.transaction() as session:
        given = devices.add(
            session,
            actor=current_actor(),
            certificate=new.certificate,
            name=new.name,
            box=_box(),
            guard=_guard(new.guard),
        )
        here = _seat(session, new.guard)
    _tell("device-added")
    return _given(given, here), 201


@blueprint.post("/devices/bind")
@takes(Binding)
def bind_device(binding: Binding) -> Response:
    """Bind this session to a device; gives the device's share."""
    challenge = flask_session.require_login().device_challenge
    with services().database.transaction() as session:
        given = devices.bind(
            session,
            actor=current_actor(),
            device_id=binding.device,
            signature=binding.sig,
            challenge=challenge,
            box=_box(),
        )
    return _given(given)


@blueprint.put("/devices/<device_id>/name")
@takes(DeviceName)
def rename_device(new: DeviceName, device_id: str) -> tuple[str, int]:
    """Give an own device another name."""
    with services().database.transaction() as session:
        devices.rename(session, actor=current_actor(), device_id=device_id, name=new.name)
    return "", 204


@blueprint.post("/devices/<device_id>/end")
@takes(DeviceEnd)
def end_device(end: DeviceEnd, device_id: str) -> tuple[str, int]:
    """End a device, after a fresh login: its sessions end too."""
    with services().database.transaction() as session:
        devices.end(
            session,
            actor=current_actor(),
            device_id=device_id,
            revocation=end.revocation,
            bus=services().bus,
        )
    _tell("device-ended")
    return "", 204


@blueprint.post("/entries")
@takes(NextEntry)
def add_entry(new: NextEntry) -> tuple[Response, int]:
    """Store the next entry of the person's chain, after a fresh login. Who starts again has to be let in anew."""
    actor = current_actor()
    with services().database.transaction() as session:
        entry = directory.add_next(session, actor=actor, entry=new.entry, sealed=new.vault, rev=new.rev)
        left = teams.started_again(session, actor=actor) if entry.reset else {}
    for team, members in left.items():
        teams.tell(services().bus, team, {*members, actor.account_id})
    _tell("reset" if entry.reset else "entry")
    return jsonify(n=entry.n, gen=entry.gen), 201


@blueprint.put("/vault")
@takes(NextVault)
def put_vault(new: NextVault) -> Response:
    """Replace the vault, if `rev` follows the one that is there."""
    with services().database.transaction() as session:
        rev = vault.replace(session, actor=current_actor(), rev=new.rev, vault=new.vault)
    return jsonify(rev=rev)


@blueprint.get("/recovery")
def read_recovery() -> Response:
    """The wraps of the root key, within five minutes of a login."""
    actor = current_actor()
    with services().database.transaction() as session:
        wraps = recovery.read_wraps(session, actor=actor, reads_per_day=services().settings.recovery_reads_per_day)
        made = ahead.own(session, actor=actor)
    if actor.device_id is None:
        _tell("recovery-read")
    return jsonify(wraps=wraps, ahead=ahead_json(made))


@blueprint.post("/recovery/confirm")
@takes(Nothing)
def confirm_recovery(_: Nothing) -> tuple[str, int]:
    """A certified session says that the person's other browser may go on asking for the wraps."""
    with services().database.transaction() as session:
        recovery.confirm_reads(session, actor=current_actor())
    return "", 204


@blueprint.put("/recovery/<way>")
@takes(Wrap)
def set_recovery(new: Wrap, way: str) -> tuple[str, int]:
    """Set a recovery way; a change asks for a fresh login."""
    with services().database.transaction() as session:
        recovery.set_way(session, actor=current_actor(), way=_way(way), wrap=new.wrap, name=new.name)
    _tell("recovery-set")
    return "", 204


@blueprint.delete("/recovery/<way>")
def remove_recovery(way: str) -> tuple[str, int]:
    """Take a recovery way away, after a fresh login; never the last one."""
    with services().database.transaction() as session:
        recovery.remove_way(session, actor=current_actor(), way=_way(way))
    _tell("recovery-removed")
    return "", 204


@blueprint.post("/recovery/<way>/tried")
@takes(Nothing)
def tried_recovery(_: Nothing, way: str) -> tuple[str, int]:
    """Note that the person tried a way out and it opened."""
    with services().database.transaction() as session:
        recovery.tried(session, actor=current_actor(), way=_way(way))
    return "", 204


@blueprint.put("/offer")
@takes(NewOffer)
def make_offer(new: NewOffer) -> Response:
    """This device offers the keys to another one, for ten minutes; after a fresh login."""
    with services().database.transaction() as session:
        until = offers.make(session, actor=current_actor(), name=new.name, wrap=new.wrap)
    return jsonify(until=stamp(until))


@blueprint.get("/offer")
def read_offer() -> Response:
    """Where the offer of this person's devices stands."""
    with services().database.reading() as session:
        found = offers.standing(session, actor=current_actor())
    if found is None:
        raise NotFound()
    return jsonify(state=found.state.value, until=stamp(found.until), browser=found.browser)


@blueprint.delete("/offer")
def end_offer() -> tuple[str, int]:
    """Take the offer back."""
    with services().database.transaction() as session:
        offers.end(session, actor=current_actor())
    return "", 204


@blueprint.post("/offer/take")
@takes(Taking)
def take_offer(taking: Taking) -> Response:
    """What another device of this person offers, once, to a browser without keys; after a fresh login."""
    with services().database.transaction() as session:
        wrap = offers.take(session, actor=current_actor(), name=taking.name)
    _tell("offer-taken")
    return jsonify(wrap=wrap)


def _guard(given: Guard | None) -> GuardShare | None:
    return None if given is None else read_share(given.method, given.share, given.auth)


def _way(word: str) -> str:
    # What else might come here is no way's name: nothing of it is looked for.
    if word not in (Method.CODE, Method.PASSPHRASE) and not ids.is_id(word):
        raise NotFound()
    return word


def _box() -> SecretsBox:
    return devices.share_box(services().settings.secret_keys)


def _seat(session: Session, guard: Guard | None) -> str | None:
    # Who makes a device that others use too is one of the people of this browser from then on.
    return None if guard is None else browser.seat(session, flask_session.require_login())


def _given(given: Given, here: str | None = None) -> Response:
    answer = jsonify(device=given.device, share=None if given.share is None else b64(given.share))
    return answer if here is None else browser.keep(answer, here)


def _device(one: OwnDevice) -> dict[str, Any]:
    return {
        "id": one.id,
        "name": one.name,
        "shared": one.shared,
        "state": one.state.value,
        "certificate": one.certificate,
        "revocation": one.revocation,
        "created_at": stamp(one.created_at),
        "seen_at": stamp(one.seen_at),
        "ended_at": stamp(one.ended_at),
        "current": one.current,
    }


def _tell(what: str) -> None:
    # The person's other open browsers hear at once; the mail goes by the outbox.
    account_id = current_actor().account_id
    services().bus.publish(f"account:{account_id}", {"kind": "account", "account": account_id, "keys": what})
