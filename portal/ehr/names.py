"""What a medicine or an allergy is called to people: "Metformin 500 mg, slow-release tablet".

Names come from the reviewed table `fhir/medications.json`, by RxNorm code. A code that is not there, or none, shows
the EHR's own words unchanged: a wrong plain name is worse than a clumsy right one.
"""

from dataclasses import dataclass
from functools import cache

from portal.ehr.contract import load
from portal.ehr.model import Medication


@dataclass(frozen=True)
class MedicineName:
    """The name to show, and the RxNorm name one tap away ("" where the table does not know the code)."""

    shown: str
    reviewed: bool
    rxnorm: str
    rxnorm_name: str
    ingredient: str


def medicine_name(medication: Medication, language: str) -> MedicineName:
    """The name of `medication` in `language`; English stands in for languages the table lacks."""
    row = table().get(medication.rxnorm)
    if row is None:
        return MedicineName(medication.words, False, medication.rxnorm, "", "")
    return MedicineName(row.get(language, row["en"]), True, medication.rxnorm, row["rxnorm_name"], row["ingredient"])


def finding_name(words: str, snomed: str, language: str) -> str:
    """An allergy or its sign in `language`, by SNOMED CT code; in English, or not in the table: the EHR's own words."""
    return findings().get(snomed, {}).get(language, words)


@cache
def findings() -> dict[str, dict[str, str]]:
    """The reviewed table `fhir/findings.json`, SNOMED CT code to its row."""
    return {row["snomed"]: row for row in load("findings.json")}


@cache
def table() -> dict[str, dict[str, str]]:
    """The reviewed table, RxNorm code to its row (also for recognising names in the browser)."""
    return {row["rxnorm"]: row for row in load("medications.json")}
