"""Rest-hook Subscriptions (R4): after a change that matches the criteria, the resource is PUT to the endpoint.

One worker thread; three tries for each notice, then the Subscription is set to `error`. Only loopback endpoints are
taken: this is a demo server, and nobody should be able to make it call elsewhere.
"""

import http.client
import json
import logging
import queue
import threading
from urllib.parse import parse_qsl, urlsplit

from portal.demo.sandbox.index import served_types
from portal.demo.sandbox.search import FhirError, find_ids
from portal.demo.sandbox.store import Json, Store, Stored

TRIES = 3
_PAUSE_SECONDS = 0.2
_TIMEOUT_SECONDS = 3.0
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_log = logging.getLogger(__name__)


class Notifier:
    """Listens to the store and delivers. `close` ends its thread."""

    def __init__(self, store: Store, base_url: str) -> None:
        self._store = store
        self._base_url = base_url
        self._changes: queue.Queue[Stored | None] = queue.Queue()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="sandbox-subscriptions")
        self._thread.start()
        store.listeners.append(self._heard)

    def close(self) -> None:
        """Stop delivering; waits for the delivery under way."""
        self._stop.set()
        self._changes.put(None)
        self._thread.join(timeout=_TIMEOUT_SECONDS * 2)

    def _heard(self, change: Stored) -> None:
        if change.resource is not None and change.type != "Subscription":
            self._changes.put(change)

    def _run(self) -> None:
        while (change := self._changes.get()) is not None and not self._stop.is_set():
            for subscription in self._matching(change):
                if not self._deliver(subscription, change):
                    self._store.put({**subscription, "status": "error", "error": "no delivery after three tries"})

    def _matching(self, change: Stored) -> list[Json]:
        rows = self._store.query(
            "SELECT id FROM entry WHERE type = 'Subscription' AND name = 'status' AND value = 'active'", []
        )
        found = []
        for (name,) in rows:
            stored = self._store.get("Subscription", name)
            if stored is None or stored.resource is None:
                continue
            kind, _, query = str(stored.resource["criteria"]).partition("?")
            if kind == change.type and change.id in find_ids(
                self._store, self._base_url, kind, [*parse_qsl(query), ("_id", change.id)]
            ):
                found.append(stored.resource)
        return found

    def _deliver(self, subscription: Json, change: Stored) -> bool:
        channel = subscription["channel"]
        url = urlsplit(channel["endpoint"])
        payload = channel.get("payload")
        method, path = ("PUT", f"{url.path}/{change.type}/{change.id}") if payload else ("POST", url.path or "/")
        body = json.dumps(change.resource).encode() if payload else b""
        headers = {"Content-Type": str(payload)} if payload else {}
        headers |= dict(line.split(": ", 1) for line in channel.get("header", []) if ": " in line)
        for attempt in range(TRIES):
            connection = http.client.HTTPConnection(url.hostname or "", url.port or 80, timeout=_TIMEOUT_SECONDS)
            try:
                connection.request(method, path, body, headers)
                if 200 <= connection.getresponse().status < 300:
                    return True
            except (OSError, http.client.HTTPException):
                _log.info("subscription delivery failed, attempt %d", attempt + 1)
            finally:
                connection.close()
            self._stop.wait(_PAUSE_SECONDS * 2**attempt)
        return False


def activated(subscription: Json) -> Json:
    """A requested Subscription as it is stored. Raises FhirError for what this server cannot deliver."""
    channel = subscription.get("channel", {})
    url = urlsplit(str(channel.get("endpoint", "")))
    if channel.get("type") != "rest-hook" or url.scheme != "http" or url.hostname not in _LOOPBACK:
        raise FhirError(422, "not-supported", "only rest-hooks to loopback addresses are delivered")
    kind, _, query = str(subscription.get("criteria", "")).partition("?")
    if kind not in served_types():
        raise FhirError(422, "invalid", "the criteria name a resource type that is not served")
    if not query:
        raise FhirError(422, "invalid", "the criteria have no parameters")
    wanted = subscription.get("status")
    return {**subscription, "status": "active"} if wanted == "requested" else subscription
