"""The description of the API for programs (OpenAPI 3.1), made from the table of operations."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

import portline
from portline.control.http import method_of
from portline.control.schema import parameters_schema, result_schema
from portline.web.download import MEDIA, RECORD

if TYPE_CHECKING:
    from portline.control.operations.operation import Operation

__all__ = ["document"]

_PROBLEMS: Final = {
    "400": "parameters that cannot be meant",
    "401": "nobody has logged in, or the token is wrong",
    "403": "a foreign page asks, or the CSRF token is wrong",
    "404": "no such connection",
    "409": "cannot be done now",
    "413": "the body is too large",
    "415": "the body is not JSON",
    "421": "the page is not called so",
    "422": "mistakes of a configuration",
    "429": "too many logins have failed",
}

_BODY_ONLY: Final = frozenset({"413", "415", "422"})


@cache
def document(cookie: str) -> dict[str, Any]:
    """Return the document; ``cookie`` is what that of a session is called there."""
    from portline.web.api import OFFERED

    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Portline",
            "version": portline.__version__,
            "description": "Every operation of a running Portline. The same can be asked over its "
            "control socket and on its command line.",
        },
        "paths": {
            f"/api/{operation.name}": {
                method_of(operation).lower(): _operation(operation, method_of(operation))
            }
            for operation in OFFERED.values()
        },
        "security": [{"token": []}, {"password": []}, {"session": [], "csrf": []}],
        "components": {
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "password": {"type": "http", "scheme": "basic"},
                "session": {"type": "apiKey", "in": "cookie", "name": cookie},
                "csrf": {"type": "apiKey", "in": "header", "name": "X-CSRF-Token"},
            },
            "schemas": {"Problem": _PROBLEM},
        },
    }


_PROBLEM: Final = {
    "type": "object",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {"type": "array", "items": {"type": "string"}},
        "mistakes": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"option": {"type": "string"}, "text": {"type": "string"}},
                "required": ["option", "text"],
                "additionalProperties": False,
            },
        },
        "usage": {"type": "boolean"},
    },
    "required": ["type", "title", "status", "detail", "errors", "mistakes", "usage"],
    "additionalProperties": False,
}


def _content(operation: Operation) -> dict[str, Any]:
    """Return what is answered; a stream is told as server-sent events, each with one thing."""
    if operation is RECORD:
        file = {"type": "string", "format": "binary"}
        return {media: {"schema": file} for media in MEDIA.values()}
    if operation.opens is None:
        result: Any = operation.result
        return {"application/json": {"schema": result_schema(result)}}
    text = "The event `result` comes first; each further one has a thing as JSON."
    return {"text/event-stream": {"schema": {"type": "string", "description": text}}}


def _operation(operation: Operation, method: str) -> dict[str, Any]:
    text = " ".join(operation.text.split())
    found: dict[str, Any] = {
        "operationId": operation.name,
        "summary": text,
        "responses": {
            "200": {"description": "done", "content": _content(operation)},
            **{
                status: {
                    "description": what,
                    "content": {
                        "application/problem+json": {
                            "schema": {"$ref": "#/components/schemas/Problem"}
                        }
                    },
                }
                for status, what in _PROBLEMS.items()
                if method == "POST" or status not in _BODY_ONLY
            },
        },
    }
    if method == "GET":
        found["parameters"] = [
            {
                "name": each.name,
                "in": "query",
                "description": each.text,
                "required": each.needed,
                "schema": dict(each.schema),
                **(
                    {"style": "form", "explode": True} if each.schema.get("type") == "array" else {}
                ),
            }
            for each in operation.parameters
        ]
    else:
        schema = parameters_schema(operation)
        found["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schema}},
        }
    return found
