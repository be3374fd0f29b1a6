"""GET /openapi.json: every JSON route, written from the URL map and the types the views take."""

import dataclasses
import types
import typing
from typing import Any

from flask import Blueprint, Flask, Response, current_app, jsonify

blueprint = Blueprint("openapi", __name__)
_PLAIN: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    bool: {"type": "boolean"},
    Any: {},
}


@blueprint.get("/openapi.json")
def openapi() -> Response:
    """The description of all JSON routes."""
    return jsonify(describe(current_app))


def describe(app: Flask) -> dict[str, Any]:
    """The OpenAPI 3.1 document of `app`."""
    paths: dict[str, Any] = {}
    for rule in app.url_map.iter_rules():
        if not rule.rule.startswith("/api/"):
            continue
        path = rule.rule.replace("<", "{").replace(">", "}")
        for method in sorted(rule.methods or ()):
            if method in ("HEAD", "OPTIONS"):
                continue
            view = app.view_functions[rule.endpoint]
            paths.setdefault(path, {})[method.lower()] = _operation(view, rule.arguments, rule.endpoint)
    return {"openapi": "3.1.0", "info": {"title": "Pharmacy portal", "version": "1"}, "paths": paths}


def _operation(view: Any, arguments: set[str], endpoint: str) -> dict[str, Any]:
    summary = (view.__doc__ or endpoint).strip().splitlines()[0]
    operation: dict[str, Any] = {
        "operationId": endpoint,
        "summary": summary,
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in sorted(arguments)
        ],
        "responses": {
            "2XX": {"description": "done"},
            "4XX": {"description": "refused", "content": {"application/problem+json": {}}},
        },
    }
    body_type = getattr(view, "body_type", None)
    if body_type is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": _schema(body_type)}}}
    return operation


def _schema(kind: Any) -> dict[str, Any]:
    if kind in _PLAIN:
        return dict(_PLAIN[kind])
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [{"type": "null"} if part is type(None) else _schema(part) for part in typing.get_args(kind)]}
    if origin in (list, tuple):
        return {"type": "array", "items": _schema(typing.get_args(kind)[0])}
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        members = dataclasses.fields(kind)
        required = [
            member.name
            for member in members
            if member.default is dataclasses.MISSING and member.default_factory is dataclasses.MISSING
        ]
        return {
            "type": "object",
            "properties": {member.name: _schema(hints[member.name]) for member in members},
            "required": required,
            "additionalProperties": False,
        }
    return {"type": "object"}
