"""What schemathesis is kept from, and helped with (it loads this file by SCHEMATHESIS_HOOKS)."""

from __future__ import annotations

from typing import Any

import schemathesis


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """Name no device of this machine, and often the connection that there is."""
    del context
    if isinstance(body, dict):
        options = body.get("options")
        if isinstance(options, dict) and "port" in options:
            body["options"] = {**options, "port": "/dev/ttyNONE"}
        if isinstance(body.get("name"), str) and len(body["name"]) % 2:
            body["name"] = "meter"
    return body
