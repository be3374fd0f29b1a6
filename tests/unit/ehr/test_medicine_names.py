"""The reviewed tables of medicines and of allergies."""

import re

from portal.ehr.model import Medication
from portal.ehr.names import finding_name, findings, medicine_name, table

# Every code of the demo world; the table must know them all.
DEMO_CODES = [
    "860975",
    "314076",
    "312961",
    "308192",
    "745679",
    "896209",
    "328670",
    "855332",
    "197604",
    "315971",
    "966222",
    "197361",
    "309362",
    "243670",
    "105586",
    "312617",
    "904419",
    "1049221",
    "562251",
    "1870230",
    "617310",
    "316672",
]


def test_a_known_code_has_a_plain_name_in_both_languages() -> None:
    metformin = Medication("24 HR Metformin ER", "860975")
    english, spanish = medicine_name(metformin, "en"), medicine_name(metformin, "es")
    assert english.shown == "Metformin 500 mg, slow-release tablet"
    assert spanish.shown == "Metformina 500 mg, tableta de liberación prolongada"
    assert english.rxnorm_name == "24 HR metformin hydrochloride 500 MG Extended Release Oral Tablet"
    assert english.reviewed


def test_an_unknown_code_shows_the_words_of_the_ehr_unchanged() -> None:
    found = medicine_name(Medication("DIAZEPAM [Valium]", "563026"), "es")
    assert (found.shown, found.reviewed, found.rxnorm, found.rxnorm_name) == ("DIAZEPAM [Valium]", False, "563026", "")
    assert medicine_name(Medication("Grandma's tea"), "en").shown == "Grandma's tea"


def test_another_language_gets_the_english_name() -> None:
    assert medicine_name(Medication("x", "314076"), "fr").shown == "Lisinopril 10 mg, tablet"


def test_the_table_is_whole_and_safe_to_read() -> None:
    rows = table()
    assert set(DEMO_CODES) <= rows.keys()
    assert len(rows) >= 60
    for code, row in rows.items():
        assert row.keys() == {"rxnorm", "rxnorm_name", "ingredient", "en", "es"}
        assert code.isdecimal()
        for language in ("en", "es"):
            # No naked or trailing decimal, no "μg", no capital unit: the classic misreadings of a dose.
            assert not re.search(r"(?<!\d)\.\d|\d\.0\b|[µμ]g|\bMG\b|\bML\b|\d,\d{3}", row[language]), row
            assert row[language][0].isupper()


def test_strengths_agree_in_both_languages() -> None:
    for row in table().values():
        numbers = [re.findall(r"\d+(?:\.\d+)?", row[language]) for language in ("en", "es")]
        assert sorted(numbers[0]) == sorted(numbers[1]), row


def test_an_allergy_is_told_in_spanish_and_in_english_by_the_words_of_the_ehr() -> None:
    assert finding_name("Allergy to penicillin", "91936005", "es") == "Alergia a la penicilina"
    assert finding_name("Allergy to penicillin", "91936005", "en") == "Allergy to penicillin"
    assert finding_name("Cat dander", "", "es") == "Cat dander"
    assert finding_name("Cat dander", "999", "es") == "Cat dander"


def test_the_table_of_findings_is_whole() -> None:
    assert len(findings()) >= 25
    for code, row in findings().items():
        assert row.keys() == {"snomed", "snomed_name", "es"}
        assert code.isdecimal()
        assert all(words.strip() == words != "" for words in row.values())
