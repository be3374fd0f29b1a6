"""Somebody with developer tools at a shared browser, and somebody who has copied its folder: all they can get at.

Everything is brought out as text in which known words are looked for. What can lie on a disk packed (LevelDB's tables
are compressed with Snappy, the cache with gzip) is unpacked.
"""

import shutil
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

# All that a script can reach from a page: every store, the page itself with what is tied to its elements, what hangs at
# the window, and what the browser remembers of the way here. Bytes are read as text, too.
_REACH = """async () => {
  const texts = [], keys = [], kept = [];
  const done = (asked) => new Promise((resolve, reject) => {
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
  });
  const seen = new WeakSet();
  const decoder = new TextDecoder();
  const walk = (...roots) => {
    for (let budget = 400000; roots.length > 0 && budget > 0; budget -= 1) {
      const value = roots.pop();
      if (typeof value === "string") texts.push(value);
      if ((typeof value !== "object" && typeof value !== "function") || value === null || seen.has(value)) continue;
      seen.add(value);
      if (value instanceof CryptoKey) keys.push({ kind: value.algorithm.name, extractable: value.extractable });
      if (ArrayBuffer.isView(value)) {
        texts.push(decoder.decode(new Uint8Array(value.buffer, value.byteOffset, value.byteLength)));
        continue;
      }
      if (value instanceof Map) roots.push(...value.keys(), ...value.values());
      if (value instanceof Set) roots.push(...value);
      for (const [name, { value: one }] of Object.entries(Object.getOwnPropertyDescriptors(value))) {
        texts.push(name);
        if (one !== undefined) roots.push(one);
      }
      for (const sign of Object.getOwnPropertySymbols(value)) {
        roots.push(Object.getOwnPropertyDescriptor(value, sign).value);
      }
    }
  };
  for (const { name } of await indexedDB.databases()) {
    const database = await done(indexedDB.open(name));
    for (const store of database.objectStoreNames) {
      const place = () => database.transaction(store).objectStore(store);
      const [ids, values] = [await done(place().getAllKeys()), await done(place().getAll())];
      ids.forEach((id, index) => {
        const kind = store === "keys" && id === "device" ? values[index].signing.kind : null;
        kept.push({ database: name, store, id: String(id), kind });
      });
      walk(values);
    }
    database.close();
  }
  for (const name of await caches.keys()) {
    const cache = await caches.open(name);
    for (const asked of await cache.keys()) texts.push(asked.url, await (await cache.match(asked)).text());
  }
  texts.push(document.cookie, document.documentElement.outerHTML, name);
  for (const field of document.querySelectorAll("input, textarea")) texts.push(field.value);
  walk({ ...localStorage }, { ...sessionStorage }, history.state, window, ...document.querySelectorAll("*"));
  texts.push(...performance.getEntries().map((one) => one.name));
  texts.push(...(globalThis.navigation?.entries() ?? []).map((one) => one.url));
  return { text: texts.join("\\n"), keys, kept };
}"""
# What the server answers to this session about somebody else; each as the status and what came.
_ASK = """async ({ paths, device, account }) => {
  const { csrf } = await (await fetch("/api/session")).json();
  const change = (path, body, more) => fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-CSRF-Token": csrf, ...more },
    body: JSON.stringify(body),
  });
  const [auth, sig] = ["A".repeat(43), "A".repeat(86)];
  const tries = [
    ...paths.map((path) => () => fetch(path)),
    () => fetch("/api/keys/me", { headers: { "Portal-Account": account } }),
    () => change("/api/keys/guards/pin/share", { device, auth }),
    () => change("/api/keys/guards/prove", { device, sig }),
    () => change("/api/keys/guards/stay", {}, { "Portal-Account": account }),
  ];
  const given = [];
  for (const one of tries) {
    const answer = await one();
    given.push([answer.url.replace(location.origin, ""), answer.status, await answer.text()]);
  }
  return given;
}"""


def reach(page: Page) -> dict[str, Any]:
    """All that a script finds in this page and this browser: `text`, `keys` and what is `kept`."""
    found: dict[str, Any] = page.evaluate(_REACH)
    return found


def heap(page: Page) -> str:
    """Every string in the memory of the page's scripts, as the developer tools take it."""
    chunks: list[str] = []
    tools = page.context.new_cdp_session(page)
    tools.on("HeapProfiler.addHeapSnapshotChunk", lambda said: chunks.append(said["chunk"]))
    tools.send("HeapProfiler.collectGarbage")
    tools.send("HeapProfiler.takeHeapSnapshot", {"reportProgress": False})
    tools.detach()
    return "".join(chunks)


def ask_about(page: Page, *, paths: list[str], device: str, account: str) -> list[tuple[str, int, str]]:
    """What this session is answered when it asks for somebody else's things."""
    given = page.evaluate(_ASK, {"paths": paths, "device": device, "account": account})
    return [(path, status, text) for path, status, text in given]


def stay_of(page: Page) -> int:
    """The status of asking for the share of the session, with everything that this browser has to show."""
    status: int = page.evaluate(
        """async () => {
          const { csrf } = await (await fetch("/api/session")).json();
          const headers = { "Content-Type": "application/json", "X-CSRF-Token": csrf };
          return (await fetch("/api/keys/guards/stay", { method: "POST", headers, body: "{}" })).status;
        }"""
    )
    return status


def copy_profile(profile: Path, to: Path) -> Path:
    """The browser's folder as somebody with the disk takes it, the browser running or not."""
    shutil.copytree(
        profile,
        to,
        ignore=shutil.ignore_patterns("Singleton*"),
        ignore_dangling_symlinks=True,
        dirs_exist_ok=True,
        copy_function=_copy,
    )
    return to


def _copy(source: str, to: str) -> None:
    # The browser may have put another file in its place meanwhile.
    with suppress(FileNotFoundError):
        shutil.copy2(source, to)


def on_disk(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Each file of a profile, as it lies and unpacked."""
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        raw = path.read_bytes()
        yield path, raw
        # Two bytes a letter, as scripts and browsers keep most of their texts.
        yield path, raw.replace(b"\0", b"")
        if path.suffix == ".ldb":
            yield path, b"".join(blocks_of(raw))
        for start in _gzips(raw):
            yield path, start


def _gzips(raw: bytes) -> Iterator[bytes]:
    place = raw.find(b"\x1f\x8b\x08")
    while place >= 0:
        with suppress(zlib.error):
            yield zlib.decompressobj(31).decompress(raw[place:])
        place = raw.find(b"\x1f\x8b\x08", place + 1)


def blocks_of(table: bytes) -> Iterator[bytes]:
    """The unpacked blocks of a LevelDB table (doc/table_format.md of LevelDB)."""
    if len(table) < 48:
        return
    _, place = _number(table, len(table) - 48)
    _, place = _number(table, place)
    offset, place = _number(table, place)
    size, place = _number(table, place)
    index = _block(table, offset, size)
    restarts = int.from_bytes(index[-4:], "little")
    place, end = 0, len(index) - 4 * (restarts + 1)
    while place < end:
        _, place = _number(index, place)
        fresh, place = _number(index, place)
        length, place = _number(index, place)
        handle = index[place + fresh : place + fresh + length]
        place += fresh + length
        offset, after = _number(handle, 0)
        size, _ = _number(handle, after)
        yield _block(table, offset, size)


def _block(table: bytes, offset: int, size: int) -> bytes:
    block = table[offset : offset + size]
    return unsnappy(block) if table[offset + size] == 1 else block


def unsnappy(packed: bytes) -> bytes:
    """Unpack Snappy (format_description.txt of Snappy)."""
    _, place = _number(packed, 0)
    out = bytearray()
    while place < len(packed):
        tag = packed[place]
        place += 1
        kind, high = tag & 3, tag >> 2
        if kind == 0:
            more = high - 59 if high > 59 else 0
            length = (int.from_bytes(packed[place : place + more], "little") if more else high) + 1
            place += more
            out += packed[place : place + length]
            place += length
            continue
        if kind == 1:
            length, back = (high & 7) + 4, (high >> 3) << 8 | packed[place]
            place += 1
        else:
            wide = 2 if kind == 2 else 4
            length, back = high + 1, int.from_bytes(packed[place : place + wide], "little")
            place += wide
        for _ in range(length):
            out.append(out[-back])
    return bytes(out)


def _number(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, place
