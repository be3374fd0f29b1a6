"""An organisation's recovery key on three printed sheets, of which two are needed (docs/protocol.md section 2).

Shamir's scheme over GF(2^8), byte by byte. What is multiplied may be secret, so nothing branches on it or looks it up.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from portal.core import ids
from portal.e2ee.checks import Check, require
from portal.e2ee.directory import Entry
from portal.e2ee.encoding import hkdf, pae
from portal.e2ee.identity import EncryptionKey, Identity
from portal.e2ee.reasons import Reason
from portal.e2ee.recovery import ALPHABET, CHECK_ALPHABET, bare_code

ORK_BYTES = 32
SET_BYTES = 6
SHEETS = (1, 2, 3)
VERSION = 1
LINES = 4
LINE_SYMBOLS = 16

_LINE = LINE_SYMBOLS + 1
_LINE_BYTES = 10
_POLYNOMIAL = 0x11B


@dataclass(frozen=True, slots=True)
class Sheet:
    """One share: `set` is that of all three sheets made together, `index` is 1, 2 or 3."""

    set: bytes
    index: int
    share: bytes = field(repr=False)


def multiply(left: int, right: int) -> int:
    """The product of two elements of GF(2^8)."""
    product = 0
    for place in range(8):
        product ^= -(right >> place & 1) & left
        left = (left << 1) ^ (-(left >> 7) & _POLYNOMIAL)
    return product


def _inverse(value: int) -> int:
    # value^254; of numbers of sheets only, which are no secret.
    result = 1
    for _ in range(254):
        result = multiply(result, value)
    return result


def split(ork: bytes, name: bytes | None = None, slope: bytes | None = None) -> list[Sheet]:
    """Three sheets, each of which alone says nothing about `ork`. Name of the set and slope are drawn, but by tests."""
    set_, slopes = name or ids.random_bytes(SET_BYTES), slope or ids.random_bytes(ORK_BYTES)
    return [
        Sheet(set_, index, bytes(it ^ multiply(a, index) for it, a in zip(ork, slopes, strict=True)))
        for index in SHEETS
    ]


PAIR_CHECKS: tuple[Check[tuple[Sheet, Sheet]], ...] = (
    Check("sheets: of one set", Reason.OBJECT, lambda it: it[0].set == it[1].set),
    Check("sheets: two of them", Reason.DUPLICATE, lambda it: it[0].index != it[1].index),
)


def join(one: Sheet, other: Sheet) -> bytes:
    """The key that two sheets give. Raises Refused: `object` (of another set), `duplicate` (the same one twice)."""
    require(PAIR_CHECKS, (one, other))
    denominator = _inverse(one.index ^ other.index)
    left, right = multiply(other.index, denominator), multiply(one.index, denominator)
    return bytes(multiply(it, left) ^ multiply(that, right) for it, that in zip(one.share, other.share, strict=True))


def write(sheet: Sheet) -> str:
    """A sheet as it is printed: four lines of four groups, each line with its check symbol."""
    octets = bytes([VERSION]) + sheet.set + bytes([sheet.index]) + sheet.share
    lines = []
    for line in range(LINES):
        number = int.from_bytes(octets[line * _LINE_BYTES : (line + 1) * _LINE_BYTES], "big")
        symbols = "".join(ALPHABET[number >> 5 * place & 31] for place in reversed(range(LINE_SYMBOLS)))
        whole = symbols + check_symbol(symbols, line + 1)
        lines.append("-".join(whole[at : at + 4] for at in range(0, len(whole), 4)))
    return "\n".join(lines)


def check_symbol(symbols: str, line: int) -> str:
    """The last symbol of a line, which is counted from 1."""
    number = line
    for place, symbol in enumerate(reversed(symbols)):
        number += ALPHABET.index(symbol) << 5 * place
    return CHECK_ALPHABET[number % 37]


def _lines(code: str) -> list[str]:
    return [code[at : at + _LINE] for at in range(0, len(code), _LINE)]


def _known_symbols(code: str) -> bool:
    return all(symbol in ALPHABET for line in _lines(code) for symbol in line[:LINE_SYMBOLS])


def _checked_lines(code: str) -> bool:
    return all(
        line[LINE_SYMBOLS:] == check_symbol(line[:LINE_SYMBOLS], place)
        for place, line in enumerate(_lines(code), start=1)
    )


CODE_CHECKS: tuple[Check[str], ...] = (
    Check("sheet: length", Reason.CODE, lambda code: len(code) == LINES * _LINE),
    Check("sheet: symbols", Reason.CODE, _known_symbols),
    Check("sheet: check symbols", Reason.CODE, _checked_lines),
)
BYTES_CHECKS: tuple[Check[bytes], ...] = (
    Check("sheet: version", Reason.CODE, lambda octets: octets[0] == VERSION),
    Check("sheet: number", Reason.CODE, lambda octets: octets[1 + SET_BYTES] in SHEETS),
)


def read(typed: str) -> Sheet:
    """A typed sheet; case, spaces, hyphens and look-alikes do not matter. Raises Refused(code)."""
    code = bare_code(typed)
    require(CODE_CHECKS, code)
    octets = b""
    for line in _lines(code):
        number = 0
        for symbol in line[:LINE_SYMBOLS]:
            number = number << 5 | ALPHABET.index(symbol)
        octets += number.to_bytes(_LINE_BYTES, "big")
    require(BYTES_CHECKS, octets)
    return Sheet(octets[1 : 1 + SET_BYTES], octets[1 + SET_BYTES], octets[2 + SET_BYTES :])


def keys_of(ork: bytes, id: str, gen: int) -> tuple[Identity, EncryptionKey]:
    """The identity and the encryption key of a recovery, its private half."""
    seeds = hkdf(ork, b"", pae("ork", id), 96)
    return Identity.from_seeds(seeds[:64]), EncryptionKey(gen, seeds[64:])


def _gives(it: tuple[bytes, Entry]) -> bool:
    ork, newest = it
    identity, key = keys_of(ork, newest.id, newest.gen)
    return identity.keys == newest.identity and key.public == newest.kem


NEWEST_CHECKS: tuple[Check[tuple[bytes, Entry]], ...] = (Check("sheets: of the newest key", Reason.MEMBER_KEY, _gives),)


def open_sheets(typed: Sequence[str], newest: Entry) -> bytes:
    """The recovery key out of two typed sheets, held against the verified newest entry of the recovery.

    Raises Refused: `code` (a typing error), `object`, `duplicate`, `member key` (of older sheets, or of another key).
    """
    one, other = (read(text) for text in typed)
    ork = join(one, other)
    require(NEWEST_CHECKS, (ork, newest))
    return ork
