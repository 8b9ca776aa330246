from __future__ import annotations

import json
from typing import Any

import pytest

from portline.errors import ConfigError, NameUnknown, PortlineError, UsageError
from portline.web.problem import MEDIA, Problem, problem_of


def body(problem: Problem) -> Any:
    return json.loads(bytes(problem.response().body))


def test_it_is_the_problem_of_the_rfc_with_lines_for_people() -> None:
    problem = Problem(429, "too many\n  at once", "wait", headers={"Retry-After": "2"})
    response = problem.response()
    assert (response.status_code, response.media_type) == (429, MEDIA)
    assert response.headers["retry-after"] == "2"
    assert body(problem) == {
        "type": "about:blank",
        "title": "Too Many Requests",
        "status": 429,
        "detail": "too many at once",
        "errors": ["too many at once", "wait"],
        "mistakes": [],
        "usage": False,
    }


def test_one_without_words_has_those_of_its_status() -> None:
    assert body(Problem(404))["detail"] == "Not Found"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NameUnknown("metre", ["meter"]), 404),
        (UsageError("is stopped already"), 409),
        (PortlineError("the port is gone"), 409),
    ],
    ids=lambda each: type(each).__name__,
)
def test_what_an_operation_could_not_do(error: PortlineError, status: int) -> None:
    problem = problem_of(error)
    assert (problem.status, problem.lines) == (status, str(error).splitlines())
    assert body(problem)["usage"] is isinstance(error, UsageError)


def test_mistakes_keep_their_options() -> None:
    error = ConfigError(
        ["connections.meter.baudrate: is no number"],
        faults=[("baudrate", "is no number")],
    )
    problem = problem_of(error)
    assert (problem.status, problem.lines) == (422, list(error.mistakes))
    assert body(problem)["mistakes"] == [{"option": "baudrate", "text": "is no number"}]
