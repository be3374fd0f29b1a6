"""The demo world's keys, teams and threads, really sealed: everybody is a member of `portal.connector` in this process.

What people write stands in `conversations.json`. All threads are told side by side in the order of their moments, so
that the clock of the telling thread, the sequences and the audit record only ever go forward.
"""

import heapq
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.accounts.roles import Kind
from portal.accounts.tables import Account
from portal.connector.client import PortalClient, ServerRefused
from portal.connector.member import Member, OpenThread
from portal.connector.messages import Correction, Message
from portal.core import clock, ids
from portal.demo import world
from portal.demo.people import PASSPHRASE, PEOPLE, DemoPerson
from portal.demo.picture import crushed_parcel
from portal.e2ee.records import Role
from portal.ehr.client import EhrClient
from portal.ehr.context import ContextReader
from portal.ehr.model import PatientContext
from portal.ehr.panel import medication_chip, order_chip
from portal.identity import sessions
from portal.identity.session_life import CurrentSession, EndedBy, Proof
from portal.pharmacies.topics import TEAM_OF_TOPIC, TeamKind, Topic, team_id, team_of
from portal.threads.tables import Thread
from portal.web.limits import UNCOUNTED_IN
from portal.web.wiring import Services

HOME = "riverside"
ZONE = ZoneInfo("America/Chicago")
BEFORE = timedelta(days=55)
# Within it a session is fresh enough for everything, and not yet idle.
SCENE = timedelta(minutes=4)
Json = dict[str, Any]
Progress = Callable[[str], None]


def beginning() -> datetime:
    """When the story begins: accounts, care and keys are as old as this."""
    return clock.now() - BEFORE


def told(session: Session) -> bool:
    """Whether there are threads already."""
    return session.scalar(select(Thread.id).limit(1)) is not None


def tell(
    app: Flask, *, ehr: EhrClient, patients: Mapping[str, str], progress: Progress, tales: Json | None = None
) -> None:
    """Make keys, teams and threads of everybody who is enrolled; `patients` are portal ids by demo login.

    `tales` are those of `conversations.json`. Does nothing where there are threads already. Threads of patients the EHR
    does not know are left out.
    """
    services: Services = app.extensions["portal"]
    with services.database.reading() as session:
        if told(session):
            return
    stage = Stage(app, patients, Chips(ehr), clock.now())
    tales = tales or conversations()
    plots = [_prologue(stage, progress)]
    plots += [_tale(stage, tale) for tale in tales["threads"] if tale["patient"] in patients]
    if tales["diary"]["patient"] in patients:
        plots.append(_diary(stage, tales["diary"], progress))
    progress("sealing threads …")
    perform(plots)
    stage.close()


Plot = Iterator[datetime]


def perform(plots: list[Plot]) -> None:
    """Go through plots side by side: each says when it goes on, the earliest moment comes first."""
    waiting = [(moment, place) for place, plot in enumerate(plots) if (moment := next(plot, None)) is not None]
    heapq.heapify(waiting)
    # What came before may have taken longer than the pause after it.
    until = min(waiting)[0] if waiting else clock.now()
    while waiting:
        moment, place = heapq.heappop(waiting)
        with clock.at(max(moment, until)):
            following = next(plots[place], None)
            until = clock.now()
        if following is not None:
            heapq.heappush(waiting, (following, place))


class Chips:
    """Medicines and orders as the EHR has them today, to be put into messages; none of a patient it does not know."""

    def __init__(self, client: EhrClient) -> None:
        self._client = client
        self._reader = ContextReader(client)
        self._contexts: dict[str, PatientContext | None] = {}

    def get(self, patient: str, wanted: str, language: str, *, for_desk: bool) -> list[Json]:
        """`medicine:<RxNorm>` or `order:<number>`; the desk's order chips name no medicine."""
        context = self._context(patient)
        kind, _, code = wanted.partition(":")
        if context is None:
            return []
        if kind == "order":
            orders = [one for one in context.orders if one.number == code]
            return [order_chip(one, language, with_medicine=not for_desk) for one in orders[:1]]
        requests = [one for one in context.medication_requests if one.medication.rxnorm == code]
        return [medication_chip(one, language) for one in requests[:1]]

    def _context(self, patient: str) -> PatientContext | None:
        if patient not in self._contexts:
            fhir_id = world.fhir_id(self._client, patient)
            self._contexts[patient] = self._reader.read(fhir_id) if fhir_id is not None else None
        return self._contexts[patient]


@dataclass
class Player:
    """Somebody on the stage, with the session in use."""

    client: PortalClient
    account: str
    member: Member | None = None
    session: CurrentSession | None = None


@dataclass
class Stage:
    """Everybody by login, and what has been written so far."""

    app: Flask
    patients: Mapping[str, str]
    chips: Chips
    now: datetime
    players: dict[str, Player] = field(default_factory=dict)

    def person(self, login: str) -> DemoPerson:
        """Who somebody is."""
        return next(person for person in PEOPLE if person.login == login)

    def player(self, login: str) -> Player:
        """Somebody with a session that is fresh at this moment."""
        player = self.players.get(login)
        if player is None:
            with self._services.database.reading() as session:
                account = session.scalars(select(Account.id).where(Account.subject == login)).one()
            transport = httpx.WSGITransport(app=self._marked)
            client = PortalClient(self._services.settings.base_url, transport=transport)
            player = self.players[login] = Player(client, account)
        if player.session is None or clock.now() - player.session.created_at > SCENE:
            self._sign_in(player, self.person(login))
        return player

    def member(self, login: str) -> Member:
        """Somebody with keys."""
        member = self.player(login).member
        if member is None:
            raise ServerRefused(403, "not-enrolled", {})
        return member

    def enrol(self, login: str) -> None:
        """First keys, with the demo's passphrase as way back."""
        player = self.player(login)
        player.member = Member.enrol(player.client, passphrase=PASSPHRASE, device_name="Demo")

    def role(self, login: str, patient: str) -> Role:
        """What somebody is in a thread about a patient."""
        return Role.PATIENT if self.person(login).patients.get(patient) is Kind.SELF else Role.PROXY

    def close(self) -> None:
        """End all sessions, as of the moments they were used."""
        for player in self.players.values():
            self._sign_out(player)
            player.client.close()

    @property
    def _services(self) -> Services:
        services: Services = self.app.extensions["portal"]
        return services

    def _marked(self, environ: Json, start_response: Any) -> Any:
        # The story is told faster than people write; no request from outside can carry this mark.
        environ[UNCOUNTED_IN] = True
        return self.app(environ, start_response)

    def _sign_in(self, player: Player, person: DemoPerson) -> None:
        self._sign_out(player)
        account = person.account()
        proof = Proof(clock.now(), account.acr, account.amr, None, None)
        with self._services.database.transaction() as session:
            cookie, player.session = sessions.begin(
                session, account_id=player.account, role=person.role.value, proof=proof
            )
        player.client.use_cookie(cookie)
        if player.member is not None:
            player.member.bind()

    def _sign_out(self, player: Player) -> None:
        if player.session is not None:
            with self._services.database.transaction() as session:
                sessions.end(session, self._services.bus, player.session, EndedBy.LOGOUT)


def _prologue(stage: Stage, progress: Progress) -> Plot:
    """Keys for everybody, then the teams."""
    morning = stage.now - BEFORE + timedelta(hours=1)
    yield morning
    enrolled = [person.login for person in PEOPLE if person.enrolled]
    progress(f"making keys for {len(enrolled)} people …")
    for login in enrolled:
        stage.enrol(login)
    yield morning + timedelta(minutes=30)
    for login, kind in (
        ("bob", TeamKind.PHARMACISTS),
        ("frank", TeamKind.DESK),
        ("grace", TeamKind.SUPERVISORS),
        ("heidi", TeamKind.PRIVACY),
    ):
        stage.member(login).teams.found(team_id(HOME, kind))
    stage.member("carol").teams.found(team_id("harbor", TeamKind.PHARMACISTS))
    yield morning + timedelta(minutes=40)
    desk = team_id(HOME, TeamKind.DESK)
    stage.member("bob").teams.ask(desk)
    yield morning + timedelta(minutes=50)
    stage.member("frank").teams.admit(desk, stage.member("bob").person.id)
    # Erin asked this week; somebody has to say yes.
    yield _moment("-1d 08:05", stage.now)
    stage.member("erin").teams.ask(team_id(HOME, TeamKind.PHARMACISTS))


@dataclass
class _Written:
    id: str = field(default_factory=ids.random_id)
    messages: list[Message] = field(default_factory=list)


def _tale(stage: Stage, tale: Json) -> Plot:
    """One thread of `conversations.json`."""
    written = _Written()
    for step in tale["steps"]:
        yield _moment(step["at"], stage.now)
        by, act = step["by"], step.get("do", "write")
        if act == "write":
            message = _message(stage, tale, step, written.id)
            _write(stage, tale, by, written, message, urgent=bool(step.get("urgent")))
            continue
        member = stage.member(by)
        thread = member.thread(written.id)
        if act == "correct":
            member.send(thread, Correction(written.messages[step["of"]].id, step["text"]))
        elif act == "retract":
            wanted = written.messages[step["of"]].id
            seq = next(line.seq for line in member.read(thread) if line.id == wanted)
            member.retract(thread, seq, step["text"])
        member.confirm(thread)


def _write(stage: Stage, tale: Json, by: str, written: _Written, message: Message, *, urgent: bool) -> None:
    topic, patient, member = Topic(tale["topic"]), tale["patient"], stage.member(by)
    if written.messages:
        thread = member.thread(written.id)
        member.send(thread, message, urgent=urgent)
    else:
        thread = member.start_thread(
            message,
            pharmacy=HOME,
            patient=stage.patients[patient],
            topic=topic.value,
            team=team_of(HOME, topic),
            people={stage.player(login).account: stage.role(login, patient) for login in tale["people"]},
            urgent=urgent,
            thread=written.id,
        )
    written.messages.append(message)
    # Whoever writes has the thread open, and so has read it.
    member.confirm(thread)


def _message(stage: Stage, tale: Json, step: Json, thread_id: str) -> Message:
    by, for_desk = step["by"], TEAM_OF_TOPIC[Topic(tale["topic"])] is TeamKind.DESK
    chips: list[Json] = []
    for wanted in step.get("chips", ()):
        chips += stage.chips.get(tale["patient"], wanted, tale.get("language", "en"), for_desk=for_desk)
    files = []
    if "photo" in step:
        member = stage.member(by)
        files.append(member.upload(thread_id, HOME, name=step["photo"], type="image/png", content=crushed_parcel()))
    return Message(step["text"], subject=step.get("subject"), fhir=chips, files=files)


def _diary(stage: Stage, diary: Json, progress: Progress) -> Plot:
    """Walt writes his numbers down every day, Bob answers: a thread of a thousand messages."""
    patient, days, turns = diary["patient"], diary["days"], diary["turns"]
    team = team_of(HOME, Topic(diary["topic"]))
    threads: dict[str, OpenThread] = {}
    first, count = ids.random_id(), 0
    for day in range(days):
        moment = _calendar(days - day, time(8, 10), stage.now)
        for number, kind in enumerate(turns):
            yield moment + timedelta(seconds=number * 11)
            by = "bob" if kind == "bob" else patient
            member, text = stage.member(by), _diary_text(diary, day, number)
            if count == 0:
                threads[by] = member.start_thread(
                    Message(text, subject=diary["subject"]),
                    pharmacy=HOME,
                    patient=stage.patients[patient],
                    topic=diary["topic"],
                    team=team,
                    people={stage.player(patient).account: Role.PATIENT},
                    thread=first,
                )
            else:
                # What the other one wrote meanwhile is fetched when the portal says so.
                if by not in threads:
                    threads[by] = member.thread(first)
                member.send(threads[by], Message(text))
            count += 1
            if count % 250 == 0:
                progress(f"  {count} of {days * len(turns)} messages of a long thread")
    for login in ("bob", patient):
        yield _calendar(1, time(8, 30), stage.now)
        stage.member(login).confirm(stage.member(login).thread(first))


def _diary_text(diary: Json, day: int, number: int) -> str:
    """One entry; weight and pressure rise slowly, with a ripple, so that a chart of them would be worth looking at."""
    wave = math.sin(day / 3.0 + number)
    values = {
        "kg": f"{79.4 + day * 0.062 + 0.3 * wave:.1f}",
        "upper": round(132 + day * 0.18 + 5 * wave),
        "lower": round(78 + day * 0.08 + 3 * wave),
        "pulse": round(71 + 4 * wave),
    }
    lines = diary["lines"][diary["turns"][number]]
    # 7 is prime to the length of every list, so neighbours differ.
    line: str = lines[(day * 7 + number * 5) % len(lines)]
    return line.format(**values)


def _moment(text: str, now: datetime) -> datetime:
    """`-95m`: minutes before now. `-2d 09:05`: that time at the pharmacy, two working days ago."""
    if text.endswith("m"):
        return now - timedelta(minutes=int(text[1:-1]))
    days, _, at = text.partition("d ")
    day, left = now.astimezone(ZONE).date(), int(days[1:])
    while left:
        day -= timedelta(days=1)
        left -= day.weekday() < 5
    return datetime.combine(day, time.fromisoformat(at), ZONE).astimezone(UTC)


def _calendar(days_ago: int, at: time, now: datetime) -> datetime:
    day = now.astimezone(ZONE).date() - timedelta(days=days_ago)
    return datetime.combine(day, at, ZONE).astimezone(UTC)


@cache
def conversations() -> Json:
    """What people write."""
    tales: Json = json.loads(Path(__file__).with_name("conversations.json").read_text("utf-8"))
    return tales
