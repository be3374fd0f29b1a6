"""What an EHR may answer: FHIR JSON made by hand."""

import json
from typing import Any

from werkzeug import Response

Json = dict[str, Any]
CAPABLE = ("Patient", "MedicationRequest", "MedicationDispense", "AllergyIntolerance", "Condition", "Observation")


def fhir(body: Json, status: int = 200, **headers: str) -> Response:
    return Response(json.dumps(body), status, headers, content_type="application/fhir+json")


def bundle(*resources: Json, following: str = "") -> Json:
    link = [{"relation": "next", "url": following}] if following else []
    entries = [{"resource": one, "search": {"mode": "match"}} for one in resources]
    return {"resourceType": "Bundle", "type": "searchset", "link": link, "entry": entries}


def capabilities(*interactions: str, types: tuple[str, ...] = CAPABLE) -> Json:
    rest = {"mode": "server", "resource": [{"type": one} for one in types]}
    return {
        "resourceType": "CapabilityStatement",
        "fhirVersion": "4.0.1",
        "rest": [{**rest, "interaction": [{"code": one} for one in interactions]}],
    }


def prescription(name: str, patient: str = "alice", **more: Any) -> Json:
    return {
        "resourceType": "MedicationRequest",
        "id": name,
        "status": "active",
        "intent": "order",
        "subject": {"reference": f"Patient/{patient}"},
        "medicationCodeableConcept": {"text": name},
        **more,
    }
