"""QR codes: read back by a reader of the test's own, and the same picture that other programs draw."""

import hashlib

import pytest

from portal.core import qr


def read(rows: list[list[bool]]) -> str:
    """Take the mask off, walk the columns, undo the interleaving, and read mode, length and bytes (ISO/IEC 18004)."""
    size = len(rows)
    version = (size - 17) // 4
    told = sum(rows[y][x] << bit for bit, (x, y) in enumerate(qr._format_places(size)[0])) ^ 0x5412
    assert told == sum(rows[y][x] << bit for bit, (x, y) in enumerate(qr._format_places(size)[1])) ^ 0x5412
    mask = qr._MASKS[told >> 10 & 7]
    _, taken = qr._fixed_patterns(version)
    bits = []
    columns = [*range(size - 1, 6, -2), 5, 3, 1]
    for number, right in enumerate(columns):
        for y in range(size) if number % 2 else reversed(range(size)):
            bits += [rows[y][x] ^ mask(x, y) for x in (right, right - 1) if not taken[y][x]]
    words = [sum(bit << (7 - at) for at, bit in enumerate(bits[i : i + 8])) for i in range(0, len(bits) - 7, 8)]
    checks, blocks, room = qr._BLOCKS[version - 1]
    short, longer = divmod(room, blocks)
    parts: list[list[int]] = [[] for _ in range(blocks)]
    stream = iter(words)
    for at in range(short + 1):
        for number, part in enumerate(parts):
            if at < short or number >= blocks - longer:
                part.append(next(stream))
    tails: list[list[int]] = [[] for _ in range(blocks)]
    for _ in range(checks):
        for tail in tails:
            tail.append(next(stream))
    for part, tail in zip(parts, tails, strict=True):
        root = 1
        for _ in range(checks):
            value = 0
            for word in [*part, *tail]:
                value = qr._times(value, root) ^ word
            assert value == 0, "a check of Reed and Solomon fails"
            root = qr._times(root, 2)
    text = "".join(f"{word:08b}" for part in parts for word in part)
    assert text[:4] == "0100"
    wide = 8 if version < 10 else 16
    length = int(text[4 : 4 + wide], 2)
    start = 4 + wide
    return bytes(int(text[start + 8 * at : start + 8 * at + 8], 2) for at in range(length)).decode()


@pytest.mark.parametrize("length", [1, 14, 15, 26, 42, 43, 62, 84, 100, 106, 122, 123, 152, 180, 181, 213])
def test_what_is_drawn_can_be_read(length: int) -> None:
    text = ("https://portal.example/join#ABCD-ÑÜ " * 9).encode()[:length].decode(errors="ignore")
    assert read(qr.modules(text)) == text


def test_the_picture_is_the_one_that_other_programs_draw() -> None:
    # Fourteen letters fill version 1, so that nobody pads; compared with segno 1.6.6 and read by OpenCV 4.12.
    drawn = "\n".join("".join("#" if dark else "." for dark in row) for row in qr.modules("x" * 14))
    assert (
        hashlib.sha256(drawn.encode()).hexdigest() == "87bae821693809a18699cbc7224351dcd9cd6970d60b75b3a54ba1f0681c7a12"
    )


def test_a_path_covers_the_dark_modules_inside_a_white_margin() -> None:
    rows = qr.modules("https://portal.example/join#ABCD-EFGH-JKMN-PQRS")
    drawn, width = qr.path("https://portal.example/join#ABCD-EFGH-JKMN-PQRS")
    assert width == len(rows) + 8
    assert sum(int(part.split("h")[1].split("v")[0]) for part in drawn.split("M")[1:]) == sum(map(sum, rows))


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        qr.modules("x" * 214)
