"""Each check of the verifiers is taken away in turn, and at least one vector must then be judged otherwise.

Checks that stand in ordered tuples are found by looking through the modules. What is written as a function or a reader
of a member is listed here; a reader that is taken away accepts everything and gives a value that it gave before.
"""

import contextlib
import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
from e2ee_corpus import CaseDirectory, corpus, fits, run
from e2ee_vectors import FOLDERS, KINDS, Case, cases_of, verdict

import portal.e2ee
from portal.core import strict_json
from portal.e2ee import (
    certificates,
    directory,
    ed25519,
    encoding,
    form,
    guard,
    hpke,
    hybrid,
    objects,
    records,
    recovery,
    register,
    teams,
    verify,
)
from portal.e2ee.attachments import open_bytes
from portal.e2ee.checks import Check
from portal.e2ee.encoding import sha256, unb64
from portal.e2ee.form import Form
from portal.e2ee.franking import verify_report
from portal.e2ee.hybrid import IdentityKeys
from portal.e2ee.reasons import Refused

EQUIVALENT: Mapping[str, str] = {
    "history: from 1 on": "nobody was a member of an epoch 0, so the rule that the maker was there refuses it as well",
    "hpke.acceptable_enc": "OpenSSL refuses an X25519 result of zeros; the check stands for libraries that do not",
}
"""Checks whose removal changes no judgement in this language, with the reason why not."""

MODULES = [importlib.import_module(f"portal.e2ee.{it.name}") for it in pkgutil.iter_modules(portal.e2ee.__path__)]


@dataclass(frozen=True)
class Vector:
    """One case of any file, and how it is judged."""

    name: str
    reasons: frozenset[str]
    as_expected: Callable[[], bool]


def _reasons(case: Case) -> frozenset[str]:
    """The reasons that a case is about; none for those that are simply read."""
    if case["expect"] == "reject":
        return frozenset(case.get("why_any", [case["why"]] if "why" in case else ["any"]))
    faults = case.get("faults", {}).values()
    return frozenset(why for given in faults for why in ([given] if isinstance(given, str) else given))


@cache
def vectors() -> tuple[Vector, ...]:
    found = []
    for case in corpus()["corpus"]:
        found.append(Vector(case["name"], _reasons(case), lambda case=case: _thread_fits(case)))
    base = next(it for it in corpus()["corpus"] if it["name"].startswith(corpus()["report_case"] + " "))
    for case in corpus()["reports"]:
        found.append(Vector(case["name"], _reasons(case), lambda case=case: _report_fits(case, base)))
    for case in corpus()["atts"]:
        found.append(Vector(case["name"], _reasons(case), lambda case=case: _attachment_fits(case)))
    for folder in FOLDERS:
        for kind in KINDS:
            for case in cases_of(folder, kind):
                name = f"{folder}/{kind}: {case['name']}"
                found.append(Vector(name, _reasons(case), lambda kind=kind, case=case: verdict(kind, case)[0]))
    return tuple(found)


def _thread_fits(case: Case) -> bool:
    return fits(case, run(case, corpus()["thread"], corpus()["me"]))


def _report_fits(case: Case, base: Case) -> bool:
    try:
        verify_report(case["report"], CaseDirectory(base["directory"], case.get("certs", base["certs"])))
    except Refused:
        return case["expect"] == "reject"
    return case["expect"] == "ok"


def _attachment_fits(case: Case) -> bool:
    try:
        open_bytes(*(unb64(case[name]) for name in ("blob", "key", "ctx")))
    except Refused:
        return case["expect"] == "reject"
    return case["expect"] == "ok"


def by_subject(subject: str) -> list[Vector]:
    """All vectors, those with `subject` in their name first."""
    return sorted(vectors(), key=lambda vector: subject not in vector.name)


def first_judged_otherwise(reason: str | None, subject: str = "") -> str | None:
    """The name of a vector about `reason` (about any, without one) that does not come out as it says. A crash counts.

    Vectors whose name has `subject` in it are tried first.
    """
    certificates.forget_verified()
    for vector in by_subject(subject):
        if (reason is None and vector.reasons) or reason in vector.reasons:
            if reason in (None, "certificate"):
                certificates.forget_verified()
            try:
                if not vector.as_expected():
                    return vector.name
            except Exception as problem:
                return f"{vector.name} ({type(problem).__name__})"
    return None


# Checks in tuples.


def _tuples() -> Iterator[tuple[object, str, tuple[Check[Any], ...]]]:
    for module in MODULES:
        for name, value in vars(module).items():
            if isinstance(value, tuple) and value and all(isinstance(it, Check) for it in value):
                yield module, name, value


def _checks() -> list[Any]:
    return [
        pytest.param(module, name, check, id=check.name)
        for module, name, checks in _tuples()
        for check in checks
        if module.__name__ == _home(checks)
    ]


def _home(checks: tuple[Check[Any], ...]) -> str:
    """The module that defines a tuple: the first function in it tells."""
    return checks[0].holds.__module__


SUBJECT_FILES = {
    "entry": "rxe2ee/directory",
    "pin": "rxe2ee/directory",
    "root box": "rxe2ee/roots",
    "object": "rxe2ee/objects",
    "team": "rxe2ee/teams",
    "seed": "rxe2ee/teams",
    "report": "rxe2ee/reports",
    "argon2": "rxe2ee/recovery",
    "passkey": "rxe2ee/recovery",
    "urk": "rxe2ee/recovery",
    "code": "rxe2ee/codes",
    "sheet": "rxe2ee/sheets",
    "sheets": "rxe2ee/sheets",
    "guard": "rxe2ee/guards",
}


@pytest.mark.parametrize(("module", "name", "check"), _checks())
def test_a_check_counts(module: Any, name: str, check: Check[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = getattr(module, name)
    less = tuple(it for it in whole if it is not check)
    monkeypatch.setattr(module, name, less)
    for kind, checks in verify.CHECKS.items():
        if checks is whole:
            monkeypatch.setitem(verify.CHECKS, kind, less)
    subject = check.name.partition(":")[0]
    if subject == "argon2":  # What was let through would take a gibibyte and seconds.
        monkeypatch.setattr(recovery, "stretched", lambda *_args: bytes(32))
    found = first_judged_otherwise(check.reason.value, SUBJECT_FILES.get(subject, subject))
    assert (found is None) == (check.name in EQUIVALENT), found


def test_names_of_checks_are_distinct() -> None:
    names = [param.id for param in _checks()]
    assert len(names) == len(set(names)) > 90


# Members of headers.

ALL_FORMS: Mapping[str, Mapping[str, Form]] = {
    "records": records.FORMS,
    "receipt": records.RECEIPT_FORMS,
    "directory": directory.FORMS,
    "certificates": certificates.FORMS,
    "revocations": certificates.REVOCATION_FORMS,
    "teams": teams.FORMS,
    "objects": objects.OBJECT_FORMS,
    "roots": objects.ROOT_FORMS,
    "inbound": objects.INBOUND_FORMS,
    "recovery": recovery.FORMS,
    "guards": guard.FORMS,
}
INNER_FORMS: Mapping[str, Form] = {
    "a seat": records.SEAT,
    "an addressee": records.ADDRESSEE,
    "a label": records.LABEL,
    "an attachment": records.ATTACHMENT,
    "a team member": teams.MEMBER,
}


def _members() -> list[Any]:
    outer = [(kind, it) for forms in ALL_FORMS.values() for kind, it in forms.items()]
    return [
        pytest.param(it, name, id=f"{kind}: {name}")
        for kind, it in [*outer, *INNER_FORMS.items()]
        for name in it.members
    ]


def reads_anything(reader: form.Reader, good: object) -> form.Reader:
    """A reader that lets everything through: for what it should refuse it gives what it gave last."""
    last = good

    def read(value: Any) -> Any:
        nonlocal last
        with contextlib.suppress(Refused):
            last = reader(value)
        return last

    return read


def gives(reader: form.Reader, good: object) -> form.Reader:
    """A reader that lets everything through and gives always the same for what it should refuse."""

    def read(value: Any) -> Any:
        try:
            return reader(value)
        except Refused:
            return good

    return read


REASON_OF_FORM = {"dev": "certificate", "devrev": "revocation"}
FILE_OF_FORM = {
    "dev": "rxe2ee/certificates",
    "devrev": "rxe2ee/revocations",
    "guard": "rxe2ee/guards",
    "inbound": "rxe2ee/inbound",
    "obj": "rxe2ee/objects",
    "receipt": "rxe2ee/receipts",
    "root": "rxe2ee/roots",
    "team": "rxe2ee/teams",
    "urk": "rxe2ee/recovery",
    "user": "rxe2ee/directory",
}


@pytest.mark.parametrize(("whole", "name"), _members())
def test_a_member_is_read_strictly(whole: Form, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[object] = []
    reader = whole.members[name]

    def remembering(value: Any) -> Any:
        given.append(reader(value))
        return given[-1]

    members = whole.members
    monkeypatch.setitem(members, name, remembering)  # type: ignore[arg-type]
    kinds = [kind for forms in ALL_FORMS.values() for kind, it in forms.items() if it is whole]
    reason = REASON_OF_FORM.get(kinds[0], "form") if kinds else "form"
    subject = FILE_OF_FORM.get(kinds[0], "rxe2ee/threads") if kinds else "member is false"
    certificates.forget_verified()
    for vector in by_subject(subject):
        if given:
            break
        if not vector.reasons or reason in vector.reasons:
            vector.as_expected()
    assert given, "no vector has this member"

    def found(instead: form.Reader) -> str | None:
        monkeypatch.setitem(members, name, instead)  # type: ignore[arg-type]
        return first_judged_otherwise(reason, subject)

    assert found(reads_anything(reader, given[0])) or found(gives(reader, given[0]))


# Everything else that refuses.


def nothing(*_args: Any, **_options: Any) -> None:
    """In the place of a function that raises."""


def yes(*_args: Any, **_options: Any) -> bool:
    """In the place of a function that says whether something holds."""
    return True


def no(*_args: Any, **_options: Any) -> bool:
    """In the place of a function that says whether something stands against it."""
    return False


@dataclass(frozen=True)
class Taken:
    """A rule written as a function, and what stands in its place when it is taken away."""

    module: Any
    name: str
    instead: Any
    reason: str | None

    @property
    def id(self) -> str:
        return f"{self.module.__name__.rpartition('.')[2]}.{self.name}"


def _any_identity(entries: Sequence[directory.Entry], _who: bytes) -> list[IdentityKeys]:
    return [entry.identity for entry in entries if entry.identity]


def _without_limit(text: bytes | str, _limit: int | None) -> str:
    return text if isinstance(text, str) else text.decode()


def _lenient_text(data: bytes | str, max_bytes: int | None) -> str:
    import json

    raw = data.encode() if isinstance(data, str) else data
    if max_bytes is not None and len(raw) > max_bytes:
        raise strict_json.StrictJSONError("too long")
    return raw.decode(json.detect_encoding(raw)).removeprefix("\ufeff")


def _any_integer(digits: str) -> int:
    return int(digits)


def _rounded(digits: str) -> int:
    return int(float(digits))


def _zero(_name: str) -> int:
    return 0


def _signed_again(digits: str) -> int:
    return abs(int(digits))


def _speaks_whoever_certified_it(user: str, _dev: str, team: str, gen: int, known: directory.Directory) -> bool:
    return known.speaks_for(user, team, gen)


def _all_from_there(entries: Sequence[directory.Entry], who: bytes) -> list[IdentityKeys]:
    there = [place for place, entry in enumerate(entries) if sha256(entry.h) == who]
    return [it.identity for it in entries[there[0] :] if it.identity] if there else []


def _all_up_to_there(entries: Sequence[directory.Entry], who: bytes) -> list[IdentityKeys]:
    there = [place for place, entry in enumerate(entries) if sha256(entry.h) == who]
    return (
        [it.identity for it in entries[: there[0] + 1] if it.identity] + directory.heirs(entries, who) if there else []
    )


TAKEN: Sequence[Taken] = (
    Taken(encoding, "_canonical", yes, "form"),
    Taken(encoding, "_of_length", yes, "form"),
    Taken(form, "_version_and_type_are_given", nothing, "form"),
    Taken(form, "_is_version_1", nothing, "version"),
    Taken(form, "_is_known_type", nothing, "type"),
    Taken(form, "_no_others", nothing, "form"),
    Taken(form, "_none_missing", nothing, "form"),
    Taken(form, "_within_list_limit", yes, "form"),
    Taken(form, "_within_wraps_limit", yes, "form"),
    Taken(form, "HEADER_BYTES_LIMIT", 10**9, "form"),
    Taken(records, "_signature_length", nothing, "form"),
    Taken(records, "_wrap_lengths", nothing, "form"),
    Taken(directory, "_one_way_to_continue", nothing, "form"),
    Taken(teams, "_wrap_lengths", nothing, "form"),
    Taken(teams, "_prev_length", nothing, "form"),
    Taken(teams, "_somebody", nothing, "form"),
    Taken(register, "heirs", _any_identity, "certificate"),
    Taken(teams.TeamRecord, "speaks", teams.TeamRecord.lists, "not a member"),
    Taken(verify, "speaks_for", _speaks_whoever_certified_it, "not a member"),
    Taken(objects, "speaks_for", _speaks_whoever_certified_it, "not a member"),
    Taken(verify, "_begun_anew", no, "certificate"),
    Taken(register, "heirs", _all_from_there, None),
    Taken(register, "heirs", _all_up_to_there, None),
    Taken(hybrid, "_classical_holds", yes, "certificate"),
    Taken(hybrid, "_lattice_holds", yes, "certificate"),
    Taken(hybrid, "PROTOCOL", None, None),
    Taken(ed25519, "POINT_CHECKS", ed25519.POINT_CHECKS[1:], None),
    Taken(ed25519, "POINT_CHECKS", ed25519.POINT_CHECKS[:1], None),
    Taken(hpke, "acceptable_enc", yes, "wrap"),
    Taken(certificates, "SESSION_CHALLENGE_BYTES", range(10_000), "form"),
    Taken(recovery, "_ARGON2_PARAMS", None, "parameters"),
    Taken(recovery, "CODE_PARAMS", None, "parameters"),
    Taken(recovery, "_PASSKEY_PARAMS", None, "parameters"),
    Taken(verify, "require_not_forked", nothing, "fork"),
    Taken(verify, "_require_not_rolled_back", nothing, "rollback"),
    Taken(strict_json, "_text", _without_limit, "form"),
    Taken(strict_json, "_text", _lenient_text, "form"),
    Taken(strict_json, "_object", dict, "form"),
    Taken(strict_json, "_integer", _any_integer, "form"),
    Taken(strict_json, "_natural", _signed_again, "form"),
    Taken(strict_json, "_no_fraction", _rounded, "form"),
    Taken(strict_json, "_no_constant", _zero, "form"),
    Taken(strict_json, "_without_surrogates", nothing, "form"),
)


@pytest.mark.parametrize("taken", TAKEN, ids=lambda taken: taken.id)
def test_a_rule_counts(taken: Taken, monkeypatch: pytest.MonkeyPatch) -> None:
    instead = taken.instead
    if taken.name == "_ARGON2_PARAMS":
        monkeypatch.setattr(recovery, "read_cost", lambda _params: recovery.Argon2Cost())
    elif taken.name == "_PASSKEY_PARAMS":
        monkeypatch.setattr(recovery, "read_credential", lambda _params: bytes(16))
    elif taken.name == "CODE_PARAMS":
        monkeypatch.setattr(recovery, "CODE_PARAMS", _AnyText())
    else:
        monkeypatch.setattr(taken.module, taken.name, instead)
    strict_json._decoder.cache_clear()
    try:
        found = first_judged_otherwise(taken.reason)
        assert (found is None) == (taken.id in EQUIVALENT), found
    finally:
        strict_json._decoder.cache_clear()


class _AnyText(str):
    """Equal to every text."""

    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False
