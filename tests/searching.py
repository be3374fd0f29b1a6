"""Looking for a text in files and in the memory of processes, in every disguise a program might give it."""

import base64
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

# More of a compressed stream than this is not unpacked.
UNPACKED = 4 * 1024 * 1024
PACKED = re.compile(rb"\x1f\x8b\x08|\x78[\x01\x5e\x9c\xda]")
BLOCK = 16 * 1024 * 1024


def disguises(text: str) -> dict[str, bytes]:
    """The text as bytes: UTF-8, UTF-16, base64 at all three offsets, hex, URL and JSON escapes."""
    raw = text.encode()
    found = {
        "utf-8": raw,
        "utf-16-le": text.encode("utf-16-le"),
        "utf-16-be": text.encode("utf-16-be"),
        "hex": raw.hex().encode(),
        "HEX": raw.hex().upper().encode(),
        "url": quote(text, safe="").encode(),
        "url, all": "".join(f"%{byte:02X}" for byte in raw).encode(),
        "json": json.dumps(text)[1:-1].encode(),
        "json, all": "".join(f"\\u{ord(letter):04x}" for letter in text).encode(),
    }
    for offset in range(3):
        # Letters that neighbours have a part in are cut off on both sides.
        shifted = base64.b64encode(b"\0" * offset + raw)
        start = (offset * 8 + 5) // 6
        kept = shifted[start : (offset + len(raw)) * 8 // 6]
        found[f"base64 at {offset}"] = kept
        found[f"base64url at {offset}"] = kept.replace(b"+", b"-").replace(b"/", b"_")
    return found


def in_bytes(content: bytes, wanted: dict[str, bytes]) -> set[str]:
    """The disguises that are in some bytes, unpacked where they are packed."""
    found = {name for name, form in wanted.items() if form in content}
    for match in PACKED.finditer(content):
        unpacked = _unpacked(content[match.start() : match.start() + UNPACKED])
        found |= {f"packed {name}" for name, form in wanted.items() if form in unpacked}
    return found


def in_folder(folder: Path, wanted: dict[str, bytes]) -> dict[str, set[str]]:
    """What is in which file of a folder and below, and in which file's name."""
    found: dict[str, set[str]] = {}
    for path in sorted(folder.rglob("*")):
        here = in_bytes(str(path.relative_to(folder)).encode(), wanted)
        if path.is_file():
            here |= in_bytes(path.read_bytes(), wanted)
        if here:
            found[str(path.relative_to(folder))] = here
    return found


def in_memory(pid: int, wanted: dict[str, bytes]) -> set[str]:
    """What is in the writable memory of a process."""
    longest = max(len(form) for form in wanted.values())
    found: set[str] = set()
    for block in _memory(pid, longest):
        found |= {name for name, form in wanted.items() if form in block}
    return found


def processes_of(pid: int) -> list[int]:
    """A process and all that descend from it."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in children for one in processes_of(int(child)))]


def _memory(pid: int, overlap: int) -> Iterator[bytes]:
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            span, rights, *_ = line.split()
            if not rights.startswith("rw"):
                continue
            start, end = (int(part, 16) for part in span.split("-"))
            for at in range(start, end, BLOCK):
                try:
                    memory.seek(at)
                    yield memory.read(min(BLOCK + overlap, end - at))
                except OSError:
                    # A mapping that went away meanwhile, or one of the kernel's own.
                    continue


def _unpacked(content: bytes) -> bytes:
    try:
        return zlib.decompressobj(wbits=47).decompress(content, UNPACKED)
    except zlib.error:
        return b""
