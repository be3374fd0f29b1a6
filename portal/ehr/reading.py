"""Reading FHIR JSON that nobody promised to be right: each helper takes anything and returns the kind asked for.

Postel's rule for the read path: unknown fields are ignored, wrong kinds count as missing, texts are cut and cleaned.
"""

import json
import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import Any

from portal.ehr.errors import EhrProtocolError, ProtocolFault

Json = dict[str, Any]
MAX_DEPTH = 64
MAX_TEXT = 500
_FHIR_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_TYPE = re.compile(r"[A-Z][A-Za-z]{1,40}")
# Control characters, and the marks that turn the direction of text around them: a name must not rearrange the page.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
_HALF = re.compile(r"\\u[dD][89a-fA-F]")
_NESTING = (dict, list)
_WORD = re.compile(r"[^\W_]+")
# What means something in a value of a FHIR search.
_SPECIAL = re.compile(r"[\\,$|]")
# With fewer letters a typed word has to be the whole word.
SHORTEST_BEGINNING = 3
_DATE = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?")


def parse_resource(body: bytes) -> Json:
    """The resource in an answer. Raises EhrProtocolError for HTML, broken, too deep or foreign JSON."""
    try:
        words = body.decode("utf-8-sig")
        value = json.loads(words, parse_constant=_no_constant)
        if _HALF.search(words):
            # Half a character (RFC 8259 section 8.2) cannot be sent on: it is shown as what cannot be shown.
            value = json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except RecursionError as error:
        raise EhrProtocolError(ProtocolFault.TOO_DEEP) from error
    except ValueError as error:
        raise EhrProtocolError(ProtocolFault.NOT_JSON) from error
    if not isinstance(value, dict) or not isinstance(value.get("resourceType"), str):
        raise EhrProtocolError(ProtocolFault.NOT_FHIR)
    if not depth_within(value, MAX_DEPTH):
        raise EhrProtocolError(ProtocolFault.TOO_DEEP)
    return value


def depth_within(value: object, limit: int) -> bool:
    """Whether `value` nests at most `limit` objects and lists; walks level by level, so it cannot overflow."""
    level = [value]
    for _ in range(limit):
        level = [
            child
            for parent in level
            for child in (parent.values() if isinstance(parent, dict) else parent if isinstance(parent, list) else ())
            if isinstance(child, _NESTING)
        ]
        if not level:
            return True
    return False


def obj(value: object, *path: str) -> Json:
    """The object at `path` inside `value`, or an empty one."""
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def items(value: object, key: str) -> Iterator[Json]:
    """The objects in the list `value[key]`."""
    found = value.get(key) if isinstance(value, dict) else None
    return (item for item in found if isinstance(item, dict)) if isinstance(found, list) else iter(())


def first(value: object, key: str) -> Json:
    """The first object of the list `value[key]`, or an empty one."""
    return next(items(value, key), {})


def text(value: object, key: str, limit: int = MAX_TEXT) -> str:
    """The cleaned text `value[key]`, or ""."""
    found = value.get(key) if isinstance(value, dict) else None
    return clean(found, limit) if isinstance(found, str) else ""


def folded_words(words: str) -> list[str]:
    """The words of a name for comparing: without accents, in small letters; "García-López" is two."""
    plain = unicodedata.normalize("NFKD", clean(words)).casefold()
    return _WORD.findall("".join(one for one in plain if not unicodedata.combining(one)))


def words_fit(typed: Sequence[str], known: Sequence[str]) -> bool:
    """Whether each typed word is a word of a known name or begins one. A word of one or two letters is nobody's
    beginning: "O" and "Ng" are whole names, or they fit nobody."""
    return bool(typed) and all(
        any(one == word or (len(word) >= SHORTEST_BEGINNING and one.startswith(word)) for one in known)
        for word in typed
    )


def escaped(typed: str) -> str:
    """Typed text as one plain value of a FHIR search: what would be "or", a system or a composite is a character.

    Source: https://hl7.org/fhir/R4/search.html#escaping
    """
    return _SPECIAL.sub(r"\\\g<0>", typed)


def clean(words: str, limit: int = MAX_TEXT) -> str:
    """`words` without control and direction characters, cut at `limit`."""
    # Nearly every text is printable throughout, and then holds none of the marks.
    words = (words if words.isprintable() else _UNSEEN.sub("", words)).strip()
    return words if len(words) <= limit else words[: limit - 1] + "…"


def number(value: object, key: str) -> float | None:
    """The finite number `value[key]`."""
    found = value.get(key) if isinstance(value, dict) else None
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    try:
        finite = float(found)
    except OverflowError:
        return None
    return finite if math.isfinite(finite) else None


def whole(value: object, key: str) -> int | None:
    """The whole number `value[key]`."""
    found = number(value, key)
    return int(found) if found is not None and found.is_integer() and abs(found) < 1e9 else None


def boolean(value: object, key: str) -> bool | None:
    """The truth value `value[key]`."""
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, bool) else None


def day(value: object, key: str) -> date | None:
    """The calendar day `value[key]` names, when it is known to the day; the time zone written there is kept."""
    return whole_day(text(value, key, 40)[:10])


def whole_day(words: str) -> date | None:
    """The day that a FHIR date names; None when it is not known to the day, or there is no such day."""
    try:
        return date.fromisoformat(words) if len(words) == 10 else None
    except ValueError:
        return None


def partial_date(value: object, key: str) -> str:
    """A FHIR date as written: year, year-month or full; "" when it is none."""
    words = text(value, key, 40)[:10]
    return words if _DATE.fullmatch(words) else ""


def moment(value: object, key: str) -> datetime | None:
    """The instant `value[key]` (with a time zone), as FHIR's dateTime and instant write it."""
    try:
        found = datetime.fromisoformat(text(value, key, 40).replace("Z", "+00:00"))
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


def codings(concept: object) -> tuple[tuple[str, str, str], ...]:
    """(system, code, display) of each coding of a CodeableConcept."""
    return tuple(
        (text(coding, "system"), text(coding, "code"), text(coding, "display")) for coding in items(concept, "coding")
    )


def code_in(concept: object, system: str) -> str:
    """The first code of `system` in a CodeableConcept, or ""."""
    return next((code for found, code, _ in codings(concept) if found == system and code), "")


def words_of(concept: object) -> str:
    """What the EHR itself calls a CodeableConcept: its text, else the first display, else the first code."""
    found = codings(concept)
    return (
        text(concept, "text")
        or next((display for _, _, display in found if display), "")
        or next((code for _, code, _ in found if code), "")
    )


def is_fhir_id(value: object) -> bool:
    """Whether `value` may stand as an id in an address."""
    return isinstance(value, str) and _FHIR_ID.fullmatch(value) is not None


def is_type(value: object) -> bool:
    """Whether `value` looks like the name of a resource type."""
    return isinstance(value, str) and _TYPE.fullmatch(value) is not None


def local_reference(reference: object, base_url: str) -> str:
    """`Type/id` for a Reference (or its text) into this EHR, without version; "" for contained, foreign, unknown."""
    words = reference.get("reference") if isinstance(reference, dict) else reference
    if not isinstance(words, str):
        return ""
    parts = words.removeprefix(base_url + "/").split("/")
    if len(parts) == 4 and parts[2] == "_history":
        parts = parts[:2]
    return "/".join(parts) if len(parts) == 2 and is_type(parts[0]) and is_fhir_id(parts[1]) else ""


def _no_constant(name: str) -> float:
    raise ValueError(name)


def order_number(resource: Json) -> str:
    """The number that people know an order by: the placer's own, else the first; "" without one."""
    placed = [one for one in items(resource, "identifier") if text(one, "system").endswith("order-number")]
    numbers = [text(one, "value", 60) for one in (*placed, *items(resource, "identifier"))]
    return next((value for value in numbers if value), "")


def quantity_words(quantity: Json) -> str:
    """A Quantity as a label prints it; "" without a value."""
    value = number(quantity, "value")
    if value is None:
        return ""
    return " ".join(
        part for part in (plain_number(value), text(quantity, "unit", 40) or text(quantity, "code", 40)) if part
    )


def plain_number(value: float) -> str:
    """A number as a label prints it: no trailing zero (5, not 5.0), a leading one (0.5, not .5), a point in every
    language, since that is what stands on the bottle (ISMP's list of error-prone dose designations)."""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.6f}".rstrip("0")
