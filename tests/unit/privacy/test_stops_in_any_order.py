"""Whatever is offered, asked for, stopped and ended, in any order: nothing made in a stopped person's name works later.

Compares the portal with a plain list of what was made, and which of it is still good.
"""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import select
from world import World, add_account, build
from world_keys import Keys

from portal.accounts import carer_invitations, invitations, offers, stops
from portal.accounts.carers import Circumstances
from portal.accounts.roles import Role
from portal.accounts.stops import Check
from portal.accounts.tables import DeviceOffer
from portal.audit.tables import AuditEvent
from portal.care import asking
from portal.care.asking import Asked
from portal.core import clock, ids, migrating
from portal.core.bus import MemoryBus
from portal.core.database import Database
from portal.core.errors import PortalError
from portal.e2ee import recovery as ways
from portal.ehr.model import Patient
from portal.pharmacies import identity_checks, recovery_acts, staff_invitations
from portal.pharmacies.identity_checks import How
from portal.pharmacies.tables import RecoveryAct
from portal.privacy import stopping

PHARMACISTS = "riverside_pharmacists"
BOX = asking.box(("k" * 32,))
BORN = date(1974, 3, 9)
BEGIN = datetime(2026, 11, 24, 15, tzinfo=UTC)


class Registry:
    """An EHR that knows everybody by the id that is asked for."""

    def reader(self, address: object) -> "Registry":
        return self

    def patient(self, fhir_id: str) -> Patient:
        return Patient(fhir_id, "Nora Hall", "Hall", "Nora", BORN.isoformat(), "female", (), True, False)


@dataclass
class Made:
    """Something that was made in a person's name. `of_no_use`: used, replaced, or its maker has stopped since."""

    kind: str
    maker: str
    use: Callable[[], object]
    until: datetime
    of_no_use: bool = False


class Acts:
    """The acts of the story over one database: each `make_…` gives what is made, and how it is used by somebody."""

    def __init__(self, keys: Keys) -> None:
        self.keys, self.world, self.database = keys, keys.world, keys.world.database
        self.count = 0

    def somebody(self) -> str:
        """A patient whom no pharmacy knows yet."""
        self.count += 1
        name = f"nora{self.count}"
        with self.database.transaction() as session:
            self.world.accounts[name] = add_account(session, name, Role.PATIENT)
        return name

    def within(self, act: Callable[..., Any], **more: Any) -> Any:
        """One act in a transaction of its own."""
        with self.database.transaction() as session:
            return act(session, **more)

    def press(self, name: str) -> None:
        """Something is wrong."""
        self.within(stopping.press, actor=self.keys.actor(name), bus=MemoryBus())

    def checked(self, name: str, by: str) -> None:
        """A colleague has seen who it is."""
        account = self.world.accounts[name]
        self.within(stopping.end, actor=self.keys.actor(by), account_id=account, check=Check.IN_PERSON)

    def asks(self, name: str) -> None:
        """The person asks for the end."""
        self.within(stops.ask_for_the_end, actor=self.keys.actor(name))

    def make_offer(self, name: str) -> Made:
        """This device offers the keys to another one."""
        person, code = self.keys.people[name], ways.make_code()
        wanted, wrap = ways.offer_name(person.id, code), ways.wrap_by_device(person.urk, person.id, code).to_json()
        self.within(offers.make, actor=self.keys.actor(name), name=wanted, wrap=wrap)
        phone = replace(self.world.actor(name), device_id=None)
        return Made(
            "offer", name, lambda: self.within(offers.take, actor=phone, name=wanted), clock.now() + offers.LASTS
        )

    def make_carer(self, name: str) -> Made:
        """A code for who is to help Alice."""
        newcomer, where = (
            carer_invitations.Newcomer("Helper", None, "carer", "refills"),
            Circumstances("America/Chicago", 18, None),
        )
        patient = self.world.patients[name]
        made, code = self.within(
            carer_invitations.invite, actor=self.keys.actor(name), patient_id=patient, newcomer=newcomer, where=where
        )

        def use() -> object:
            helper = self.world.actor(self.somebody())
            return self.within(carer_invitations.accept, actor=helper, invitation_id=made, code=code)

        return Made("carer", name, use, clock.now() + carer_invitations.LIVES)

    def make_card(self, name: str) -> Made:
        """A card that staff hand to a patient."""
        came = self.somebody()
        _, code = self.within(
            invitations.invite,
            actor=self.keys.actor(name),
            pharmacy_id="riverside",
            connection_id="riverside-ehr",
            fhir_id=came,
        )

        def use() -> object:
            return invitations.redeem(
                self.database,
                actor=replace(self.world.actor(came), agent=replace(self.world.actor(came).agent, address=came)),
                code=code,
                birth_date=BORN,
                birth_date_from_ehr=lambda *_: BORN,
                also=lambda *_: None,
            )

        return Made("card", name, use, clock.now() + invitations.LIVES)

    def make_request(self, name: str) -> Made:
        """Somebody asks to be found; a pharmacist says yes."""
        actor = self.world.actor(name)
        actor = replace(actor, agent=replace(actor.agent, address=ids.random_id()))
        asked = Asked("Nora Hall", BORN.isoformat(), phone="555 0142")
        request = self.within(asking.ask, actor=actor, pharmacy_id="riverside", asked=asked, sealing=BOX)

        def use() -> object:
            return asking.confirm(
                self.database,
                Registry(),  # type: ignore[arg-type]
                actor=self.world.actor("frank"),
                pharmacy_id="riverside",
                request_id=request,
                fhir_id=name,
            )

        return Made("request", name, use, clock.now() + asking.LIVES)

    def make_colleague(self, name: str) -> Made:
        """A mail to somebody who is to work here."""
        self.count += 1
        mail = f"oscar{self.count}@example.org"
        newcomer = staff_invitations.Newcomer(mail, "Oscar Bell", "pharmacist", teams=("pharmacists",))
        self.within(staff_invitations.invite, actor=self.keys.actor(name), pharmacy_id="riverside", newcomer=newcomer)

        def use() -> object:
            came = self.world.actor(self.somebody())
            with self.database.transaction() as session:
                (found,) = staff_invitations.to_mail(session, mail)
                found.accept(came.agent)
            return found

        return Made("colleague", name, use, clock.now() + staff_invitations.LIVES)

    def make_act(self, name: str) -> Made:
        """An act with the recovery sheets, asked for by one; the second person says yes."""
        act = ids.random_id()
        with self.database.transaction() as session:
            session.add(
                RecoveryAct(
                    id=act,
                    pharmacy_id="riverside",
                    account_id=self.world.accounts[name],
                    teams=["pharmacists"],
                    reason="lost",
                    asked_by=self.world.accounts[name],
                    asked_at=clock.now(),
                    state=recovery_acts.State.ASKED.value,
                    expires_at=clock.now() + recovery_acts.WAITS,
                )
            )
        grace = self.keys.actor("grace")
        return Made(
            "act",
            name,
            lambda: self.within(recovery_acts.confirm, actor=grace, pharmacy_id="riverside", act_id=act),
            clock.now() + recovery_acts.WAITS,
        )


# Who makes what. Whoever asks to be found is a new person each time.
MAKES = {"alice": ("offer", "carer"), "bob": ("offer", "card", "colleague"), "erin": ("card", "colleague", "act")}


def template(folder: Path) -> Keys:
    """The world with keys and a team, in one file that each story copies."""
    database = Database(f"sqlite:///{folder / 'world.sqlite3'}", pool_size=1)
    migrating.upgrade(database, "0001")
    keys = Keys(build(database))
    keys.enrol("alice", "bob", "erin", "grace")
    keys.team(PHARMACISTS, "bob", "bob", "erin")
    database.close()
    return keys


class Stops(RuleBasedStateMachine):
    """Compares what can be used with what was made and not stopped since."""

    shared: tuple[tempfile.TemporaryDirectory[str], Keys] | None = None

    @initialize()
    def open(self) -> None:
        self.held = clock.frozen(BEGIN)
        self.held.__enter__()
        if Stops.shared is None:
            folder = tempfile.TemporaryDirectory()
            Stops.shared = folder, template(Path(folder.name))
        folder, keys = Stops.shared
        self.file = Path(folder.name) / f"{ids.random_id()}.sqlite3"
        shutil.copy(Path(folder.name) / "world.sqlite3", self.file)
        self.database = Database(f"sqlite:///{self.file}", pool_size=1)
        world = World(self.database, dict(keys.world.accounts), dict(keys.world.patients))
        self.acts = Acts(replace(keys, world=world))
        self.made: list[Made] = []
        # By name: until when the person is stopped, None while nobody has asked for the end.
        self.stopped: dict[str, datetime | None] = {}
        # The newest one who asked to be found first, so that those who are always there come often.
        self.makers = ["alice", "bob", "erin"]

    def teardown(self) -> None:
        if hasattr(self, "database"):
            self.database.close()
            self.held.__exit__(None, None, None)
            self.file.unlink()

    def is_stopped(self, name: str) -> bool:
        if name not in self.stopped:
            return False
        until = self.stopped[name]
        return until is None or until > clock.now()

    def expect(self, right: bool, act: Callable[[], object], said: str) -> bool:
        """Whether the act went well, which it does exactly when it should."""
        refused: Exception | None = None
        try:
            act()
        except (PortalError, ValueError) as problem:
            refused = problem
        assert (refused is None) is right, f"{said}: {refused or 'should have been refused'}"
        return right

    @rule(data=st.data(), name=st.sampled_from(sorted(MAKES)))
    def make(self, data: st.DataObject, name: str) -> None:
        kind = data.draw(st.sampled_from(MAKES[name]))
        if kind == "act" and self.is_stopped(name):
            # Asking holds by `needs_own_keys` (tests/unit/pharmacies/test_recovery_acts.py); here its row is made.
            return
        kept: list[Made] = []
        if self.expect(
            not self.is_stopped(name), lambda: kept.append(getattr(self.acts, f"make_{kind}")(name)), f"{name}: {kind}"
        ):
            for earlier in self.made:
                # The newest picture counts.
                earlier.of_no_use |= kind == earlier.kind == "offer" and earlier.maker == name
            self.made += kept

    @rule()
    def ask(self) -> None:
        name = self.acts.somebody()
        self.makers[:1] = [name, "alice"] if len(self.makers) == 3 else [name]
        self.made.append(self.acts.make_request(name))

    @rule(data=st.data())
    def use(self, data: st.DataObject) -> None:
        self.nothing_else_works()
        good = [one for one in self.made if self.is_good(one)]
        if good:
            made = good[data.draw(st.integers(0, len(good) - 1))]
            self.expect(True, made.use, f"{made.kind} of {made.maker}")
            made.of_no_use = True

    def nothing_else_works(self) -> None:
        for made in self.made:
            if not self.is_good(made):
                self.expect(False, made.use, f"{made.kind} of {made.maker}")

    def is_good(self, made: Made) -> bool:
        return not made.of_no_use and made.until > clock.now() and not self.is_stopped(made.maker)

    @rule(data=st.data())
    def press(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(self.makers))
        self.acts.press(name)
        self.stopped[name] = None
        for made in self.made:
            made.of_no_use |= made.maker == name

    @rule(data=st.data())
    def ask_for_the_end(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(self.makers))
        if self.expect(self.is_stopped(name), lambda: self.acts.asks(name), f"{name} asks for the end"):
            self.stopped[name] = self.stopped[name] or clock.now() + stops.WAIT

    @rule(name=st.sampled_from(["alice", "bob", "erin"]))
    def checked(self, name: str) -> None:
        if self.expect(self.is_stopped(name), lambda: self.acts.checked(name, "grace"), f"Grace has seen {name}"):
            del self.stopped[name]
            self.nothing_else_works()

    @rule(hours=st.sampled_from([0, 1, 25]), minutes=st.sampled_from([1, 11]))
    def wait(self, hours: int, minutes: int) -> None:
        clock.shift(timedelta(hours=hours, minutes=minutes))
        self.acts.within(offers.forget_over)
        self.nothing_else_works()

    @invariant()
    def no_offer_lies_about(self) -> None:
        if not hasattr(self, "database"):
            return
        with self.database.reading() as session:
            rows = session.scalars(select(DeviceOffer).where(DeviceOffer.wrap.is_not(None))).all()
        names = {id: name for name, id in self.acts.world.accounts.items()}
        for row in rows:
            assert not self.is_stopped(names[row.account_id])


TestStops = Stops.TestCase
# Without shrinking: a story of thirty acts is read as it is sooner than a database plays a thousand shorter ones.
TestStops.settings = settings(max_examples=15, stateful_step_count=30, deadline=None, phases=[Phase.generate])


@pytest.fixture
def keys(database: Database) -> Keys:
    made = Keys(build(database))
    made.enrol("alice", "bob", "erin", "grace", "rosa")
    made.team(PHARMACISTS, "bob", "bob", "erin")
    return made


def actions(world: World, prefixes: tuple[str, ...]) -> list[str]:
    with world.database.reading() as session:
        rows = session.scalars(select(AuditEvent.action).order_by(AuditEvent.seq))
        return [one for one in rows if one.startswith(prefixes)]


@pytest.mark.parametrize("kind", ["offer", "carer", "card", "colleague", "act", "request"])
def test_what_was_made_before_a_stop_does_not_come_back_with_its_end(keys: Keys, kind: str) -> None:
    acts = Acts(keys)
    name = {"offer": "alice", "carer": "alice", "request": acts.somebody()}.get(kind, "erin")
    made = getattr(acts, f"make_{kind}")(name)
    acts.press(name)
    with pytest.raises((PortalError, ValueError)):
        made.use()
    with keys.world.database.reading() as session:
        assert session.scalars(select(DeviceOffer)).all() == []
    acts.asks(name)
    clock.shift(stops.WAIT)
    with pytest.raises((PortalError, ValueError)):
        made.use()
    # Made anew it works: nothing is lost but a minute.
    if kind != "offer":
        getattr(acts, f"make_{kind}")(name).use()
    ended = {
        "offer": "key.offer-ended",
        "carer": "carer.uninvited",
        "card": "invitation.revoked",
        "colleague": "staff.uninvited",
        "act": "sheets.cancelled",
        "request": "match.withdrawn",
    }
    assert actions(keys.world, (ended[kind],)) == [ended[kind]]


def test_whoever_is_stopped_takes_nothing_up_and_lets_nobody_in(keys: Keys) -> None:
    acts = Acts(keys)
    came = acts.somebody()
    card, request = acts.make_card("bob"), acts.make_request(acts.somebody())
    acts.press("frank")
    with pytest.raises(PortalError) as refused:
        request.use()
    assert refused.value.code == "keys-stopped"
    with pytest.raises(PortalError) as refused:
        acts.make_card("frank")
    assert refused.value.code == "keys-stopped"
    acts.press(came)
    with pytest.raises(PortalError) as refused:
        acts.make_request(came)
    assert refused.value.code == "keys-stopped"
    acts.checked("frank", "grace")
    request.use()
    # The card is for somebody else, who has stopped nothing.
    card.use()


def test_a_stop_is_a_no_to_waiting_for_the_own_new_keys(keys: Keys) -> None:
    keys.start_again("rosa")
    acts, rosa = Acts(keys), keys.world.accounts["rosa"]

    def check(how: How, by: str = "bob") -> identity_checks.State:
        state: identity_checks.State = acts.within(
            identity_checks.make, actor=keys.actor(by), account_id=rosa, how=how
        ).state
        return state

    assert check(How.WAITED) is identity_checks.State.WAITING
    acts.press("rosa")
    clock.shift(identity_checks.WAIT)
    with keys.world.database.reading() as session:
        found = identity_checks.of(session, actor=keys.actor("bob"), account_id=rosa)
    assert found is not None
    assert found.state is identity_checks.State.OBJECTED
    assert actions(keys.world, ("identity.objected",)) == ["identity.objected"]
    # Bob, himself stopped, says of nobody who they are.
    acts.press("bob")
    with pytest.raises(PortalError) as refused:
        check(How.IN_PERSON)
    assert refused.value.code == "keys-stopped"
    assert check(How.IN_PERSON, "erin") is identity_checks.State.PASSED


def test_nobody_begins_to_wait_for_keys_of_somebody_who_is_stopped(keys: Keys) -> None:
    keys.start_again("rosa")
    acts, rosa = Acts(keys), keys.world.accounts["rosa"]
    acts.press("rosa")
    with pytest.raises(PortalError) as refused:
        acts.within(identity_checks.make, actor=keys.actor("bob"), account_id=rosa, how=How.WAITED)
    assert refused.value.code == "check-objected"
