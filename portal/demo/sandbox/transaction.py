"""Batch and transaction Bundles (R4 section 3.1.0.11): a transaction happens whole or not at all."""

from typing import Any
from urllib.parse import parse_qsl

from portal.core import ids
from portal.demo.sandbox.index import served_types
from portal.demo.sandbox.interactions import Done, Interactions
from portal.demo.sandbox.search import FhirError, search
from portal.demo.sandbox.store import Json

# R4 fixes the order in which the entries of a transaction are worked off.
_ORDER = ("DELETE", "POST", "PUT", "GET")


def run(interactions: Interactions, bundle: Json) -> Json:
    """The answer to a batch or transaction. Raises FhirError, after which nothing of a transaction remains."""
    kind = bundle.get("type")
    if bundle.get("resourceType") != "Bundle" or kind not in ("batch", "transaction"):
        raise FhirError(400, "invalid", "a Bundle of type batch or transaction is expected here")
    entries = bundle.get("entry", [])
    if not isinstance(entries, list) or not all(_is_entry(entry) for entry in entries):
        raise FhirError(400, "invalid", "an entry has no request")
    answers = _batch(interactions, entries) if kind == "batch" else _transaction(interactions, entries)
    return {"resourceType": "Bundle", "type": f"{kind}-response", "entry": answers}


def _batch(interactions: Interactions, entries: list[Json]) -> list[Json]:
    answers = []
    for entry in entries:
        try:
            answers.append(_answer(interactions, _perform(interactions, entry)))
        except FhirError as error:
            answers.append({"response": {"status": str(error.status), "outcome": outcome(error)}})
    return answers


def _transaction(interactions: Interactions, entries: list[Json]) -> list[Json]:
    answers: list[Json] = [{}] * len(entries)
    with interactions.store.transaction():
        places, entries = _places(interactions, entries)
        for method in _ORDER:
            for position, entry in enumerate(entries):
                if entry["request"]["method"] != method:
                    continue
                resource = _resolved(interactions, entry.get("resource"), places)
                done = _perform(interactions, {**entry, "resource": resource})
                answers[position] = _answer(interactions, done)
    return answers


def _places(interactions: Interactions, entries: list[Json]) -> tuple[dict[str, str], list[Json]]:
    """Where each fullUrl will lie. Ids are given out before anything is written, so entries may name one another."""
    places: dict[str, str] = {}
    prepared = []
    for entry in entries:
        method, url = entry["request"]["method"], str(entry["request"]["url"])
        full_url, kind = str(entry.get("fullUrl", "")), url.partition("?")[0].strip("/")
        if method == "POST":
            condition = entry["request"].get("ifNoneExist")
            name = interactions.conditional(kind, condition) if condition else None
            if name is None:
                # Written under a known id; a create would choose its own.
                name = ids.random_id()
                resource = {**entry.get("resource", {}), "id": name}
                entry = {**entry, "resource": resource, "request": {"method": "POST", "url": f"{kind}/{name}"}}
            place = f"{kind}/{name}"
        elif method == "PUT" and "?" in url:
            place = f"{kind}/{interactions.conditional(kind, url.partition('?')[2]) or ids.random_id()}"
            resource = {**entry.get("resource", {}), "id": place.partition("/")[2]}
            entry = {**entry, "resource": resource, "request": {"method": "PUT", "url": place}}
        else:
            place = kind
        if full_url:
            if full_url in places:
                raise FhirError(400, "invalid", "two entries have the same fullUrl")
            places[full_url] = place
        prepared.append(entry)
    return places, prepared


def _resolved(interactions: Interactions, value: Any, places: dict[str, str]) -> Any:
    if isinstance(value, list):
        return [_resolved(interactions, one, places) for one in value]
    if not isinstance(value, dict):
        return value
    resolved = {key: _resolved(interactions, one, places) for key, one in value.items()}
    reference = resolved.get("reference")
    if isinstance(reference, str):
        if reference in places:
            resolved["reference"] = places[reference]
        elif reference.startswith("urn:uuid:"):
            raise FhirError(400, "not-found", "a reference names no entry of this transaction")
        elif "?" in reference and not reference.startswith(("http:", "https:")):
            kind, _, query = reference.partition("?")
            found = interactions.conditional(kind, query)
            if found is None:
                raise FhirError(412, "not-found", "a conditional reference finds nothing")
            resolved["reference"] = f"{kind}/{found}"
    return resolved


def _perform(interactions: Interactions, entry: Json) -> Done:
    request, resource = entry["request"], entry.get("resource") or {}
    method, url = request["method"], str(request["url"]).strip("/")
    path, _, query = url.partition("?")
    parts = path.split("/")
    if method == "GET" and len(parts) == 1:
        store = interactions.store
        return Done(200, body=search(store, interactions.base_url, _kind(parts[0]), parse_qsl(query)))
    if method == "GET" and len(parts) in (2, 4):
        return interactions.read(parts[0], parts[1], parts[3] if len(parts) == 4 else None)
    if method == "POST" and len(parts) == 1:
        return interactions.create(parts[0], resource, if_none_exist=request.get("ifNoneExist"))
    if method == "POST" and len(parts) == 2:
        return interactions.update(parts[0], parts[1], resource)
    if method == "PUT" and query:
        return interactions.conditional_update(parts[0], query, resource)
    if method == "PUT" and len(parts) == 2:
        return interactions.update(parts[0], parts[1], resource, if_match=request.get("ifMatch"))
    if method == "DELETE" and len(parts) == 2:
        return interactions.delete(parts[0], parts[1])
    raise FhirError(400, "not-supported", "this kind of entry is not supported")


def _kind(kind: str) -> str:
    if kind not in served_types():
        raise FhirError(404, "not-supported", "this server does not keep that resource type")
    return kind


def _answer(interactions: Interactions, done: Done) -> Json:
    response: Json = {"status": str(done.status)}
    if done.stored is not None:
        place = f"{interactions.base_url}/{done.stored.type}/{done.stored.id}/_history/{done.stored.version}"
        response |= {"location": place, "etag": f'W/"{done.stored.version}"', "lastModified": done.stored.updated}
    return {"response": response, **({"resource": done.resource} if done.resource is not None else {})}


def outcome(error: FhirError) -> Json:
    """An OperationOutcome for a refusal."""
    issue = {"severity": "error", "code": error.code, "diagnostics": error.diagnostics}
    return {"resourceType": "OperationOutcome", "issue": [issue]}


def _is_entry(entry: Any) -> bool:
    request = entry.get("request") if isinstance(entry, dict) else None
    return isinstance(request, dict) and request.get("method") in _ORDER and isinstance(request.get("url"), str)
