"""The recovery key of an organisation on printed sheets (docs/protocol.md section 2)."""

from itertools import permutations

from portal.core import ids
from portal.e2ee import seal, sheets
from portal.e2ee.directory import EntryRole
from portal.e2ee.encoding import b64
from portal.e2ee.identity import Device, Person
from portal.e2ee.sheets import Sheet

from .building import Case, no, ok

ID = "linden_recovery"


def recovery_person(ork: bytes, gen: int = 1) -> Person:
    """The recovery as somebody who signs and opens; its device is for those cases in which it must not have one."""
    identity, key = sheets.keys_of(ork, ID, gen)
    return Person(ID, b"", identity, [key], Device.new(ID, "sheets"), EntryRole.SERVICE)


def sheet_cases() -> tuple[Case, list[Case]]:
    ork, other = ids.random_bytes(32), ids.random_bytes(32)
    person, newer = recovery_person(ork), recovery_person(other, 2)
    first = seal.first_entry(person)
    second = seal.new_identity(first.entry, person.identity, newer.identity, newer.key)
    three, again, foreign = sheets.split(ork), sheets.split(ork), sheets.split(other)
    one, two, last = (sheets.write(sheet) for sheet in three)
    edge = [bytes(range(32)), bytes(32), bytes([255] * 32)]

    def beyond(index: int) -> str:
        """What the same line gives at another place; at 0 it is the key itself."""
        slope = bytes(it ^ that for it, that in zip(ork, three[0].share, strict=True))
        share = bytes(it ^ sheets.multiply(a, index) for it, a in zip(ork, slope, strict=True))
        return sheets.write(Sheet(three[0].set, index, share))

    def of_version(version: int) -> str:
        """The first line begins with the version."""
        octets = bytes([version]) + three[0].set + bytes([1]) + three[0].share
        number = int.from_bytes(octets[:10], "big")
        symbols = "".join(sheets.ALPHABET[number >> 5 * place & 31] for place in reversed(range(16)))
        return "\n".join([symbols + sheets.check_symbol(symbols, 1), *one.split("\n")[1:]])

    lines = one.split("\n")
    changed = ("Z" if one[7] != "Z" else "Y").join((one[:7], one[8:]))
    cases = [
        *(
            ok(
                f"{names[0]} and {names[1]}",
                typed=[{"1": one, "2": two, "3": last}[name] for name in names],
                ork=b64(ork),
            )
            for names in permutations("123", 2)
        ),
        ok(
            "as people type",
            typed=[one.lower().replace("-", " ").replace("0", "o").replace("1", "l"), two],
            ork=b64(ork),
        ),
        ok("in one line", typed=[one.replace("\n", ""), two.replace("\n", "-")], ork=b64(ork)),
        ok(
            "of newer keys", entries=[first.to_json(), second.to_json()], typed=[sheets.write(it) for it in foreign[:2]]
        ),
        *(
            ok(
                f"split: {name}",
                whole=b64(whole),
                set=b64(bytes(range(6))),
                slope=b64(slope),
                codes=[sheets.write(it).split("\n") for it in sheets.split(whole, bytes(range(6)), slope)],
            )
            for name, whole, slope in (
                ("counting up", edge[0], ids.random_bytes(32)),
                ("all zeros", edge[1], edge[0]),
                ("all ones", edge[2], edge[2]),
                ("drawn", ork, ids.random_bytes(32)),
            )
        ),
        no("duplicate", "the same sheet twice", typed=[one, one]),
        no("object", "sheets of two sets of one key", typed=[one, sheets.write(again[1])]),
        no("member key", "sheets of another key", typed=[sheets.write(it) for it in foreign[:2]]),
        no("member key", "sheets of the key before", entries=[first.to_json(), second.to_json()], typed=[one, two]),
        no(
            "member key",
            "two sheets that were made to fit each other",
            typed=[one, sheets.write(Sheet(three[1].set, 2, foreign[1].share))],
        ),
        no("code", "one symbol changed", typed=[changed, two]),
        no("code", "two lines exchanged", typed=["\n".join([lines[1], lines[0], *lines[2:]]), two]),
        no("code", "a line left out", typed=["\n".join(lines[:3]), two]),
        no("code", "a line more", typed=[one + "\n" + lines[0], two]),
        no("code", "a symbol that is none", typed=["U" + one[1:], two]),
        no("code", "nothing", typed=["", two]),
        no("code", "of version 2", typed=[of_version(2), two]),
        no("code", "a fourth sheet", typed=[beyond(4), two]),
        no("code", "the key itself for a sheet", typed=[beyond(0), two]),
    ]
    return {"id": ID, "entries": [first.to_json()]}, cases
