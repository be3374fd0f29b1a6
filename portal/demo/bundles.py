"""Foreign transaction Bundles (Synthea's, gzip or not) made ready for the sandbox: `portal demo --bundles DIR`.

Each patient gets a login identifier; what the sandbox does not keep (claims, procedures) is left out, with the
references to it; the Patient is a conditional create, so loading twice changes nothing.
"""

import gzip
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from portal.core.errors import BadInput
from portal.demo.chapter import LOGIN_SYSTEM
from portal.demo.sandbox.index import served_types
from portal.ehr import projection
from portal.ehr.errors import InvalidResource
from portal.ehr.validation import validate

Json = dict[str, Any]
MAX_FILE_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True)
class LoadedPatient:
    """A patient from a file. `left_out` counts entries that the sandbox does not keep or that are not valid R4."""

    login: str
    full_name: str
    birth_date: str
    bundle: Json
    left_out: int


def read_bundles(folder: Path) -> Iterator[LoadedPatient]:
    """Every `*.json` and `*.json.gz` of `folder` that is a transaction Bundle with one Patient, by name.

    Raises BadInput (`bundle-unreadable`, with the file's name) for a file that is not.
    """
    taken: set[str] = set()
    for path in sorted([*folder.glob("*.json"), *folder.glob("*.json.gz")]):
        bundle = _read(path)
        login = _login(path, taken)
        taken.add(login)
        yield _prepared(bundle, login, path.name)


def _read(path: Path) -> Json:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        bundle = json.loads(content) if len(content) <= MAX_FILE_BYTES else None
    except (OSError, EOFError, ValueError, RecursionError) as error:
        raise BadInput("bundle-unreadable", extra={"file": path.name}) from error
    if not isinstance(bundle, dict) or bundle.get("type") not in ("transaction", "batch"):
        raise BadInput("bundle-unreadable", extra={"file": path.name})
    return bundle


def _login(path: Path, taken: set[str]) -> str:
    stem = path.name.removesuffix(".gz").removesuffix(".json").lower()
    base = re.sub(r"[^a-z0-9]+", "-", stem).strip("-")[:40] or "patient"
    return next(
        name for number in range(1, 10_000) if (name := base if number == 1 else f"{base}-{number}") not in taken
    )


def _prepared(bundle: Json, login: str, file: str) -> LoadedPatient:
    entries = [entry for entry in bundle.get("entry", []) if isinstance(entry, dict)]
    patients = [entry for entry in entries if entry.get("resource", {}).get("resourceType") == "Patient"]
    if len(patients) != 1:
        raise BadInput("bundle-unreadable", extra={"file": file})
    kept = [entry for entry in entries if _is_kept(entry)]
    known = {entry.get("fullUrl") for entry in kept}
    ready = [_entry(_without_lost(entry, known), login) for entry in kept]
    patient = projection.patient(patients[0]["resource"])
    whole = {"resourceType": "Bundle", "type": "transaction", "entry": ready}
    return LoadedPatient(login, patient.full_name, patient.birth_date, whole, len(entries) - len(kept))


def _is_kept(entry: Json) -> bool:
    resource = entry.get("resource")
    if not isinstance(resource, dict) or resource.get("resourceType") not in served_types():
        return False
    try:
        validate(resource)
    except InvalidResource:
        return False
    return True


def _entry(entry: Json, login: str) -> Json:
    resource = entry["resource"]
    kind = resource["resourceType"]
    # A mark of its own for each entry, so that loading the folder twice doubles nothing.
    mark = {"system": LOGIN_SYSTEM, "value": login if kind == "Patient" else f"{login}/{kind}/{resource.get('id')}"}
    resource = {**resource, "identifier": [*resource.get("identifier", []), mark]}
    if kind == "Provenance":
        del resource["identifier"]
        return {"fullUrl": entry.get("fullUrl"), "resource": resource, "request": {"method": "POST", "url": kind}}
    condition = f"identifier={mark['system']}|{mark['value']}"
    request = {"method": "POST", "url": kind, "ifNoneExist": condition}
    return {"fullUrl": entry.get("fullUrl"), "resource": resource, "request": request}


def _without_lost(value: Any, known: set[Any]) -> Any:
    """`value` with references to entries that were left out turned into their words."""
    if isinstance(value, list):
        return [_without_lost(one, known) for one in value]
    if not isinstance(value, dict):
        return value
    reference = value.get("reference")
    if isinstance(reference, str) and reference.startswith("urn:uuid:") and reference not in known:
        return {"display": str(value.get("display", "not kept here"))}
    return {key: _without_lost(one, known) for key, one in value.items()}
