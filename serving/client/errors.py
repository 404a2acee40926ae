"""What a call of the client may end in; all of them are EndpointErrors with one sentence."""

from contract.errors import EndpointError


class UnreachableError(EndpointError):
    """Nobody answered, or the connection broke."""


class RefusedError(EndpointError):
    """The service answered with a problem (RFC 9457).

    Args:
        url: of the service.
        status: of HTTP.
        detail: the problem's sentence; None where the answer was no problem.
        kind: the problem's `type`.
    """

    def __init__(self, url: str, status: int, *, detail: str | None, kind: str | None) -> None:
        told = f"{detail} (HTTP {status})" if detail else f"answered HTTP {status}"
        super().__init__(f"{url}: {told}")
        self.status = status
        self.detail = detail
        self.kind = kind


class ForeignAnswerError(EndpointError):
    """The answer is not that of a goldgate service, or of another version of it."""
