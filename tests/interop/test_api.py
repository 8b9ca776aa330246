"""The API against its description: schemathesis asks what it allows, and what it does not."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from portline.web.credentials import Credentials
from tests.interop.conftest import lacking
from tests.interop.server import SUT, Service, free_port

pytestmark = [
    pytest.mark.skipif(SUT != "portline", reason="it is about Portline's own API"),
    pytest.mark.slow,
]

CONFIG = """
[checks]
positive_data_acceptance.expected-statuses = [200, 404, 409, 422]
negative_data_rejection.expected-statuses = [400, 401, 404, 405, 409, 413, 415, 422]

# A schema cannot say what a sequence of steps is.
[[operations]]
include-path = "/api/pulse"
checks.positive_data_acceptance.expected-statuses = [200, 400, 404, 409]
"""

LEFT_OUT = "restart|events|monitor|record"
"""Who restarts does not answer for a while, and streams end late or never."""


@pytest.mark.timeout(600)
def test_the_api_does_what_its_description_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if importlib.util.find_spec("schemathesis") is None:
        lacking("schemathesis is not installed")
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    monkeypatch.setenv("STATE_DIRECTORY", str(state))
    token = Credentials(state).add_token("schemathesis")
    page, port = free_port(), free_port()
    config = (
        f'[web]\nlisten = "127.0.0.1:{page}"\n[connections.meter]\nvirtual = "{tmp_path}/ttyV"\n'
        f'backend = "pty"\nlisten = "127.0.0.1:{port}"\n'
    )
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    file, log = tmp_path / "portline.toml", tmp_path / "log"
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    service = Service(config, page, file=file, log=log)
    try:
        program = Path(sys.executable).with_name("schemathesis")
        done = subprocess.run(
            [
                *(str(program), "--config-file", "schemathesis.toml", "run"),
                f"http://127.0.0.1:{page}/api/openapi.json",
                *("-H", f"Authorization: Bearer {token}", "--checks", "all", "--no-color"),
                *("--phases", "examples,coverage,fuzzing", "-n", "30", "--seed", "1"),
                *("--exclude-path-regex", LEFT_OUT, "--request-timeout", "10"),
            ],
            cwd=tmp_path,
            env={
                **os.environ,
                "SCHEMATHESIS_HOOKS": "tests.interop.api_hooks",
                "PYTHONPATH": str(Path(__file__).parents[2]),
            },
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
        counted = re.search(r"(\d+) generated", done.stdout)
        assert counted is not None
        assert int(counted[1]) > 300
        assert "Traceback" not in service.errors()
    finally:
        service.stop()
