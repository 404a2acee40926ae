"""Which scope a route needs: the one table, by door and beginning of the path."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from serving.access.keys import Scope
from serving.config import Door

Rule = tuple[str, Scope | None]

RULES: Final[Mapping[Door, Sequence[Rule]]] = MappingProxyType(
    {
        Door.REST: (
            ("/healthz", None),
            ("/readyz", None),
            ("/openapi.json", None),
            ("/v1/jobs", Scope.JOBS),
            ("/v1/models", Scope.PREDICT),
            ("/v1/detect", Scope.PREDICT),
            ("/v1/sentiment", Scope.PREDICT),
            ("/v1/video", Scope.PREDICT),
            ("/v1/predict", Scope.PREDICT),
            ("/metrics", Scope.ADMIN),
        ),
        Door.LABELSTUDIO: (
            ("/health", None),
            ("/setup", Scope.PREDICT),
            ("/predict", Scope.PREDICT),
            ("/metrics", Scope.PREDICT),
            ("/webhook", Scope.SCORE),
        ),
        Door.CVAT: (("/openapi.json", None), ("/api", Scope.PREDICT)),
        Door.XANYLABELING: (("/health", None), ("/openapi.json", None), ("/v1", Scope.PREDICT)),
    }
)
"""Rules by door: a path and all below it, and the scope, where None is open to all. What is not here needs admin."""

ROOTS: Final[Mapping[Door, Scope | None]] = MappingProxyType(
    {Door.REST: Scope.ADMIN, Door.LABELSTUDIO: None, Door.CVAT: Scope.PREDICT, Door.XANYLABELING: Scope.ADMIN}
)
"""The scope of "/" alone: REST has the status page there, Label Studio asks there for a backend's health."""


def scope_of(door: Door, path: str) -> Scope | None:
    """Return the scope that `path` of `door` needs; None where it is open."""
    if path in ("", "/"):
        return ROOTS[door]
    for beginning, scope in RULES[door]:
        if path == beginning or path.startswith(f"{beginning}/"):
            return scope
    return Scope.ADMIN
