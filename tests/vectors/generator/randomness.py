"""Where the vectors' randomness comes from, and the clock: the same on every run.

Our own comes from a fixed stream; what libraries draw themselves (encapsulation, ML-DSA) is kept in
library_randomness.json by the hash of the inputs, and drawn anew only for inputs it does not know.
"""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

from portal.core import clock, ids
from portal.e2ee import hpke, hybrid
from portal.e2ee.encoding import b64, pae, sha256, unb64

from .building import NOON

TAPE = Path(__file__).parent.parent / "library_randomness.json"


class Randomness:
    """A fixed stream for ourselves, and a tape of what libraries drew."""

    def __init__(self) -> None:
        self.known: dict[str, str] = json.loads(TAPE.read_text()) if TAPE.exists() else {}
        self.used: dict[str, str] = {}
        self._label, self._count = b"", 0
        self._seal, self._sign = hpke.seal, hybrid.sign

    def begin(self, label: str) -> None:
        """Start the stream of one file, so that files do not depend on each other."""
        self._label, self._count = label.encode(), 0

    def random_bytes(self, octets: int) -> bytes:
        self._count += 1
        return hashlib.shake_256(b"rxe2ee vectors:%s:%d" % (self._label, self._count)).digest(octets)

    def random_id(self) -> str:
        return self.random_bytes(16).hex()

    def seal(self, public: bytes, info: bytes, plain: bytes) -> bytes:
        name = b64(sha256(pae("seal", public, info, plain)))
        return unb64(self._taped(name, lambda: b64(self._seal(public, info, plain))))

    def sign(self, ed_seed: bytes, ml_seed: bytes, message: bytes) -> str:
        name = b64(sha256(pae("sign", ed_seed, ml_seed, message)))
        return self._taped(name, lambda: self._sign(ed_seed, ml_seed, message))

    def _taped(self, name: str, make: Callable[[], str]) -> str:
        if name not in self.used:
            self.used[name] = self.known.get(name) or make()
        return self.used[name]


RANDOMNESS = Randomness()


@contextlib.contextmanager
def fixed(randomness: Randomness) -> Iterator[None]:
    """Everything below draws from `randomness`, and the clock stands still."""
    with (
        mock.patch.object(ids, "random_bytes", randomness.random_bytes),
        mock.patch.object(ids, "random_id", randomness.random_id),
        mock.patch.object(hpke, "seal", randomness.seal),
        mock.patch.object(hybrid, "sign", randomness.sign),
        mock.patch.object(clock, "now_ms", return_value=NOON),
    ):
        yield
