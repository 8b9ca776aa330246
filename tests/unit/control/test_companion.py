from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from portline.control.companion import companion
from tests.conftest import Run
from tests.unit.control.conftest import Served, gateway


@pytest.mark.usefixtures("folder")
def test_a_gateway_gets_a_socket(run: Run) -> None:
    async def scenario() -> None:
        made = Served(gateway(), lambda: ["changed"])
        with companion("serve", "/x.toml")(made) as server:
            assert isinstance(server.path, Path)
            subject = server.subject
            assert (subject.command, subject.file, subject.served) == ("serve", "/x.toml", made)
            await asyncio.sleep(0.002)
            assert subject.rates.of("meter", 0, 0) == (0.0, 0.0)

    run(scenario())
