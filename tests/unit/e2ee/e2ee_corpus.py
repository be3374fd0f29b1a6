"""Reading tests/vectors/corpus.json: what a case gives a verifier, and what a verifier makes of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from portal.e2ee.directory import Entry, EntryRole, Maker
from portal.e2ee.encoding import unb64
from portal.e2ee.hybrid import IdentityKeys
from portal.e2ee.open import Keyring, Shown, read_thread
from portal.e2ee.verify import Head, VerifiedThread, verify_thread

VECTORS = Path(__file__).parents[2] / "vectors"

Case = Mapping[str, Any]


@cache
def corpus() -> Any:
    """The whole file."""
    return json.loads((VECTORS / "corpus.json").read_text(encoding="utf-8"))


class CaseDirectory:
    """A case's `directory` and `certs`, which stand for what is already verified, behind the interface of verifiers."""

    def __init__(self, directory: Mapping[str, Any], certs: Mapping[str, Any]) -> None:
        self._raw = directory
        self._certs = certs

    def user(self, id: str, gen: int | None = None) -> Entry | None:
        found = [entry for entry in self.entries(id) if gen is None or entry.gen == gen]
        return found[-1] if found else None

    def entries(self, user: str) -> Sequence[Entry]:
        names = [name for name in self._raw if name == user or name.rpartition("/")[0] == user]
        return sorted((_entry(self._raw[name]) for name in names), key=lambda entry: entry.gen)

    def device(self, dev: str) -> Mapping[str, Any] | None:
        return self._certs.get(dev)

    def speaks_for(self, user: str, team: str, gen: int) -> bool:
        raw = self._raw.get(user, {})
        return raw.get("team") == team and gen in raw.get("team_gens", [gen])

    def signers(self, user: str, team: str, gen: int) -> Sequence[IdentityKeys]:
        """Nobody in the corpus has started again: all identities of who speaks there."""
        return [entry.identity for entry in self.entries(user) if entry.identity]

    def vouches(self, user: str, team: str, gen: int) -> bool:
        return self.speaks_for(user, team, gen)

    def started_again(self, id: str, after: int, upto: int) -> bool:
        """Nobody in the corpus does."""
        return False

    def revocation(self, dev: str, maker: Maker) -> bool:
        """The corpus has no revocations: a device counts as revoked where its maker could have brought one."""
        if dev not in self._certs:
            return False
        owner = json.loads(unb64(self._certs[dev]["h"]))["user"]
        return owner == maker.user or maker.is_patient or maker.speaks_for_team


def _entry(raw: Mapping[str, Any]) -> Entry:
    identity = IdentityKeys(unb64(raw["ed"]), unb64(raw["ml"])) if "ed" in raw else None
    return Entry(raw["id"], EntryRole(raw["role"]), raw["gen"], unb64(raw["kem"]), identity=identity)


def keyring(me: Mapping[str, Any]) -> dict[tuple[str, int], bytes]:
    """The seeds of a case's reader."""
    seeds = {(me["id"], me["gen"]): unb64(me["seed"])}
    return seeds | {(me["id"], int(gen)): unb64(seed) for gen, seed in me.get("older", {}).items()}


@dataclass(frozen=True)
class Outcome:
    """What became of a case; `why` is None where nothing was refused."""

    why: str | None
    plain: tuple[str | None, ...] = ()
    unreadable: tuple[int, ...] = ()
    withheld: tuple[int, ...] = ()
    redacted: tuple[int, ...] = ()
    faults: tuple[tuple[int, str], ...] = ()


def run(case: Case, thread: str, me: Mapping[str, Any]) -> Outcome:
    """Verify and read a case."""
    kept = Head(case["min_head"][0], unb64(case["min_head"][1])) if case.get("min_head") else None
    verified = verify_thread(thread, case["records"], CaseDirectory(case["directory"], case["certs"]), kept)
    return outcome_of(verified, keyring(case.get("me", me)))


def outcome_of(verified: VerifiedThread, keys: Keyring) -> Outcome:
    """What a reader with these keys sees of a verified thread."""
    if verified.refusal is not None:
        return Outcome(verified.refusal.reason.value)
    reading = read_thread(verified.records, keys)

    def numbers(shown: Shown) -> tuple[int, ...]:
        return tuple(it.record.header.seq for it in reading.messages if it.shown is shown)

    return Outcome(
        None,
        tuple(it.opened.text if it.opened else None for it in reading.messages),
        numbers(Shown.UNREADABLE),
        numbers(Shown.WITHHELD),
        numbers(Shown.RETRACTED),
        tuple(sorted((seq, reason.value) for seq, reason in reading.faults.items())),
    )


def fits(case: Case, outcome: Outcome) -> bool:
    """Whether an outcome is what the case expects."""
    if case["expect"] == "reject":
        return outcome.why in (case["why_any"] if "why_any" in case else [case["why"]])
    faults = {int(seq): [why] if isinstance(why, str) else why for seq, why in case.get("faults", {}).items()}
    return (
        outcome.why is None
        and ("plain" not in case or list(outcome.plain) == case["plain"])
        and list(outcome.unreadable) == case.get("unreadable", [])
        and list(outcome.withheld) == case.get("withheld", [])
        and list(outcome.redacted) == case.get("redacted", [])
        and faults.keys() == dict(outcome.faults).keys()
        and all(why in faults[seq] for seq, why in outcome.faults)
    )
