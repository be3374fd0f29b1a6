"""Whatever happens to Alice's session in each of its states: what the table says, and nothing else."""

import pytest
from world import World, build

from portal.core import clock
from portal.core.bus import MemoryBus
from portal.core.database import Database
from portal.identity import session_life, session_rows, sessions
from portal.identity.errors import LoginExpired
from portal.identity.session_life import CurrentSession, EndedBy, Happening, Proof, State

PASSWORD = Proof(auth_time=None, acr=None, amr=("pwd",), idp_sid=None, id_token=None)


class Life:
    """One session and what can be done to it."""

    def __init__(self, world: World) -> None:
        self.world, self.bus = world, MemoryBus()
        with world.database.transaction() as session:
            _, begun = sessions.begin(session, account_id=world.accounts["alice"], role="patient", proof=PASSWORD)
        self.ref = begun.ref

    def now(self) -> CurrentSession:
        with self.world.database.reading() as session:
            found = session_rows.by_ref(session, self.ref)
        assert found is not None
        return found

    def happens(self, what: Happening) -> None:
        if what is Happening.IDLE:
            clock.shift(session_life.idle_limit("patient"))
        current = self.now()
        with self.world.database.transaction() as session:
            if what is Happening.IDLE:
                sessions.settle(session, self.bus, current)
            elif what is Happening.CONFIRMED:
                sessions.confirm(session, self.bus, current, proof=PASSWORD, unlocked=current.state is State.LOCKED)
            else:
                sessions.end(session, self.bus, current, EndedBy.LOGOUT)


@pytest.fixture
def life(database: Database) -> Life:
    return Life(build(database))


# How each state is reached.
WAYS = {State.ACTIVE: (), State.LOCKED: (Happening.IDLE,), State.ENDED: (Happening.IDLE, Happening.ENDED)}


def test_it_begins_as_the_table_says(life: Life) -> None:
    assert life.now().state is session_life.LIFE.after(None, Happening.SIGNED_IN)


@pytest.mark.parametrize("before", State)
@pytest.mark.parametrize("what", [Happening.CONFIRMED, Happening.IDLE, Happening.ENDED])
def test_what_happens_leads_where_the_table_says(life: Life, before: State, what: Happening) -> None:
    for step in WAYS[before]:
        life.happens(step)
    assert life.now().state is before
    after = session_life.LIFE.after(before, what)
    if (before, what) == (State.ENDED, Happening.CONFIRMED):
        with pytest.raises(LoginExpired):
            life.happens(what)
    else:
        life.happens(what)
    assert life.now().state is (after or before)
    assert life.now().settled


def test_a_slow_request_does_not_bring_back_the_challenge_of_before_the_lock(life: Life) -> None:
    before = life.now()
    life.happens(Happening.IDLE)
    locked = life.now().device_challenge
    assert locked != before.device_challenge
    with life.world.database.transaction() as session:
        sessions.keep_web(session, before, {"csrf_token": "of a form"})
    assert (life.now().device_challenge, life.now().web) == (locked, {"csrf_token": "of a form"})
    life.happens(Happening.ENDED)
    with life.world.database.transaction() as session:
        sessions.keep_web(session, before, {"csrf_token": "too late"})
    assert life.now().web == {}
