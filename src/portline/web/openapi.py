"""The description of the API for programs (OpenAPI 3.1), made from the table of operations."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

import portline
from portline.control.operations.table import OPERATIONS
from portline.control.schema import parameters_schema, result_schema

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
def document() -> dict[str, Any]:
    """Return the document."""
    from portline.web.api import methods

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
                method.lower(): _operation(operation, method) for method in methods(operation)
            }
            for operation in OPERATIONS.values()
        },
        "security": [{"token": []}, {"password": []}, {"session": [], "csrf": []}],
        "components": {
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "password": {"type": "http", "scheme": "basic"},
                "session": {"type": "apiKey", "in": "cookie", "name": "portline"},
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
    },
    "required": ["type", "title", "status", "detail", "errors", "mistakes"],
    "additionalProperties": False,
}


def _operation(operation: Operation, method: str) -> dict[str, Any]:
    text = " ".join(operation.text.split())
    found: dict[str, Any] = {
        "operationId": operation.name if method == "GET" else f"{operation.name}-{method.lower()}",
        "summary": text,
        "responses": {
            "200": {
                "description": "done",
                "content": {
                    "application/json": {
                        "schema": result_schema(operation.result)  # type: ignore[arg-type]
                    }
                },
            },
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
