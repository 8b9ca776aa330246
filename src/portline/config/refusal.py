"""Collecting every mistake of a model into the one error that pydantic raises.

A validator that runs after the fields would not run when a field is wrong, and one mistake would
hide another; hence models wrap their validation in :func:`collected`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ModelWrapValidatorHandler, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from portline.config.rules import Fault

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["collected", "faults_of", "refusal"]

_Model = TypeVar("_Model", bound=BaseModel)


def collected(
    data: Mapping[str, object], faults: Iterable[Fault], handler: ModelWrapValidatorHandler[_Model]
) -> _Model:
    """Return the model, or raise its own mistakes and ``faults`` together."""
    try:
        made = handler(data)
    except ValidationError as error:
        raise refusal([*faults_of(error), *faults]) from None
    if found := list(faults):
        raise refusal(found)
    return made


def faults_of(error: ValidationError) -> list[Fault]:
    """Return the mistakes that an error collects."""
    return [Fault(tuple(map(str, item["loc"])), item["msg"]) for item in error.errors()]


def refusal(faults: Iterable[Fault]) -> ValidationError:
    """Return the error that tells of all ``faults``."""
    details = [
        InitErrorDetails(
            type=PydanticCustomError("portline", "{text}", {"text": fault.text}),
            loc=fault.location,
            input=None,
        )
        for fault in faults
    ]
    return ValidationError.from_exception_data("configuration", details)
