"""A member's own keys: into the portal's vault, out of it again by the root key, and a session bound to a device."""

from collections.abc import Mapping, Sequence
from typing import Any

from portal.connector.client import PortalClient
from portal.core import clock
from portal.e2ee import seal
from portal.e2ee.directory import Entry, identity_entry, verify_chain
from portal.e2ee.encoding import b64, unb64
from portal.e2ee.identity import Device, EncryptionKey, Identity, Person
from portal.e2ee.objects import RootKind, read_root_box
from portal.e2ee.open import open_root_box, walk_back_entries
from portal.e2ee.reasons import Reason, Refused


def bind(client: PortalClient, device: Device) -> None:
    """Bind the client's session to a certified device, by its signature over the session's challenge."""
    client.forget_session()
    challenge = client.session()["device_challenge"]
    signature = seal.session_signature(device, unb64(challenge))
    client.post("/api/keys/devices/bind", {"device": device.dev, "sig": b64(signature)})
    client.forget_session()


def first_vault(person: Person) -> dict[str, Any]:
    """The vault of fresh keys: identity and encryption key in root boxes (docs/protocol.md section 8)."""
    moment = clock.now_ms()
    boxes = [
        seal.seal_root_box(person.urk, person.id, RootKind.UIK, 1, person.identity.seeds, moment),
        seal.seal_root_box(person.urk, person.id, RootKind.PUK, person.key.gen, person.key.seed, moment),
    ]
    return {"user": person.id, "rev": 1, "boxes": [box.to_json() for box in boxes]}


def restored(account: str, urk: bytes, me: Mapping[str, Any], device: Device) -> Person:
    """A person on `device`: identity and all encryption keys, out of the vault in GET /api/keys/me. Raises Refused."""
    chain = verify_chain(me["entries"], id=account)
    if not chain or me["vault"] is None:
        raise Refused(Reason.OBJECT)
    boxes = me["vault"]["vault"].get("boxes", [])
    entries = [signed.entry for signed in chain]
    introduced = identity_entry(entries)
    identity = Identity.from_seeds(_opened(boxes, account, RootKind.UIK, introduced.n, urk, introduced))
    newest = _opened(boxes, account, RootKind.PUK, entries[-1].gen, urk, entries[-1])
    seeds = walk_back_entries(chain, newest)
    keys = [EncryptionKey(gen, seeds[gen]) for gen in sorted(seeds)]
    return Person(account, urk, identity, keys, device)


def _opened(boxes: Sequence[Any], account: str, kind: RootKind, n: int, urk: bytes, entry: Entry) -> bytes:
    for box in boxes:
        try:
            found = read_root_box(box, account, kind, n)
        except Refused as problem:
            if problem.reason is Reason.OBJECT:
                continue
            raise
        return open_root_box(found, urk, entry)
    raise Refused(Reason.OBJECT)
