"""Bob, the only pharmacist, loses everything. Erin and Grace bring his threads back with two of three sheets."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select
from world import World, build
from world_keys import Keys, raw

from portal.accounts import directory, recovery, stops
from portal.accounts.tables import Account
from portal.audit.tables import AuditEvent
from portal.core import clock, ids
from portal.core.bus import MemoryBus
from portal.core.database import Database
from portal.core.errors import BadInput, Conflict, Forbidden, NotFound, StepUpNeeded, Unprocessable
from portal.e2ee import recovery as ways
from portal.e2ee import seal, sheets
from portal.e2ee.directory import Entry, EntryRole, who
from portal.e2ee.encoding import sha256
from portal.e2ee.identity import Device, Person
from portal.e2ee.open import open_team
from portal.e2ee.records import Role
from portal.e2ee.teams import TeamMember, TeamRecord
from portal.notify.mail import Mail
from portal.outbox import Job
from portal.outbox.tables import OutboxJob
from portal.pharmacies import checklist, generations, recovery_acts, recovery_key, staff, team_records, teams
from portal.pharmacies.directory import look_up
from portal.pharmacies.keys import ServerDirectory
from portal.pharmacies.recovery_acts import State
from portal.pharmacies.tables import RecoverySheets
from portal.pharmacies.topics import TeamKind

PHARMACISTS = "riverside_pharmacists"
DESK = "riverside_desk"
RECOVERY = "riverside_recovery"
HOLDERS = ("Bob Rivera", "Grace Lee", "the safe at the bank")


class Paper:
    """Three sheets, and what a browser makes of two of them."""

    def __init__(self, before: "Paper | None" = None, *, signed: bool = False) -> None:
        ork = ids.random_bytes(32)
        self.sheets = [sheets.write(sheet) for sheet in sheets.split(ork)]
        gen = 1 if before is None else before.entry.gen + 1
        identity, key = sheets.keys_of(ork, RECOVERY, gen)
        self.person = Person(RECOVERY, b"", identity, [key], Device.new(RECOVERY, "none"), EntryRole.SERVICE)
        if before is None:
            made = seal.first_entry(self.person)
        elif signed:
            made = seal.new_identity(before.entry, before.person.identity, identity, key, before.person.key)
        else:
            made = seal.reset_entry(before.entry, identity, key)
        self.text, self.entry = made.to_json(), made.entry

    def typed(self, newest: Entry, one: int = 0, other: int = 2) -> Person:
        """The private half again, out of two sheets."""
        ork = sheets.open_sheets([self.sheets[one], self.sheets[other]], newest)
        identity, key = sheets.keys_of(ork, RECOVERY, newest.gen)
        return replace(self.person, identity=identity, keys=[key])


@pytest.fixture
def keys(database: Database) -> Keys:
    made = Keys(build(database))
    made.enrol("bob", "erin", "frank", "grace", "carol", "alice")
    made.team(PHARMACISTS, "bob", "bob")
    return made


@pytest.fixture
def world(keys: Keys) -> World:
    return keys.world


@pytest.fixture
def paper(keys: Keys) -> Paper:
    """Sheets that Bob has made and added to his team."""
    made = Paper()
    keep(keys, made)
    list_it(keys, made)
    return made


def keep(keys: Keys, paper: Paper, by: str = "bob", holders: tuple[str, ...] = HOLDERS) -> int:
    with keys.world.database.transaction() as session:
        return recovery_key.keep(
            session, actor=keys.actor(by), pharmacy_id="riverside", entry=paper.text, holders=holders
        )


def seat(keys: Keys, name: str) -> tuple[TeamMember, Entry]:
    account_id = keys.world.accounts[name]
    with keys.world.database.reading() as session:
        own = directory.chains(session, [account_id])[account_id]
    return TeamMember(account_id, keys.role_in_team(name), who(own)), own[-1]


def recovery_seat(entry: Entry) -> tuple[TeamMember, Entry]:
    return TeamMember(RECOVERY, Role.SERVICE, sha256(entry.h)), entry


def list_it(keys: Keys, paper: Paper, team: str = PHARMACISTS, by: str = "bob", *others: str) -> generations.Appended:
    """The next generation by a member, with the recovery in it."""
    members = [*(seat(keys, name) for name in (by, *others)), recovery_seat(paper.entry)]
    record, key = seal.change_team(keys.records[team], keys.teams[team][-1], keys.people[by], members)
    with keys.world.database.transaction() as session:
        appended = generations.append_record(session, actor=keys.actor(by), team=team, record_=raw(record))
    keys.records[team] = record
    keys.teams[team].append(key)
    return appended


def chain(world: World, team: str = PHARMACISTS) -> list[TeamRecord]:
    with world.database.reading() as session:
        return team_records.chains(session, [team])[team]


def by_sheets(
    keys: Keys, person: Person, *names: str, team: str = PHARMACISTS, itself: Entry | None = None
) -> dict[str, Any]:
    """The next generation as the browser makes it that has joined two sheets."""
    records = chain(keys.world, team)
    seeds = open_team(records, RECOVERY, [person.key.seed])
    members = [seat(keys, name) for name in names]
    if itself is not None:
        members.append(recovery_seat(itself))
    old = replace(keys.teams[team][-1], gen=records[-1].gen, seed=seeds[records[-1].gen])
    record, key = seal.change_team(records[-1], old, person, members)
    keys.records[team] = record
    keys.teams[team].append(key)
    return raw(record)


def ask(keys: Keys, by: str = "erin", who: str = "erin", kinds: tuple[str, ...] = ("pharmacists",)) -> str:
    with keys.world.database.transaction() as session:
        return recovery_acts.ask(
            session,
            actor=keys.actor(by),
            pharmacy_id="riverside",
            account_id=keys.world.accounts[who],
            kinds=kinds,
            reason=" Bob has lost his phone\n and his code ",
        )


def confirm(keys: Keys, act: str, by: str = "grace") -> None:
    with keys.world.database.transaction() as session:
        recovery_acts.confirm(session, actor=keys.actor(by), pharmacy_id="riverside", act_id=act)


def stop(keys: Keys, act: str, by: str) -> State:
    with keys.world.database.transaction() as session:
        return recovery_acts.stop(session, actor=keys.actor(by), pharmacy_id="riverside", act_id=act)


def use(keys: Keys, act: str, record: dict[str, Any], by: str = "erin", team: str = PHARMACISTS) -> None:
    with keys.world.database.transaction() as session:
        recovery_acts.use(session, actor=keys.actor(by), pharmacy_id="riverside", act_id=act, records={team: record})


def state(world: World, act: str) -> State:
    with world.database.reading() as session:
        rows = recovery_acts.latest(session, actor=world.actor("heidi"), pharmacy_id="riverside")
    return next(recovery_acts.state_of(row) for row in rows if row.id == act)


def said(world: World, prefix: str = "sheets.") -> list[str]:
    with world.database.reading() as session:
        rows = session.scalars(select(AuditEvent).order_by(AuditEvent.seq))
        return [row.action for row in rows if row.action.startswith(prefix) and row.outcome == "0"]


def told(world: World) -> dict[str, set[str]]:
    """Who hears of what by mail."""
    names = {id: name for name, id in world.accounts.items()}
    found: dict[str, set[str]] = {}
    with world.database.reading() as session:
        for job in session.scalars(select(OutboxJob).where(OutboxJob.kind == recovery_key.NOTICE_JOB)):
            found.setdefault(job.payload["what"], set()).add(names[job.payload["account"]])
    return found


def verify_mails(world: World, names: Iterable[str]) -> None:
    with world.database.transaction() as session:
        for name in names:
            account = session.get_one(Account, world.accounts[name])
            account.email, account.email_verified = f"{name}@example.test", True


def test_two_sheets_and_two_people_bring_back_what_bob_alone_could_read(keys: Keys, world: World, paper: Paper) -> None:
    everybody = {"bob", "erin", "frank", "grace", "heidi", "ivan"}
    verify_mails(world, everybody | {"carol", "alice"})
    before = {key.gen: key.seed for key in keys.teams[PHARMACISTS]}
    act = ask(keys)
    assert state(world, act) is State.ASKED
    confirm(keys, act)
    person = paper.typed(paper.entry)
    use(keys, act, by_sheets(keys, person, "erin", itself=paper.entry))
    assert state(world, act) is State.USED
    erin = keys.people["erin"]
    seeds = open_team(chain(world), erin.id, [erin.key.seed])
    assert {gen: seeds[gen] for gen in before} == before
    with world.database.reading() as session:
        assert teams.members(session, PHARMACISTS) == {erin.id}
        assert ServerDirectory(session).speaks_for(erin.id, PHARMACISTS, 3)
        assert not ServerDirectory(session).speaks_for(RECOVERY, PHARMACISTS, 3)
        found = teams.of_pharmacy(session, actor=keys.actor("grace"), pharmacy_id="riverside")
    assert found[0].sole_member
    # Bob is out until Erin lets him in again.
    assert open_team(chain(world), world.accounts["bob"], [keys.people["bob"].key.seed]) == {}
    assert said(world) == ["sheets.made", "sheets.asked", "sheets.confirmed", "sheets.used"]
    assert told(world) == {f"sheets-{what}": everybody for what in ("made", "asked", "confirmed", "used")}


def test_the_recovery_has_no_seat_and_everybody_finds_its_keys(keys: Keys, world: World, paper: Paper) -> None:
    with world.database.transaction() as session:
        found = teams.of_pharmacy(session, actor=keys.actor("bob"), pharmacy_id="riverside")
        (seen,) = look_up(session, actor=keys.actor("frank"), ids=[RECOVERY], shares_thread=lambda *_: frozenset())
        (alice,) = look_up(session, actor=keys.actor("alice"), ids=[RECOVERY], shares_thread=lambda *_: frozenset())
        nothing = look_up(session, actor=keys.actor("carol"), ids=[RECOVERY], shares_thread=lambda *_: frozenset())
        sharing = look_up(
            session, actor=keys.actor("carol"), ids=[RECOVERY], shares_thread=lambda *_: frozenset({PHARMACISTS})
        )
    assert [one.account for one in found[0].seats] == [world.accounts["bob"]]
    assert found[0].sole_member
    assert seen == alice == sharing[0]
    assert nothing == []
    assert (seen.id, seen.pharmacy_id) == (RECOVERY, "riverside")
    assert "team.joined" in said(world, "team.")


def test_the_checklist_wants_sheets_that_open_every_team_and_were_not_used(keys: Keys, world: World) -> None:
    def stands() -> bool:
        with world.database.reading() as session:
            steps = checklist.of(session, "riverside")
        return next(one.done for one in steps if one.step is checklist.Step.SHEETS)

    paper = Paper()
    assert not stands()
    keep(keys, paper)
    assert not stands()
    list_it(keys, paper)
    assert stands()
    keys.team(DESK, "frank", "frank")
    assert not stands()
    list_it(keys, paper, DESK, "frank")
    assert stands()
    act = ask(keys)
    confirm(keys, act)
    use(keys, act, by_sheets(keys, paper.typed(paper.entry, 1, 2), "erin", itself=paper.entry))
    assert not stands()


def test_nobody_does_both_halves(keys: Keys, world: World, paper: Paper) -> None:
    act = ask(keys)
    for actor in (keys.actor("erin"), world.actor("erin", device_id=None)):
        with pytest.raises(Forbidden) as refused, world.database.transaction() as session:
            recovery_acts.confirm(session, actor=actor, pharmacy_id="riverside", act_id=act)
        assert refused.value.code == "recovery-second-person"
    record = by_sheets(keys, paper.typed(paper.entry), "erin", itself=paper.entry)
    with pytest.raises(Conflict) as early:
        use(keys, act, record)
    assert early.value.code == "recovery-over"
    confirm(keys, act)
    # Grace has said yes; typing the sheets is not hers.
    with pytest.raises(Forbidden) as other:
        use(keys, act, record, by="grace")
    assert other.value.code == "recovery-not-yours"
    warm = replace(keys.actor("erin"), auth_time=clock.now() - timedelta(minutes=6))
    with pytest.raises(StepUpNeeded), world.database.transaction() as session:
        recovery_acts.use(session, actor=warm, pharmacy_id="riverside", act_id=act, records={PHARMACISTS: record})
    use(keys, act, record)
    with pytest.raises(Conflict):
        use(keys, act, record)


def test_the_operator_can_be_the_second_person(keys: Keys, world: World, paper: Paper) -> None:
    act = ask(keys)
    confirm(keys, act, "ivan")
    assert state(world, act) is State.CONFIRMED
    with pytest.raises(NotFound), world.database.transaction() as session:
        recovery_acts.ask(
            session,
            actor=world.actor("ivan"),
            pharmacy_id="riverside",
            account_id=world.accounts["erin"],
            kinds=("pharmacists",),
            reason="x",
        )


def test_who_says_no_calls_it_off_or_waits_too_long(
    keys: Keys, world: World, paper: Paper, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stop(keys, ask(keys), "heidi") is State.REFUSED
    assert stop(keys, ask(keys), "erin") is State.CANCELLED
    confirmed = ask(keys)
    confirm(keys, confirmed)
    assert stop(keys, confirmed, "frank") is State.CANCELLED
    with pytest.raises(Conflict):
        confirm(keys, confirmed)
    waiting = ask(keys)
    with pytest.raises(Conflict) as second:
        ask(keys, "grace")
    assert second.value.code == "recovery-going-on"
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now + timedelta(days=1))
    assert state(world, waiting) is State.EXPIRED
    again = ask(keys)
    confirm(keys, again)
    record = by_sheets(keys, paper.typed(paper.entry), "erin", itself=paper.entry)
    monkeypatch.setattr(clock, "now", lambda: now + timedelta(days=1, hours=1))
    with pytest.raises(Conflict):
        use(keys, again, record)
    assert state(world, again) is State.EXPIRED
    assert said(world)[-1] == "sheets.confirmed"


@pytest.mark.parametrize("wrong", ["frank too", "without the recovery", "somebody else", "another team"])
def test_the_sheets_let_in_the_one_person_and_nobody_else(keys: Keys, paper: Paper, wrong: str) -> None:
    act = ask(keys)
    confirm(keys, act)
    person = paper.typed(paper.entry)
    names = {"frank too": ("erin", "grace"), "somebody else": ("bob",)}.get(wrong, ("erin",))
    itself = None if wrong == "without the recovery" else paper.entry
    record = by_sheets(keys, person, *names, itself=itself)
    with pytest.raises((Unprocessable, BadInput)) as refused:
        use(keys, act, record, team=DESK if wrong == "another team" else PHARMACISTS)
    assert refused.value.code == ("recovery-act" if wrong == "another team" else "recovery-roster")


def test_new_sheets_make_the_old_ones_useless(keys: Keys, world: World, paper: Paper) -> None:
    newer = Paper(paper)
    assert keep(keys, newer) == 2
    with world.database.reading() as session:
        covered = recovery_key.covered(session, "riverside", recovery_key.sheets(session, "riverside"))
    assert list(covered.values()) == [False]
    # Until a team has a new key the old sheets open it still, and sign nothing the server takes.
    list_it(keys, newer)
    act = ask(keys)
    confirm(keys, act)
    old = replace(paper.person, keys=[newer.person.key])
    with pytest.raises(Unprocessable) as refused:
        use(keys, act, by_sheets(keys, old, "erin", itself=newer.entry))
    assert refused.value.extra == {"reason": "certificate"}
    use(keys, act, by_sheets(keys, newer.typed(newer.entry), "erin", itself=newer.entry))
    assert keep(keys, Paper(newer, signed=True), by="erin") == 3


def test_new_sheets_made_alone_after_asking_open_nothing(
    keys: Keys, world: World, paper: Paper, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Erin sits at the desk, so that she may make sheets; Bob's team she could open with his sheets only.
    keys.team(DESK, "erin", "erin")
    act = ask(keys)
    confirm(keys, act)
    own = Paper(paper)
    with pytest.raises(Conflict) as first:
        keep(keys, own, "erin")
    assert first.value.code == "recovery-act-first"
    # Had they been made all the same, what the second person said yes to is no longer there.
    with world.database.transaction() as session:
        kept = directory.add_recovery(session, id=RECOVERY, entry=own.text)
        made = {"holders": list(HOLDERS), "made_by": world.accounts["erin"], "tried_by": world.accounts["erin"]}
        session.add(
            RecoverySheets(pharmacy_id="riverside", n=kept.n, made_at=clock.now(), tried_at=clock.now(), **made)
        )
    forged = seal.change_team(
        keys.records[PHARMACISTS],
        keys.teams[PHARMACISTS][-1],
        own.person,
        [seat(keys, "erin"), recovery_seat(own.entry)],
    )[0]
    with pytest.raises(Conflict) as refused:
        use(keys, act, raw(forged))
    assert refused.value.code == "recovery-over"
    assert "sheets.used" not in said(world)
    # Nor do they sign for the team where nobody has added them: the check of the act is not the only one.
    monkeypatch.setattr(recovery_key, "covered", lambda *_: dict.fromkeys(TeamKind, True))
    with pytest.raises(Unprocessable) as signs:
        use(keys, act, raw(forged))
    assert (signs.value.code, signs.value.extra) == ("refused", {"reason": "unknown user"})
    monkeypatch.undo()
    stop(keys, act, "grace")
    assert keep(keys, Paper(own, signed=True), "erin") == 3


@pytest.mark.parametrize("over", ["refused", "expired", "used"])
def test_new_sheets_wait_for_an_act_until_it_is_over(
    keys: Keys, paper: Paper, monkeypatch: pytest.MonkeyPatch, over: str
) -> None:
    act = ask(keys)
    newer = Paper(paper, signed=True)
    with pytest.raises(Conflict):
        keep(keys, newer)
    if over == "refused":
        stop(keys, act, "grace")
    elif over == "expired":
        now = clock.now()
        monkeypatch.setattr(clock, "now", lambda: now + timedelta(days=1))
    else:
        confirm(keys, act)
        use(keys, act, by_sheets(keys, paper.typed(paper.entry), "erin", itself=paper.entry))
    assert keep(keys, newer, "erin" if over == "used" else "bob") == 2


def test_a_member_alone_cannot_sign_as_the_recovery(keys: Keys, world: World, paper: Paper) -> None:
    record = by_sheets(keys, paper.typed(paper.entry), "erin", itself=paper.entry)
    with pytest.raises(Unprocessable), world.database.transaction() as session:
        generations.append_record(
            session, actor=keys.actor("bob"), team=PHARMACISTS, record_={**record, "by": RECOVERY}
        )
    with pytest.raises(Unprocessable) as refused, world.database.transaction() as session:
        generations.append_record(session, actor=keys.actor("erin"), team=PHARMACISTS, record_=record)
    assert refused.value.extra == {"reason": "creator"}


def test_all_are_lost_and_come_back_one_after_the_other(keys: Keys, world: World, paper: Paper) -> None:
    list_it(keys, paper, PHARMACISTS, "bob", "erin")
    keys.start_again("bob")
    keys.start_again("erin")
    enrolled_again(keys, "bob", "erin")
    act = ask(keys, "bob", "bob")
    confirm(keys, act, "ivan")
    use(keys, act, by_sheets(keys, paper.typed(paper.entry), "bob", itself=paper.entry), by="bob")
    bob = keys.people["bob"]
    assert set(open_team(chain(world), bob.id, [bob.key.seed])) == {1, 2, 3, 4}
    with world.database.transaction() as session:
        assert teams.members(session, PHARMACISTS) == {bob.id}
        teams.ask(session, actor=keys.actor("erin"), team=PHARMACISTS)
    list_it(keys, paper, PHARMACISTS, "bob", "erin")
    erin = keys.people["erin"]
    assert set(open_team(chain(world), erin.id, [erin.key.seed])) == {1, 2, 3, 4, 5}


def enrolled_again(keys: Keys, *names: str) -> None:
    """A way back for new keys."""
    for name in names:
        person = keys.people[name]
        wrap = ways.wrap_by_code(person.urk, person.id, ways.make_code()).to_json()
        with keys.world.database.transaction() as session:
            recovery.set_way(session, actor=keys.actor(name), way=ways.Method.CODE.value, wrap=wrap)


def test_who_may_make_sheets_and_what_they_must_be(keys: Keys, world: World) -> None:
    paper = Paper()
    keys.team(DESK, "frank", "frank")
    for name, code in (("frank", "sheets-not-for-role"), ("erin", "not-in-team"), ("grace", "not-in-team")):
        with pytest.raises(Forbidden) as refused:
            keep(keys, paper, name)
        assert refused.value.code == code
    with pytest.raises(NotFound):
        keep(keys, paper, "carol")
    for holders in (("a", "b"), ("a", "b", " "), ("a", "b", "x" * 121), ("a", "b", "c\x00")):
        with pytest.raises(BadInput) as wrong:
            keep(keys, paper, holders=holders)
        assert wrong.value.code == "recovery-sheets"
    old = replace(keys.actor("bob"), auth_time=clock.now() - timedelta(minutes=6))
    with pytest.raises(StepUpNeeded), world.database.transaction() as session:
        recovery_key.keep(session, actor=old, pharmacy_id="riverside", entry=paper.text, holders=HOLDERS)
    entry = seal.first_entry(Person.new(RECOVERY, "none")).to_json()
    with pytest.raises(Unprocessable), world.database.transaction() as session:
        recovery_key.keep(session, actor=keys.actor("bob"), pharmacy_id="riverside", entry=entry, holders=HOLDERS)
    assert keep(keys, paper) == 1
    with pytest.raises(Conflict) as moved:
        keep(keys, paper)
    assert moved.value.code == "moved-chain"
    with world.database.transaction() as session:
        recovery_key.tried(session, actor=keys.actor("bob"), pharmacy_id="riverside", n=1)
        with pytest.raises(NotFound):
            recovery_key.tried(session, actor=keys.actor("bob"), pharmacy_id="riverside", n=2)
        recovery_key.note_print(session, actor=keys.actor("bob"), pharmacy_id="riverside")
    assert said(world, "printed") == ["printed"]


@pytest.mark.parametrize(
    ("who", "kinds", "field"),
    [
        ("carol", ("pharmacists",), "account"),
        ("heidi", ("pharmacists",), "account"),
        ("frank", ("pharmacists",), "account"),
        ("erin", (), "teams"),
        ("erin", ("pharmacists", "desk"), "teams"),
        ("erin", ("nonsense",), "teams"),
    ],
)
def test_only_who_fits_is_let_in_and_only_where_the_sheets_open(
    keys: Keys, paper: Paper, who: str, kinds: tuple[str, ...], field: str
) -> None:
    with pytest.raises(BadInput) as wrong:
        ask(keys, "erin", who, kinds)
    assert wrong.value.extra == {"field": field}


def test_under_the_emergency_stop_nobody_confirms_types_or_is_let_in(keys: Keys, world: World, paper: Paper) -> None:
    act = ask(keys)
    confirm(keys, act)
    record = by_sheets(keys, paper.typed(paper.entry), "erin", itself=paper.entry)
    with world.database.transaction() as session:
        stops.press(session, actor=keys.actor("erin"))
    with pytest.raises(Forbidden) as refused:
        use(keys, act, record)
    assert refused.value.code == "keys-stopped"
    stop(keys, act, "erin")
    with pytest.raises(Forbidden):
        ask(keys, "erin", "erin")
    waiting = ask(keys, "bob", "bob")
    with pytest.raises(Forbidden):
        confirm(keys, waiting, "erin")


def test_the_operator_sees_what_is_going_on_anywhere(keys: Keys, world: World, paper: Paper) -> None:
    def seen() -> list[str]:
        with world.database.reading() as session:
            return [name for _, name in recovery_acts.everywhere(session, actor=world.actor("ivan"))]

    assert seen() == []
    act = ask(keys)
    assert seen() == ["Riverside Pharmacy"]
    stop(keys, act, "heidi")
    assert seen() == []
    with pytest.raises(Forbidden), world.database.reading() as session:
        recovery_acts.everywhere(session, actor=world.actor("grace"))


def test_who_works_here_no_more_is_let_in_by_nobody(keys: Keys, world: World, paper: Paper) -> None:
    act = ask(keys, "grace", "erin")
    confirm(keys, act, "ivan")
    record = by_sheets(keys, paper.typed(paper.entry), "erin", itself=paper.entry)
    with world.database.transaction() as session:
        staff.disable(session, bus=MemoryBus(), account_id=world.accounts["erin"])
    with pytest.raises(NotFound):
        use(keys, act, record, by="grace")


def test_the_mail_says_who_did_what_where_and_leaves_a_line_of_the_record(keys: Keys, world: World) -> None:
    sent: list[Mail] = []

    class Postbox:
        def send(self, mail: Mail) -> None:
            sent.append(mail)

    notice = recovery_key.SheetsNotice(world.database, Postbox(), "https://portal.test")
    payload = {
        "account": world.accounts["erin"],
        "pharmacy": "riverside",
        "what": "sheets-asked",
        "who": world.accounts["bob"],
        "at": "2026-11-22T09:30:00+00:00",
    }
    job = Job("job1", recovery_key.NOTICE_JOB, payload, None, 1, clock.now())
    notice(job)
    (mail,) = sent
    assert mail.to == "erin@example.org"
    assert "Bob" in mail.text
    assert "https://portal.test/login?next=/pharmacies/riverside/recovery" in mail.text.split("\n")
    with world.database.transaction() as session:
        (row,) = session.scalars(select(AuditEvent).where(AuditEvent.action == "notice.sent"))
        assert (row.pharmacy_id, row.detail) == (
            "riverside",
            {"to": world.accounts["erin"], "what": "sheets-asked"},
        )
        session.get_one(Account, world.accounts["erin"]).disabled_at = clock.now()
    notice(job)
    assert len(sent) == 1
