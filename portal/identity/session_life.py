"""What a session is: its life, its limits of time, why it ends, and how one request sees it.

A session is active, then locked after idle time or by its person, then active again after a fresh login of the same
person or, on a shared device, once its keys were opened there (each gives the cookie a new value), and ends once:
`LIFE`. Times: ASVS 5.0 V7.3; streams and polling never move `active_at`.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from portal.audit import Agent
from portal.core.lives import Life, Step

PATIENT = "patient"
IDLE = {"patient": timedelta(minutes=30), "staff": timedelta(minutes=15)}
ABSOLUTE = {"patient": timedelta(hours=24), "staff": timedelta(hours=12)}
WARN_BEFORE = timedelta(minutes=2)
# `active_at` is written at most this often, so that a person at work does not cost a write a click.
TOUCH_EVERY = timedelta(minutes=1)
# On a device that others use too: locked, then signed out, after so long without an act.
SHARED_IDLE = timedelta(minutes=3)
SHARED_END = timedelta(minutes=15)
SHARED_WARN_BEFORE = timedelta(seconds=30)
SHARED_TOUCH_EVERY = timedelta(seconds=15)


class State(StrEnum):
    """What a session allows now."""

    ACTIVE = "active"
    LOCKED = "locked"
    ENDED = "ended"


class Happening(StrEnum):
    """What happens to a session."""

    SIGNED_IN = "signed in"
    CONFIRMED = "signed in again"
    OPENED = "opened on its shared device"
    IDLE = "no act for a while"
    LEFT = "locked by the person"
    ENDED = "ended"


LIFE: Life[State, Happening] = Life(
    "session",
    (
        Step(None, Happening.SIGNED_IN, State.ACTIVE),
        Step(State.ACTIVE, Happening.CONFIRMED, State.ACTIVE),
        Step(State.ACTIVE, Happening.IDLE, State.LOCKED),
        Step(State.ACTIVE, Happening.LEFT, State.LOCKED),
        Step(State.LOCKED, Happening.CONFIRMED, State.ACTIVE),
        Step(State.LOCKED, Happening.OPENED, State.ACTIVE),
        Step(State.ACTIVE, Happening.ENDED, State.ENDED),
        Step(State.LOCKED, Happening.ENDED, State.ENDED),
    ),
)


class EndedBy(StrEnum):
    """Why a session ended."""

    LOGOUT = "logout"
    PERSON = "person"
    PROVIDER = "provider"
    OPERATOR = "operator"
    OTHER_ACCOUNT = "other-account"
    DISABLED = "disabled"
    ROLE = "role"
    EXPIRED = "expired"
    LAST_DAY = "last-day"
    UNBOUND = "unbound"
    IDLE = "idle"


@dataclass(frozen=True)
class CurrentSession:
    """A session as one request sees it. `state` is computed, never stale."""

    ref: str
    state: State
    ended_by: EndedBy | None
    # Whether the row already says what `state` says; if not, `settle` writes it.
    settled: bool
    account_id: str
    role: str
    pharmacy_id: str | None
    language: str | None
    time_zone: str | None
    large_text: bool
    device_id: str | None
    # Bound to a device that others use too; `stay` is the sealed share that opens it while this session is active.
    shared: bool
    stay: bytes | None
    auth_time: datetime | None
    acr: str | None
    amr: tuple[str, ...]
    idp_sid: str | None
    id_token: bytes | None
    created_at: datetime
    active_at: datetime
    lock_at: datetime
    # When it ends if nothing is done, and when it ends at the latest.
    ends_at: datetime
    life_ends_at: datetime
    address: str | None
    user_agent: str | None
    # What Flask keeps in its session, and the challenge a device answers to be bound (docs/protocol.md section 2).
    web: dict[str, Any]
    device_challenge: str | None

    @property
    def signed_in(self) -> bool:
        """Whether it has not ended."""
        return self.state is not State.ENDED

    def agent(self, *, address: str | None = None, request_id: str | None = None) -> Agent:
        """Who acts, for the audit record."""
        return Agent(
            account_id=self.account_id,
            role=self.role,
            session_ref=self.ref,
            address=address or self.address,
            request_id=request_id,
        )


@dataclass(frozen=True)
class Proof:
    """What a login proved, as far as the session keeps it."""

    auth_time: datetime | None
    acr: str | None
    amr: tuple[str, ...]
    idp_sid: str | None
    id_token: bytes | None


def idle_limit(role: str, *, shared: bool = False) -> timedelta:
    """How long a session of this role stays open without an act."""
    return SHARED_IDLE if shared else IDLE["patient" if role == PATIENT else "staff"]


def touch_every(current: CurrentSession) -> timedelta:
    """How often an act is written down at most."""
    return SHARED_TOUCH_EVERY if current.shared else TOUCH_EVERY


def warn_before(current: CurrentSession) -> timedelta:
    """How long before the lock the person is warned."""
    return SHARED_WARN_BEFORE if current.shared else WARN_BEFORE


def absolute_limit(role: str) -> timedelta:
    """How long a session of this role lasts at most."""
    return ABSOLUTE["patient" if role == PATIENT else "staff"]
