"""The sandbox over HTTP: each view hands over to the interactions and shapes the answer."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from flask import Blueprint, Flask, Response, current_app, request

from portal.core import clock
from portal.demo.sandbox import transaction
from portal.demo.sandbox.control import Mode, SandboxControl
from portal.demo.sandbox.index import served_types
from portal.demo.sandbox.interactions import Done, Interactions
from portal.demo.sandbox.search import FhirError, everything, search
from portal.demo.sandbox.store import Json, Store
from portal.demo.sandbox.subscriptions import Notifier, activated
from portal.ehr.contract import load
from portal.ehr.errors import EhrProtocolError
from portal.ehr.reading import parse_resource
from portal.ehr.transport import FHIR_JSON

MAX_BODY = 32 * 1024 * 1024
_LOOPBACK = ("127.0.0.1", "::1", None)
fhir_views = Blueprint("fhir", __name__)


@dataclass
class Sandbox:
    """What belongs to one running sandbox: `app.extensions["sandbox"]`."""

    store: Store
    base_url: str
    control: SandboxControl
    notifier: Notifier

    @property
    def interactions(self) -> Interactions:
        """The interactions on this store."""
        return Interactions(self.store, self.base_url)

    def load(self, bundle: Json) -> Json:
        """Run a transaction Bundle in this process, before anybody asks over HTTP (seeding). Raises FhirError."""
        return transaction.run(self.interactions, bundle)

    def close(self) -> None:
        """End the worker thread and close the file."""
        self.notifier.close()
        self.store.close()


class SandboxApp(Flask):
    """A Flask app with its sandbox in reach: `app.sandbox.control.set(Mode.DOWN)`."""

    sandbox: Sandbox


def create_sandbox(database_path: str | Path, base_url: str) -> SandboxApp:
    """The FHIR server at `base_url` (`http://localhost:5002/fhir`), with its data in `database_path`."""
    app = SandboxApp(__name__)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    base_url = base_url.rstrip("/")
    store = Store(database_path)
    app.sandbox = Sandbox(store, base_url, SandboxControl(), Notifier(store, base_url))
    app.extensions["sandbox"] = app.sandbox
    app.register_blueprint(fhir_views, url_prefix=urlsplit(base_url).path or None)
    app.register_error_handler(FhirError, _refusal)
    app.register_error_handler(404, lambda error: _refusal(FhirError(404, "not-found", "no such address")))
    app.register_error_handler(405, lambda error: _refusal(FhirError(405, "not-supported", "not possible here")))
    app.register_error_handler(413, lambda error: _refusal(FhirError(413, "too-long", "the body is too large")))
    return app


@fhir_views.before_request
def _behave() -> Response | None:
    control = _sandbox().control
    if request.endpoint == "fhir.steer":
        return None
    control.wait()
    if control.mode is Mode.DOWN:
        return _refusal(FhirError(503, "transient", "the demo holds this server down"))
    if control.mode is Mode.CONFLICT and request.method == "PUT":
        return _refusal(FhirError(412, "conflict", "the demo makes every update conflict"))
    return None


@fhir_views.get("/metadata")
def metadata() -> Response:
    """What this server can do."""
    statement = {**load("capability-statement.sandbox.json"), "date": clock.now().date().isoformat()}
    statement["implementation"] = {"description": "Embedded sandbox", "url": _sandbox().base_url}
    return _json(200, statement)


@fhir_views.route("/$control", methods=["GET", "POST"])
def steer() -> Response:
    """Read or set the mode: {"mode": "slow", "delay": 12}. Loopback only."""
    if request.remote_addr not in _LOOPBACK:
        raise FhirError(403, "forbidden", "only from this machine")
    control = _sandbox().control
    if request.method == "POST":
        wanted: Any = request.get_json(force=True, silent=True)
        try:
            control.set(Mode(wanted["mode"]), wanted.get("delay"))
        except (KeyError, TypeError, ValueError) as error:
            raise FhirError(400, "value", "mode: normal, slow, down or conflict; delay: 0 to 60") from error
    return Response(json.dumps({"mode": control.mode, "delay": control.delay}), 200, mimetype="application/json")


@fhir_views.post("/", strict_slashes=False)
def bundle() -> Response:
    """Batch and transaction."""
    return _json(200, transaction.run(_sandbox().interactions, _body()))


@fhir_views.get("/<kind>")
def find(kind: str) -> Response:
    """Search by query string."""
    return _search(kind, list(request.args.items(multi=True)))


@fhir_views.post("/<kind>/_search")
def find_by_form(kind: str) -> Response:
    """Search by form, so that what is searched for stays out of addresses."""
    return _search(kind, [*request.args.items(multi=True), *request.form.items(multi=True)])


@fhir_views.post("/<kind>")
def create(kind: str) -> Response:
    """Create, conditionally with If-None-Exist."""
    resource = activated(_body()) if kind == "Subscription" else _body()
    condition = request.headers.get("If-None-Exist")
    return _answer(_sandbox().interactions.create(kind, resource, if_none_exist=condition))


@fhir_views.put("/<kind>")
def conditional_update(kind: str) -> Response:
    """Update what the query finds, or create."""
    return _answer(_sandbox().interactions.conditional_update(kind, request.query_string.decode(), _body()))


@fhir_views.get("/<kind>/<name>")
def read(kind: str, name: str) -> Response:
    """The newest version."""
    return _answer(_sandbox().interactions.read(kind, name))


@fhir_views.put("/<kind>/<name>")
def update(kind: str, name: str) -> Response:
    """A new version; with If-Match only over the version it names."""
    if_match = request.headers.get("If-Match")
    return _answer(_sandbox().interactions.update(kind, name, _body(), if_match=if_match))


@fhir_views.delete("/<kind>/<name>")
def delete(kind: str, name: str) -> Response:
    """Remove."""
    return _answer(_sandbox().interactions.delete(kind, name))


@fhir_views.get("/<kind>/<name>/_history")
def history(kind: str, name: str) -> Response:
    """All versions."""
    return _answer(_sandbox().interactions.history(kind, name))


@fhir_views.get("/<kind>/<name>/_history/<version>")
def read_version(kind: str, name: str, version: str) -> Response:
    """One version."""
    return _answer(_sandbox().interactions.read(kind, name, version))


@fhir_views.get("/Patient/<name>/$everything")
def patient_everything(name: str) -> Response:
    """The patient and all that names it."""
    sandbox = _sandbox()
    return _json(200, everything(sandbox.store, sandbox.base_url, name))


def _search(kind: str, pairs: list[tuple[str, str]]) -> Response:
    if kind not in served_types():
        raise FhirError(404, "not-supported", "this server does not keep that resource type")
    strict = "handling=strict" in request.headers.get("Prefer", "")
    sandbox = _sandbox()
    return _json(200, search(sandbox.store, sandbox.base_url, kind, pairs, strict=strict))


def _answer(done: Done) -> Response:
    stored = done.stored
    if stored is None:
        return _json(done.status, done.resource)
    headers = {"ETag": f'W/"{stored.version}"'}
    if request.method == "GET" and headers["ETag"] in request.headers.get("If-None-Match", ""):
        return Response(status=304, headers=headers)
    if request.method in ("POST", "PUT"):
        headers["Location"] = f"{_sandbox().base_url}/{stored.type}/{stored.id}/_history/{stored.version}"
        if "return=minimal" in request.headers.get("Prefer", ""):
            return Response(status=done.status, headers=headers)
    return _json(done.status, done.resource, headers)


def _body() -> Json:
    if request.mimetype not in (FHIR_JSON, "application/json"):
        raise FhirError(415, "not-supported", f"{FHIR_JSON} is expected")
    try:
        return parse_resource(request.get_data())
    except EhrProtocolError as error:
        raise FhirError(400, "structure", "the body is not a FHIR resource in JSON") from error


def _refusal(error: FhirError) -> Response:
    return _json(error.status, transaction.outcome(error))


def _json(status: int, body: Json | None, headers: dict[str, str] | None = None) -> Response:
    content = "" if body is None else json.dumps(body, ensure_ascii=False)
    return Response(content, status, headers, content_type=f"{FHIR_JSON}; charset=utf-8")


def _sandbox() -> Sandbox:
    return cast(Any, current_app).extensions["sandbox"]  # type: ignore[no-any-return]
