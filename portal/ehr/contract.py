"""The files under `fhir/`: the portal's contract with EHRs, read once."""

import json
from functools import cache
from typing import Any

from portal.core import resources

RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
ORDER_STATE = "urn:portal:fhir:CodeSystem:order-status"


@cache
def load(name: str) -> Any:
    """The parsed file `fhir/<name>`; shared between callers, so nobody may change it."""
    return json.loads((resources.directory("fhir") / name).read_text("utf-8"))


@cache
def order_states() -> frozenset[str]:
    """The codes of Task.businessStatus that the portal has words for."""
    concepts = load("order-status.valueset.json")["compose"]["include"][0]["concept"]
    return frozenset(concept["code"] for concept in concepts)


@cache
def observation_names(group: str) -> dict[str, str]:
    """LOINC code to our name, for `labs`, `vitals` or `components`."""
    return {row["loinc"]: row["name"] for row in load("observations.json")[group]}


@cache
def required_codes(resource_type: str) -> dict[str, frozenset[str]]:
    """Element to allowed codes, where R4 binds it as required and the portal acts on it."""
    return {element: frozenset(codes) for element, codes in load("required-codes.json").get(resource_type, {}).items()}


@cache
def written_types() -> frozenset[str]:
    """The resource types that the portal creates in an EHR, by `fhir/capability-statement.requirements.json`."""
    resources_wanted = load("capability-statement.requirements.json")["rest"][0]["resource"]
    return frozenset(
        resource["type"]
        for resource in resources_wanted
        if any(interaction["code"] == "create" for interaction in resource.get("interaction", []))
    )
