"""The portal as a Flask app: wiring and nothing else."""

import logging
from collections.abc import Callable
from time import perf_counter
from typing import Any, cast

from flask import Flask, Response, g, redirect
from werkzeug.wrappers import Response as AnyResponse

from portal.accounts import actor
from portal.core import ids, logs, resources
from portal.core.bus import Bus, open_bus
from portal.core.database import Database
from portal.core.settings import Settings, UnsafeSettings
from portal.identity import flask_session
from portal.web import (
    acting,
    api,
    assets,
    auth,
    checkpoints,
    clinic,
    csrf,
    errors,
    events,
    health,
    limits,
    openapi,
    pages,
    patient,
    public,
    security,
    shells,
)
from portal.web.json import RECORDS_LIMIT
from portal.web.wiring import Services

log = logging.getLogger(__name__)
# The records of one send are the largest thing a request may carry. One byte more, so that a body whose length was
# not told, which is cut off here, is still seen to be too long.
REQUEST_LIMIT = RECORDS_LIMIT + 1
_OF_NO_NOTE = ("assets", "health")


def create_app(
    settings: Settings,
    *,
    database: Database | None = None,
    bus: Bus | None = None,
    adapters: dict[str, object] | None = None,
) -> Flask:
    """Make the app. Raises UnsafeSettings when production settings would endanger people."""
    if reasons := settings.unsafe():
        raise UnsafeSettings(reasons)
    app = _App(
        "portal",
        template_folder=str(resources.directory("templates")),
        static_folder=None,
    )
    app.config.update(
        SECRET_KEY=settings.secret_key or ids.token(),
        SECRET_KEY_FALLBACKS=[settings.secret_key_previous] if settings.secret_key_previous else [],
        MAX_CONTENT_LENGTH=REQUEST_LIMIT,
        MAX_FORM_PARTS=100,
        MAX_FORM_MEMORY_SIZE=256 * 1024,
        TRUSTED_HOSTS=[*settings.hosts, "127.0.0.1"],
        WTF_CSRF_HEADERS=[csrf.HEADER],
        WTF_CSRF_TIME_LIMIT=None,
        WTF_CSRF_SSL_STRICT=False,
    )
    app.extensions["portal"] = Services(
        settings=settings,
        database=database or Database(settings.database_url),
        bus=bus or open_bus(settings),
        adapters=dict(adapters or {}),
    )
    _watch(app)
    _one_address(app, settings)
    security.protect(app, settings)
    flask_session.attach(app, settings, {acting.ACTOR: actor.QUESTION})
    tokens = csrf.Tokens(app)
    limits.limit(app, settings)
    errors.handle(app)
    pages.prepare(app)
    for blueprint in (
        health.blueprint,
        assets.blueprint,
        openapi.blueprint,
        checkpoints.blueprint,
        shells.blueprint,
        *auth.blueprints,
        *api.blueprints,
        *events.blueprints,
        *public.blueprints,
        *patient.blueprints,
        *clinic.blueprints,
    ):
        app.register_blueprint(blueprint)
    for endpoint in (*auth.CSRF_EXEMPT, *public.CSRF_EXEMPT):
        tokens.exempt(app.view_functions[endpoint])
    proxies = security.TrustedProxies(app.wsgi_app, settings.trusted_proxies)
    app.wsgi_app = security.OnEveryAnswer(proxies, settings)  # type: ignore[method-assign]
    return app


class _App(Flask):
    """Flask, for views and hooks that are none of them coroutines and need not be asked each time."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """The function itself."""
        return func


def _watch(app: Flask) -> None:
    @app.before_request
    def begin() -> None:
        kept = cast(Any, g)._get_current_object()
        kept.request_id = flask_session.asked().environ[security.REQUEST_ID]
        kept.began = perf_counter()
        logs.request_id.set(kept.request_id)

    @app.after_request
    def end(answer: Response) -> Response:
        request, kept = flask_session.asked(), cast(Any, g)._get_current_object()
        # A file that was there is one of dozens behind each page and tells nothing.
        level = logging.DEBUG if request.blueprint in _OF_NO_NOTE and answer.status_code < 400 else logging.INFO
        # The route, never the path: paths carry ids of threads and patients.
        log.log(
            level,
            "request",
            extra={
                "request_id": kept.request_id,
                "method": request.method,
                "route": request.url_rule.rule if request.url_rule else None,
                "status": answer.status_code,
                "milliseconds": round((perf_counter() - kept.began) * 1000, 1),
            },
        )
        return answer


def _one_address(app: Flask, settings: Settings) -> None:
    """Pages asked for under 127.0.0.1 are sent to the address that keys and cookies belong to."""

    @app.before_request
    def to_the_real_address() -> AnyResponse | None:
        request = flask_session.asked()
        host = request.host.rsplit(":", 1)[0]
        if host != "127.0.0.1" or host in settings.hosts or request.path in security.MACHINE_PATHS:
            return None
        return redirect(settings.base_url + request.full_path.rstrip("?"), 308)
