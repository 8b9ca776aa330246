from __future__ import annotations

from typing import TYPE_CHECKING

from tests.interop.server import free_port
from tests.unit.net.far import Near

if TYPE_CHECKING:
    from tests.conftest import Run


def test_who_cannot_be_sent_to_from_there_is_sent_to_from_elsewhere(run: Run) -> None:
    async def scenario() -> None:
        hosts = [("192.0.2.7", 9), ("127.0.0.1", 9), ("192.0.2.8", 9)]
        group = ("239.255.11.7", free_port())
        with Near(*hosts, listen=[group, ("127.0.0.1", 0)], interface="lo") as near:
            outside, inside, again = (host.way for host in near.endpoint.hosts.values())
            assert outside is again
            assert inside is near.endpoint.ways[1]
            assert outside is near.endpoint.ways[2]

    run(scenario())
