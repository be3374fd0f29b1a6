"""Directions: a sentence only when everything coded is understood, else the prescriber's own words, else none."""

from typing import Any

import pytest

from portal.core import texts
from portal.ehr.dosage import DirectionsFrom, directions, quantity_in_words

Json = dict[str, Any]
SNOMED = "http://snomed.info/sct"
ORAL = {"coding": [{"system": SNOMED, "code": "26643006"}]}
DAILY = {"frequency": 1, "period": 1, "periodUnit": "d"}


def step(amount: Any = 1, unit: str = "tablet", *, more: Json | None = None, **repeat: Any) -> Json:
    dose = [{"doseQuantity": {"value": amount, "unit": unit}}]
    return {"route": ORAL, "doseAndRate": dose, "timing": {"repeat": repeat or DAILY}, **(more or {})}


def needed(code: str) -> Json:
    return {"asNeededCodeableConcept": {"coding": [{"system": SNOMED, "code": code}]}}


DAYS = {"unit": "days", "code": "d"}
SENTENCES: list[tuple[list[Json], str, str]] = [
    ([step()], "Take 1 tablet once a day.", "Tome 1 tableta una vez al día."),
    (
        [step(2, frequency=2, period=1, periodUnit="d", when=["CM", "CV"])],
        "Take 2 tablets twice a day, with breakfast and with dinner.",
        "Tome 2 tabletas dos veces al día, con el desayuno y con la cena.",
    ),
    ([step(0.5)], "Take half a tablet (0.5) once a day.", "Tome media tableta (0.5) una vez al día."),
    ([step(1.5)], "Take 1.5 tablets once a day.", "Tome 1.5 tabletas una vez al día."),
    (
        [step(5, "mL", frequency=3, period=1, periodUnit="d")],
        "Take 5 mL 3 times a day.",
        "Tome 5 mL 3 veces al día.",
    ),
    (
        [step(frequency=1, period=4, periodMax=6, periodUnit="h", more=needed("22253000"))],
        "Take 1 tablet every 4 to 6 hours only when you need it for pain.",
        "Tome 1 tableta cada 4 a 6 horas solo cuando lo necesite para el dolor.",
    ),
    (
        [step(period=2, periodUnit="d", boundsDuration={"value": 10, **DAYS})],
        "Take 1 tablet every other day for 10 days.",
        "Tome 1 tableta un día sí y un día no durante 10 días.",
    ),
    (
        [step(period=1, periodUnit="mo")],
        "Take 1 tablet once a month.",
        "Tome 1 tableta una vez al mes.",
    ),
    (
        [step(**DAILY, when=["HS"], boundsDuration={"value": 2, "unit": "wk", "code": "wk"})],
        "Take 1 tablet once a day, at bedtime, for 2 weeks.",
        "Tome 1 tableta una vez al día, al acostarse, durante 2 semanas.",
    ),
    ([{"asNeededBoolean": True}], "Use it only when you need it.", "Úselo solo cuando lo necesite."),
    (
        [{"timing": {"code": {"coding": [{"code": "BID"}]}}, "route": ORAL, "doseAndRate": step()["doseAndRate"]}],
        "Take 1 tablet twice a day.",
        "Tome 1 tableta dos veces al día.",
    ),
    (
        [
            step(4, **DAILY, boundsDuration={"value": 5, **DAYS}, more={"sequence": 1}),
            step(2, **DAILY, boundsDuration={"value": 5, **DAYS}, more={"sequence": 2}),
        ],
        "Take 4 tablets once a day for 5 days. Then: Take 2 tablets once a day for 5 days.",
        "Tome 4 tabletas una vez al día durante 5 días. Después: Tome 2 tabletas una vez al día durante 5 días.",
    ),
    (
        [{"doseAndRate": [{"doseQuantity": {"value": 1}}], "timing": {"repeat": DAILY}}],
        "Use it once a day. The record does not say how much: see the label.",
        "Úselo una vez al día. La historia clínica no dice cuánto: vea la etiqueta.",
    ),
]


@pytest.mark.parametrize(("dosage", "english", "spanish"), SENTENCES, ids=[one[1] for one in SENTENCES])
def test_sentences(dosage: list[Json], english: str, spanish: str) -> None:
    for language, sentence in (("en", english), ("es", spanish)):
        found = directions(dosage, language)
        assert (found.words, found.origin) == (sentence, DirectionsFrom.CODED)


@pytest.mark.parametrize(
    "repeat",
    [
        {"frequency": 1, "period": 1, "periodUnit": "wk"},
        {"frequency": 1, "period": 1, "periodUnit": "wk", "dayOfWeek": ["mon"]},
        {"frequency": 1, "period": 7, "periodUnit": "d"},
        {"dayOfWeek": ["mon"]},
    ],
)
def test_once_a_week_cannot_be_read_as_once_a_day(repeat: Json) -> None:
    english = directions([step(**repeat)], "en").words
    spanish = directions([step(**repeat)], "es").words
    assert "once a WEEK" in english
    assert "Do NOT take it every day." in english
    assert "una vez a la SEMANA" in spanish
    assert "NO lo tome todos los días." in spanish
    assert "once a day" not in english


NOT_UNDERSTOOD: list[Json] = [
    step(frequency=1, period=1, periodUnit="d", offset=30),
    step(frequency=1, period=1, periodUnit="d", count=3),
    step(frequency=1, period=1, periodUnit="fortnight"),
    step(frequency=1.5, period=1, periodUnit="d"),
    step(frequency=0, period=1, periodUnit="d"),
    step(frequency=3, period=2, periodUnit="wk"),
    step(frequency=1, period=1, periodUnit="d", when=["WHENEVER"]),
    step(frequency=1, period=1, periodUnit="d", when="MORN"),
    step(frequency=1, period=1, periodUnit="d", timeOfDay=["noonish"]),
    step(frequency=1, period=1, periodUnit="d", dayOfWeek=["someday"]),
    step(frequency=1, period=1, periodUnit="d", boundsRange={"low": {"value": 1}}),
    step(frequency=1, period=1, periodUnit="d", boundsDuration={"value": 5, "unit": "moons"}),
    step(1, "spoonful"),
    step(0),
    step(-1),
    step("1"),
    step(more={"doseAndRate": [{"rateQuantity": {"value": 1}}]}),
    step(more={"doseAndRate": [step()["doseAndRate"][0]] * 2}),
    step(more={"doseAndRate": [{"doseQuantity": {"value": 1, "unit": "tablet", "comparator": "<"}}]}),
    step(more={"route": {"coding": [{"system": SNOMED, "code": "418136008"}]}}),
    step(more={"route": {"text": "somewhere"}}),
    step(more={"modifierExtension": [{"url": "urn:not"}]}),
    step(more={"site": {"text": "left arm"}}),
    step(more={"maxDosePerLifetime": {"value": 1}}),
    step(
        more={
            "maxDosePerPeriod": {"numerator": {"value": 8, "unit": "tablet"}, "denominator": {"value": 1, "unit": "wk"}}
        }
    ),
    step(more={"asNeededCodeableConcept": {"text": "the moon is full"}}),
    step(more={"timing": {"event": ["2026-01-01"]}}),
    step(more={"timing": {"code": {"text": "now and then"}}}),
    step(more={"timing": 5}),
    {"doseAndRate": [{"doseQuantity": {"value": 1, "unit": "tablet"}}]},
    {"text": "x", "timing": {"repeat": DAILY}},
]


@pytest.mark.parametrize("dosage", NOT_UNDERSTOOD)
def test_one_part_not_understood_and_the_prescriber_speaks(dosage: Json) -> None:
    own = "Take as Dr. Lang told you — «igual»"
    found = directions([{**dosage, "text": own}], "es")
    assert (found.words, found.origin) == (own, DirectionsFrom.PRESCRIBER)


@pytest.mark.parametrize("dosage", [one for one in NOT_UNDERSTOOD if "text" not in one])
def test_nobody_speaks_when_there_are_no_words(dosage: Json) -> None:
    found = directions([dosage], "en")
    assert (found.words, found.origin) == ("", DirectionsFrom.NONE)


def test_half_of_the_steps_is_not_given_for_the_whole() -> None:
    odd = step(1, "spoonful")
    assert directions([{**odd, "text": "First a spoonful."}, odd], "en").origin is DirectionsFrom.NONE
    both = directions([{**odd, "text": "First."}, {**odd, "text": "Then."}], "en")
    assert both.words == "First. Then."


def test_further_words_of_the_prescriber_stand_below() -> None:
    advice = [{"text": "Shake well"}, {"coding": [{"system": SNOMED, "code": "311504000"}]}]
    found = directions([step(more={"patientInstruction": "Rinse after use", "additionalInstruction": advice})], "en")
    assert found.words == "Take 1 tablet once a day. With or after food."
    assert found.extra == ("Rinse after use", "Shake well")


def test_steps_come_in_their_order_and_never_too_many() -> None:
    second, first = step(2, more={"sequence": 2}), step(1, more={"sequence": 1})
    assert directions([second, first], "en").words.startswith("Take 1 tablet")
    assert directions([step(more={"sequence": number}) for number in range(40)], "en").origin is DirectionsFrom.NONE


def test_nothing_recorded() -> None:
    assert directions([], "en").origin is DirectionsFrom.NONE
    assert directions([{}], "en").origin is DirectionsFrom.NONE


def test_every_word_exists_in_both_languages() -> None:
    for key in texts.catalogue("en"):
        if key.startswith("ehr.") or key.startswith("errors.ehr"):
            here, there = texts.catalogue("en")[key], texts.catalogue("es")[key]
            assert texts.places(here) - {"count"} == texts.places(there) - {"count"}, key


@pytest.mark.parametrize(
    ("quantity", "spanish"),
    [
        ("30 tablets", "30 tabletas"),
        ("1 tablet", "1 tableta"),
        ("30 TAB", "30 tabletas"),
        ("2 blister cards", "2 blister cards"),
        ("tablets", "tablets"),
        ("many tablets", "many tablets"),
        ("", ""),
    ],
)
def test_how_much_there_is_is_said_in_the_readers_language(quantity: str, spanish: str) -> None:
    assert quantity_in_words(quantity, "es") == spanish
