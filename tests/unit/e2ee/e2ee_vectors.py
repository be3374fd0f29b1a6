"""Runs the files of tests/vectors/rxe2ee and tests/vectors/rxe2ee-ts; their shapes are in tests/vectors/README.md."""

import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from e2ee_corpus import VECTORS, Outcome, fits, outcome_of

from portal.e2ee import attachments, directory, guard, objects, recovery, sheets, teams
from portal.e2ee import open as opening
from portal.e2ee.certificates import VerifiedDevice, verify_certificate, verify_revocation, verify_session
from portal.e2ee.encoding import b64, sha256, unb64
from portal.e2ee.franking import verify_report
from portal.e2ee.hpke import open_sealed, public_of
from portal.e2ee.hybrid import IdentityKeys
from portal.e2ee.hybrid import verify as verify_hybrid
from portal.e2ee.reasons import Reason, Refused
from portal.e2ee.register import Register
from portal.e2ee.safety import safety_number
from portal.e2ee.verify import Head, place_in, verify_receipt, verify_thread

Case = Mapping[str, Any]
Outputs = Mapping[str, Any]
FOLDERS = ("rxe2ee", "rxe2ee-ts")


@cache
def cases_of(folder: str, kind: str) -> tuple[Case, ...]:
    """The cases of one file; none if this language has no such file."""
    path = VECTORS / folder / f"{kind}.json"
    if not path.exists():
        return ()
    whole = json.loads(path.read_text(encoding="utf-8"))
    return tuple({**whole.get("common", {}), **case} for case in whole["cases"])


_worlds: dict[int, Register] = {}


def world(case: Case) -> Register:
    """The verified directory of a case; a world that does not verify is a broken vector. Cases of a file share one."""
    name = id(case["world"])
    if name not in _worlds:
        _worlds[name] = _verified(case["world"])
    return _worlds[name]


def _verified(it: Mapping[str, Any]) -> Register:
    register = Register()
    for id, entries in it.get("users", {}).items():
        register.add_chain(id, entries)
    for id, records in it.get("teams", {}).items():
        register.add_team(id, records)
    for dev, certificate in it.get("devices", {}).items():
        register.add_certificate(dev, certificate)
    for taken in it.get("revocations", []):
        register.add_revocation(taken["user"], taken["dev"], taken["revocation"])
    return register


def _pin(case: Case, id: str) -> directory.Pin | None:
    pin = case.get("pin")
    return directory.Pin(id, pin["n"], unb64(pin["hash"])) if pin else None


def _keyring(case: Case) -> dict[tuple[str, int], bytes]:
    return {(key["id"], key["gen"]): unb64(key["seed"]) for key in case.get("keys", [])}


def _chain(case: Case) -> list[directory.SignedEntry]:
    return directory.verify_chain(case["entries"], _pin(case, case["id"]), case["id"])


def _identities(case: Case) -> list[IdentityKeys]:
    chain = directory.verify_chain(case["entries"], id=case["user"])
    return [signed.entry.identity for signed in chain if signed.entry.identity]


def _hybrid(case: Case) -> Outputs:
    keys = IdentityKeys(unb64(case["ed"]), unb64(case["ml"]))
    if not verify_hybrid(keys, case["sig"], unb64(case["message"])):
        raise Refused(Reason.CERTIFICATE)
    return {}


def _hpke(case: Case) -> Outputs:
    seed = unb64(case["seed"])
    plain = open_sealed(seed, unb64(case["info"]), unb64(case["sealed"]))
    return {"public": b64(public_of(seed)), "plain": b64(plain)}


def _directory(case: Case) -> Outputs:
    chain = _chain(case)
    newest = chain[-1].entry
    resets = directory.resets_since(chain, _pin(case, case["id"]))
    return {"n": newest.n, "gen": newest.gen, "resets": resets}


def _prevseeds(case: Case) -> Outputs:
    chain = _chain(case)
    seeds = opening.walk_back_entries(chain, unb64(case["seed"]))
    return {"seeds": {str(gen): b64(seed) for gen, seed in seeds.items()}}


def _certificates(case: Case) -> Outputs:
    verify_certificate(case["certificate"], case["user"], case["dev"], _identities(case))
    return {}


def _revocations(case: Case) -> Outputs:
    verify_revocation(case["revocation"], case["user"], case["dev"], _identities(case))
    return {}


def _teams(case: Case) -> Outputs:
    register = world(case)
    records = teams.verify_team(case["records"], register.heirs_of, _pin(case, case["id"]), case["id"])
    member = case.get("member")
    if member is None:
        return {}
    held = sorted(((gen, seed) for (id, gen), seed in _keyring(case).items() if id == member), reverse=True)
    seeds = opening.open_team(records, member, [seed for _, seed in held])
    return {"seeds": {str(gen): b64(seed) for gen, seed in seeds.items()}}


def _receipts(case: Case) -> Outputs:
    register = world(case)
    thread = verify_thread(case["thread"], case["records"], register)
    if thread.refusal:
        raise thread.refusal
    verify_receipt(case["receipt"], case["user"], place_in(thread), register)
    return {}


def _reports(case: Case) -> Outputs:
    proven = verify_report(case["report"], world(case))
    return {"user": proven.header.user, "body": proven.body}


def _objects(case: Case) -> Outputs:
    wanted = case["wanted"]
    name = objects.ObjectName(wanted["owner"], wanted["kind"], wanted["id"])
    sealed = objects.verify_object(case["object"], name, None, wanted["rev"], world(case))
    return {"content": b64(opening.open_object(sealed, unb64(case["seed"])))}


def _roots(case: Case) -> Outputs:
    chain, kind, n = _chain(case), objects.RootKind(case["kind"]), case["n"]
    box = objects.read_root_box(case["box"], case["id"], kind, n)
    of_kind = {objects.RootKind.UIK: lambda it: it.n == n, objects.RootKind.PUK: lambda it: it.gen == n}
    entry = next(signed.entry for signed in chain if of_kind[kind](signed.entry))
    return {"seeds": b64(opening.open_root_box(box, unb64(case["urk"]), entry))}


def _inbound(case: Case) -> Outputs:
    generations = [record.entry for record in world(case).teams.get(case["team"], [])]
    item = objects.read_inbound(case["item"], case["team"], case["id"], generations)
    return {"content": b64(opening.open_inbound(item, unb64(case["seed"])))}


def _recovery(case: Case) -> Outputs:
    urk = recovery.unwrap(recovery.read_wrap(case["wrap"]), case["user"], case["secret"])
    offered = case["wrap"]["method"] == "device"
    named = {"offer": recovery.offer_name(case["user"], case["secret"])} if offered else {}
    return {"urk": b64(urk), "first": b64(recovery.prf_input(case["user"]))} | named


def _guards(case: Case) -> Outputs:
    secret = case["pin"] if case.get("prf") is None else unb64(case["prf"])
    kept = guard.read_guard(case["guard"])
    lock = guard.open_guard(kept, case["user"], case["dev"], secret, unb64(case["share"]))
    return {"lock": b64(lock), "auth": b64(guard.auth_of(kept, secret)), "input": b64(guard.prf_input(kept))}


def _codes(case: Case) -> Outputs:
    return {"symbols": recovery.read_code(case["typed"])}


def _sheets(case: Case) -> Outputs:
    if "whole" in case:
        made = sheets.split(*(unb64(case[name]) for name in ("whole", "set", "slope")))
        return {"codes": [sheets.write(sheet).split("\n") for sheet in made]}
    return {"ork": b64(sheets.open_sheets(case["typed"], _chain(case)[-1].entry))}


def _attachments(case: Case) -> Outputs:
    cth, key, hash = (unb64(case[name]) for name in ("cth", "key", "hash"))
    facts = attachments.FileFacts(case["thread"], case["id"], cth, key, case["size"], hash)
    return {"hash": b64(sha256(attachments.open_file(unb64(case["stored"]), facts)))}


def _safety(case: Case) -> Outputs:
    number = safety_number(*(unb64(header) for header in case["headers"]))
    return {"digits": number.digits, "qr": number.qr_text}


def _sessions(case: Case) -> Outputs:
    verify_session(VerifiedDevice(case["dev"], "", unb64(case["ed"]), None), unb64(case["challenge"]), case["sig"])
    return {}


RUNNERS: Mapping[str, Callable[[Case], Outputs]] = {
    "attachments": _attachments,
    "certificates": _certificates,
    "codes": _codes,
    "directory": _directory,
    "guards": _guards,
    "hpke": _hpke,
    "hybrid": _hybrid,
    "inbound": _inbound,
    "objects": _objects,
    "prevseeds": _prevseeds,
    "receipts": _receipts,
    "recovery": _recovery,
    "reports": _reports,
    "revocations": _revocations,
    "roots": _roots,
    "safety": _safety,
    "sessions": _sessions,
    "sheets": _sheets,
    "teams": _teams,
}
KINDS = ("threads", *RUNNERS)


def verdict(kind: str, case: Case) -> tuple[bool, object]:
    """Whether a case came out as expected, and what it came to."""
    if kind == "threads":
        outcome = _thread(case)
        return fits(case, outcome), outcome
    try:
        outputs = RUNNERS[kind](case)
    except Refused as refusal:
        why = refusal.reason.value
        return case["expect"] == "reject" and why in case.get("why_any", [case.get("why")]), why
    told = {name: value for name, value in outputs.items() if name in case}
    return case["expect"] == "ok" and all(case[name] == value for name, value in told.items()), outputs


def _thread(case: Case) -> Outcome:
    kept = Head(case["min_head"][0], unb64(case["min_head"][1])) if case.get("min_head") else None
    return outcome_of(verify_thread(case["thread"], case["records"], world(case), kept), _keyring(case))
