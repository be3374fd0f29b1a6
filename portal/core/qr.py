"""QR codes (ISO/IEC 18004) for what people carry away on paper: byte mode, error correction M, versions 1 to 10.

Level M survives 15 % of the picture being lost, which a card in a purse needs; version 10 holds 213 bytes, more than
any address printed here has. `path` gives one SVG path, so that a page needs no script and no picture file.
"""

from collections.abc import Callable, Iterator

# For versions 1 to 10 at level M: check bytes of each block, blocks, data bytes of all blocks (table 9).
_BLOCKS = (
    (10, 1, 16),
    (16, 1, 28),
    (26, 1, 44),
    (18, 2, 64),
    (24, 2, 86),
    (16, 4, 108),
    (18, 4, 124),
    (22, 4, 154),
    (22, 5, 182),
    (26, 5, 216),
)
# Where the alignment patterns of each version stand (annex E).
_ALIGNED = ((), (6, 18), (6, 22), (6, 26), (6, 30), (6, 34), (6, 22, 38), (6, 24, 42), (6, 26, 46), (6, 28, 50))
_LEVEL_M = 0b00
# The white margin that readers need around the code, in modules.
QUIET = 4

Modules = list[list[bool]]


def modules(text: str) -> Modules:
    """The code of `text` as rows of dark (True) and light modules, without margin. Raises ValueError when too long."""
    data = text.encode()
    version = _version_for(len(data))
    plain, fixed = _fixed_patterns(version)
    _place(plain, fixed, _with_checks(data, version))
    return min((_masked(plain, fixed, mask, version) for mask in range(8)), key=_penalty)


def path(text: str) -> tuple[str, int]:
    """The dark modules as the `d` of an SVG path, and the width of its square view box with the margin, in modules."""
    rows = modules(text)
    drawn = [
        f"M{x + QUIET} {y + QUIET}h{length}v1h-{length}z" for y, row in enumerate(rows) for x, length in _runs_of(row)
    ]
    return "".join(drawn), len(rows) + 2 * QUIET


def _runs_of(row: list[bool]) -> Iterator[tuple[int, int]]:
    start = None
    for x, dark in enumerate([*row, False]):
        if dark and start is None:
            start = x
        elif not dark and start is not None:
            yield start, x - start
            start = None


def _version_for(octets: int) -> int:
    for version, (_, _, room) in enumerate(_BLOCKS, start=1):
        if octets * 8 + 4 + _count_bits(version) <= room * 8:
            return version
    raise ValueError("too long for a QR code of version 10")


def _count_bits(version: int) -> int:
    return 8 if version < 10 else 16


def _with_checks(data: bytes, version: int) -> bytes:
    """Mode, length, data and padding in blocks, each followed by its check bytes, interleaved."""
    checks, blocks, room = _BLOCKS[version - 1]
    bits = f"{0b0100:04b}{len(data):0{_count_bits(version)}b}" + "".join(f"{one:08b}" for one in data)
    bits += "0" * min(4, room * 8 - len(bits))
    bits += "0" * (-len(bits) % 8)
    words = bytearray(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))
    words += bytes((0xEC, 0x11)[at % 2] for at in range(room - len(words)))
    short, longer = divmod(room, blocks)
    parts, at = [], 0
    for number in range(blocks):
        size = short + (number >= blocks - longer)
        parts.append(bytes(words[at : at + size]))
        at += size
    generator = _generator(checks)
    tails = [_remainder(part, generator) for part in parts]
    return bytes(
        part[at] for group in (parts, tails) for at in range(max(map(len, group))) for part in group if at < len(part)
    )


def _times(one: int, other: int) -> int:
    """The product of two numbers of the field GF(2^8) with the polynomial 0x11D."""
    product = 0
    for bit in range(7, -1, -1):
        product = (product << 1) ^ ((product >> 7) * 0x11D)
        product ^= ((other >> bit) & 1) * one
    return product


def _generator(degree: int) -> list[int]:
    """The coefficients of (x - 1)(x - 2)…(x - 2^(degree-1)) below the highest, which is 1."""
    found, root = [0] * (degree - 1) + [1], 1
    for _ in range(degree):
        for at in range(degree):
            found[at] = _times(found[at], root) ^ (found[at + 1] if at + 1 < degree else 0)
        root = _times(root, 2)
    return found


def _remainder(data: bytes, generator: list[int]) -> bytes:
    rest = [0] * len(generator)
    for one in data:
        factor = one ^ rest.pop(0)
        rest.append(0)
        rest = [have ^ _times(coefficient, factor) for have, coefficient in zip(rest, generator, strict=True)]
    return bytes(rest)


def _fixed_patterns(version: int) -> tuple[Modules, Modules]:
    """Finders, timing, alignment and version; and which modules they and the format take."""
    size = version * 4 + 17
    dark = [[False] * size for _ in range(size)]
    taken = [[False] * size for _ in range(size)]

    def put(x: int, y: int, is_dark: bool) -> None:
        if 0 <= x < size and 0 <= y < size:
            dark[y][x], taken[y][x] = is_dark, True

    for at in range(size):
        put(6, at, at % 2 == 0)
        put(at, 6, at % 2 == 0)
    for x, y in ((3, 3), (size - 4, 3), (3, size - 4)):
        for across in range(-4, 5):
            for down in range(-4, 5):
                put(x + across, y + down, max(abs(across), abs(down)) not in (2, 4))
    places = _ALIGNED[version - 1]
    corners = {(6, 6), (6, size - 7), (size - 7, 6)}
    for x, y in ((x, y) for x in places for y in places if (x, y) not in corners):
        for across in range(-2, 3):
            for down in range(-2, 3):
                put(x + across, y + down, max(abs(across), abs(down)) != 1)
    for x, y in [*_format_places(size)[0], *_format_places(size)[1]]:
        put(x, y, False)
    put(8, size - 8, True)
    if version >= 7:
        told = version << 12 | _rest(version, 0x1F25, 12)
        for bit in range(18):
            is_dark = bool(told >> bit & 1)
            put(size - 11 + bit % 3, bit // 3, is_dark)
            put(bit // 3, size - 11 + bit % 3, is_dark)
    return dark, taken


def _format_places(size: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Where the 15 format bits stand, lowest first: around the first finder, and beside the other two."""
    near = [(8, y) for y in (0, 1, 2, 3, 4, 5, 7, 8)] + [(x, 8) for x in (7, 5, 4, 3, 2, 1, 0)]
    far = [(size - 1 - at, 8) for at in range(8)] + [(8, size - 7 + at) for at in range(7)]
    return near, far


def _rest(value: int, polynomial: int, bits: int) -> int:
    """The check bits of a BCH code."""
    rest = value
    for _ in range(bits):
        rest = (rest << 1) ^ ((rest >> (bits - 1)) * polynomial)
    return rest


def _place(dark: Modules, taken: Modules, words: bytes) -> None:
    """The words, bit after bit, in columns of two from the right, upwards and downwards by turns."""
    size = len(dark)
    bits = (bool(word >> bit & 1) for word in words for bit in range(7, -1, -1))
    right = size - 1
    while right >= 1:
        if right == 6:
            right = 5
        upwards = (right + 1) & 2 == 0
        for step in range(size):
            y = size - 1 - step if upwards else step
            for x in (right, right - 1):
                if not taken[y][x]:
                    dark[y][x] = next(bits, False)
        right -= 2


_MASKS: tuple[Callable[[int, int], bool], ...] = (
    lambda x, y: (x + y) % 2 == 0,
    lambda x, y: y % 2 == 0,
    lambda x, y: x % 3 == 0,
    lambda x, y: (x + y) % 3 == 0,
    lambda x, y: (x // 3 + y // 2) % 2 == 0,
    lambda x, y: x * y % 2 + x * y % 3 == 0,
    lambda x, y: (x * y % 2 + x * y % 3) % 2 == 0,
    lambda x, y: ((x + y) % 2 + x * y % 3) % 2 == 0,
)


def _masked(plain: Modules, taken: Modules, mask: int, version: int) -> Modules:
    size = len(plain)
    turned = _MASKS[mask]
    dark = [[plain[y][x] ^ (not taken[y][x] and turned(x, y)) for x in range(size)] for y in range(size)]
    told = _LEVEL_M << 3 | mask
    told = (told << 10 | _rest(told, 0x537, 10)) ^ 0x5412
    for places in _format_places(size):
        for bit, (x, y) in enumerate(places):
            dark[y][x] = bool(told >> bit & 1)
    return dark


def _penalty(dark: Modules) -> int:
    """How badly a picture reads: long runs, blocks, what looks like a finder, too much of one colour (7.8.3)."""
    size = len(dark)
    found = 0
    for lines in (dark, [list(column) for column in zip(*dark, strict=True)]):
        for line in lines:
            text = "".join("1" if one else "0" for one in line)
            found += sum(len(run) - 2 for run in text.replace("01", "0 1").replace("10", "1 0").split() if len(run) > 4)
            for looks in ("10111010000", "00001011101"):
                found += 40 * sum(text.startswith(looks, at) for at in range(size))
    found += 3 * sum(
        dark[y][x] == dark[y][x + 1] == dark[y + 1][x] == dark[y + 1][x + 1]
        for y in range(size - 1)
        for x in range(size - 1)
    )
    share = sum(map(sum, dark)) * 20 / size**2
    return found + 10 * int(abs(share - 10))
