"""Panels already made: as long as a context is remembered, its words need not be put together for every look.

Bound to the context itself: when the reader lets go of it, what was made from it goes too, so nothing of a patient
stays in memory longer than the context does.
"""

import hashlib
import json
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

from portal.accounts.policy import Sight
from portal.ehr.model import PatientContext

Variant = tuple[Sight, str, date]


@dataclass(frozen=True)
class Rendered:
    """The body of an answer and its ETag."""

    body: str
    etag: str


class Panels:
    """What was made of each context, by who looks at it: sight, language and day. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._made: dict[int, tuple[weakref.ref[PatientContext], dict[Variant, Rendered]]] = {}

    def of(self, context: PatientContext, variant: Variant, make: Callable[[], dict[str, Any]]) -> Rendered:
        """The panel of `context` for `variant`; `make` puts it together the first time."""
        name = id(context)
        with self._lock:
            kept = self._made.get(name)
            if kept is not None and kept[0]() is context and variant in kept[1]:
                return kept[1][variant]
        body = json.dumps(make(), ensure_ascii=False)
        rendered = Rendered(body, hashlib.sha256(body.encode()).hexdigest()[:32])
        with self._lock:
            kept = self._made.get(name)
            if kept is None or kept[0]() is not context:
                kept = weakref.ref(context, lambda gone: self._forget(name, gone)), {}
                self._made[name] = kept
            kept[1][variant] = rendered
        return rendered

    def _forget(self, name: int, gone: "weakref.ref[PatientContext]") -> None:
        with self._lock:
            # The number may name a younger context already.
            if name in self._made and self._made[name][0] is gone:
                del self._made[name]
