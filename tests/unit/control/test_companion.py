from __future__ import annotations

from pathlib import Path

import pytest

from portline.control.companion import companion
from portline.service.gateway import Gateway
from tests.conftest import Run
from tests.unit.control.conftest import gateway


@pytest.mark.usefixtures("folder")
def test_a_gateway_gets_a_socket_that_reloads_it(run: Run) -> None:
    async def scenario() -> None:
        made = gateway()
        reloaded: list[Gateway] = []

        def reload(which: Gateway) -> list[str]:
            reloaded.append(which)
            return ["changed"]

        with companion("serve", "/x.toml", reload)(made) as server:
            assert isinstance(server.path, Path)
            service = server._service
            assert service.reload is not None
            assert service.reload() == ["changed"]
            assert reloaded == [made]
            assert (service.command, service.file, service.gateway) == ("serve", "/x.toml", made)
        with companion("share")(made) as server:
            assert server._service.reload is None

    run(scenario())
