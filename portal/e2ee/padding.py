"""Padding that hides the true length: a few sizes per power of two (docs/protocol.md section 4)."""

from dataclasses import dataclass

from portal.e2ee.checks import Check, require
from portal.e2ee.reasons import Reason

SMALLEST = 256
_PREFIX = 4


def bucket(size: int) -> int:
    """The padded size, in bytes, of `size` bytes; at most about 12 % more for large ones."""
    if size <= SMALLEST:
        return SMALLEST
    exponent = size.bit_length() - 1
    step = 1 << (exponent - exponent.bit_length())
    return -(-size // step) * step


def is_bucket(size: int) -> bool:
    """Whether `size` is one that padding gives; the server asks this of every message on append."""
    return size >= SMALLEST and bucket(size) == size


def pad(content: bytes) -> bytes:
    """Length, content and zeros."""
    return (len(content).to_bytes(_PREFIX, "big") + content).ljust(bucket(_PREFIX + len(content)), b"\0")


@dataclass(frozen=True, slots=True)
class _Padded:
    data: bytes

    @property
    def end(self) -> int:
        return _PREFIX + int.from_bytes(self.data[:_PREFIX], "big")


CHECKS: tuple[Check[_Padded], ...] = (
    # This also refuses a length beyond the end: a bucket is never smaller than what it holds.
    Check("padding: the right bucket", Reason.PADDING, lambda it: bucket(it.end) == len(it.data)),
    Check("padding: zeros", Reason.PADDING, lambda it: not any(it.data[it.end :])),
)


def unpad(padded: bytes) -> bytes:
    """The content. Raises Refused(padding)."""
    it = _Padded(padded)
    require(CHECKS, it)
    return padded[_PREFIX : it.end]
