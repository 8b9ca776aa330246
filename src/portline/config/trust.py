"""The options of who is trusted: a password, and where peers may come from."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

from pydantic import BaseModel

from portline.config.files import FilePath
from portline.config.kinds import Choice, Switch
from portline.config.networks import NetworkList
from portline.config.options import Group, Option
from portline.net.networks import Network, Networks

__all__ = ["NetworkOptions", "PasswordOptions", "Prompt", "PromptOptions"]


class Prompt(Enum):
    """Where a password may be typed in plain text."""

    OFF = "off"
    TLS = "tls"
    FORCED = "forced"


class PasswordOptions(BaseModel):
    """The password that both ends have."""

    password_file: Annotated[
        str | None,
        Option(
            Group.SECURITY,
            FilePath(),
            "Demand that the other end knows the password in this file, and prove to it that this "
            "one does. A server needs it only salted, as `portline password` writes it; others may "
            "not read the file",
            "a device on this machine is for the programs on it",
        ),
    ] = None
    password: Annotated[
        bool,
        Option(
            Group.SECURITY,
            Switch(),
            "Demand the password of the environment variable PORTLINE_PASSWORD, or one that is "
            "typed at the start where that is not set",
            "whoever has a file with it names that",
        ),
    ] = False

    @property
    def wants_password(self) -> bool:
        """Tell whether the other end has to know a password."""
        return self.password or self.password_file is not None


class PromptOptions(BaseModel):
    """What is offered to programs that know nothing of the login."""

    password_prompt: Annotated[
        Prompt,
        Option(
            Group.SECURITY,
            Choice({item.value: item for item in Prompt}),
            "Let people and programs that know nothing of the login type the password behind a "
            '"Password:": not at all, inside TLS, or (forced) also where everybody on the way can '
            "read it",
            "a typed password is known to whoever answers, also to an impostor",
        ),
    ] = Prompt.OFF


class NetworkOptions(BaseModel):
    """Where peers may come from."""

    allow: Annotated[
        tuple[Network, ...] | None,
        Option(
            Group.SECURITY,
            NetworkList(),
            "Let in only who has an address in one of these networks",
            "an address proves little, and a password more",
            many=True,
        ),
    ] = None
    deny: Annotated[
        tuple[Network, ...] | None,
        Option(
            Group.SECURITY,
            NetworkList(),
            "Let nobody in who has an address in one of these networks, whatever allow says",
            "nobody is known to be unwanted",
            many=True,
        ),
    ] = None
    open: Annotated[
        bool,
        Option(
            Group.SECURITY,
            Switch(),
            "Let everybody in who reaches an address beyond this machine, although neither a "
            "password nor a certificate nor allow keeps anybody out",
            "nobody opens a device to a whole network by accident",
        ),
    ] = False

    @property
    def networks(self) -> Networks:
        """Who is let in, by address."""
        return Networks(self.allow or (), self.deny or ())
