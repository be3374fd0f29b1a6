"""The demo world's patients as FHIR: transaction Bundles relative to a day, the same for the same day.

Every entry is a conditional create on an identifier of its own, so the Bundles can be sent again, to the sandbox or to
any other R4 server (`SEED=1`), without doubling anything.
"""

from datetime import date, timedelta

from portal.demo.chapter import UCUM, Chapter, Json, amount_of, born, days_of, flag, tablets, take, when_needed
from portal.ehr.client import EhrClient
from portal.ehr.transport import Deadline

SEED_SECONDS = 60.0


def demo_bundles(today: date) -> dict[str, Json]:
    """A transaction Bundle for each demo patient, by login (or `merged`, `deceased`, `mia`)."""
    people = (_alice, _dave, _alicia, _rosa, _judy, _walt, _peggy, _trent, _nina, _mia, _pat, _merged, _deceased)
    chapters = [person(today) for person in people]
    return {chapter.key: chapter.bundle() for chapter in chapters}


def seed(client: EhrClient, today: date) -> None:
    """Put the demo patients into an EHR, each whole or not at all. Raises what the client raises."""
    for bundle in demo_bundles(today).values():
        client.transaction(bundle, deadline=Deadline(SEED_SECONDS))


def _alice(today: date) -> Chapter:
    one = Chapter("alice", today)
    one.patient("Alice", "Morgan", born(today, 52, 3, 14), "female")
    one.condition("44054006", "Type 2 diabetes mellitus", years=6)
    one.condition("38341003", "High blood pressure", years=8)
    twice = [take(1, frequency=2, when=["CM", "CV"])]
    one.medicine("860975", twice, started=400, reason="Type 2 diabetes", fill=(21, 30, tablets(60)))
    morning = [take(when=["MORN"])]
    one.medicine(
        "314076", morning, form="contained", started=380, reason="High blood pressure", fill=(12, 30, tablets(30))
    )
    one.medicine("312961", [take(when=["HS"])], started=380, reason="High cholesterol", fill=(40, 90, tablets(90)))
    one.medicine(
        "308192",
        [take(frequency=3, boundsDuration=days_of(7))],
        status="stopped",
        status_reason="Skin rash",
        started=700,
        repeats=0,
    )
    one.allergy("91936005", "Allergy to penicillin", reaction="Rash", criticality="low", category="medication")
    one.observe("4548-4", "Hemoglobin A1c", 7.1, "%", 33)
    one.observe("4548-4", "Hemoglobin A1c", 7.6, "%", 215)
    one.observe("33914-3", "eGFR", 68, "mL/min/1.73m2", 33, ucum="mL/min/{1.73_m2}")
    one.observe("29463-7", "Body weight", 78.4, "kg", 33, category="vital-signs")
    one.observe("8302-2", "Body height", 166, "cm", 215, category="vital-signs")
    for step in range(20):
        days = 58 - step * 3
        one.pressure(146 - step // 2 + (step % 3) * 2, 90 - step // 4 + step % 2, days)
    one.order("1042", "860975", "shipped", 5, tablets(60))
    one.order("1038", "312961", "delivered", 42, tablets(90))
    one.order("1051", "314076", "waiting_prescriber", 2, tablets(30))
    one.coverage(starts=320, ends=-45)
    return one


def _dave(today: date) -> Chapter:
    one = Chapter("dave", today)
    one.patient("Dave", "Novak", born(today, 47, 9, 2), "male")
    one.condition("195967001", "Asthma", years=20)
    puffs = take(2, "puff", "inhaled", period=4, periodMax=6, periodUnit="h")
    inhaler = [when_needed(puffs, "56018004")]
    one.medicine("745679", inhaler, form="referenced", reason="Asthma", fill=(30, 50, {"value": 1, "unit": "inhaler"}))
    twice = [take(1, "puff", "inhaled", frequency=2)]
    one.medicine("896209", twice, reason="Asthma", fill=(18, 30, {"value": 1, "unit": "inhaler"}))
    one.allergy("300913006", "Shellfish allergy", reaction="Hives", criticality="low", category="food")
    one.order("1043", "745679", "shipped", 4, {"value": 1, "unit": "inhaler"})
    return one


def _alicia(today: date) -> Chapter:
    one = Chapter("alicia", today)
    next_day = date.fromisoformat(born(today, 52, 3, 14)) + timedelta(days=1)
    one.patient("Alicia", "Morgan", next_day.isoformat(), "female")
    one.medicine("328670", [take(when=["MORN"])], reason="Low mood", fill=(9, 30, tablets(30)))
    one.allergy("716186003", "No known allergies")
    one.order("1044", "328670", "verified", 1, tablets(30))
    return one


def _rosa(today: date) -> Chapter:
    one = Chapter("rosa", today)
    spanish = [{"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": "es"}]}, "preferred": True}]
    # Judy's number too: they live together, and the phone alone does not tell them apart.
    phone = [{"system": "phone", "value": "+1 555 555 0147", "use": "home"}]
    one.patient("Rosa", "Delgado", born(today, 74, 5, 21), "female", communication=spanish, telecom=phone)
    one.condition("49436004", "Atrial fibrillation", years=5)
    one.condition("84114007", "Heart failure", years=3)
    evening = [take(when=["EVE"])]
    one.medicine("855332", evening, started=800, reason="Atrial fibrillation", fill=(10, 30, tablets(30)))
    one.medicine("197604", [take(when=["MORN"])], started=800, reason="Heart failure", fill=(10, 30, tablets(30)))
    one.medicine("315971", [take(when=["MORN"])], started=500, reason="Heart failure", fill=(10, 30, tablets(30)))
    one.medicine("966222", [take(when=["ACM"])], started=1500, reason="Slow thyroid", fill=(10, 90, tablets(90)))
    one.allergy("300916003", "Latex allergy", reaction="Skin swelling", criticality="high", category="environment")
    one.observe("6301-6", "INR", 2.4, "{INR}", 6)
    one.observe("6301-6", "INR", 2.9, "{INR}", 34)
    one.observe("2823-3", "Potassium", 4.1, "mmol/L", 6)
    one.observe("10535-3", "Digoxin level", 0.9, "ng/mL", 34)
    one.order("1047", "855332", "verified", 1, tablets(30))
    return one


def _judy(today: date) -> Chapter:
    one = Chapter("judy", today)
    phone = [{"system": "phone", "value": "(555) 555-0147", "use": "home"}]
    one.patient("Judy", "Delgado", born(today, 45, 1, 30), "female", telecom=phone)
    return one


_WALT_NOW: tuple[tuple[str, Json, str], ...] = (
    ("197361", take(when=["MORN"]), "High blood pressure"),
    ("309362", take(when=["MORN"]), "Heart disease"),
    ("243670", take(when=["MORN"]), "Heart disease"),
    ("866414", take(when=["MORN"]), "Heart failure"),
    ("259255", take(when=["HS"]), "High cholesterol"),
    ("315971", take(frequency=2, when=["MORN", "NOON"]), "Heart failure"),
    ("314076", take(when=["EVE"]), "High blood pressure"),
    ("860975", take(when=["CV"]), "Type 2 diabetes"),
    ("106892", take(14, "unit", "injected", frequency=2, when=["ACM", "ACV"]), "Type 2 diabetes"),
    ("197319", take(when=["MORN"]), "Gout"),
    ("858069", when_needed(take(frequency=2), "22253000"), "Gout"),
    ("310325", take(when=["NOON"]), "Low iron"),
    ("2001499", take(0.2, "mL", "injected", periodUnit="mo"), "Low vitamin B12"),
    ("966222", take(when=["ACM"]), "Slow thyroid"),
    ("997223", take(when=["HS"]), "Memory"),
    ("996740", take(5, "mL", frequency=2), "Memory"),
    ("904419", take(when=["ACM"]), "Thin bones"),
    ("745679", when_needed(take(2, "puff", "inhaled", period=4, periodUnit="h"), "267036007"), "COPD"),
    ("895994", take(2, "puff", "inhaled", frequency=2), "COPD"),
    ("705129", when_needed(amount_of(1, "spray", "tongue"), "29857009"), "Heart disease"),
    ("313782", when_needed(take(2, period=6, periodUnit="h"), "22253000"), "Arthritis"),
    ("311372", take(), "Hay fever"),
    ("1014676", when_needed(take(when=["HS"]), "418290006"), "Itching"),
    ("106258", {"text": "Rub a thin layer on the sore skin. Stop after one week."}, "Eczema"),
)
_WALT_PAST = ("562251", "308182", "834061", "309097", "1652673", "312617", "310965", "849574", "833036", "316672")
_WALT_ORDERS = (
    *(("delivered", 20 + 30 * step) for step in range(6)),
    ("received", 0),
    ("verified", 1),
    ("dispensed", 2),
    ("shipped", 3),
    ("pickup", 3),
    ("on_hold", 6),
)


def _walt(today: date) -> Chapter:
    one = Chapter("walt", today)
    one.patient("Walt", "Brenner", born(today, 83, 11, 8), "male")
    one.condition("84114007", "Heart failure", years=7)
    one.condition("13645005", "Chronic obstructive lung disease", years=11)
    one.condition("44054006", "Type 2 diabetes mellitus", years=15)
    one.condition("90560007", "Gout", years=9)
    for position, (code, dosage, reason) in enumerate(_WALT_NOW):
        amount = 60 if dosage.get("timing", {}).get("repeat", {}).get("frequency") == 2 else 30
        fill = None if position % 5 == 4 else (position + 1, 30, {"value": amount, "unit": "pieces"})
        one.medicine(code, [dosage], started=300 + position * 20, reason=reason, fill=fill)
    week = days_of(7)
    for step in range(60):
        code = _WALT_PAST[step % len(_WALT_PAST)]
        status = "stopped" if step % 7 == 0 else "completed"
        course = [take(frequency=2, boundsDuration=week)]
        one.medicine(code, course, name=f"past-{step}", status=status, started=200 + step * 45, repeats=0)
    one.allergy("91939003", "Allergy to sulfonamide", reaction="Rash", criticality="low", category="medication")
    for step in range(15):
        weight = 80.2 + step * 0.28
        one.observe("29463-7", "Body weight", round(weight, 1), "kg", 58 - step * 4, category="vital-signs")
    one.observe("8302-2", "Body height", 174, "cm", 400, category="vital-signs")
    one.observe("8867-4", "Heart rate", 84, "/min", 2, category="vital-signs")
    one.pressure(128, 74, 2)
    one.observe("2160-0", "Creatinine", 1.7, "mg/dL", 12)
    one.observe("33914-3", "eGFR", 41, "mL/min/1.73m2", 12, ucum="mL/min/{1.73_m2}", interpretation=[flag("L")])
    one.observe("2823-3", "Potassium", 5.2, "mmol/L", 12, interpretation=[flag("H")])
    for step, (state, days) in enumerate(_WALT_ORDERS):
        reason = "Too early: the last box is not used up" if state == "on_hold" else ""
        one.order(str(1061 + step), _WALT_NOW[step][0], state, days, tablets(30), reason=reason)
    one.coverage(starts=300, ends=-65)
    return one


def _peggy(today: date) -> Chapter:
    one = Chapter("peggy", today)
    one.patient("Peggy", "Lindqvist", born(today, 67, 8, 17), "female")
    one.condition("69896004", "Rheumatoid arthritis", years=6)
    weekly = [take(1, periodUnit="wk", dayOfWeek=["mon"])]
    one.medicine("105586", weekly, reason="Rheumatoid arthritis", fill=(24, 28, tablets(4)))
    taper = [
        {
            **take(tablets, when=["CM"], boundsDuration={"value": 5, "unit": "days", "system": UCUM, "code": "d"}),
            "sequence": step,
        }
        for step, tablets in enumerate((4, 3, 2, 1), start=1)
    ]
    one.medicine("312617", taper, started=4, repeats=0, reason="Joint flare", fill=(4, 20, tablets(50)))
    one.medicine("904419", [take(when=["ACM"])], reason="Thin bones", fill=(15, 30, tablets(30)))
    one.observe("1742-6", "ALT", 31, "U/L", 20)
    one.observe("2160-0", "Creatinine", 0.8, "mg/dL", 20)
    one.order("1055", "105586", "damaged", 6, tablets(4))
    return one


def _trent(today: date) -> Chapter:
    one = Chapter("trent", today)
    one.patient("Trent", "Osborne", born(today, 38, 2, 11), "male")
    one.condition("278860009", "Chronic low back pain", years=2)
    dose = when_needed(take(1, period=6, periodUnit="h"), "22253000")
    most = {
        "numerator": {"value": 4, "unit": "tablet"},
        "denominator": {"value": 24, "unit": "h", "system": UCUM, "code": "h"},
    }
    dosage = [{**dose, "maxDosePerPeriod": most}]
    one.medicine("1049221", dosage, started=25, repeats=0, reason="Back pain", fill=(25, 10, tablets(40)))
    one.coverage(starts=405, ends=40)
    one.order("1056", "1049221", "on_hold", 3, tablets(40), reason="No refills left and the coverage has ended")
    return one


def _nina(today: date) -> Chapter:
    one = Chapter("nina", today)
    one.patient("Nina", "Castillo", born(today, 36, 12, 4), "female")
    return one


def _mia(today: date) -> Chapter:
    one = Chapter("mia", today)
    one.patient("Mia", "Castillo", born(today, 8, 6, 9), "female")
    one.consent("Luis", "Castillo", role="FTH", days=200)
    course = days_of(10)
    one.medicine(
        "562251",
        [take(frequency=2, boundsDuration=course)],
        started=2,
        repeats=0,
        reason="Ear infection",
        fill=(2, 10, tablets(20)),
    )
    pen = {"text": "For a severe allergic reaction: press the pen into the outer thigh, then call 911."}
    one.medicine(
        "1870230", [pen], started=200, repeats=1, reason="Peanut allergy", fill=(200, 365, {"value": 2, "unit": "pens"})
    )
    one.allergy("91935009", "Allergy to peanuts", reaction="Anaphylaxis", criticality="high", category="food")
    one.observe("29463-7", "Body weight", 26.3, "kg", 2, category="vital-signs")
    one.order("1060", "562251", "pickup", 1, tablets(20))
    return one


def _pat(today: date) -> Chapter:
    one = Chapter("pat", today)
    one.patient("Pat", "Sorensen", born(today, 58, 4, 25), "other")
    one.medicine("314076", [take(when=["MORN"])], reason="High blood pressure", fill=(14, 30, tablets(30)))
    one.medicine("617310", [take(when=["HS"])], reason="High cholesterol", fill=(14, 30, tablets(30)))
    return one


def _merged(today: date) -> Chapter:
    """An old record of Alice: merged into hers, its request still says active."""
    one = Chapter("merged", today)
    alice = _alice(today)
    own = next(entry for entry in alice.entries if entry["resource"]["resourceType"] == "Patient")
    one.entries.append(own)
    link = [{"other": {"reference": own["fullUrl"]}, "type": "replaced-by"}]
    one.patient("Alice", "Morgan", born(today, 52, 3, 14), "female", active=False, link=link)
    one.medicine("316672", [take(when=["HS"])], started=900)
    return one


def _deceased(today: date) -> Chapter:
    one = Chapter("deceased", today)
    died = one.at(30, 4)
    one.patient("Harold", "Quinn", born(today, 79, 7, 3), "male", deceasedDateTime=died)
    one.medicine("316672", [take(when=["HS"])], started=300, fill=(50, 30, tablets(30)))
    return one
