"""Bundles nobody here made: a small one in Synthea's shape always, and those of PORTAL_TEST_BUNDLES where given."""

import gzip
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from werkzeug.serving import make_server

from portal.core.errors import BadInput
from portal.demo.bundles import read_bundles
from portal.demo.chapter import LOGIN_SYSTEM
from portal.demo.sandbox import create_sandbox
from portal.ehr.client import EhrClient, EhrConnection
from portal.ehr.context import ContextReader
from portal.ehr.contract import load
from portal.ehr.model import SectionState
from portal.ehr.panel import context_to_json
from portal.ehr.transport import Deadline
from portal.ehr.validation import validate

TODAY = date(2026, 11, 24)
GIVEN = os.environ.get("PORTAL_TEST_BUNDLES", "")
HAPI = os.environ.get("PORTAL_TEST_HAPI", "")
Json = dict[str, Any]


@contextmanager
def an_ehr(folder: Path) -> Iterator[EhrClient]:
    """HAPI where one runs, else our sandbox on loopback."""
    if HAPI:
        client = EhrClient(EhrConnection(HAPI))
        yield client
        client.close()
        return
    app = create_sandbox(folder / "fhir.sqlite3", "http://localhost/fhir")
    server = make_server("127.0.0.1", 0, app, threaded=True)
    app.sandbox.base_url = f"http://localhost:{server.server_port}/fhir"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    client = EhrClient(EhrConnection(app.sandbox.base_url))
    yield client
    client.close()
    server.shutdown()
    thread.join(10)
    server.server_close()
    app.sandbox.close()


@pytest.fixture
def shaped(tmp_path: Path) -> Path:
    """The example in Synthea's shape, gzipped, in a folder of its own."""
    folder = tmp_path / "bundles"
    folder.mkdir()
    content = json.dumps(load("examples/synthea-shaped.json")).encode()
    (folder / "Nora_Quill.json.gz").write_bytes(gzip.compress(content))
    return folder


def test_the_shaped_bundle_becomes_a_patient_with_a_login(shaped: Path) -> None:
    (found,) = read_bundles(shaped)
    assert (found.login, found.full_name, found.birth_date) == ("nora-quill", "Nora Quill", "1956-07-02")
    assert found.left_out == 2
    assert "urn:uuid:claim" not in json.dumps(found.bundle)
    for entry in found.bundle["entry"]:
        validate(entry["resource"])


def test_the_shaped_patient_has_a_context(shaped: Path, tmp_path: Path) -> None:
    (patient,) = read_bundles(shaped)
    with an_ehr(tmp_path) as client:
        client.transaction(patient.bundle, deadline=Deadline(60))
        client.transaction(patient.bundle, deadline=Deadline(60))
        reader = ContextReader(client)
        (found,) = reader.find_patients(LOGIN_SYSTEM, patient.login)
        panel = context_to_json(reader.read(found.id), "en", today=TODAY)
    medicines = {one["name"]: one["dosage"] for one in panel["medications"]["current"]}
    assert medicines == {
        "Simvastatin 10 mg": "Use it once a day. The record does not say how much: see the label.",
        "Albuterol 90 mcg a puff, inhaler with 200 puffs": "Use it only when you need it.",
    }
    assert [one["name"] for one in panel["medications"]["past"]] == ["Penicillin V 250 mg, tablet"]
    assert panel["patient"]["record_number"] == {"value": "mr-0001", "label": "MR"}
    assert "999-00-0001" not in json.dumps(panel)
    assert [one["shown"] for one in panel["vitals"][0]["components"]] == ["131 mmHg", "82 mmHg"]
    assert panel["labs"][0]["shown"] == "68.412 mL/min/1.73 m²"
    assert panel["allergies"]["items"][0]["text"] == "Shellfish allergy"


if GIVEN:  # not collected, rather than skipped, where nobody gave a folder

    @pytest.mark.timeout(600)
    def test_every_patient_of_the_given_folder_has_a_context(tmp_path: Path) -> None:
        patients = list(read_bundles(Path(GIVEN)))
        assert patients
        with an_ehr(tmp_path) as client:
            reader = ContextReader(client)
            for patient in patients:
                client.transaction(patient.bundle, deadline=Deadline(120))
                (found,) = reader.find_patients(LOGIN_SYSTEM, patient.login)
                context = reader.read(found.id)
                given = [one["resource"] for one in patient.bundle["entry"]]
                asked = [one for one in given if one["resourceType"] == "MedicationRequest"]
                assert len(context.medication_requests) == len(asked)
                assert context.dropped == ()
                assert SectionState.UNAVAILABLE not in context.sections.values()
                panel = context_to_json(context, "es", today=TODAY)
                assert all(one["name"] for one in panel["medications"]["current"])
                for one in (*context.medication_requests, *context.orders):
                    validate(one.resource)


@pytest.mark.parametrize(
    "content", [b"{", b"[]", b'{"resourceType": "Patient"}', b'{"type": "transaction", "entry": []}']
)
def test_a_file_that_is_no_bundle_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "odd.json").write_bytes(content)
    with pytest.raises(BadInput) as caught:
        list(read_bundles(tmp_path))
    assert caught.value.extra == {"file": "odd.json"}


def test_broken_gzip_is_named_and_names_never_clash(tmp_path: Path) -> None:
    (tmp_path / "odd.json.gz").write_bytes(b"no gzip")
    with pytest.raises(BadInput):
        list(read_bundles(tmp_path))
    (tmp_path / "odd.json.gz").unlink()
    example = json.dumps(load("examples/synthea-shaped.json"))
    for name in ("A b.json", "a_B.json"):
        (tmp_path / name).write_text(example)
    assert [one.login for one in read_bundles(tmp_path)] == ["a-b", "a-b-2"]
