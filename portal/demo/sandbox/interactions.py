"""What can be done with a resource: read, create, update, delete, with their conditions (R4 section 3.1.0).

Used alike by single requests and by the entries of a batch or transaction.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from portal.demo.sandbox.index import served_types
from portal.demo.sandbox.search import FhirError, Pairs, find_ids
from portal.demo.sandbox.store import Json, Store, Stored
from portal.ehr.errors import InvalidResource
from portal.ehr.reading import is_fhir_id
from portal.ehr.validation import validate


@dataclass(frozen=True)
class Done:
    """The outcome of an interaction."""

    status: int
    stored: Stored | None = None
    body: Json | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def resource(self) -> Json | None:
        """The resource to answer with."""
        return self.body if self.body is not None else self.stored.resource if self.stored else None


@dataclass(frozen=True)
class Interactions:
    """Interactions on one store; `base_url` makes absolute references local."""

    store: Store
    base_url: str

    def read(self, kind: str, name: str, version: str | None = None) -> Done:
        """The newest version, or `version`. 404 for unknown, 410 for deleted."""
        _known(kind)
        number = int(version) if version and version.isascii() and version.isdecimal() and len(version) < 9 else None
        if version is not None and number is None:
            raise FhirError(404, "not-found", "no such version")
        stored = self.store.get(kind, name, number)
        if stored is None:
            raise FhirError(404, "not-found", "no such resource")
        if stored.resource is None:
            raise FhirError(410, "deleted", "the resource was deleted")
        return Done(200, stored)

    def create(self, kind: str, resource: Json, *, if_none_exist: str | None = None) -> Done:
        """A new resource, or the one that `if_none_exist` already finds (200). Several matches: 412."""
        self._check(kind, resource)
        with self.store.transaction():
            if if_none_exist is not None:
                found = self.conditional(kind, if_none_exist)
                if found is not None:
                    return Done(200, self.store.get(kind, found))
            return Done(201, self.store.put({k: v for k, v in resource.items() if k != "id"}, method="POST"))

    def update(self, kind: str, name: str, resource: Json, *, if_match: str | None = None) -> Done:
        """A new version, created where there was none. A stale `if_match` (an ETag): 412."""
        self._check(kind, resource)
        if not is_fhir_id(name) or resource.get("id") != name:
            raise FhirError(400, "invariant", "the id in the resource is not the one in the address")
        with self.store.transaction():
            before = self.store.get(kind, name)
            newest = f'W/"{before.version}"' if before else None
            if if_match is not None and if_match != newest:
                raise FhirError(412, "conflict", "the resource has a newer version")
            existed = before is not None and before.resource is not None
            return Done(200 if existed else 201, self.store.put(resource))

    def conditional_update(self, kind: str, query: str, resource: Json) -> Done:
        """Update what `query` finds, or create."""
        found = self.conditional(kind, query)
        if found is None:
            return self.create(kind, resource)
        return self.update(kind, found, {**resource, "id": found})

    def delete(self, kind: str, name: str) -> Done:
        """Remove the resource; removing it twice is fine."""
        _known(kind)
        with self.store.transaction():
            before = self.store.get(kind, name)
            if before is not None and before.resource is not None:
                self.store.delete(kind, name)
        return Done(204)

    def history(self, kind: str, name: str) -> Done:
        """All versions as a history Bundle."""
        _known(kind)
        versions = self.store.history(kind, name)
        if not versions:
            raise FhirError(404, "not-found", "no such resource")
        entries = []
        for one in versions:
            entry: Json = {
                "fullUrl": f"{self.base_url}/{kind}/{name}",
                "request": {"method": one.method, "url": kind if one.method == "POST" else f"{kind}/{name}"},
                "response": {"status": "204" if one.resource is None else "200", "etag": f'W/"{one.version}"'},
            }
            entries.append({**entry, "resource": one.resource} if one.resource is not None else entry)
        bundle = {"resourceType": "Bundle", "type": "history", "total": len(entries), "entry": entries}
        return Done(200, body=bundle)

    def conditional(self, kind: str, query: str) -> str | None:
        """The one id that `query` finds, None for none. Several: 412. An empty condition: 400."""
        _known(kind)
        pairs: Pairs = parse_qsl(query.removeprefix("?"))
        if not pairs:
            raise FhirError(400, "invalid", "the condition is empty")
        found = find_ids(self.store, self.base_url, kind, pairs)
        if len(found) > 1:
            raise FhirError(412, "multiple-matches", "the condition finds several resources")
        return found[0] if found else None

    def _check(self, kind: str, resource: Json) -> None:
        _known(kind)
        if resource.get("resourceType") != kind:
            raise FhirError(400, "invalid", "the resource is not of the type in the address")
        try:
            validate(resource)
        except InvalidResource as error:
            raise FhirError(422, "invalid", f"not valid: {', '.join(error.paths)}") from None


def _known(kind: str) -> None:
    if kind not in served_types():
        raise FhirError(404, "not-supported", "this server does not keep that resource type")
