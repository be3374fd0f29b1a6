"""A dosage as a plain sentence in the reader's language, or the prescriber's own words.

A sentence is made only when every coded part of the Dosage is understood; one unknown part, and the prescriber's text
is shown unchanged instead. A wrong sentence about a medicine is the worst thing this program could say.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import time
from enum import StrEnum
from functools import cache

from babel import Locale
from babel.dates import format_date, format_time, get_day_names
from babel.lists import format_list

from portal.core import texts
from portal.ehr.model import Json
from portal.ehr.reading import boolean, code_in, codings, day, items, number, obj, plain_number, text, whole, words_of

SNOMED = "http://snomed.info/sct"
MAX_STEPS = 12
# How the medicine goes in decides the verb. SNOMED CT route codes, and the HL7 v3 ones.
_ROUTES = {
    "26643006": "oral",
    "PO": "oral",
    "447694001": "inhaled",
    "IPINHL": "inhaled",
    "34206005": "injected",
    "78421000": "injected",
    "SQ": "injected",
    "IM": "injected",
    "6064005": "skin",
    "45890007": "skin",
    "TOPICAL": "skin",
    "54485002": "eye",
    "10547007": "ear",
    "46713006": "nose",
    "37839007": "tongue",
    "SL": "tongue",
}
_UNITS = {
    "tablet": ("tablet", "tablets", "tab", "tabs", "tbl", "{tbl}", "{tablet}", "{tab}"),
    "capsule": ("capsule", "capsules", "cap", "caps", "{capsule}", "{cap}"),
    "puff": ("puff", "puffs", "{puff}"),
    "spray": ("spray", "sprays", "{spray}"),
    "drop": ("drop", "drops", "[drp]", "{drop}"),
    "patch": ("patch", "patches", "{patch}"),
    "pen": ("pen", "pens", "{pen}"),
    "dose": ("dose", "doses", "{dose}"),
    "unit": ("unit", "units", "[iu]", "{unit}"),
    "ml": ("ml",),
    "mg": ("mg",),
    "mcg": ("mcg", "ug", "µg", "μg"),
    "g": ("g",),
}
_UNIT_OF = {word: unit for unit, words in _UNITS.items() for word in words}
_WHEN = frozenset(
    {"MORN", "MORN.early", "MORN.late", "NOON", "AFT", "EVE", "NIGHT", "HS", "WAKE", "C", "CM", "CD", "CV"}
    | {"AC", "ACM", "ACD", "ACV", "PC", "PCM", "PCD", "PCV"}
)
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_REASONS = {
    "22253000": "pain",
    "29857009": "chest_pain",
    "56018004": "wheezing",
    "267036007": "short_of_breath",
    "422587007": "nausea",
    "386661006": "fever",
    "25064002": "headache",
    "418290006": "itching",
    "39579001": "severe_allergy",
    "193462001": "sleep",
}
_ADVICE = {"311504000": "with_food", "311501008": "before_food"}
# Timing.code abbreviations of HL7 v3 GTSAbbreviation, as the repeat they stand for.
_ABBREVIATIONS: dict[str, Json] = {
    "QD": {"frequency": 1, "period": 1, "periodUnit": "d"},
    "BID": {"frequency": 2, "period": 1, "periodUnit": "d"},
    "TID": {"frequency": 3, "period": 1, "periodUnit": "d"},
    "QID": {"frequency": 4, "period": 1, "periodUnit": "d"},
    "QOD": {"frequency": 1, "period": 2, "periodUnit": "d"},
    "Q4H": {"frequency": 1, "period": 4, "periodUnit": "h"},
    "Q6H": {"frequency": 1, "period": 6, "periodUnit": "h"},
    "Q8H": {"frequency": 1, "period": 8, "periodUnit": "h"},
    "AM": {"frequency": 1, "period": 1, "periodUnit": "d", "when": ["MORN"]},
    "BED": {"frequency": 1, "period": 1, "periodUnit": "d", "when": ["HS"]},
    "WK": {"frequency": 1, "period": 1, "periodUnit": "wk"},
    "MO": {"frequency": 1, "period": 1, "periodUnit": "mo"},
}
_KNOWN_PARTS = frozenset(
    {"id", "extension", "sequence", "text", "patientInstruction", "additionalInstruction", "timing"}
    | {"asNeededBoolean", "asNeededCodeableConcept", "route", "doseAndRate", "maxDosePerPeriod", "method"}
)
_KNOWN_REPEAT = frozenset(
    {"id", "extension", "frequency", "frequencyMax", "period", "periodMax", "periodUnit", "dayOfWeek", "timeOfDay"}
    | {"when", "boundsDuration", "boundsPeriod"}
)


class DirectionsFrom(StrEnum):
    """Where the words of a dosage come from; the prescriber's are in the prescriber's language."""

    CODED = "coded"
    PRESCRIBER = "prescriber"
    NONE = "none"


@dataclass(frozen=True)
class Directions:
    """How to take a medicine. `extra` are further words of the prescriber, unchanged, to be shown below."""

    words: str
    origin: DirectionsFrom
    extra: tuple[str, ...] = ()


class _NotUnderstood(Exception):
    """Some coded part has no words here: fall back to the prescriber's text."""


def directions(dosage: Sequence[Json], language: str, *, trusted: bool = True) -> Directions:
    """The directions for all Dosage elements of a prescription, in `language` if they could be made from codes.

    `trusted` is False for a prescription that carries a rule we do not know: then only the prescriber speaks.
    """
    steps = sorted(dosage[:MAX_STEPS], key=lambda step: whole(step, "sequence") or 0)
    if not steps:
        return Directions("", DirectionsFrom.NONE)
    written = [text(step, "text") for step in steps]
    try:
        if len(dosage) > MAX_STEPS or not trusted:
            raise _NotUnderstood
        sentences = [_sentence(step, language, bool(said)) for step, said in zip(steps, written, strict=True)]
    except _NotUnderstood:
        return _own_words(steps, written)
    extra = [text(step, "patientInstruction") for step in steps]
    extra += [words_of(one) for step in steps for one in items(step, "additionalInstruction") if not _advice(one)]
    joined = [sentences[0]]
    for before, after, sentence in zip(steps, steps[1:], sentences[1:], strict=False):
        follows = (whole(after, "sequence") or 0) > (whole(before, "sequence") or 0)
        joined.append(texts.get("ehr.dosage.then" if follows else "ehr.dosage.also", language, sentence=sentence))
    return Directions(" ".join(joined), DirectionsFrom.CODED, tuple(dict.fromkeys(one for one in extra if one)))


def _own_words(steps: Sequence[Json], written: Sequence[str]) -> Directions:
    """The prescriber's words for all steps; none at all when one step has none, since a part would look whole."""
    own = [said or text(step, "patientInstruction") for step, said in zip(steps, written, strict=True)]
    if not all(own):
        return Directions("", DirectionsFrom.NONE)
    return Directions(" ".join(dict.fromkeys(own)), DirectionsFrom.PRESCRIBER)


def _sentence(step: Json, language: str, has_words: bool) -> str:
    if step.keys() - _KNOWN_PARTS:
        raise _NotUnderstood
    dose = _dose(step, language)
    often, weekly = _often(step, language)
    need = _need(step, language)
    if not often and not need:
        # An amount without "how often" is half a direction: never shown as if it were whole.
        raise _NotUnderstood
    if not dose and has_words:
        raise _NotUnderstood
    route = _route(step)
    action = (
        texts.get(f"ehr.dosage.action.{route}", language, dose=dose)
        if dose
        else texts.get(f"ehr.dosage.action_plain.{'oral' if route == 'oral' else 'other'}", language)
    )
    comma = texts.get("ehr.dosage.comma", language)
    # A second comma only where there is a first: "once a day for 5 days", but "once a day, at bedtime, for 5 days".
    length = _bounds(step, language)
    rhythm = (comma if comma in often else " ").join(part for part in (often, length) if part)
    what = " ".join(part for part in (action, rhythm, need) if part)
    sentence = texts.get("ehr.dosage.sentence", language, what=what)
    after = [texts.get("ehr.dosage.weekly_warning", language)] if weekly else []
    after += [] if dose or "doseAndRate" not in step else [texts.get("ehr.dosage.amount_on_label", language)]
    after += [
        texts.get(f"ehr.dosage.advice.{advice}", language)
        for one in items(step, "additionalInstruction")
        if (advice := _advice(one))
    ]
    after += [_most(step, language)] if "maxDosePerPeriod" in step else []
    return " ".join([sentence, *after])


def _dose(step: Json, language: str) -> str:
    rates = step.get("doseAndRate")
    if rates is None:
        return ""
    if not isinstance(rates, list) or len(rates) != 1 or not isinstance(rates[0], dict):
        raise _NotUnderstood
    rate = rates[0]
    if rate.keys() - {"id", "extension", "type", "doseQuantity", "doseRange"}:
        raise _NotUnderstood
    if "doseRange" in rate:
        low, high = obj(rate, "doseRange", "low"), obj(rate, "doseRange", "high")
        least, most = number(low, "value"), number(high, "value")
        if least is None or most is None or _unit(low) != _unit(high):
            raise _NotUnderstood
        amount = texts.get("ehr.dosage.range", language, low=plain_number(least), high=plain_number(most))
        return texts.get(f"ehr.unit.{_unit(high)}", language, count=most, amount=amount)
    quantity = obj(rate, "doseQuantity")
    if not quantity or not (quantity.keys() & {"unit", "code"}):
        # A bare "1" says nothing about tablets or millilitres: the sentence then points to the label.
        return ""
    return _amount(obj(rate, "doseQuantity"), language)


def quantity_in_words(quantity: str, language: str) -> str:
    """How much there is ("30 tablets") in the reader's language; words we do not know stay the EHR's own."""
    amount, _, word = quantity.partition(" ")
    unit = _UNIT_OF.get(word.strip().lower())
    if unit is None or not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,3})?", amount):
        return quantity
    return texts.get(f"ehr.unit.{unit}", language, count=float(amount), amount=amount)


def _amount(quantity: Json, language: str) -> str:
    value = number(quantity, "value")
    if value is None or value <= 0 or "comparator" in quantity:
        raise _NotUnderstood
    unit = _unit(quantity)
    if unit == "tablet" and value == 0.5:
        # "0.5" is read as "5" too easily.
        return texts.get("ehr.unit.half_tablet", language)
    return texts.get(f"ehr.unit.{unit}", language, count=value, amount=plain_number(value))


def _unit(quantity: Json) -> str:
    for word in (text(quantity, "code", 40), text(quantity, "unit", 40)):
        unit = _UNIT_OF.get(word.lower())
        if unit:
            return unit
    raise _NotUnderstood


def _often(step: Json, language: str) -> tuple[str, bool]:
    """The words for how often, and whether that is once a week (which people mistake for once a day)."""
    timing = obj(step, "timing")
    if ("timing" in step and not timing) or timing.keys() - {"id", "extension", "repeat", "code"}:
        raise _NotUnderstood
    repeat = obj(timing, "repeat")
    if not repeat and timing:
        repeat = next((_ABBREVIATIONS[c] for _, c, _ in codings(obj(timing, "code")) if c in _ABBREVIATIONS), {})
        if not repeat:
            raise _NotUnderstood
    if repeat.keys() - _KNOWN_REPEAT:
        raise _NotUnderstood
    rhythm, weekly = _rhythm(repeat, language)
    parts = [rhythm, _on_days(repeat, language), _at(repeat, language)]
    comma = texts.get("ehr.dosage.comma", language)
    return comma.join(part for part in parts if part), weekly


def _rhythm(repeat: Json, language: str) -> tuple[str, bool]:
    if "period" not in repeat and "frequency" not in repeat:
        if "dayOfWeek" in repeat and len(_strings(repeat, "dayOfWeek")) == 1:
            return texts.get("ehr.dosage.per_week", language, count=1), True
        return "", False
    times, period = whole(repeat, "frequency") if "frequency" in repeat else 1, whole(repeat, "period")
    unit = text(repeat, "periodUnit", 4)
    if times is None or period is None or times < 1 or period < 1:
        raise _NotUnderstood
    if "frequencyMax" in repeat:
        most = whole(repeat, "frequencyMax")
        if most is None or (period, unit) != (1, "d") or "periodMax" in repeat:
            raise _NotUnderstood
        return texts.get("ehr.dosage.per_day_range", language, low=times, high=most), False
    if "periodMax" in repeat:
        longest = whole(repeat, "periodMax")
        if longest is None or times != 1 or unit != "h":
            raise _NotUnderstood
        return texts.get("ehr.dosage.every_hours_range", language, low=period, high=longest), False
    if unit == "d" and period == 1:
        return _times("per_day", times, language), False
    if unit == "h" and times == 1:
        return texts.get("ehr.dosage.every_hours", language, count=period), False
    if (unit == "d" and times == 1 and period == 7) or (unit == "wk" and times == 1 and period == 1):
        return texts.get("ehr.dosage.per_week", language, count=1), True
    if unit == "wk" and period == 1:
        return texts.get("ehr.dosage.per_week", language, count=times), False
    if unit == "mo" and period == 1:
        return _times("per_month", times, language), False
    if times == 1 and unit in ("d", "wk", "mo"):
        if unit == "d" and period == 2:
            return texts.get("ehr.dosage.every_other_day", language), False
        return texts.get(f"ehr.dosage.every_{unit}", language, count=period), False
    raise _NotUnderstood


def _times(key: str, times: int, language: str) -> str:
    return texts.get(f"ehr.dosage.twice_{key}" if times == 2 else f"ehr.dosage.{key}", language, count=times)


def _on_days(repeat: Json, language: str) -> str:
    days = _strings(repeat, "dayOfWeek")
    if any(one not in _DAYS for one in days):
        raise _NotUnderstood
    if not days:
        return ""
    names = get_day_names("wide", locale=_locale(language))
    said = [names[_DAYS.index(one)] for one in sorted(set(days), key=_DAYS.index)]
    return texts.get("ehr.dosage.on_days", language, days=_listed(said, language))


def _at(repeat: Json, language: str) -> str:
    when = _strings(repeat, "when")
    if any(one not in _WHEN for one in when):
        raise _NotUnderstood
    parts = [_listed([texts.get(f"ehr.dosage.when.{one}", language) for one in when], language)] if when else []
    clock_times = []
    for one in _strings(repeat, "timeOfDay"):
        try:
            clock_times.append(format_time(time.fromisoformat(one), "short", locale=_locale(language)))
        except ValueError as error:
            raise _NotUnderstood from error
    if clock_times:
        parts.append(texts.get("ehr.dosage.at_times", language, times=_listed(clock_times, language)))
    return " ".join(parts)


def _bounds(step: Json, language: str) -> str:
    repeat = obj(step, "timing", "repeat")
    if "boundsDuration" in repeat:
        length = obj(repeat, "boundsDuration")
        count = whole(length, "value")
        unit = text(length, "code", 4) or text(length, "unit", 10)
        if count is None or unit not in ("d", "wk", "mo") or "comparator" in length:
            raise _NotUnderstood
        return texts.get(f"ehr.dosage.for_{unit}", language, count=count)
    if "boundsPeriod" in repeat:
        period = obj(repeat, "boundsPeriod")
        first_day, last_day = day(period, "start"), day(period, "end")
        if ("start" in period and first_day is None) or ("end" in period and last_day is None):
            raise _NotUnderstood
        said = {
            name: format_date(value, "long", locale=_locale(language))
            for name, value in (("start", first_day), ("end", last_day))
            if value is not None
        }
        return texts.get(f"ehr.dosage.period_{'_'.join(said)}", language, **said) if said else ""
    return ""


def _need(step: Json, language: str) -> str:
    if "asNeededCodeableConcept" in step:
        reason = _REASONS.get(code_in(obj(step, "asNeededCodeableConcept"), SNOMED))
        if reason is None:
            raise _NotUnderstood
        return texts.get("ehr.dosage.needed_for", language, reason=texts.get(f"ehr.dosage.reason.{reason}", language))
    return texts.get("ehr.dosage.needed", language) if boolean(step, "asNeededBoolean") else ""


def _most(step: Json, language: str) -> str:
    ratio = obj(step, "maxDosePerPeriod")
    dose, span = _amount(obj(ratio, "numerator"), language), obj(ratio, "denominator")
    count, unit = whole(span, "value"), text(span, "code", 4) or text(span, "unit", 10)
    if count is None or unit not in ("h", "d"):
        raise _NotUnderstood
    return texts.get("ehr.dosage.most", language, dose=dose, count=count * (24 if unit == "d" else 1))


def _route(step: Json) -> str:
    if "route" not in step:
        return "other"
    for _, code, _ in codings(obj(step, "route")):
        if code in _ROUTES:
            return _ROUTES[code]
    raise _NotUnderstood


def _advice(concept: Json) -> str:
    return _ADVICE.get(code_in(concept, SNOMED), "")


def _strings(value: Json, key: str) -> list[str]:
    found = value.get(key, [])
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise _NotUnderstood
    return found


def _listed(words: Iterable[str], language: str) -> str:
    return format_list(list(words), locale=_locale(language))


@cache
def _locale(language: str) -> Locale:
    return Locale.parse(language if language in texts.LANGUAGES else texts.DEFAULT_LANGUAGE)
