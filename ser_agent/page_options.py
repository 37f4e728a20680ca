"""Keys of the agent's live page."""

from __future__ import annotations

import ipaddress
from typing import Self

from pydantic import Field, SecretStr, field_validator, model_validator

from ser_agent.options import Options

SHORTEST_TOKEN = 12


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class PageOptions(Options):
    """Keys of the agent's live page, and of the page of `ser-agent web`."""

    enabled: bool = False
    """Show what this agent hears on a page of its own; its buttons mute the agent and set its threshold."""
    host: str = Field(default="127.0.0.1", min_length=1)
    """Address to listen on; anything but this machine's own (127.0.0.1, ::1, localhost) needs a token."""
    port: int = Field(default=7861, ge=0, le=65535)
    """Port; 0 for any that is free, which the log tells."""
    token: SecretStr | None = None
    """What visitors have to enter, at least 12 characters: write !secret or ${NAME} here."""
    names: tuple[str, ...] = ()
    """Names that the page is called by beside this machine's, such as home.example.org behind a proxy."""
    models: tuple[str, ...] = ()
    """Checkpoints to choose from on the page of `ser-agent web`, beside `embedded` and `classifier.model`."""
    longest_s: float = Field(default=60.0, ge=1.0, le=3600.0)
    """Seconds of sound that the page of `ser-agent web` takes at most in one recording."""
    largest_mb: float = Field(default=20.0, ge=0.1, le=1000.0)
    """Size of a file that it takes at most, MB."""

    @field_validator("token")
    @classmethod
    def _is_no_word(cls, token: SecretStr | None) -> SecretStr | None:
        if token is not None and len(token.get_secret_value()) < SHORTEST_TOKEN:
            raise ValueError(f"a token has at least {SHORTEST_TOKEN} characters")
        return token

    @model_validator(mode="after")
    def _strangers_need_a_token(self) -> Self:
        if self.token is None and not is_loopback(self.host):
            raise ValueError(f"host {self.host} can be reached from elsewhere: that needs a token")
        return self
