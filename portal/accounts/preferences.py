"""How a person wants to be shown things: language, time zone, text size. What is told, and when: telling.py."""

from dataclasses import dataclass
from zoneinfo import available_timezones

from sqlalchemy.orm import Session

from portal.accounts.actor import Actor
from portal.accounts.tables import Account
from portal.audit import Action, Entity, Purpose, record
from portal.core import texts
from portal.core.errors import BadInput, NotFound


@dataclass(frozen=True)
class Preferences:
    """`time_zone` None: that of the pharmacy. `email`: where notice mail goes, if anywhere; it is not changed here."""

    language: str
    time_zone: str | None
    large_text: bool
    email: str | None = None
    name: str = ""


def of(session: Session, account_id: str) -> Preferences:
    """What an account has chosen. Raises NotFound."""
    account = session.get(Account, account_id)
    if account is None:
        raise NotFound()
    return Preferences(
        language=account.language,
        time_zone=account.time_zone,
        large_text=account.large_text,
        email=account.email if account.email_verified else None,
        name=account.display_name,
    )


def choose(
    session: Session,
    *,
    actor: Actor,
    language: str | None = None,
    time_zone: str | None = None,
    large_text: bool | None = None,
) -> None:
    """Keep a person's own choices; what is None stays. `time_zone` "" goes back to the pharmacy's. Raises BadInput."""
    account = session.get(Account, actor.account_id)
    if account is None:
        raise NotFound()
    if language is not None and language not in texts.LANGUAGES:
        raise BadInput("bad-field", extra={"field": "language"})
    if time_zone and time_zone not in available_timezones():
        raise BadInput("time-zone", extra={"field": "time_zone"})
    wanted = {
        "language": language,
        "time_zone": time_zone,
        "large_text": large_text,
    }
    changed = [
        name
        for name, value in wanted.items()
        if value is not None and (value or None) != (getattr(account, name) or None)
    ]
    for name in changed:
        value = wanted[name]
        setattr(account, name, None if name == "time_zone" and value == "" else value)
    if changed:
        record(
            session,
            Action.SETTINGS_CHANGED,
            agent=actor.agent,
            entity=Entity("Person", actor.account_id),
            purpose=Purpose.PATRQT,
            detail={"changed": changed},
        )
