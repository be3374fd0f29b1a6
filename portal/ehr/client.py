"""A FHIR R4 client: read, search, batch, create, update, history, transaction; bounded, patient and typed.

Reads are repeated with jitter while the deadline allows; writes never are (the outbox repeats them, protected by
`If-None-Exist` and `If-Match`). HAPI answers 409 where FHIR says 412; both are `EditConflict`. `total` is never used.
"""

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from urllib.parse import urlencode, urlsplit

from portal.core import clock, ids
from portal.core.breaker import BreakerOpen, CircuitBreaker
from portal.ehr.cache import BoundedCache
from portal.ehr.errors import (
    DownReason,
    EditConflict,
    EhrNotFound,
    EhrProtocolError,
    EhrRefused,
    EhrUnavailable,
    ProtocolFault,
)
from portal.ehr.paging import MAX_PAGES, SearchResult, all_pages
from portal.ehr.reading import Json, is_fhir_id, is_type, items, obj, parse_resource, text
from portal.ehr.smart import Auth, NoAuth, origin
from portal.ehr.transport import FHIR_JSON, TOTAL_SECONDS, Deadline, Reply, Transport
from portal.ehr.validation import validate

TRIES = 3
FAILURES_TO_OPEN = 5
OPEN_SECONDS = 30.0
_FIRST_PAUSE_SECONDS = 0.2
_CAPABILITY_SECONDS = 3600.0
_PARALLEL_SEARCHES = 4
# What may have passed when asked again at once (a kept connection that the EHR had closed), and after a pause.
_AT_ONCE = frozenset({DownReason.CONNECTION})
_LATER = frozenset({DownReason.CONNECTION, DownReason.BUSY})
Params = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class EhrConnection:
    """Where an EHR is and who we are there. `source` is the name people read beside its data."""

    base_url: str
    source: str = "EHR"
    auth: Auth = field(default_factory=NoAuth)
    private_network: bool = False


@dataclass(frozen=True)
class Written:
    """A resource that the EHR now holds. `created` is False when a conditional create found it there already."""

    resource_type: str
    id: str
    version: str
    created: bool


@dataclass(frozen=True)
class Capabilities:
    """What an EHR says it can do (its CapabilityStatement), as far as the portal asks."""

    fhir_version: str
    software: str
    batch: bool
    resource_types: frozenset[str]
    subscriptions: bool
    # Types of which resources may be created, and those among them that honour If-None-Exist.
    creatable: frozenset[str] = frozenset()
    conditional: frozenset[str] = frozenset()


class EhrClient:
    """One EHR. Thread-safe; make one for each connection and keep it.

    All methods raise EhrUnavailable, EhrRefused, EhrNotFound, EditConflict or EhrProtocolError (portal.ehr.errors).
    """

    def __init__(
        self,
        connection: EhrConnection,
        *,
        transport: Transport | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.connection = connection
        self.base_url = connection.base_url.rstrip("/")
        if not origin(self.base_url):
            raise EhrProtocolError(ProtocolFault.FOREIGN_LINK)
        self.breaker = CircuitBreaker(failures=FAILURES_TO_OPEN, seconds=OPEN_SECONDS)
        self._transport = transport or Transport(self.base_url, private_network=connection.private_network)
        self._pause = pause
        self._cache: BoundedCache[tuple[str, bytes]] = BoundedCache()
        self._capabilities: tuple[float, Capabilities] | None = None
        self._threads = ThreadPoolExecutor(_PARALLEL_SEARCHES, thread_name_prefix="ehr")
        self._lock = threading.Lock()

    def close(self) -> None:
        """End connections and threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._transport.close()

    # Reading -----------------------------------------------------------------------------------------------------

    def read(self, resource_type: str, resource_id: str, *, deadline: Deadline | None = None) -> Json:
        """The current version. An unchanged one costs the EHR a 304."""
        resource = self._get(self._address(resource_type, resource_id), deadline or Deadline())
        if resource["resourceType"] != resource_type or resource.get("id") != resource_id:
            raise EhrProtocolError(ProtocolFault.WRONG_RESOURCE)
        return resource

    def history(self, resource_type: str, resource_id: str, *, deadline: Deadline | None = None) -> tuple[Json, ...]:
        """The versions of one resource, newest first, as the EHR gives them."""
        url = self._address(resource_type, resource_id) + "/_history"
        bundle = self._get(url, deadline or Deadline())
        _expect(bundle, "Bundle")
        return tuple(obj(entry, "resource") for entry in items(bundle, "entry") if obj(entry, "resource"))

    def search(
        self, resource_type: str, params: Params, *, max_pages: int = MAX_PAGES, deadline: Deadline | None = None
    ) -> SearchResult:
        """All entries of a search, following `next` within this EHR's own address, at most `max_pages` pages."""
        deadline = deadline or Deadline()
        bundle = self._get(f"{self.base_url}/{search_path(resource_type, params)}", deadline)
        return self._all_pages(bundle, resource_type, deadline, max_pages)

    def search_many(
        self, searches: Sequence[tuple[str, Params]], *, deadline: Deadline | None = None
    ) -> list[SearchResult | EhrRefused | EhrUnavailable | EhrProtocolError]:
        """Several searches in one batch where the EHR offers it, else side by side. One answer for each, in order;
        a search that failed has its error as answer. Raises only when nothing could be asked at all."""
        deadline = deadline or Deadline()
        if self.capabilities(deadline=deadline).batch:
            try:
                return self._batch(searches, deadline)
            except EhrRefused:
                # It says batch and refuses one: the single searches may still work.
                deadline.check()
        answers = [self._threads.submit(self._one_of_many, kind, params, deadline) for kind, params in searches]
        return [answer.result() for answer in answers]

    def capabilities(self, *, deadline: Deadline | None = None, fresh: bool = False) -> Capabilities:
        """What the EHR offers, asked once an hour, or now when `fresh`."""
        with self._lock:
            known = self._capabilities
        if not fresh and known is not None and clock.monotonic() - known[0] < _CAPABILITY_SECONDS:
            return known[1]
        statement = self._get(f"{self.base_url}/metadata", deadline or Deadline())
        _expect(statement, "CapabilityStatement")
        found = _capabilities(statement)
        with self._lock:
            self._capabilities = (clock.monotonic(), found)
        return found

    # Writing -----------------------------------------------------------------------------------------------------

    def create(self, resource: Json, *, if_none_exist: Params = (), deadline: Deadline | None = None) -> Written:
        """Create `resource`. With `if_none_exist` a second call finds the first one's resource instead of doubling
        it. Raises InvalidResource before anything is sent, EditConflict if several match."""
        validate(resource)
        headers = {"If-None-Exist": urlencode(if_none_exist)} if if_none_exist else {}
        url = f"{self.base_url}/{resource['resourceType']}"
        reply = self._write("POST", url, resource, headers, deadline)
        return self._written(resource["resourceType"], reply)

    def update(self, resource: Json, *, if_match: str, deadline: Deadline | None = None) -> Written:
        """Replace the version `if_match` (a versionId) by `resource`. Raises EditConflict when it is not the newest."""
        validate(resource)
        url = self._address(resource["resourceType"], resource["id"])
        reply = self._write("PUT", url, resource, {"If-Match": f'W/"{if_match}"'}, deadline)
        self._cache.forget(lambda key: key.startswith(url))
        return self._written(resource["resourceType"], reply)

    def delete(self, resource_type: str, resource_id: str, *, deadline: Deadline | None = None) -> None:
        """Remove a resource (our own Subscriptions); one that is gone already is fine."""
        url = self._address(resource_type, resource_id)
        try:
            self._attempt("DELETE", url, {}, None, deadline or Deadline())
        except EhrNotFound:
            return
        finally:
            self._cache.forget(lambda key: key.startswith(url))

    def transaction(self, bundle: Json, *, deadline: Deadline | None = None) -> tuple[str, ...]:
        """All entries of a transaction Bundle or none. Returns `Type/id` for each entry, in order."""
        for entry in items(bundle, "entry"):
            if "resource" in entry:
                validate(entry["resource"])
        reply = self._write("POST", self.base_url, bundle, {}, deadline)
        answer = parse_resource(reply.body)
        _expect(answer, "Bundle")
        self._cache.forget(lambda key: True)
        places = [_place(text(obj(entry, "response"), "location", 2000)) for entry in items(answer, "entry")]
        return tuple(f"{kind}/{found}" for kind, found, _ in places)

    # How ---------------------------------------------------------------------------------------------------------

    def _address(self, resource_type: str, resource_id: str) -> str:
        if not is_type(resource_type) or not is_fhir_id(resource_id):
            raise EhrNotFound(404)
        return f"{self.base_url}/{resource_type}/{resource_id}"

    def _get(self, url: str, deadline: Deadline) -> Json:
        with self._cache.flight(url):
            kept = self._cache.get(url)
            headers = {"If-None-Match": kept.value[0]} if kept else {}
            # Some servers answer a repeated search from memory; what we keep ourselves is kept by ETag.
            headers = {**headers, "Cache-Control": "no-cache"}
            reply = self._repeat("GET", url, headers, None, deadline)
            if reply.status == 304 and kept is not None:
                self._cache.put(url, kept.value, kept.size)
                return parse_resource(kept.value[1])
            etag = reply.headers.get("etag", "")
            if etag and len(etag) < 200:
                self._cache.put(url, (etag, reply.body), len(reply.body))
            return parse_resource(reply.body)

    def _all_pages(self, first: Json, resource_type: str, deadline: Deadline, most: int = MAX_PAGES) -> SearchResult:
        return all_pages(
            first, resource_type, base_url=self.base_url, fetch=lambda url: self._get(url, deadline), most=most
        )

    def _one_of_many(
        self, resource_type: str, params: Params, deadline: Deadline
    ) -> SearchResult | EhrRefused | EhrUnavailable | EhrProtocolError:
        try:
            return self.search(resource_type, params, deadline=deadline)
        except (EhrRefused, EhrUnavailable, EhrProtocolError) as error:
            return error

    def _batch(
        self, searches: Sequence[tuple[str, Params]], deadline: Deadline
    ) -> list[SearchResult | EhrRefused | EhrUnavailable | EhrProtocolError]:
        request = {
            "resourceType": "Bundle",
            "type": "batch",
            "entry": [{"request": {"method": "GET", "url": search_path(kind, params)}} for kind, params in searches],
        }
        content = json.dumps(request).encode()
        headers = {"Content-Type": FHIR_JSON, "Cache-Control": "no-cache"}
        reply = self._repeat("POST", self.base_url, headers, content, deadline)
        answer = parse_resource(reply.body)
        _expect(answer, "Bundle")
        entries = list(items(answer, "entry"))
        if len(entries) != len(searches):
            raise EhrProtocolError(ProtocolFault.NOT_FHIR)
        found: list[SearchResult | EhrRefused | EhrUnavailable | EhrProtocolError] = []
        for (resource_type, _), entry in zip(searches, entries, strict=True):
            status = text(obj(entry, "response"), "status")[:3]
            try:
                if status != "200":
                    raise _error(int(status) if status.isdecimal() else 500, None)
                found.append(self._all_pages(obj(entry, "resource"), resource_type, deadline))
            except (EhrRefused, EhrUnavailable, EhrProtocolError) as error:
                found.append(error)
            except EditConflict:
                found.append(EhrRefused(409))
        return found

    def _repeat(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes | None, deadline: Deadline
    ) -> Reply:
        """An idempotent request, repeated after 429, 502–504 and lost connections while time is left."""
        tries, worth = (2, _AT_ONCE) if deadline.hurried else (TRIES, _LATER)
        for attempt in range(1, tries + 1):
            try:
                return self._attempt(method, url, headers, content, deadline)
            except EhrUnavailable as error:
                wait = error.retry_after or _FIRST_PAUSE_SECONDS * 2**attempt * (0.5 + ids.jitter())
                if error.reason not in worth or attempt == tries or wait >= deadline.remaining:
                    raise
                if not deadline.hurried:
                    self._pause(wait)
        raise AssertionError("the loop returns or raises")

    def _attempt(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes | None, deadline: Deadline
    ) -> Reply:
        try:
            self.breaker.ask()
        except BreakerOpen as alone:
            raise EhrUnavailable(DownReason.BREAKER_OPEN, retry_after=int(alone.seconds) + 1) from alone
        try:
            reply = self._send(method, url, headers, content, deadline)
            if reply.status == 401 and self.connection.auth.refused():
                reply = self._send(method, url, headers, content, deadline)
            if reply.status >= 500:
                raise _error(reply.status, reply)
            if reply.status == 200 and method != "DELETE":
                _looks_like_fhir(reply)
        except EhrUnavailable:
            self.breaker.failed()
            raise
        except EhrProtocolError:
            # A proxy's error page, a cut answer: as bad as no answer.
            self.breaker.failed()
            raise
        self.breaker.succeeded()
        if reply.status >= 400:
            raise _error(reply.status, reply)
        return reply

    def _send(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes | None, deadline: Deadline
    ) -> Reply:
        known = self.connection.auth.headers(self._transport, self.base_url, deadline)
        return self._transport.send(method, url, deadline=deadline, headers={**headers, **known}, content=content)

    def _write(
        self, method: str, url: str, resource: Json, headers: Mapping[str, str], deadline: Deadline | None
    ) -> Reply:
        sent = {"Content-Type": FHIR_JSON, "Prefer": "return=minimal", **headers}
        content = json.dumps(resource, ensure_ascii=False, allow_nan=False).encode()
        return self._attempt(method, url, sent, content, deadline or Deadline(TOTAL_SECONDS))

    def _written(self, resource_type: str, reply: Reply) -> Written:
        kind, found, version = _place(reply.headers.get("location", reply.headers.get("content-location", "")))
        if not found and reply.body:
            body = parse_resource(reply.body)
            kind, found = body["resourceType"], text(body, "id")
            version = text(obj(body, "meta"), "versionId")
        version = version or reply.headers.get("etag", "").removeprefix("W/").strip('"')
        if kind != resource_type or not is_fhir_id(found):
            raise EhrProtocolError(ProtocolFault.WRONG_RESOURCE)
        return Written(kind, found, version, created=reply.status == 201)


def search_path(resource_type: str, params: Params) -> str:
    """`Type?name=value&…`, values percent-encoded."""
    return f"{resource_type}?{urlencode(params)}" if params else resource_type


def _expect(resource: Json, resource_type: str) -> None:
    if resource["resourceType"] != resource_type:
        raise EhrProtocolError(ProtocolFault.WRONG_RESOURCE)


def _looks_like_fhir(reply: Reply) -> None:
    """An HTML page with status 200 is an error page, whoever sent it."""
    kind = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
    if reply.body and kind not in ("", FHIR_JSON, "application/json", "application/json+fhir", "text/json"):
        raise EhrProtocolError(ProtocolFault.NOT_FHIR)
    if reply.body:
        last = reply.body.rstrip()[-1:]
        if reply.body.lstrip()[:1] != b"{" or last != b"}":
            raise EhrProtocolError(ProtocolFault.NOT_JSON)


def _error(status: int, reply: Reply | None) -> EhrUnavailable | EhrRefused | EditConflict:
    if status in (404, 410):
        return EhrNotFound(status)
    if status in (409, 412):
        return EditConflict()
    wait = _retry_after(reply.headers.get("retry-after", "")) if reply else None
    if status in (429, 502, 503, 504):
        return EhrUnavailable(DownReason.BUSY, retry_after=wait)
    if status >= 500:
        return EhrUnavailable(DownReason.SERVER_ERROR, retry_after=wait)
    return EhrRefused(status)


def _retry_after(value: str) -> int | None:
    """Seconds of a Retry-After header, given as seconds or as a date."""
    if value.isascii() and value.isdecimal() and len(value) < 9:
        return int(value)
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, TypeError):
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0, int((at - clock.now()).total_seconds()) + 1)


def _place(location: str) -> tuple[str, str, str]:
    """Type, id and version of a Location header; empty where it says nothing usable."""
    parts = urlsplit(location).path.strip("/").split("/")
    version = ""
    if len(parts) >= 4 and parts[-2] == "_history":
        version, parts = parts[-1], parts[:-2]
    if len(parts) >= 2 and is_type(parts[-2]) and is_fhir_id(parts[-1]):
        return parts[-2], parts[-1], version
    return "", "", ""


def _capabilities(statement: Json) -> Capabilities:
    rest = next(items(statement, "rest"), {})
    types = frozenset(text(resource, "type") for resource in items(rest, "resource"))
    interactions = {text(interaction, "code") for interaction in items(rest, "interaction")}
    return Capabilities(
        fhir_version=text(statement, "fhirVersion", 20),
        software=text(obj(statement, "software"), "name", 80),
        batch="batch" in interactions,
        resource_types=types,
        subscriptions="Subscription" in types,
        creatable=frozenset(
            text(resource, "type")
            for resource in items(rest, "resource")
            if any(text(interaction, "code") == "create" for interaction in items(resource, "interaction"))
        ),
        conditional=frozenset(
            text(resource, "type") for resource in items(rest, "resource") if resource.get("conditionalCreate") is True
        ),
    )
