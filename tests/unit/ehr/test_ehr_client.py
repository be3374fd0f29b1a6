"""How the client reads and writes: patience, breaker, ETags, batches, conditions."""

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from ehr_answers import bundle, capabilities, fhir, prescription
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from portal.core import clock
from portal.core.breaker import BreakerOpen
from portal.ehr.client import EhrClient, EhrConnection
from portal.ehr.errors import (
    DownReason,
    EditConflict,
    EhrNotFound,
    EhrRefused,
    EhrUnavailable,
    InvalidResource,
)
from portal.ehr.transport import Deadline

Answer = Callable[..., None]
InTurn = Callable[..., Callable[[Request], Response]]
ALICE = {"resourceType": "Patient", "id": "alice"}


def test_a_busy_ehr_is_asked_again_after_the_time_it_named(
    ehr: EhrClient, answer: Answer, in_turn: InTurn, pauses: list[float]
) -> None:
    answer("/Patient/alice", in_turn(fhir({}, 429, **{"Retry-After": "2"}), fhir(ALICE)))
    assert ehr.read("Patient", "alice")["id"] == "alice"
    assert pauses == [2]


def test_a_wait_longer_than_the_budget_is_handed_to_the_caller(
    ehr: EhrClient, answer: Answer, pauses: list[float], httpserver: HTTPServer
) -> None:
    answer("/Patient/alice", fhir({}, 429, **{"Retry-After": "120"}))
    with pytest.raises(EhrUnavailable) as caught:
        ehr.read("Patient", "alice")
    assert (caught.value.reason, caught.value.retry_after) == (DownReason.BUSY, 120)
    assert (pauses, len(httpserver.log)) == ([], 1)


def test_retry_after_may_be_a_date(ehr: EhrClient, answer: Answer) -> None:
    at = (clock.now() + timedelta(minutes=3)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    answer("/Patient/alice", fhir({}, 503, **{"Retry-After": at}))
    with pytest.raises(EhrUnavailable) as caught:
        ehr.read("Patient", "alice")
    assert 170 <= (caught.value.retry_after or 0) <= 181


def test_retries_wait_longer_each_time_and_never_alike(ehr: EhrClient, answer: Answer, pauses: list[float]) -> None:
    answer("/Patient/alice", fhir({}, 503))
    with pytest.raises(EhrUnavailable):
        ehr.read("Patient", "alice")
    first, second = pauses
    assert 0.2 <= first <= 0.6
    assert 0.4 <= second <= 1.2


def test_a_plain_500_is_not_asked_again(ehr: EhrClient, answer: Answer, httpserver: HTTPServer) -> None:
    answer("/Patient/alice", fhir({}, 500))
    with pytest.raises(EhrUnavailable) as caught:
        ehr.read("Patient", "alice")
    assert caught.value.reason is DownReason.SERVER_ERROR
    assert len(httpserver.log) == 1


def test_a_write_is_never_sent_twice(ehr: EhrClient, answer: Answer, httpserver: HTTPServer) -> None:
    answer("/Patient", fhir({}, 503), "POST")
    with pytest.raises(EhrUnavailable):
        ehr.create({"resourceType": "Patient"})
    assert len(httpserver.log) == 1


def test_the_breaker_opens_after_five_failures_and_tries_once_after_thirty_seconds(
    ehr: EhrClient, answer: Answer, in_turn: InTurn, httpserver: HTTPServer
) -> None:
    answer("/Patient/alice", in_turn(*[fhir({}, 500)] * 6, fhir(ALICE)))
    for _ in range(5):
        with pytest.raises(EhrUnavailable):
            ehr.read("Patient", "alice")
    with pytest.raises(EhrUnavailable) as caught:
        ehr.read("Patient", "alice")
    assert caught.value.reason is DownReason.BREAKER_OPEN
    assert 1 <= (caught.value.retry_after or 0) <= 31
    assert (len(httpserver.log), ehr.breaker.is_open) == (5, True)

    clock.shift(timedelta(seconds=31))
    with pytest.raises(EhrUnavailable):  # the one try fails: open again
        ehr.read("Patient", "alice")
    with pytest.raises(EhrUnavailable):
        ehr.read("Patient", "alice")
    assert len(httpserver.log) == 6

    clock.shift(timedelta(seconds=31))
    assert ehr.read("Patient", "alice")["id"] == "alice"
    assert not ehr.breaker.is_open


def test_only_one_request_tries_a_half_open_breaker(ehr: EhrClient) -> None:
    for _ in range(5):
        ehr.breaker.failed()
    clock.shift(timedelta(seconds=31))
    ehr.breaker.ask()
    with pytest.raises(BreakerOpen):
        ehr.breaker.ask()


def test_an_error_page_counts_as_failure_and_a_404_does_not(ehr: EhrClient, answer: Answer) -> None:
    answer("/Patient/nobody", fhir({}, 404))
    answer("/Patient/alice", Response("<html>", 200, content_type="text/html"))
    for _ in range(6):
        with pytest.raises(EhrNotFound):
            ehr.read("Patient", "nobody")
    assert not ehr.breaker.is_open
    for _ in range(5):
        with pytest.raises(Exception, match="ehr-protocol"):
            ehr.read("Patient", "alice")
    assert ehr.breaker.is_open


def test_an_unchanged_resource_costs_a_304(ehr: EhrClient, answer: Answer, httpserver: HTTPServer) -> None:
    def serve(request: Request) -> Response:
        if request.headers.get("If-None-Match") == 'W/"1"':
            return Response(status=304, headers={"ETag": 'W/"1"'})
        return fhir(ALICE, ETag='W/"1"')

    answer("/Patient/alice", serve)
    assert ehr.read("Patient", "alice") == ehr.read("Patient", "alice") == ALICE
    assert [response.status_code for _, response in httpserver.log] == [200, 304]
    clock.shift(timedelta(minutes=5, seconds=1))
    ehr.read("Patient", "alice")
    assert httpserver.log[-1][1].status_code == 200


def test_what_a_caller_does_to_an_answer_stays_with_him(ehr: EhrClient, answer: Answer) -> None:
    answer(
        "/Patient/alice",
        lambda request: Response(status=304) if request.headers.get("If-None-Match") else fhir(ALICE, ETag="1"),
    )
    ehr.read("Patient", "alice")["name"] = "changed"
    assert "name" not in ehr.read("Patient", "alice")


def test_the_same_question_at_once_is_asked_one_after_the_other(ehr: EhrClient, answer: Answer) -> None:
    at_once: list[int] = []
    running = threading.Semaphore(0)

    def serve(request: Request) -> Response:
        running.release()
        at_once.append(running._value)
        time.sleep(0.02)
        running.acquire()
        return fhir(ALICE, ETag="1")

    answer("/Patient/alice", serve)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: ehr.read("Patient", "alice"), range(8)))
    assert max(at_once) == 1


def test_searches_go_as_one_batch_where_the_ehr_offers_it(
    ehr: EhrClient, answer: Answer, httpserver: HTTPServer
) -> None:
    def serve(request: Request) -> Response:
        asked = [entry["request"]["url"] for entry in json.loads(request.data)["entry"]]
        assert asked == ["MedicationRequest?patient=alice", "Condition?patient=alice"]
        good = {"resource": bundle(prescription("m")), "response": {"status": "200 OK"}}
        return fhir(
            {"resourceType": "Bundle", "type": "batch-response", "entry": [good, {"response": {"status": "403"}}]}
        )

    answer("/metadata", capabilities("batch"))
    answer("", serve, "POST")
    searches: Any = [("MedicationRequest", [("patient", "alice")]), ("Condition", [("patient", "alice")])]
    found, refused = ehr.search_many(searches)
    assert not isinstance(found, Exception)
    assert [one["id"] for one in found.matches] == ["m"]
    assert isinstance(refused, EhrRefused)
    assert len(httpserver.log) == 2


def test_searches_go_side_by_side_where_it_does_not(ehr: EhrClient, answer: Answer) -> None:
    answer("/metadata", capabilities())
    answer("/MedicationRequest", bundle(prescription("m")))
    answer("/Condition", fhir({}, 403))
    searches: Any = [("MedicationRequest", [("patient", "alice")]), ("Condition", [("patient", "alice")])]
    found, refused = ehr.search_many(searches)
    assert not isinstance(found, Exception)
    assert len(found.matches) == 1
    assert isinstance(refused, EhrRefused)


def test_a_batch_that_is_refused_falls_back_to_single_searches(ehr: EhrClient, answer: Answer) -> None:
    answer("/metadata", capabilities("batch"))
    answer("", fhir({}, 403), "POST")
    answer("/MedicationRequest", bundle(prescription("m")))
    (found,) = ehr.search_many([("MedicationRequest", [("patient", "alice")])])
    assert not isinstance(found, Exception)


@pytest.mark.parametrize("status", [409, 412])
def test_a_conflict_is_a_conflict_however_the_ehr_says_it(ehr: EhrClient, answer: Answer, status: int) -> None:
    answer("/Patient/alice", fhir({}, status), "PUT")
    with pytest.raises(EditConflict):
        ehr.update(ALICE, if_match="3")


def test_an_update_names_the_version_it_replaces(ehr: EhrClient, answer: Answer, httpserver: HTTPServer) -> None:
    answer("/Patient/alice", Response(status=200, headers={"Location": "Patient/alice/_history/4"}), "PUT")
    written = ehr.update(ALICE, if_match="3")
    assert httpserver.log[0][0].headers["If-Match"] == 'W/"3"'
    assert (written.id, written.version, written.created) == ("alice", "4", False)


def test_a_conditional_create_says_its_condition(ehr: EhrClient, answer: Answer, httpserver: HTTPServer) -> None:
    answer("/Patient", fhir(ALICE, 201, ETag='W/"1"'), "POST")
    written = ehr.create({"resourceType": "Patient"}, if_none_exist=[("identifier", "urn:x|a b&c")])
    assert httpserver.log[0][0].headers["If-None-Exist"] == "identifier=urn%3Ax%7Ca+b%26c"
    assert (written.id, written.version, written.created) == ("alice", "1", True)


@pytest.mark.parametrize(
    ("resource", "paths"),
    [
        ({"resourceType": "MedicationRequest", "status": "active", "intent": "order"}, ("subject",)),
        (prescription("m", status="bogus"), ("status",)),
        (prescription("m", intent="wish"), ("intent",)),
        ({"resourceType": "Patient", "surname": "Morgan"}, ("surname",)),
        ({"resourceType": "NoSuchThing"}, ("resourceType",)),
    ],
)
def test_what_is_not_r4_never_leaves(
    ehr: EhrClient, httpserver: HTTPServer, resource: dict[str, Any], paths: tuple[str, ...]
) -> None:
    with pytest.raises(InvalidResource) as caught:
        ehr.create(resource)
    assert caught.value.paths == paths
    assert "Morgan" not in str(caught.value.extra)
    assert httpserver.log == []


def test_a_resource_three_thousand_levels_deep_is_refused_not_a_crash(ehr: EhrClient) -> None:
    deep: dict[str, Any] = {"url": "urn:x", "valueString": "x"}
    for _ in range(3000):
        deep = {"url": "urn:x", "extension": [deep]}
    with pytest.raises(InvalidResource) as caught:
        ehr.create({"resourceType": "Patient", "extension": [deep]})
    assert caught.value.paths == ("nesting",)


def test_a_base_url_must_be_a_web_address() -> None:
    for base in ("ftp://ehr.example", "javascript:alert(1)", "http://user:pw@ehr.example/fhir", ""):
        with pytest.raises(Exception, match="ehr-protocol"):
            EhrClient(EhrConnection(base))


def test_an_ehr_nobody_listens_for_is_unavailable_and_the_breaker_learns_it(pauses: list[float]) -> None:
    client = EhrClient(EhrConnection("http://127.0.0.1:1/fhir"), pause=pauses.append)
    for _ in range(2):
        with pytest.raises(EhrUnavailable) as caught:
            client.read("Patient", "alice", deadline=Deadline(5))
    assert caught.value.reason in (DownReason.CONNECTION, DownReason.BREAKER_OPEN)
    assert client.breaker.is_open
    client.close()
