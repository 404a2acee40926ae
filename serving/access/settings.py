"""Settings of who may call, and how much."""

import ipaddress
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from serving.settings import Positive, Seconds, Settings


class AccessSettings(Settings):
    """Keys are asked for, unless `auth` says none; that lets callers of this machine in, and nobody else."""

    auth: Literal["keys", "none"] = "keys"
    keys_file: Path = Path("keys.json")
    """Made by `goldgate keys add`."""
    cvat_networks: tuple[str, ...] = ()
    """Networks (CIDR) whose callers may use the CVAT door without a key, for CVAT can send none."""
    rate_per_s: Annotated[float, Field(gt=0)] | None = None
    """Requests a second that a key may make in the long run; None sets no limit. A key's own limit goes before."""
    burst: Positive = 100
    """Requests that a key may make at once beyond its rate."""
    concurrent: Positive | None = 128
    """Requests that a key may have under way."""
    body_grace_s: Seconds = 15.0
    """How long a body may take however small it is, before its rate counts."""
    body_bytes_per_s: Positive = 4096
    """Slower bodies than that are refused, with 408."""

    @field_validator("cvat_networks")
    @classmethod
    def _are_networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        for network in networks:
            ipaddress.ip_network(network)
        return networks
