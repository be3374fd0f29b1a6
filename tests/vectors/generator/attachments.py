"""Attachments (docs/protocol.md section 8)."""

from portal.core import ids
from portal.e2ee import attachments
from portal.e2ee.encoding import b64, sha256, unb64

from .building import THREAD, Case, no, ok


def attachment_cases() -> tuple[Case, list[Case]]:
    def sealed(content: bytes, id: str = "a1") -> Case:
        file = attachments.seal_file(THREAD, id, content)
        return facts(file.stored, file.key, file.size, file.hash, id)

    def facts(stored: bytes, key: bytes, size: int, hash: bytes, id: str = "a1") -> Case:
        return {
            "thread": THREAD,
            "id": id,
            "key": b64(key),
            "size": size,
            "cth": b64(sha256(stored)),
            "hash": b64(hash),
            "stored": b64(stored),
        }

    def restored(case: Case, stored: bytes) -> Case:
        return {**case, "stored": b64(stored), "cth": b64(sha256(stored))}

    content = bytes(range(256)) * 160
    big, small = sealed(content), sealed(b"one page")
    stored = unb64(big["stored"])
    head, chunks = stored[:56], [stored[56 + at * 16_400 : 56 + (at + 1) * 16_400] for at in range(3)]
    key = ids.random_bytes(32)
    dirty = attachments.Sealer(key, attachments.context(THREAD, "a1"))
    padded = b"one page".ljust(256, b"x")
    dirty_stored = dirty.begin() + dirty.update(padded) + dirty.finish()
    full = attachments.Sealer(key, attachments.context(THREAD, "a1"))
    full_stored = full.begin() + full.update(bytes(16_384)) + full.finish()
    loose = attachments.Sealer(key, attachments.context(THREAD, "a1"))
    loose_stored = loose.begin() + loose.update(b"one page".ljust(512, b"\0")) + loose.finish()
    return {}, [
        ok("nothing", **sealed(b"")),
        ok("one page", **small),
        ok("three chunks", **big),
        ok("exactly one chunk", **sealed(bytes(16_384))),
        no("attachment", "a chunk cut off", **restored(big, head + chunks[0] + chunks[1])),
        no("attachment", "chunks exchanged", **restored(big, head + chunks[1] + chunks[0] + chunks[2])),
        no("attachment", "a chunk twice", **restored(big, head + chunks[0] + chunks[0] + chunks[1] + chunks[2])),
        no("attachment", "the first chunk missing", **restored(big, head + chunks[1] + chunks[2])),
        no("attachment", "something behind it", **restored(big, stored + chunks[0])),
        no(
            "attachment",
            "ends with a full chunk",
            **facts(full_stored[: 56 + 16_400], key, 16_384, sha256(bytes(16_384))),
        ),
        no("attachment", "a bit of the commitment", **restored(small, _bit(unb64(small["stored"]), 30))),
        no("attachment", "a bit of the salt", **restored(small, _bit(unb64(small["stored"]), 3))),
        no("attachment", "a bit of the content", **restored(small, _bit(unb64(small["stored"]), 60))),
        no("attachment", "shorter than its head", **restored(small, unb64(small["stored"])[:40])),
        no("attachment", "without a chunk", **restored(small, unb64(small["stored"])[:56])),
        no("attachment", "another attachment's place", **{**small, "id": "a2"}),
        no("attachment", "another thread's place", **{**small, "thread": "0" * 32}),
        no("attachment", "another key", **{**small, "key": b64(key)}),
        no("attachment", "other bytes than the header names", **{**small, "cth": big["cth"]}),
        no("attachment", "another hash of the content", **{**small, "hash": big["hash"]}),
        no("attachment", "a shorter size in the same bucket", **{**small, "size": 7}),
        no("attachment", "a size of another bucket", **{**small, "size": 300}),
        no("attachment", "filled with something else than zeros", **facts(dirty_stored, key, 8, sha256(b"one page"))),
        no("attachment", "a bucket too large", **facts(loose_stored, key, 8, sha256(b"one page"))),
    ]


def _bit(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
