"""Every act renders to an AuditEvent that FHIR R4 parses and that holds to IHE BALP, restated here."""

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from fhir.resources.R4B.auditevent import AuditEvent
from hypothesis import given, settings
from hypothesis import strategies as st

from portal import audit
from portal.audit import Action, Agent, Entity, Outcome, Purpose
from portal.audit.balp import Frame, audit_event
from portal.audit.export import export
from portal.audit.fhir_shapes import SHAPES
from portal.audit.record import Act
from portal.core import clock
from portal.core.database import Database

FRAME = Frame("https://portal.test", {"main": "https://ehr.test/fhir"})
ALICE, BOB = "a" * 32, Agent("b" * 32, "pharmacist", "5e55", None, "192.0.2.7", "req-1")
DCM = "http://dicom.nema.org/resources/ontology/DCM"

# type, subtype, action → what client, server and user are, and whether the portal is the client.
RESTFUL = {
    "create": ("C", "110153", "110152", {"AUT", "INF", "CST"}),
    "read": ("R", "110152", "110153", {"IRCP"}),
    "update": ("U", "110153", "110152", {"AUT", "INF", "CST"}),
    "delete": ("D", "110150", "custodian", {"AUT", "INF", "CST"}),
    "search-type": ("E", "110153", "110152", {"IRCP"}),
}


def row(action: Action, **more: Any) -> dict[str, Any]:
    """A row as it comes back from the database."""
    given_: dict[str, Any] = {"agent": BOB, "patient_id": ALICE, "pharmacy_id": "riverside"} | more
    return {"detail": None} | Act(action, **given_).row()


def kind_of(concept: dict[str, Any]) -> str:
    return concept["coding"][0]["code"] if "coding" in concept else concept["code"]


def entities(event: dict[str, Any], type_: str, role: str | None = None) -> list[dict[str, Any]]:
    return [
        entity
        for entity in event["entity"]
        if entity["type"]["code"] == type_ and (role is None or entity.get("role", {}).get("code") == role)
    ]


def check(event: dict[str, Any]) -> None:
    """The rules of BALP for one event of this portal."""
    AuditEvent.model_validate(event)
    agents = {kind_of(agent["type"]): agent for agent in event["agent"]}
    assert len(agents) == len(event["agent"])
    assert sum(agent["requestor"] for agent in event["agent"]) <= 1
    patients = entities(event, "1", "1")
    assert [entity["what"] for entity in patients] == [{"reference": f"Patient/{ALICE}"}]
    people = [agent for kind, agent in agents.items() if kind in {"AUT", "IRCP"}]
    for person in people:
        assert person["requestor"]
        assert not {"network", "media"} & person.keys()
    interaction = event["subtype"][0]["code"]
    if event["type"]["code"] == "rest":
        action, client, server, users = RESTFUL[interaction]
        assert event["action"] == action
        machines = [agent for kind, agent in agents.items() if kind in {client, server}]
        assert len(machines) == 2
        assert all("who" in agent and "network" in agent and not agent["requestor"] for agent in machines)
        assert {kind for kind in agents if kind in {"AUT", "INF", "CST", "IRCP"}} <= users
        # Structure cannot tell swapped roles apart, so the known machines are compared.
        portal = agents[client if action == "E" and "ehr.test" in str(agents[server]) else server]
        if "ehr.test" in json.dumps(event):
            portal = agents[client]
            assert agents[server]["who"]["identifier"]["value"] == "https://ehr.test/fhir"
            assert agents[server]["network"] == {"address": "https://ehr.test/fhir", "type": "5"}
        else:
            assert agents[client]["network"] == {"address": "192.0.2.7", "type": "2"}
        assert portal["who"] == event["source"]["observer"]
        if action == "E":
            (query,) = entities(event, "2", "24")
            assert base64.b64decode(query["query"], validate=True)
            assert not {"what", "detail", "lifecycle"} & query.keys()
            assert len(entities(event, "2")) == 1
        else:
            (data,) = entities(event, "2")
            assert "what" in data
        if action == "D":
            assert len(event["subtype"]) == 1
            assert not any({"role", "purposeOfUse"} & machine.keys() for machine in machines)
            assert all("role" not in person for person in people)
            assert "detail" not in data
    elif event["type"]["code"] == "110106":
        assert (event["action"], interaction) == ("R", "disclose")
        assert agents["110153"]["who"] == event["source"]["observer"]
        assert "network" in agents["110152"]
        assert len(event["entity"]) >= 2
    elif event["type"]["code"] == "110101":
        assert event["action"] == "R"
    else:
        assert event["type"]["code"] in {"110113", "110114"}
        assert event["action"] == "E"
        assert agents["110150"]["network"]


def test_every_act_has_a_shape() -> None:
    assert set(SHAPES) == set(Action)


@pytest.mark.parametrize("action", list(Action))
def test_every_act_holds_to_the_profile(action: Action) -> None:
    detail = {"connection": "main", "query": "MedicationRequest?patient=7"} if action.startswith("ehr.") else None
    check(audit_event(row(action, detail=detail), FRAME))


def test_a_patient_who_acts_is_agent_and_entity() -> None:
    event = audit_event(row(Action.THREAD_READ, agent=Agent("9" * 32, "patient"), on_behalf="child"), FRAME)
    person = next(agent for agent in event["agent"] if agent["requestor"])
    assert [concept["coding"][0]["code"] for concept in person["role"]] == ["patient", "child"]
    assert entities(event, "1", "1")


def test_an_ehr_search_is_asked_by_the_portal_and_never_says_what_came_back() -> None:
    detail = {"connection": "main", "query": ["MedicationRequest?patient=7", "AllergyIntolerance?patient=7"]}
    event = audit_event(row(Action.EHR_FETCHED, detail=detail), FRAME)
    (query,) = entities(event, "2", "24")
    assert base64.b64decode(query["query"]).decode().split("\n") == detail["query"]
    client, server = event["agent"][:2]
    assert (kind_of(client["type"]), client["who"]["identifier"]["value"]) == ("110153", "https://portal.test")
    assert (kind_of(server["type"]), server["who"]["identifier"]["value"]) == ("110152", "https://ehr.test/fhir")


def test_a_token_is_named_by_its_id_or_by_its_last_characters() -> None:
    event = audit_event(row(Action.THREAD_READ, agent=Agent("b", "pharmacist", token_ref="jti:abc")), FRAME)
    assert event["agent"][-1]["policy"] == ["urn:ietf:params:oauth:jti:abc"]
    event = audit_event(row(Action.THREAD_READ, agent=Agent("b", "pharmacist", token_ref="x" * 40)), FRAME)
    assert entities(event, "4", "13")[0]["what"]["identifier"]["value"] == "x" * 32


def test_a_failed_login_of_nobody_known_is_recorded() -> None:
    event = audit_event(
        row(
            Action.LOGIN_FAILED,
            agent=Agent(None, None, address="2001:db8::7"),
            patient_id=None,
            pharmacy_id=None,
            outcome=Outcome.SERIOUS,
            reason="bad-state",
        ),
        FRAME,
    )
    AuditEvent.model_validate(event)
    assert (event["outcome"], event["outcomeDesc"]) == ("8", "bad-state")
    assert event["agent"][0]["network"] == {"address": "2001:db8::7", "type": "2"}


ids_ = st.text("0123456789abcdef", min_size=1, max_size=32)
codes = st.text("abcdefghijklmnopqrstuvwxyz-0123456789", min_size=1, max_size=16)


@settings(max_examples=1000, deadline=None)
@given(
    st.sampled_from(Action),
    st.builds(
        Agent,
        st.none() | ids_,
        st.none() | codes,
        st.none() | codes,
        st.none() | codes | codes.map("jti:{}".format),
        st.just("192.0.2.7"),
        st.none() | codes,
    ),
    st.none() | st.builds(Entity, st.sampled_from(["Thread", "Device", "MedicationRequest"]), ids_),
    st.sampled_from(Outcome),
    st.none() | codes,
    st.sampled_from(Purpose),
    st.none() | st.dictionaries(codes, st.integers() | st.booleans() | codes | st.lists(codes, min_size=1)),
)
def test_any_row_holds_to_the_profile(
    action: Action,
    agent: Agent,
    entity: Entity | None,
    outcome: Outcome,
    reason: str | None,
    purpose: Purpose,
    detail: dict[str, object] | None,
) -> None:
    if SHAPES[action].outward:
        detail = {**(detail or {}), "connection": "main"}
    made = row(action, agent=agent, entity=entity, outcome=outcome, reason=reason, purpose=purpose, detail=detail)
    check(json.loads(json.dumps(audit_event(made, FRAME))))


def test_the_export_has_one_line_an_event_from_a_moment_on(
    database: Database, bob_reads: Callable[[int], None], tuesday: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portal.audit.export.ROWS_AT_ONCE", 2)
    bob_reads(3)
    clock.shift(timedelta(hours=1))
    moment = clock.now()
    bob_reads(5)
    with database.transaction() as session:
        audit.record(session, Action.LOGIN_SUCCEEDED, agent=BOB, pharmacy_id="harbor")
    lines = list(export(database, FRAME, since=moment))
    assert len(lines) == 6
    assert len(list(export(database, FRAME, since=moment, pharmacy_id="riverside"))) == 5
    for line in lines[:5]:
        assert "\n" not in line
        check(json.loads(line))
