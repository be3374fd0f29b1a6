"""The embedded FHIR server, asked over HTTP without a network: what the contract does not cover."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from portal.demo.sandbox import Mode, create_sandbox
from portal.demo.sandbox.index import served_types
from portal.demo.sandbox.views import SandboxApp
from portal.ehr.contract import load
from portal.ehr.validation import validate

Json = dict[str, Any]
FHIR = "application/fhir+json"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SandboxApp]:
    app = create_sandbox(tmp_path / "fhir.sqlite3", "http://localhost:5002/fhir")
    yield app
    app.sandbox.close()


@pytest.fixture
def http(server: SandboxApp) -> FlaskClient:
    return server.test_client()


def post(http: FlaskClient, path: str, body: Any, **headers: str) -> TestResponse:
    return http.post(f"/fhir{path}", data=json.dumps(body), content_type=FHIR, headers=headers)


def put(http: FlaskClient, path: str, body: Any, **headers: str) -> TestResponse:
    return http.put(f"/fhir{path}", data=json.dumps(body), content_type=FHIR, headers=headers)


def patient(name: str = "alice", **more: Any) -> Json:
    return {"resourceType": "Patient", "id": name, "name": [{"family": "Morgan", "given": ["Alice"]}], **more}


def found(http: FlaskClient, query: str) -> list[str]:
    body = http.get(f"/fhir/{query}").json
    assert body is not None
    return [entry["resource"]["id"] for entry in body.get("entry", []) if entry["search"]["mode"] == "match"]


def test_a_life_of_a_resource(http: FlaskClient) -> None:
    assert put(http, "/Patient/alice", patient()).status_code == 201
    second = put(http, "/Patient/alice", patient(gender="female"))
    assert (second.status_code, second.headers["ETag"]) == (200, 'W/"2"')
    assert second.headers["Location"] == "http://localhost:5002/fhir/Patient/alice/_history/2"
    assert http.get("/fhir/Patient/alice/_history/1").json.get("gender") is None
    assert http.delete("/fhir/Patient/alice").status_code == 204
    assert http.delete("/fhir/Patient/alice").status_code == 204
    assert http.get("/fhir/Patient/alice").status_code == 410
    assert found(http, "Patient") == []
    history = http.get("/fhir/Patient/alice/_history").json
    assert [entry["request"]["method"] for entry in history["entry"]] == ["DELETE", "PUT", "PUT"]
    assert put(http, "/Patient/alice", patient()).status_code == 201


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/Patient/nobody", None, 404),
        ("GET", "/Patient/nobody/_history", None, 404),
        ("GET", "/Patient/a/_history/x", None, 404),
        ("GET", "/Claim", None, 404),
        ("GET", "/nowhere/at/all", None, 404),
        ("POST", "/Claim", {"resourceType": "Claim"}, 404),
        ("POST", "/Patient", {"resourceType": "Practitioner"}, 400),
        ("POST", "/Patient", {"resourceType": "Patient", "gender": "bogus"}, 422),
        ("POST", "/Patient", {"resourceType": "Patient", "surname": "x"}, 422),
        ("POST", "/Patient", "no object", 400),
        ("PUT", "/Patient/bob", {"resourceType": "Patient", "id": "alice"}, 400),
        ("PUT", "/Patient", {"resourceType": "Patient"}, 400),
        ("POST", "", {"resourceType": "Bundle", "type": "searchset"}, 400),
        ("POST", "", {"resourceType": "Bundle", "type": "batch", "entry": [{}]}, 400),
        ("GET", "/Patient?birthdate=someday", None, 400),
        ("GET", "/Patient?_count=-1", None, 400),
        ("DELETE", "/metadata", None, 405),
    ],
)
def test_refusals_are_operation_outcomes(http: FlaskClient, method: str, path: str, body: Any, status: int) -> None:
    answer = http.open(
        f"/fhir{path}", method=method, data=None if body is None else json.dumps(body), content_type=FHIR
    )
    assert answer.status_code == status
    assert answer.json["resourceType"] == "OperationOutcome"
    validate(answer.json)


def test_only_json_is_taken(http: FlaskClient) -> None:
    answer = http.post("/fhir/Patient", data="<Patient/>", content_type="application/fhir+xml")
    assert answer.status_code == 415
    assert http.post("/fhir/Patient", data="{", content_type=FHIR).status_code == 400


def test_unknown_parameters_are_ignored_or_refused_as_asked(http: FlaskClient) -> None:
    put(http, "/Patient/alice", patient())
    assert found(http, "Patient?shoe-size=43") == ["alice"]
    strict = http.get("/fhir/Patient?shoe-size=43", headers={"Prefer": "handling=strict"})
    assert strict.status_code == 400


def test_searching_by_every_kind_of_parameter(http: FlaskClient) -> None:
    put(
        http,
        "/Patient/alice",
        patient(birthDate="1974-03-14", gender="female", identifier=[{"system": "urn:x", "value": "a|b"}]),
    )
    put(http, "/Patient/dave", patient("dave", birthDate="1979", gender="male", active=False))
    for query, expected in {
        "name=mor": ["alice", "dave"],
        "name:exact=Morgan": ["alice", "dave"],
        "family=gan": [],
        "family:contains=rga": ["alice", "dave"],
        "name=%25": [],
        "gender=male": ["dave"],
        "gender:not=male": ["alice"],
        "gender=male,female": ["alice", "dave"],
        "active=false": ["dave"],
        "identifier=urn:x|a%7Cb": [],
        "identifier=urn:x|": ["alice"],
        "birthdate=1974-03-14": ["alice"],
        "birthdate=1974": ["alice"],
        "birthdate=ge1975": ["dave"],
        "birthdate=lt1975-01-01": ["alice"],
        "birthdate=ge1974-03-14&birthdate=le1974-03-14": ["alice"],
        "_id=dave": ["dave"],
        "_id=dave,alice,x": ["alice", "dave"],
        "_lastUpdated=ge2001-01-01": ["alice", "dave"],
        "_lastUpdated=lt2001-01-01": [],
        "_sort=-birthdate": ["dave", "alice"],
        "_sort=birthdate": ["alice", "dave"],
        "name=x' OR '1'='1": [],
    }.items():
        assert found(http, f"Patient?{query}") == expected, query


def test_counting_and_paging(http: FlaskClient) -> None:
    for number in range(5):
        put(http, f"/Patient/p{number}", patient(f"p{number}"))
    assert http.get("/fhir/Patient?_summary=count").json == {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": 5,
        "link": http.get("/fhir/Patient?_summary=count").json["link"],
    }
    page = http.get("/fhir/Patient?_count=2&name=mor").json
    links = {link["relation"]: link["url"] for link in page["link"]}
    assert links["next"] == "http://localhost:5002/fhir/Patient?name=mor&_count=2&_offset=2"
    last = http.get("/fhir/Patient?name=mor&_count=2&_offset=4").json
    assert {link["relation"] for link in last["link"]} == {"self", "first", "previous"}


def test_what_is_escaped_is_a_character(http: FlaskClient) -> None:
    put(http, "/Patient/alice", patient(identifier=[{"system": "urn:mrn", "value": "A|1,2"}]))
    put(http, "/Patient/dave", patient("dave", identifier=[{"system": "urn:mrn", "value": "2"}]))
    assert found(http, "Patient?identifier=urn:mrn|") == ["alice", "dave"]
    assert found(http, "Patient?identifier=urn:mrn\\|") == []
    assert found(http, "Patient?identifier=A\\|1\\,2") == ["alice"]
    assert found(http, "Patient?identifier=urn:mrn|A\\|1\\,2") == ["alice"]
    assert found(http, "Patient?identifier=A\\|1,2") == ["dave"]


def test_search_by_form_keeps_names_out_of_addresses(http: FlaskClient) -> None:
    put(http, "/Patient/alice", patient())
    answer = http.post("/fhir/Patient/_search", data={"family": "Morgan"})
    assert [entry["resource"]["id"] for entry in answer.json["entry"]] == ["alice"]


def test_everything_of_a_patient_and_of_nobody_else(http: FlaskClient) -> None:
    for name in ("alice", "dave"):
        put(http, f"/Patient/{name}", patient(name))
        put(
            http,
            f"/Condition/c-{name}",
            {"resourceType": "Condition", "id": f"c-{name}", "subject": {"reference": f"Patient/{name}"}},
        )
    body = http.get("/fhir/Patient/alice/$everything").json
    assert [entry["resource"]["id"] for entry in body["entry"]] == ["alice", "c-alice"]
    assert http.get("/fhir/Patient/x/$everything").status_code == 404


def test_conditional_update(http: FlaskClient) -> None:
    marked = {"resourceType": "Patient", "identifier": [{"system": "urn:x", "value": "1"}]}
    assert put(http, "/Patient?identifier=urn:x|1", marked).status_code == 201
    assert put(http, "/Patient?identifier=urn:x|1", {**marked, "gender": "other"}).status_code == 200
    assert len(found(http, "Patient")) == 1
    post(http, "/Patient", marked)
    assert put(http, "/Patient?identifier=urn:x|1", marked).status_code == 412
    assert post(http, "/Patient", marked, **{"If-None-Exist": "identifier=urn:x|1"}).status_code == 412


def test_a_transaction_happens_whole_or_not_at_all(http: FlaskClient) -> None:
    good = {"resource": patient(), "request": {"method": "PUT", "url": "Patient/alice"}}
    bad = {"resource": {"resourceType": "Patient", "gender": "bogus"}, "request": {"method": "POST", "url": "Patient"}}
    both = {"resourceType": "Bundle", "entry": [good, bad]}
    assert post(http, "", {**both, "type": "transaction"}).status_code == 422
    assert found(http, "Patient") == []
    answer = post(http, "/", {**both, "type": "batch"})
    assert [entry["response"]["status"] for entry in answer.json["entry"]] == ["201", "422"]
    assert found(http, "Patient") == ["alice"]


def test_a_transaction_with_every_method(http: FlaskClient) -> None:
    put(http, "/Patient/old", patient("old"))
    put(http, "/Patient/alice", patient(identifier=[{"system": "urn:x", "value": "1"}]))
    here = "urn:uuid:1"
    condition = {"resourceType": "Condition", "subject": {"reference": "Patient?identifier=urn:x|1"}}
    entries = [
        {"request": {"method": "GET", "url": "Condition?patient=alice"}},
        {
            "resource": {**patient("x"), "gender": "male"},
            "request": {"method": "PUT", "url": "Patient?identifier=urn:x|2"},
        },
        {"fullUrl": here, "resource": condition, "request": {"method": "POST", "url": "Condition"}},
        {"request": {"method": "DELETE", "url": "Patient/old"}},
        {"request": {"method": "GET", "url": "Patient/alice"}},
    ]
    answer = post(http, "", {"resourceType": "Bundle", "type": "transaction", "entry": entries})
    assert [entry["response"]["status"] for entry in answer.json["entry"]] == ["200", "201", "201", "204", "200"]
    assert answer.json["entry"][0]["resource"]["total"] == 1
    assert http.get("/fhir/Patient/old").status_code == 410


@pytest.mark.parametrize(
    "entries",
    [
        [
            {
                "resource": {"resourceType": "Condition", "subject": {"reference": "urn:uuid:lost"}},
                "request": {"method": "POST", "url": "Condition"},
            }
        ],
        [{"fullUrl": "urn:uuid:1", "resource": patient(), "request": {"method": "PUT", "url": "Patient/alice"}}] * 2,
        [{"resource": patient(), "request": {"method": "PUT", "url": "Patient/alice", "ifMatch": 'W/"9"'}}],
        [{"request": {"method": "GET", "url": "a/b/c/d/e"}}],
        [{"resource": patient(), "request": {"method": "POST", "url": "Claim", "ifNoneExist": "identifier=1"}}],
    ],
)
def test_transactions_that_make_no_sense_are_refused(http: FlaskClient, entries: list[Json]) -> None:
    answer = post(http, "", {"resourceType": "Bundle", "type": "transaction", "entry": entries})
    assert 400 <= answer.status_code < 500
    assert found(http, "Patient") == []


def test_the_control_room_switches_modes(server: SandboxApp, http: FlaskClient) -> None:
    put(http, "/Patient/alice", patient())
    server.sandbox.control.set(Mode.DOWN)
    assert http.get("/fhir/Patient/alice").status_code == 503
    server.sandbox.control.set(Mode.CONFLICT)
    assert http.get("/fhir/Patient/alice").status_code == 200
    assert put(http, "/Patient/alice", patient()).status_code == 412
    assert http.post("/fhir/$control", json={"mode": "slow", "delay": 0}).json == {"mode": "slow", "delay": 0}
    assert http.get("/fhir/Patient/alice").status_code == 200
    assert http.post("/fhir/$control", json={"mode": "normal"}).json["mode"] == "normal"
    assert put(http, "/Patient/alice", patient()).status_code == 200


@pytest.mark.parametrize(
    "body", [{}, {"mode": "chaos"}, {"mode": "slow", "delay": 3600}, {"mode": "slow", "delay": "x"}, []]
)
def test_control_takes_no_nonsense(http: FlaskClient, body: Any) -> None:
    assert http.post("/fhir/$control", json=body).status_code == 400


def test_control_is_for_this_machine_only(http: FlaskClient) -> None:
    there = {"REMOTE_ADDR": "192.0.2.7"}
    assert http.post("/fhir/$control", json={"mode": "down"}, environ_base=there).status_code == 403


@pytest.mark.parametrize(
    "channel",
    [
        {"type": "rest-hook", "endpoint": "http://192.0.2.7/hook"},
        {"type": "rest-hook", "endpoint": "file:///etc/passwd"},
        {"type": "rest-hook", "endpoint": "https://localhost/hook"},
        {"type": "email", "endpoint": "mailto:a@example.org"},
        {"type": "rest-hook"},
    ],
)
def test_subscriptions_call_nobody_outside(http: FlaskClient, channel: Json) -> None:
    subscription = {
        "resourceType": "Subscription",
        "status": "requested",
        "reason": "x",
        "criteria": "Task?status=ready",
        "channel": channel,
    }
    assert post(http, "/Subscription", subscription).status_code == 422


def test_data_outlive_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "fhir.sqlite3"
    for expected in (201, 200):
        app = create_sandbox(path, "http://localhost:5002/fhir")
        assert put(app.test_client(), "/Patient/alice", patient()).status_code == expected
        app.sandbox.close()


def test_the_capability_statement_tells_the_truth(http: FlaskClient) -> None:
    statement = http.get("/fhir/metadata").json
    validate(statement)
    (rest,) = statement["rest"]
    told = {one["type"]: {param["name"] for param in one["searchParam"]} for one in rest["resource"]}
    assert told == {kind: set(params) for kind, params in load("search-parameters.json").items()}
    assert told.keys() == served_types()


def test_the_sandbox_has_all_that_the_portal_requires() -> None:
    required, served = (load(f"capability-statement.{name}.json")["rest"][0] for name in ("requirements", "sandbox"))
    offered = {one["type"]: one for one in served["resource"]}
    for need in required["resource"]:
        has = offered[need["type"]]
        assert {one["code"] for one in need["interaction"]} <= {one["code"] for one in has["interaction"]}
        assert {one["name"] for one in need["searchParam"]} <= {one["name"] for one in has["searchParam"]}
        assert set(need.get("searchInclude", ())) <= set(has.get("searchInclude", ()))
    for name in ("capability-statement.requirements.json", "order-status.valueset.json"):
        validate(load(name))
