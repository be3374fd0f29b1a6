"""The audit record in plain words: shared by the patient's "who looked" and the privacy officer's search."""

from dataclasses import dataclass
from datetime import datetime

from portal.accounts.names import Named
from portal.accounts.roles import Role
from portal.audit import Action, Outcome
from portal.audit.queries import Seen
from portal.core import texts
from portal.web import pages
from portal.web.public.frame import known_pharmacies

# A page that is open fetches again with each message: how often that was says nothing, of how many things does.
_LOOKS = frozenset({Action.THREAD_READ, Action.MESSAGE_READ, Action.CONTEXT_READ, Action.ATTACHMENT_READ})
_ICONS = {
    "login": "person",
    "session": "person",
    "account": "person",
    "relation": "people",
    "carer": "people",
    "invitation": "people",
    "staff": "people",
    "care": "heart",
    "patient": "search",
    "thread": "message",
    "message": "message",
    "attachment": "clip",
    "context": "eye",
    "ehr": "clipboard",
    "key": "key",
    "identity": "person",
    "team": "people",
    "sheets": "key",
    "job": "refresh",
    "printed": "print",
    "exported": "file",
    "audit": "list",
    "access": "stop",
}


@dataclass(frozen=True)
class Line:
    """One row in words. With `since` it stands for `count` of one day, from then until `at`."""

    seq: int
    at: datetime
    who: str
    role: str
    what: str
    why: str
    refused: bool
    count: int
    icon: str
    own: bool
    since: datetime | None
    # What was looked at, for acts that an open page repeats by itself; None for others, each of which counts.
    looked_at: str | None


def in_words(row: Seen, who: Named | None, *, own: bool) -> Line:
    """A row as people read it. `who`: the one who acted, when the reader may know; `own`: the reader did it."""
    return Line(
        seq=row.seq,
        at=row.recorded,
        who=_who(row, who, own),
        role=_role(row, who),
        what=did(row.action),
        why=_said(f"record.why.{row.purpose}", ""),
        refused=row.outcome != Outcome.SUCCESS,
        count=int((row.detail or {}).get("count", row.count)),
        icon=_ICONS.get(row.action.split(".")[0], "info"),
        own=own,
        since=row.since,
        looked_at=row.entity_id if row.action in _LOOKS else None,
    )


def did(action: str) -> str:
    """An act in plain words."""
    return _said(f"record.did.{action}", pages.translate("record.did.other"))


def _who(row: Seen, who: Named | None, own: bool) -> str:
    if own:
        return pages.translate("record.who.self")
    if who is not None:
        return who.name
    if row.role == Role.PATIENT:
        return pages.translate("record.who.patient")
    if row.role:
        return _said(f"common.role.{row.role}", row.role)
    return pages.translate("record.who.system" if row.address is None else "record.who.unknown")


def _role(row: Seen, who: Named | None) -> str:
    role = _said(f"common.role.{row.role}", "") if row.role and who is not None else ""
    pharmacy = {one.id: one.name for one in known_pharmacies()}.get((who.pharmacy_id if who else None) or "")
    parts = [role, pharmacy or ""]
    if row.on_behalf:
        parts.append(pages.translate("record.who.behalf", kind=_said(f"common.role.{row.on_behalf}", row.on_behalf)))
    return ", ".join(part for part in parts if part)


def _said(key: str, otherwise: str) -> str:
    return pages.translate(key) if key in texts.catalogue(texts.DEFAULT_LANGUAGE) else otherwise
