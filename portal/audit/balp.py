"""An audit row as a FHIR R4 AuditEvent after IHE BALP: ids and codes only, for other people's audit tools.

The FHIR ids of patients are the portal's own; what the portal alone knows travels as an identifier under its address.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any

from portal.audit.fhir_shapes import APPLICATION, SHAPES, Code, Kind, Shape
from portal.audit.vocabulary import Action

BALP = "https://profiles.ihe.net/ITI/BALP/CodeSystem"
ENTITY_TYPE = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
ENTITY_ROLE = "http://terminology.hl7.org/CodeSystem/object-role"
SOURCE_TYPE = "http://terminology.hl7.org/CodeSystem/security-source-type"
ACT_REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"

# Kinds of entities that are FHIR resources of an EHR; all others are the portal's own.
FHIR_KINDS = frozenset(
    {
        "AllergyIntolerance",
        "Bundle",
        "Condition",
        "Coverage",
        "MedicationDispense",
        "MedicationRequest",
        "Observation",
        "Patient",
        "ServiceRequest",
        "SupplyDelivery",
        "SupplyRequest",
        "Task",
    }
)

Json = dict[str, Any]


@dataclass(frozen=True)
class Frame:
    """What rows do not repeat: the portal's address, and those of the EHRs by connection id."""

    portal: str
    ehr: Mapping[str, str] = field(default_factory=dict)


def audit_event(row: Mapping[str, Any], frame: Frame) -> Json:
    """The AuditEvent of one row, given by its column names."""
    detail = row["detail"] or {}
    shape = SHAPES[Action(row["action"])]
    event: Json = {
        "resourceType": "AuditEvent",
        "id": row["id"],
        "type": _coding(shape.type),
        "action": shape.action,
        "recorded": _instant(row["recorded"]),
        "outcome": row["outcome"],
        "purposeOfEvent": [_concept(Code(ACT_REASON, row["purpose"]))],
        "agent": _agents(row, shape, frame, detail),
        "source": {
            "observer": {"identifier": {"value": frame.portal}},
            "type": [_coding(Code(SOURCE_TYPE, "4"))],
        },
        "entity": _entities(row, shape, frame, detail),
    }
    # The act in the portal's own word is a second subtype: BALP's slicing leaves room for it.
    own = {"system": f"{frame.portal}/audit/actions", "code": row["action"]}
    event["subtype"] = [*([_coding(shape.subtype)] if shape.subtype else []), own]
    if shape.action == "D":
        event["subtype"] = [_coding(shape.subtype or shape.type)]
    if row["reason"]:
        event["outcomeDesc"] = row["reason"]
    return event


def _agents(row: Mapping[str, Any], shape: Shape, frame: Frame, detail: Mapping[str, Any]) -> list[Json]:
    browser = {
        "who": _browser(row, frame),
        "requestor": False,
        "network": _network(row["address"]),
    }
    portal = {
        "who": {"identifier": {"value": frame.portal}},
        "requestor": False,
        "network": {"address": frame.portal, "type": "5"},
    }
    client, server = browser, portal
    if shape.outward:
        address = frame.ehr.get(str(detail.get("connection")), f"urn:portal:connection:{detail.get('connection')}")
        ehr = {
            "who": {"identifier": {"value": address}},
            "requestor": False,
            "network": {"address": address, "type": "5"},
        }
        client, server = portal, ehr
    agents = [{"type": _concept(shape.client), **client}]
    if shape.server:
        agents.append({"type": _concept(shape.server), **server})
    if row["account_id"]:
        agents.append(_person(row, shape, frame))
    elif shape.client is APPLICATION and shape.server is None:
        # Nobody is known, or a timer acted: the machine itself is what asked.
        agents[0]["requestor"] = True
    token = row["token_ref"] or ""
    if token.startswith("jti:"):
        agents.append(
            {
                "type": _concept(Code(f"{BALP}/UserAgentTypes", "UserOauthAgent")),
                "who": portal["who"],
                "requestor": False,
                "policy": [f"urn:ietf:params:oauth:{token}"],
            }
        )
    return agents


def _person(row: Mapping[str, Any], shape: Shape, frame: Frame) -> Json:
    roles = [("roles", row["role"]), ("relations", row["on_behalf"])]
    person: Json = {
        "type": _concept(shape.user),
        "who": {"identifier": {"system": f"{frame.portal}/accounts", "value": row["account_id"]}},
        "requestor": True,
        "purposeOfUse": [_concept(Code(ACT_REASON, row["purpose"]))],
    }
    # BALP knows no role of the person in a deletion.
    if shape.action != "D" and (said := [_concept(Code(f"{frame.portal}/{k}", v)) for k, v in roles if v]):
        person["role"] = said
    return person


def _entities(row: Mapping[str, Any], shape: Shape, frame: Frame, detail: Mapping[str, Any]) -> list[Json]:
    entities: list[Json] = []
    if shape.kind is Kind.QUERY:
        query = detail.get("query") or row["action"]
        raw = "\n".join(query) if isinstance(query, list) else str(query)
        entities.append(_entity("2", "24") | {"query": base64.b64encode(raw.encode()).decode()})
    else:
        entities.append(_thing(row, shape, frame))
    if row["patient_id"]:
        entities.append(_entity("1", "1") | {"what": {"reference": f"Patient/{row['patient_id']}"}})
    if row["pharmacy_id"]:
        # Whose record it is: the other side of the search within one pharmacy.
        pharmacy = {"identifier": {"system": f"{frame.portal}/pharmacies", "value": row["pharmacy_id"]}}
        entities.append(_entity("3", None) | {"what": pharmacy})
    if row["request_id"]:
        entities.append(
            {
                "what": {"identifier": {"value": row["request_id"]}},
                "type": _coding(Code(f"{BALP}/BasicAuditEntityType", "XrequestId")),
            }
        )
    token = row["token_ref"] or ""
    if token and not token.startswith("jti:"):
        entities.append(_entity("4", "13") | {"what": {"identifier": {"value": token[-32:]}}})
    said = [{"type": name, "valueString": _plain(value)} for name, value in detail.items() if name != "query"]
    if said:
        entities.append(_entity("4", None) | {"detail": said})
    return entities


def _thing(row: Mapping[str, Any], shape: Shape, frame: Frame) -> Json:
    kind = row["entity_kind"] or row["action"].partition(".")[0].capitalize()
    told = row["entity_id"] or row["patient_id"] or row["account_id"] or row["id"]
    if kind in FHIR_KINDS:
        what: Json = {"reference": f"{kind}/{told}"}
    else:
        what = {"identifier": {"system": f"{frame.portal}/{kind.lower()}", "value": told}}
    return _entity("2", "13" if shape.kind is Kind.SECURITY else "4") | {"what": what}


def _entity(type_: str, role: str | None) -> Json:
    entity: Json = {"type": _coding(Code(ENTITY_TYPE, type_))}
    return entity | ({"role": _coding(Code(ENTITY_ROLE, role))} if role else {})


def _browser(row: Mapping[str, Any], frame: Frame) -> Json:
    if row["session_ref"]:
        return {"identifier": {"system": f"{frame.portal}/sessions", "value": row["session_ref"]}}
    return {"identifier": {"system": f"{frame.portal}/clients", "value": row["address"] or "portal"}}


def _network(address: str | None) -> Json:
    try:
        return {"address": str(ip_address(address or "")), "type": "2"}
    except ValueError:
        # No machine of a person: the portal's own command or timer.
        return {"address": address or "localhost", "type": "1"}


def _coding(code: Code) -> Json:
    return {"system": code.system, "code": code.code}


def _concept(code: Code) -> Json:
    return {"coding": [_coding(code)]}


def _plain(value: object) -> str:
    return ",".join(str(item) for item in value) if isinstance(value, list) else str(value)


def _instant(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
