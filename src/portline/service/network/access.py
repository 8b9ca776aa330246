"""Who is trusted at a connection, as one line for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from portline.config.models import ClientConnection, UdpConnection
from portline.config.trust import NetworkOptions, Prompt, PromptOptions

if TYPE_CHECKING:
    from portline.config.models import ConnectionConfig

__all__ = ["access", "open_doors"]


def access(config: ConnectionConfig) -> str:
    """Return what keeps strangers out, or that nothing does."""
    parts = []
    if config.wants_password:
        parts.append("password (SCRAM-SHA-256)")
    if getattr(config, "client_ca", None):
        parts.append("certificate (client-ca)")
    if isinstance(config, PromptOptions) and config.password_prompt is not Prompt.OFF:
        parts.append(f"password typed ({config.password_prompt.value})")
    if isinstance(config, NetworkOptions):
        if config.allow:
            parts.append(f"only from {', '.join(map(str, config.allow))}")
        if config.deny:
            parts.append(f"not from {', '.join(map(str, config.deny))}")
    if doors := open_doors(config):
        parts.append(f"open to everybody who reaches {', '.join(doors)}")
    elif not parts and not isinstance(config, ClientConnection | UdpConnection):
        parts.append("everybody on this machine")
    return "; ".join(parts)


def open_doors(config: ConnectionConfig) -> list[str]:
    """Return the addresses beyond this machine at which everybody is let in."""
    if not isinstance(config, NetworkOptions) or not config.open:
        return []
    if isinstance(config, UdpConnection) and not config.hears_everybody:
        return []
    return [f"{each.host}:{each.port}" for each in config.listen if not each.is_loopback]
