"""Safety numbers (docs/protocol.md section 9)."""

from portal.e2ee import directory, safety, seal
from portal.e2ee.encoding import b64
from portal.e2ee.identity import EncryptionKey, Identity

from .building import TEAM, Case, linden, ok


def safety_cases() -> tuple[Case, list[Case]]:
    world = linden()
    alice = world.people["alice"]
    first = world.chains["alice"][0]
    second = seal.new_generation(first.entry, alice.key, EncryptionKey.new(2), alice.identity)
    fresh = Identity.new()
    third = seal.new_identity(second.entry, alice.identity, fresh, EncryptionKey.new(3))
    bob_h = world.chains["bob"][0].entry.h

    def case(name: str, *headers: bytes) -> Case:
        number = safety.safety_number(*headers)
        return ok(name, headers=[b64(h) for h in headers], digits=number.digits, qr=number.qr_text)

    entries = [first.entry, second.entry, third.entry]
    return {}, [
        case("alice and bob", first.entry.h, bob_h),
        case("bob and alice, the same", bob_h, first.entry.h),
        case("unchanged by a new encryption key", directory.identity_entry(entries[:2]).h, bob_h),
        case("changed by a new identity", directory.identity_entry(entries).h, bob_h),
        case("the team's own, as on the poster", world.teams[TEAM][0].h),
    ]
