"""Everything that leaves: each outgoing template and the only things it may say.

One look at `TEMPLATES` proves that no health data leaves. The variables are a link into the portal, one that stops
mails of a kind and, where keys are concerned, a time and the kind of browser; where a colleague is invited, or
recovery sheets are made or used, the names of who does it and of the place, and a time. `compose` accepts nothing
else. The sentences stand in portal/core/texts/<language>/mail.json.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from babel.dates import format_datetime

from portal.core import texts
from portal.notify.mail import Mail


class Template(StrEnum):
    """The kinds of mail that leave the portal."""

    MESSAGE_WAITS = "message-waits"
    RECOVERY_READ = "recovery-read"
    RECOVERY_SET = "recovery-set"
    RECOVERY_REMOVED = "recovery-removed"
    DEVICE_ADDED = "device-added"
    DEVICE_ENDED = "device-ended"
    TILE_REMOVED = "tile-removed"
    KEYS_RESET = "reset"
    CONTACT_CHANGED = "contact-changed"
    STOPPED = "stopped"
    STOP_ENDING = "stop-ending"
    STOP_ENDED = "stop-ended"
    SOMEBODY_STOPPED = "somebody-stopped"
    SOMEBODY_UNBOUND = "somebody-unbound"
    OLD_MESSAGES = "old-messages"
    REQUEST_ANSWERED = "request-answered"
    STAFF_INVITED = "staff-invited"
    CARER_INVITED = "carer-invited"
    CARER_CHANGED = "carer-changed"
    CARER_ENDS_SOON = "carer-ends-soon"
    SHEETS_MADE = "sheets-made"
    SHEETS_ASKED = "sheets-asked"
    SHEETS_CONFIRMED = "sheets-confirmed"
    SHEETS_REFUSED = "sheets-refused"
    SHEETS_CANCELLED = "sheets-cancelled"
    SHEETS_USED = "sheets-used"


# Template → the variables its sentences may use.
TEMPLATES: dict[Template, frozenset[str]] = {
    Template.MESSAGE_WAITS: frozenset({"link", "stop"}),
    **dict.fromkeys(
        (
            Template.RECOVERY_READ,
            Template.RECOVERY_SET,
            Template.RECOVERY_REMOVED,
            Template.DEVICE_ADDED,
            Template.DEVICE_ENDED,
            Template.TILE_REMOVED,
            Template.KEYS_RESET,
            Template.CONTACT_CHANGED,
            Template.STOPPED,
            Template.STOP_ENDING,
            Template.STOP_ENDED,
        ),
        frozenset({"link", "when", "browser"}),
    ),
    Template.SOMEBODY_STOPPED: frozenset({"link", "when"}),
    Template.SOMEBODY_UNBOUND: frozenset({"link", "when"}),
    Template.OLD_MESSAGES: frozenset({"link", "until", "objection"}),
    Template.REQUEST_ANSWERED: frozenset({"link"}),
    Template.STAFF_INVITED: frozenset({"link", "who", "place", "until"}),
    # Who invites is a patient, so a mail does not even name that person.
    Template.CARER_INVITED: frozenset({"link", "until"}),
    Template.CARER_CHANGED: frozenset({"link", "when"}),
    Template.CARER_ENDS_SOON: frozenset({"link", "when", "stop"}),
    **dict.fromkeys(
        (
            Template.SHEETS_MADE,
            Template.SHEETS_ASKED,
            Template.SHEETS_CONFIRMED,
            Template.SHEETS_REFUSED,
            Template.SHEETS_CANCELLED,
            Template.SHEETS_USED,
        ),
        frozenset({"link", "who", "place", "when"}),
    ),
}

_WHEN = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2} \([A-Za-z0-9_/+-]{1,40}\)")
_WRITTEN = {"en": "EEEE, MMMM d, y, h:mm a", "es": "EEEE d 'de' MMMM 'de' y, H:mm"}
# What people have chosen as a name, made harmless by `plain_name`: no address, no link, one line.
_NAME = re.compile(r"\?|(?:[^\W_]|[ '’,&()-]|\.(?= |$)){1,120}")
# Address of the portal, a fixed path, and at most one id: but for names nothing that a person has written.
_FORMS = {
    "link": re.compile(
        r"https?://[A-Za-z0-9.:\[\]-]+/login\?next=/"
        r"(?:thread/[0-9a-f]{32}|account|team|carers|stops|something-wrong|match|pharmacies/[a-z0-9]{2,24}/recovery"
        r"|privacy-office\?action=relation\.undone)"
    ),
    # Says no to one thing, and opens nothing (portal/pharmacies/identity_checks.py).
    "objection": re.compile(r"https?://[A-Za-z0-9.:\[\]-]+/objection/[A-Za-z0-9_-]{43}"),
    # A sealed token (portal.notify.one_tap).
    "stop": re.compile(r"https?://[A-Za-z0-9.:\[\]-]+/stop-notices/[A-Za-z0-9_-]{40,400}"),
    # Day, time and zone as `moment` writes them.
    "when": _WHEN,
    "until": _WHEN,
    "who": _NAME,
    "place": _NAME,
    # Two words of the list in portal/identity/user_agents.py; a question mark for none of them.
    "browser": re.compile(r"\?|[A-Za-z]{2,12}(?: Internet)?(?: · [A-Za-z]{3,10})?"),
}


def moment(at: datetime, zone: str) -> str:
    """A time in a mail: in the person's zone, which is named."""
    return f"{at.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} ({zone})"


def _as_written(when: str, language: str) -> str:
    """Day, time and zone of `moment` as people of a language write them."""
    local, zone = datetime.fromisoformat(when[:16]), when[17:]
    return f"{format_datetime(local, _WRITTEN[language], locale=language)} {zone}"


def plain_name(name: str) -> str:
    """A name as a mail may carry it: what could become a link or a line of its own is a space; "?" for nothing."""
    kept = "".join(one if one.isalnum() or one in "'’,&()-." else " " for one in name)
    kept = re.sub(r"\.(?! |$)", " ", " ".join(kept.split()))
    return " ".join(kept.split())[:120].strip() or "?"


def compose(template: Template, language: str, *, to: str, reference: str, values: Mapping[str, str]) -> Mail:
    """The mail of `template` in `language`. `reference` makes its Message-ID: the same job sends the same mail.

    Raises ValueError when a value is missing, is one too many, or has another form than its variable allows.
    """
    if values.keys() != TEMPLATES[template]:
        raise ValueError(f"the template {template} takes exactly {sorted(TEMPLATES[template])}")
    for name, value in values.items():
        if not _FORMS[name].fullmatch(value):
            raise ValueError(f"{name} of an outgoing mail has another form than it may have")
    language = language if language in texts.LANGUAGES else texts.DEFAULT_LANGUAGE
    said = {name: _as_written(value, language) if _FORMS[name] is _WHEN else value for name, value in values.items()}
    return Mail(
        to=to,
        subject=texts.get(f"mail.{template}.subject", language),
        text=texts.get(f"mail.{template}.body", language, **said),
        language=language,
        reference=reference,
        stop=values.get("stop"),
    )
