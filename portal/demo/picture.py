"""The photo of the demo: a parcel with a crushed, wet corner, drawn here so that no picture has to be kept."""

import struct
import zlib
from functools import cache

WIDTH, HEIGHT = 480, 360
_TABLE = (214, 208, 198)
_BOX = (196, 152, 96)
_LID = (212, 170, 114)
_TAPE = (232, 214, 176)
_WET = (138, 102, 62)
_CRACK = (92, 66, 40)

Colour = tuple[int, int, int]


@cache
def crushed_parcel() -> bytes:
    """A PNG of 480 by 360 pixels."""
    rows = b"".join(b"\0" + bytes(part for x in range(WIDTH) for part in _pixel(x, y)) for y in range(HEIGHT))
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _pixel(x: int, y: int) -> Colour:
    inside = 90 <= x <= 390 and 80 <= y <= 290
    # The upper right corner is gone, along a ragged edge.
    dent = x - 300 > (y - 80) * 1.1 + 8 * ((x // 11 + y // 7) % 3)
    if not inside or dent:
        return _TABLE
    if abs(x - 300 - (y - 80) * 1.1) < 6:
        return _CRACK
    if (x - 350) ** 2 + (y - 250) ** 2 < 3600 + 900 * ((x // 9 + y // 13) % 2):
        return _WET
    if 225 <= x <= 255:
        return _TAPE
    return _LID if y < 125 else _BOX
