"""The panel of medicines and orders: cold, kept, and while the EHR is down, against the bare searches (rows 11, 12)."""

import http.client
import json
import os
import signal
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any
from urllib.parse import urlencode

from benchmarks import stage
from benchmarks.figures import Figure, median_of
from benchmarks.load import Listed, Outcome, drive
from benchmarks.machine import Served, free_port, serving
from benchmarks.people import People
from portal.accounts import patients
from portal.audit import Agent
from portal.core import clock
from portal.demo import chapter, seed
from portal.ehr import context as contexts
from portal.ehr.client import EhrClient, EhrConnection
from portal.pharmacies import care
from portal.pharmacies.tables import EhrConnection as Row

# "Fetch again" is heeded once in two seconds for one patient.
PAUSE_SECONDS = 2.1
SHOWN = ("alice", "dave", "rosa", "walt", "peggy", "trent")


def measure(*, quick: bool) -> Iterator[Figure]:
    """Every patient by turns: the bare batch of searches, the panel fetched anew, the panel again with its ETag."""
    port = free_port()
    with (
        tempfile.TemporaryDirectory(prefix="portal-benchmark-") as folder,
        serving(
            [sys.executable, "-m", "benchmarks.ehr", str(port), folder],
            port=port,
            path="/fhir/metadata",
            environment={"PYTHONPATH": str(stage.ROOT)},
        ) as ehr,
        stage.sqlite() as opened,
        stage.portal(opened, more={"PORTAL_ENV": "development"}) as portal,
    ):
        people = People(opened, pharmacists=2)
        shown = _patients(people, ehr)
        cookie = people.cookie("bob")
        raw, cold, warm = [], [], []
        for number in range(3 if quick else 8):
            for fhir_id, patient_id in shown:
                path = f"/api/patients/{patient_id}/context?pharmacy=riverside"
                searched = _batch(ehr, fhir_id)
                fetched, etag = _ask(portal, path + "&fresh=1", cookie)
                kept, _ = _ask(portal, path, cookie, etag)
                if number:  # the first round warms everybody up
                    raw.append(searched)
                    cold.append(fetched)
                    warm.append(kept)
            time.sleep(PAUSE_SECONDS)
        os.kill(ehr.pid, signal.SIGTERM)
        _until_refused(ehr.port)
        stale = []
        for number in range(4):
            for _, patient_id in shown:
                path = f"/api/patients/{patient_id}/context?pharmacy=riverside&fresh=1"
                took, said = _stale(portal, path, cookie)
                if not (said["stale"] and said["as_of"]):
                    raise RuntimeError("a panel was shown as new while the EHR was down")
                # The first look finds out, all later ones show what is kept.
                if number:
                    stale.append(took)
    yield median_of("the panel's searches alone, one batch", raw, "ms")
    yield median_of("panel, fetched anew", cold, "ms")
    yield median_of("panel, kept and unchanged (304)", warm, "ms")
    yield median_of("panel while the EHR is down (200, with its age)", stale, "ms")
    bare, anew, kept = statistics.median(raw), statistics.median(cold), statistics.median(warm)
    yield Figure("panel anew / (1.25 x searches + 10 ms) (row 11)", anew / (1.25 * bare + 10), "x", most=1.0)
    yield Figure("panel kept / anew (row 12)", kept / anew, "x", most=0.15)
    yield Figure("panel while the EHR is down / anew (row 12)", statistics.median(stale) / anew, "x", most=0.15)


def _patients(people: People, ehr: Served) -> list[tuple[str, str]]:
    """The demo's patients in the EHR and in Riverside's care: (FHIR id, patient id)."""
    base = f"http://localhost:{ehr.port}/fhir"
    with closing(EhrClient(EhrConnection(base, source="EHR", private_network=True))) as client:
        seed.seed(client, clock.now().date())
        found = [client.search("Patient", (("identifier", f"{chapter.LOGIN_SYSTEM}|{name}"),)) for name in SHOWN]
    ids = [one.matches[0]["id"] for one in found if one.matches]
    shown = []
    with people.database.transaction() as session:
        session.get_one(Row, "riverside-ehr").base_url = base
        for fhir_id in ids:
            patient = patients.ensure(session, connection_id="riverside-ehr", fhir_id=fhir_id)
            nobody = Agent(account_id=None, role="operator")
            source = care.Source.DISPENSER
            care.start(session, agent=nobody, patient_id=patient.id, pharmacy_id="riverside", source=source)
            shown.append((fhir_id, patient.id))
    return shown


def _batch(ehr: Served, fhir_id: str) -> float:
    """Milliseconds of the searches that make up a panel, asked as one batch by a client that does nothing else."""
    entries = [
        {"request": {"method": "GET", "url": f"{part.resource_type}?{urlencode(part.params)}"}}
        for part in contexts._parts(fhir_id)
    ]
    body = json.dumps({"resourceType": "Bundle", "type": "batch", "entry": entries})
    began = time.perf_counter()
    with closing(http.client.HTTPConnection("127.0.0.1", ehr.port, timeout=20)) as line:
        headers = {"Content-Type": "application/fhir+json", "Host": f"localhost:{ehr.port}"}
        line.request("POST", "/fhir", body, headers)
        answer = line.getresponse()
        json.loads(answer.read())
    if answer.status != 200:
        raise RuntimeError(f"the batch of searches was refused: {answer.status}")
    return 1000 * (time.perf_counter() - began)


def _ask(portal: stage.Portal, path: str, cookie: str, etag: str | None = None) -> tuple[float, str]:
    done = _drive(portal, path, cookie, etag)
    return 1000 * done.latencies[0], done.last_header("etag")


def _stale(portal: stage.Portal, path: str, cookie: str) -> tuple[float, dict[str, Any]]:
    done = _drive(portal, path, cookie, None)
    said: dict[str, Any] = json.loads(done.last.partition(b"\r\n\r\n")[2])
    return 1000 * done.latencies[0], said


def _drive(portal: stage.Portal, path: str, cookie: str, etag: str | None) -> Outcome:
    request = portal.read(path, cookie)
    if etag is not None:
        request = request[:-2] + f"If-None-Match: {etag}\r\n\r\n".encode()
    done = drive(portal.served.port, [Listed(iter([request]))], connections=1, wanted=304 if etag else 200)
    if done.refused:
        raise RuntimeError(f"no panel: {done.refused[0][-300:]!r}")
    return done


def _until_refused(port: int) -> None:
    """Wait until nobody listens any more."""
    with suppress(ConnectionRefusedError):
        while True:
            with socket.create_connection(("127.0.0.1", port), 1):
                time.sleep(0.05)
