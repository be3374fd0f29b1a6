"""Tells open event streams that something changed.

Events hold ids only, and losing one loses nothing: a stream that missed an event finds it again by its cursor.
Memory serves one process, PostgreSQL NOTIFY or Redis several.
"""

import contextlib
import json
import logging
import queue
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

import psycopg

from portal.core.settings import Settings

log = logging.getLogger(__name__)

Event = Mapping[str, Any]
CHANNEL = "portal_events"
# A stream that does not read is cut off here; it comes back with its cursor.
QUEUE_LIMIT = 1000
RECONNECT_SECONDS = 1.0
AT_A_TIME = 16


class Subscription:
    """The events of some topics, for one stream."""

    def __init__(self, hub: "_Hub", topics: frozenset[str]) -> None:
        self._hub = hub
        self._topics = topics
        self._queue: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.overflowed = False

    def get(self, timeout: float) -> Event | None:
        """The next event, or None when none came within `timeout` seconds."""
        try:
            return self._queue.get(timeout=timeout)
        except queue.Empty:
            return None

    def put(self, event: Event) -> None:
        """Called by the hub; never blocks."""
        if self._queue.qsize() < QUEUE_LIMIT:
            self._queue.put(event)
        else:
            self.overflowed = True

    def close(self) -> None:
        """Stop receiving."""
        self._hub.remove(self, self._topics)


class Bus(Protocol):
    """What the rest of the portal knows of a bus."""

    def publish(self, topic: str, event: Event) -> None:
        """Tell all subscribers of `topic`, in every process. Call it after the commit; never raises."""

    def publish_each(self, told: Sequence[tuple[str, Event]]) -> None:
        """Several topics, each with its event, in one go."""

    def subscribe(self, topics: frozenset[str]) -> Subscription:
        """Receive the events of `topics` from now on."""

    def deliver(self, topic: str, event: Event) -> None:
        """Tell the subscribers of this process only."""

    def close(self) -> None:
        """Let go of connections."""


class _Hub:
    """Hands events to the subscriptions of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_topic: dict[str, set[Subscription]] = defaultdict(set)

    def subscribe(self, topics: frozenset[str]) -> Subscription:
        subscription = Subscription(self, topics)
        with self._lock:
            for topic in topics:
                self._by_topic[topic].add(subscription)
        return subscription

    def remove(self, subscription: Subscription, topics: frozenset[str]) -> None:
        with self._lock:
            for topic in topics:
                self._by_topic[topic].discard(subscription)
                if not self._by_topic[topic]:
                    del self._by_topic[topic]

    def deliver(self, topic: str, event: Event) -> None:
        with self._lock:
            subscriptions = tuple(self._by_topic.get(topic, ()))
        for subscription in subscriptions:
            subscription.put({"topic": topic, **event})


class MemoryBus:
    """For one process."""

    def __init__(self) -> None:
        self._hub = _Hub()

    def publish(self, topic: str, event: Event) -> None:
        self._hub.deliver(topic, event)

    def publish_each(self, told: Sequence[tuple[str, Event]]) -> None:
        for topic, event in told:
            self._hub.deliver(topic, event)

    def subscribe(self, topics: frozenset[str]) -> Subscription:
        return self._hub.subscribe(topics)

    def deliver(self, topic: str, event: Event) -> None:
        self._hub.deliver(topic, event)

    def close(self) -> None:
        return None


class _ListeningBus:
    """Common part of the buses across processes: one listening thread that comes back after a lost connection.

    `lost` are the errors by which the driver says that the connection is.
    """

    def __init__(self, *lost: type[Exception]) -> None:
        self._lost = lost
        self._hub = _Hub()
        self._stopping = threading.Event()
        self._ready = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def subscribe(self, topics: frozenset[str]) -> Subscription:
        with self._lock:
            # Started with the first stream, so that it lives in the worker process and not in the one that forks it.
            if self._thread is None:
                self._thread = threading.Thread(target=self._listen_for_ever, name="bus", daemon=True)
                self._thread.start()
        self._ready.wait(5)
        return self._hub.subscribe(topics)

    def deliver(self, topic: str, event: Event) -> None:
        self._hub.deliver(topic, event)

    def close(self) -> None:
        self._stopping.set()

    def _listen_for_ever(self) -> None:
        while not self._stopping.is_set():
            with contextlib.suppress(OSError, *self._lost):
                self._listen()
            self._stopping.wait(RECONNECT_SECONDS)

    def _listen(self) -> None:
        raise NotImplementedError

    def publish(self, topic: str, event: Event) -> None:
        self.publish_each([(topic, event)])

    def publish_each(self, told: Sequence[tuple[str, Event]]) -> None:
        # Few at a time: a notification of PostgreSQL carries 8,000 bytes.
        for first in range(0, len(told), AT_A_TIME):
            part = told[first : first + AT_A_TIME]
            self._say(json.dumps([{"topic": topic, "event": dict(event)} for topic, event in part]))

    def _say(self, payload: str) -> None:
        raise NotImplementedError

    def _receive(self, payload: str) -> None:
        try:
            told = [(message["topic"], message["event"]) for message in json.loads(payload)]
        except (ValueError, KeyError, TypeError):
            # Somebody else speaks on the channel, or another version of us; losing it loses nothing.
            log.warning("an event nobody understands")
            return
        for topic, event in told:
            self._hub.deliver(topic, event)


class PostgresBus(_ListeningBus):
    """NOTIFY on one channel. Needs direct connections, not a transaction pooler."""

    def __init__(self, url: str) -> None:
        super().__init__(psycopg.Error)
        self._url = url.replace("postgresql+psycopg://", "postgresql://")
        self._publisher: psycopg.Connection[Any] | None = None
        self._publishing = threading.Lock()

    def _say(self, payload: str) -> None:
        with self._publishing, contextlib.suppress(psycopg.Error):
            if self._publisher is None or self._publisher.closed:
                self._publisher = psycopg.connect(self._url, autocommit=True, connect_timeout=3)
            try:
                self._publisher.execute("SELECT pg_notify(%s, %s)", (CHANNEL, payload))
            except psycopg.OperationalError:
                self._publisher = psycopg.connect(self._url, autocommit=True, connect_timeout=3)
                self._publisher.execute("SELECT pg_notify(%s, %s)", (CHANNEL, payload))

    def close(self) -> None:
        super().close()
        with self._publishing:
            if self._publisher is not None:
                self._publisher.close()

    def _listen(self) -> None:
        with psycopg.connect(self._url, autocommit=True, connect_timeout=3) as connection:
            connection.execute(f"LISTEN {CHANNEL}")
            self._ready.set()
            while not self._stopping.is_set():
                for notification in connection.notifies(timeout=1.0):
                    self._receive(notification.payload)


class RedisBus(_ListeningBus):
    """Redis publish/subscribe on one channel."""

    def __init__(self, url: str) -> None:
        # A tenth of a second that every other portal would spend at each start.
        import redis

        super().__init__(redis.RedisError)
        self._redis = redis.Redis.from_url(url, socket_connect_timeout=3)

    def _say(self, payload: str) -> None:
        with contextlib.suppress(*self._lost):
            self._redis.publish(CHANNEL, payload)

    def close(self) -> None:
        super().close()
        self._redis.close()

    def _listen(self) -> None:
        with cast(Any, self._redis).pubsub(ignore_subscribe_messages=True) as listener:
            listener.subscribe(CHANNEL)
            self._ready.set()
            while not self._stopping.is_set():
                message = listener.get_message(timeout=1.0)
                if message is not None:
                    self._receive(message["data"].decode(errors="replace"))


def open_bus(settings: Settings) -> Bus:
    """Redis where one is set, else PostgreSQL where that is the database, else memory."""
    if settings.redis_url:
        return RedisBus(settings.redis_url)
    if not settings.sqlite:
        return PostgresBus(settings.database_url)
    return MemoryBus()
