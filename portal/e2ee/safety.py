"""Safety numbers, which two people compare in person (docs/protocol.md section 9)."""

from dataclasses import dataclass

from portal.e2ee.encoding import b64, pae, sha256

_BYTES = 30
_DIGITS = 60
_GROUP = 5


@dataclass(frozen=True, slots=True)
class SafetyNumber:
    """The same for both sides if both have the same identities."""

    bytes: bytes

    @property
    def digits(self) -> str:
        """Twelve groups of five digits."""
        digits = str(int.from_bytes(self.bytes, "big") % 10**_DIGITS).zfill(_DIGITS)
        return " ".join(digits[at : at + _GROUP] for at in range(0, _DIGITS, _GROUP))

    @property
    def qr_text(self) -> str:
        """What a QR code carries."""
        return f"rxe2ee:1:{b64(self.bytes)}"


def safety_number(*headers: bytes) -> SafetyNumber:
    """From the identity entry's header of each party (`directory.identity_entry`); of a team, its generation 1."""
    return SafetyNumber(sha256(pae("safety", *sorted(headers)))[:_BYTES])
