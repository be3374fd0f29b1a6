"""What the browser's half made, Python reads; what it refuses, Python refuses for the same reason.

The shapes are described in tests/vectors/rxe2ee-ts/README.md.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from portal.e2ee import franking, hpke, hybrid, objects, recovery
from portal.e2ee import open as opening
from portal.e2ee.attachments import FileFacts, open_file
from portal.e2ee.certificates import VerifiedDevice, verify_certificate, verify_revocation, verify_session
from portal.e2ee.directory import Pin, SignedEntry, resets_since, verify_chain
from portal.e2ee.encoding import b64, sha256, unb64
from portal.e2ee.hybrid import IdentityKeys
from portal.e2ee.objects import ObjectName, RootKind
from portal.e2ee.reasons import Reason, Refused
from portal.e2ee.register import Register
from portal.e2ee.safety import safety_number
from portal.e2ee.teams import TeamRecord, verify_team
from portal.e2ee.verify import Head, place_in, verify_receipt, verify_thread

FOLDER = Path(__file__).parents[2] / "vectors" / "rxe2ee-ts"

Case = Mapping[str, Any]
Outputs = dict[str, Any]


def _cases() -> list[Any]:
    found = []
    for path in sorted(FOLDER.glob("*.json")):
        whole = json.loads(path.read_text(encoding="utf-8"))
        for case in whole["cases"]:
            found.append(pytest.param(path.stem, {**whole["common"], **case}, id=f"{path.stem}: {case['name']}"))
    return found


def _pin(case: Case) -> Pin | None:
    pin = case.get("pin")
    return None if pin is None else Pin(case["id"], pin["n"], unb64(pin["hash"]))


def _keyring(case: Case) -> dict[tuple[str, int], bytes]:
    return {(key["id"], key["gen"]): unb64(key["seed"]) for key in case.get("keys", [])}


def _world(case: Case) -> Register:
    world, register = case["world"], Register()
    for id, entries in world["users"].items():
        register.add_chain(id, entries)
    for id, records in world["teams"].items():
        register.add_team(id, records)
    for dev, certificate in world["devices"].items():
        register.add_certificate(dev, certificate)
    for taken in world["revocations"]:
        register.add_revocation(taken["user"], taken["dev"], taken["revocation"])
    return register


def _require(holds: bool, reason: Reason) -> Outputs:
    if not holds:
        raise Refused(reason)
    return {}


def _identities(chain: list[SignedEntry]) -> list[IdentityKeys]:
    return [signed.entry.identity for signed in chain if signed.entry.identity]


def _hybrid(case: Case) -> Outputs:
    keys = IdentityKeys(unb64(case["ed"]), unb64(case["ml"]))
    return _require(hybrid.verify(keys, case["sig"], unb64(case["message"])), Reason.CERTIFICATE)


def _hpke(case: Case) -> Outputs:
    seed = unb64(case["seed"])
    plain = hpke.open_sealed(seed, unb64(case["info"]), unb64(case["sealed"]))
    return {"public": b64(hpke.public_of(seed)), "plain": b64(plain)}


def _directory(case: Case) -> Outputs:
    chain = verify_chain(case["id"], case["entries"], _pin(case))
    newest = chain[-1].entry
    return {"n": newest.n, "gen": newest.gen, "resets": resets_since(chain, _pin(case))}


def _prevseeds(case: Case) -> Outputs:
    chain = verify_chain(case["id"], case["entries"])
    return {"seeds": _texts(opening.walk_back_entries(chain, unb64(case["seed"])))}


def _texts(seeds: Mapping[int, bytes]) -> dict[str, str]:
    return {str(gen): b64(seed) for gen, seed in seeds.items()}


def _certificates(case: Case) -> Outputs:
    chain = verify_chain(case["user"], case["entries"])
    verify_certificate(case["certificate"], case["user"], case["dev"], _identities(chain))
    return {}


def _revocations(case: Case) -> Outputs:
    chain = verify_chain(case["user"], case["entries"])
    verify_revocation(case["revocation"], case["user"], case["dev"], _identities(chain))
    return {}


def _roots(case: Case) -> Outputs:
    entries = [signed.entry for signed in verify_chain(case["id"], case["entries"])]
    kind = RootKind(case["kind"])
    box = objects.read_root_box(case["box"], case["id"], kind, case["n"])
    place = "n" if kind is RootKind.UIK else "gen"
    entry = next(entry for entry in entries if getattr(entry, place) == case["n"])
    return {"seeds": b64(opening.open_root_box(box, unb64(case["urk"]), entry))}


def _sessions(case: Case) -> Outputs:
    device = VerifiedDevice(case["dev"], "alice", unb64(case["ed"]), None)
    verify_session(device, unb64(case["challenge"]), case["sig"])
    return {}


def _safety(case: Case) -> Outputs:
    number = safety_number(*(unb64(header) for header in case["headers"]))
    return {"digits": number.digits, "qr": number.qr_text}


def _teams(case: Case) -> Outputs:
    records = verify_team(case["id"], case["records"], _world(case).identities_of, _pin(case))
    return {"seeds": _texts(_team_seeds(case, records))} if "member" in case else {}


def _team_seeds(case: Case, records: list[TeamRecord]) -> dict[int, bytes]:
    newest = opening.open_team_wrap(records[-1], case["member"], list(_keyring(case).values()))
    return opening.walk_back(records, newest)


def _threads(case: Case) -> Outputs:
    kept = Head(case["min_head"][0], unb64(case["min_head"][1])) if case["min_head"] else None
    verified = verify_thread(case["thread"], case["records"], _world(case), kept)
    if verified.refusal is not None:
        raise verified.refusal
    reading = opening.read_thread(verified.records, _keyring(case))

    def places(shown: opening.Shown) -> list[int]:
        return [it.record.header.seq for it in reading.messages if it.shown is shown]

    return {
        "plain": [it.opened.text if it.opened else None for it in reading.messages],
        "unreadable": places(opening.Shown.UNREADABLE),
        "withheld": places(opening.Shown.WITHHELD),
        "redacted": places(opening.Shown.RETRACTED),
        "faults": {str(seq): reason.value for seq, reason in reading.faults.items()},
    }


def _reports(case: Case) -> Outputs:
    proven = franking.verify_report(case["report"], _world(case))
    return {"user": proven.header.user, "body": proven.body}


def _receipts(case: Case) -> Outputs:
    register = _world(case)
    thread = verify_thread(case["thread"], case["records"], register)
    assert thread.refusal is None
    verify_receipt(case["receipt"], case["user"], place_in(thread), register)
    return {}


def _objects(case: Case) -> Outputs:
    wanted, register = case["wanted"], _world(case)
    asked = ObjectName(wanted["owner"], wanted["kind"], wanted["id"])
    sealed = objects.verify_object(case["object"], asked, wanted["rev"], register)
    return {"content": b64(opening.open_object(sealed, unb64(case["seed"])))}


def _inbound(case: Case) -> Outputs:
    team = _world(case).teams[case["team"]]
    item = objects.read_inbound(case["item"], case["team"], case["id"], [record.entry for record in team])
    return {"content": b64(opening.open_inbound(item, unb64(case["seed"])))}


def _recovery(case: Case) -> Outputs:
    return {"urk": b64(recovery.unwrap(recovery.read_wrap(case["wrap"]), case["user"], case["secret"]))}


def _codes(case: Case) -> Outputs:
    return {"symbols": recovery.read_code(case["typed"])}


def _attachments(case: Case) -> Outputs:
    cth, key, hash = (unb64(case[name]) for name in ("cth", "key", "hash"))
    facts = FileFacts(case["thread"], case["id"], cth, key, case["size"], hash)
    return {"hash": b64(sha256(open_file(unb64(case["stored"]), facts)))}


READERS: dict[str, Callable[[Case], Outputs]] = {
    "hybrid": _hybrid,
    "hpke": _hpke,
    "directory": _directory,
    "prevseeds": _prevseeds,
    "certificates": _certificates,
    "revocations": _revocations,
    "roots": _roots,
    "sessions": _sessions,
    "safety": _safety,
    "teams": _teams,
    "threads": _threads,
    "reports": _reports,
    "receipts": _receipts,
    "objects": _objects,
    "inbound": _inbound,
    "recovery": _recovery,
    "codes": _codes,
    "attachments": _attachments,
}


EMPTY: Outputs = {"unreadable": [], "withheld": [], "redacted": [], "faults": {}}


@pytest.mark.parametrize(("file", "case"), _cases())
def test_python_judges_as_the_browser_does(file: str, case: Case) -> None:
    """Every case of every file."""
    if case["expect"] == "reject":
        with pytest.raises(Refused) as refusal:
            READERS[file](case)
        assert refusal.value.reason.value in case.get("why_any", [case.get("why")])
        return
    outputs = READERS[file](case)
    for name, value in outputs.items():
        expected = case.get(name, EMPTY.get(name))
        if expected is not None:
            assert value == expected, name
