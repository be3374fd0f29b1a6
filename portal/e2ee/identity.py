"""The private side of a person or service: root key, identity, encryption keys, device (docs/protocol.md section 2)."""

from dataclasses import dataclass, field

from portal.core import ids
from portal.e2ee import ed25519, hpke, hybrid
from portal.e2ee.directory import EntryRole
from portal.e2ee.encoding import key_id
from portal.e2ee.hybrid import IdentityKeys


@dataclass(frozen=True, slots=True)
class Identity:
    """UIK: the two seeds of an identity."""

    ed_seed: bytes = field(repr=False)
    ml_seed: bytes = field(repr=False)

    @classmethod
    def new(cls) -> "Identity":
        """Fresh seeds."""
        return cls(ids.random_bytes(32), ids.random_bytes(32))

    @classmethod
    def from_seeds(cls, seeds: bytes) -> "Identity":
        """From the content of a root box."""
        return cls(seeds[:32], seeds[32:])

    @property
    def seeds(self) -> bytes:
        """The content of a root box."""
        return self.ed_seed + self.ml_seed

    @property
    def keys(self) -> IdentityKeys:
        """The public keys."""
        return hybrid.public_of(self.ed_seed, self.ml_seed)

    def sign(self, message: bytes) -> str:
        """Both signatures."""
        return hybrid.sign(self.ed_seed, self.ml_seed, message)


@dataclass(frozen=True, slots=True)
class EncryptionKey:
    """PUK or PTK: the seed of one generation."""

    gen: int
    seed: bytes = field(repr=False)

    @classmethod
    def new(cls, gen: int = 1) -> "EncryptionKey":
        """A fresh seed."""
        return cls(gen, ids.random_bytes(hpke.SEED_BYTES))

    @property
    def public(self) -> bytes:
        """kem of the directory."""
        return hpke.public_of(self.seed)

    @property
    def kid(self) -> bytes:
        """Names the key."""
        return key_id(self.public)


@dataclass(frozen=True, slots=True)
class Device:
    """DSK: a device of a user, and the seed it signs with."""

    user: str
    dev: str
    seed: bytes = field(repr=False)

    @classmethod
    def new(cls, user: str, dev: str) -> "Device":
        """A fresh seed."""
        return cls(user, dev, ids.random_bytes(32))

    @property
    def public(self) -> bytes:
        """`ed` of the certificate."""
        return ed25519.public_of(self.seed)

    def sign(self, message: bytes) -> bytes:
        """The device's signature."""
        return ed25519.sign(self.seed, message)


@dataclass(slots=True)
class Person:
    """All private keys of one user on one device. A service differs by its role only."""

    id: str
    urk: bytes = field(repr=False)
    identity: Identity
    keys: list[EncryptionKey]
    device: Device
    role: EntryRole = EntryRole.PERSON

    @classmethod
    def new(cls, id: str, dev: str, role: EntryRole = EntryRole.PERSON) -> "Person":
        """Fresh keys, generation 1."""
        return cls(id, ids.random_bytes(32), Identity.new(), [EncryptionKey.new()], Device.new(id, dev), role)

    @property
    def key(self) -> EncryptionKey:
        """The newest encryption key."""
        return self.keys[-1]

    @property
    def keyring(self) -> dict[tuple[str, int], bytes]:
        """The own seeds, as `open` takes them."""
        return {(self.id, key.gen): key.seed for key in self.keys}
