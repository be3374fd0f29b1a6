"""What machines ask: alive, ready, metrics."""

import ipaddress

from flask import Blueprint, Response, current_app, jsonify, request

from portal.core import migrating
from portal.core.errors import NotFound, Unavailable
from portal.web.wiring import services

blueprint = Blueprint("health", __name__)
# Who else has a say in whether the portal is ready: functions that raise Unavailable while it is not.
NOT_BEFORE = "portal-not-ready-before"


@blueprint.get("/healthz")
def healthz() -> Response:
    """The process answers."""
    return jsonify(status="alive")


@blueprint.get("/readyz")
def readyz() -> Response:
    """The database answers and has the schema this code expects, and nothing else holds the portal up."""
    database = services().database
    database.ping()
    if migrating.current(database) != migrating.newest():
        raise Unavailable("migrations-pending")
    for holds in current_app.extensions.get(NOT_BEFORE, ()):
        holds()
    return jsonify(status="ready")


@blueprint.get("/metrics")
def metrics() -> Response:
    """Counters in Prometheus' text form, for the operator's addresses only."""
    allowed = [
        ipaddress.ip_network(part.strip()) for part in services().settings.metrics_allow.split(",") if part.strip()
    ]
    peer = ipaddress.ip_address(request.remote_addr or "0.0.0.0")  # noqa: S104
    if not any(peer in network for network in allowed):
        raise NotFound()
    # Not at each start: who measures nothing asks for nothing.
    from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest

    return Response(generate_latest(REGISTRY), content_type=CONTENT_TYPE_LATEST)
