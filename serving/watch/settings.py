"""Settings of what operators see."""

from typing import Annotated, Literal

from pydantic import Field

from serving.settings import Settings


class WatchSettings(Settings):
    """The service's log, its traces and its status page."""

    log: Literal["text", "json"] = "text"
    """Form of the log's lines."""
    otlp_endpoint: Annotated[str, Field(pattern=r"^https?://")] | None = None
    """Where spans go, by OTLP over HTTP: http://host:4318; None: to OTEL_EXPORTER_OTLP_ENDPOINT, and nowhere without it."""
    page: bool = True
    """Whether there is a status page at /."""
