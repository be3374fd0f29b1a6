"""Every error becomes an answer a person or a program can use: what happened, and what to do next."""

import logging

from flask import Flask, Response, g, render_template, request
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from portal.audit import Action, Entity, record_refusal
from portal.core import texts
from portal.core.errors import BadInput, Forbidden, NotFound, PortalError, TooLarge, Unavailable
from portal.identity import flask_session
from portal.web.json import problem
from portal.web.pages import language
from portal.web.public import closed
from portal.web.wiring import client_address, request_id, services

log = logging.getLogger(__name__)

_BY_STATUS: dict[int, type[PortalError]] = {403: Forbidden, 404: NotFound, 413: TooLarge}


def handle(app: Flask) -> None:
    """Register the handlers."""
    app.register_error_handler(PortalError, answer)
    app.register_error_handler(CSRFError, lambda _: answer(Forbidden("csrf")))
    app.register_error_handler(HTTPException, _from_http)
    app.register_error_handler(SQLAlchemyError, _from_database)
    app.register_error_handler(Exception, _unexpected)


def answer(error: PortalError) -> Response:
    """An expected error as problem details for programs, as a page for people; refusals go on record first."""
    if isinstance(error, NotFound | Forbidden):
        error = _on_record(error)
    sentence = _sentence(error)
    if wants_json():
        return problem(error, sentence)
    if error.of_database:
        return closed.answer(error)
    page = Response(render_template("errors/error.html", error=error, sentence=sentence), error.status)
    if error.retry_after is not None:
        page.headers["Retry-After"] = str(error.retry_after)
    return page


def wants_json() -> bool:
    """Whether a program is asking."""
    return request.path.startswith(("/api/", "/events", "/openapi.json"))


def _on_record(error: PortalError) -> PortalError:
    """Record that a signed-in person was refused; by the same statements whether the thing is foreign or unknown."""
    if request.endpoint is None:
        return error
    try:
        login = flask_session.current_login()
        if login is not None:
            record_refusal(
                services().database,
                Action.ACCESS_REFUSED,
                agent=login.agent(address=client_address(), request_id=request_id()),
                pharmacy_id=login.pharmacy_id,
                entity=Entity("Route", request.endpoint),
                reason=error.code,
            )
    except PortalError as unavailable:
        return unavailable
    return error


def _sentence(error: PortalError) -> str:
    known = texts.catalogue(texts.DEFAULT_LANGUAGE)
    key = error.text_key if error.text_key in known else f"errors.status-{error.status}"
    return texts.get(key, language())


def _from_http(error: HTTPException) -> Response:
    kind = _BY_STATUS.get(error.code or 500)
    if kind is not None:
        return answer(kind())
    if error.code in (301, 302, 303, 307, 308) and error.response is not None:
        return error.get_response()  # type: ignore[return-value]
    made = BadInput("method" if error.code == 405 else "bad-request")
    result = answer(made)
    result.status_code = error.code or 500
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        result.headers["Allow"] = ", ".join(sorted(error.valid_methods))
    return result


def _from_database(error: SQLAlchemyError) -> Response:
    # The text of a database error can hold parameters; only its kind is logged.
    log.error("database error", extra={"kind": type(error).__name__, "request_id": g.get("request_id")})
    return answer(Unavailable("database-down", retry_after=5))


def _unexpected(error: Exception) -> Response:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else "?"
    log.error(
        "unexpected error", extra={"kind": type(error).__name__, "place": place, "request_id": g.get("request_id")}
    )
    return answer(PortalError("internal"))
