"""The layer before all doors: no request passes without a key that may do it, within the key's limits, and in time.

Refusals are problems (RFC 9457), but for X-AnyLabeling, whose door has answers of its own that its client can bear.
"""

import ipaddress
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import MappingProxyType
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Receive, Scope, Send

from contract.errors import InputError
from serving.access.browsers import check_origin, check_own_name
from serving.access.credentials import CHALLENGE, token_of
from serving.access.keys import Key, KeyRing, now_utc
from serving.access.keys import Scope as Right
from serving.access.pace import Pace
from serving.access.rates import Meter
from serving.access.scopes import scope_of
from serving.access.settings import AccessSettings
from serving.config import Door
from serving.doors.xanylabeling import refuse as refuse_for_xanylabeling
from serving.http.problems import ProblemError, is_lines
from serving.watch.requests import name_caller

_RETRY_AFTER_S: Final = 1
_UNAUTHORIZED: Final = 401


class Access:
    """What all ports of a service share: the keys, and the measure of their use.

    Args:
        settings: of access.

    Raises:
        InputError: keys are asked for and there is none, or their file is broken.
    """

    def __init__(self, settings: AccessSettings) -> None:
        self.settings = settings
        self.ring = KeyRing(settings.keys_file) if settings.auth == "keys" else None
        self.meter = Meter(time.monotonic)
        self._cvat = [ipaddress.ip_network(network) for network in settings.cvat_networks]
        if self.ring is not None and not len(self.ring) and not self._cvat:
            raise InputError(
                f"{settings.keys_file}: there are no keys, so nobody could call; make one by 'goldgate keys add', "
                "or give --no-auth on a loopback address"
            )

    def admit(self, door: Door, path: str, scope: Scope) -> Key | None:
        """Return the key that lets a request pass; None where it needs none.

        Raises:
            ProblemError: 401 it brings no key that is valid, 403 the key may not do this, or a page elsewhere sent it.
        """
        check_origin(scope)
        right = scope_of(door, path)
        if self.ring is None:
            if not _is_loopback(_peer(scope)):
                raise ProblemError(403, "this service asks for no keys, and so takes calls of its own machine alone")
            if right is not None:
                check_own_name(scope)
            return None
        if right is None or (door is Door.CVAT and self._may_without(scope, right)):
            return None
        token = token_of(scope["headers"])
        if token is None:
            raise ProblemError(_UNAUTHORIZED, "a key is needed: Authorization: Bearer KEY, or the key as Basic's password")
        try:
            key = self.ring.find(token)
        except InputError as error:
            raise ProblemError(503, "the keys cannot be read just now; tell the operator", retry_after_s=30) from error
        if key is None:
            raise ProblemError(_UNAUTHORIZED, "this key is not known here; it may have been revoked")
        if key.expired(now_utc()):
            raise ProblemError(_UNAUTHORIZED, f"the key {key.name} is over; ask the operator for a new one")
        if not key.may(right):
            raise ProblemError(403, f"the key {key.name} has not the scope {right.value}, which this call needs")
        return key

    def _may_without(self, scope: Scope, right: Right) -> bool:
        address = _peer(scope)
        return right is Right.PREDICT and address is not None and any(address in network for network in self._cvat)

    @contextmanager
    def within_limits(self, key: Key | None) -> Iterator[None]:
        """Hold a place among the requests of `key`.

        Raises:
            ProblemError: 429 it has asked too often, or has too much under way.
        """
        if key is None:
            yield
            return
        settings = self.settings
        wait_s = self.meter.wait_s(key.id, rate_per_s=key.rate_per_s or settings.rate_per_s, burst=settings.burst)
        if wait_s:
            raise ProblemError(429, f"the key {key.name} asks more often than it may", retry_after_s=wait_s)
        if not self.meter.enter(key.id, most=key.concurrent or settings.concurrent):
            sentence = f"the key {key.name} has as many calls under way as it may; wait for one of them"
            raise ProblemError(429, sentence, retry_after_s=_RETRY_AFTER_S)
        try:
            yield
        finally:
            self.meter.leave(key.id)


class Guard:
    """ASGI middleware that lets pass what `Access` admits, and has bodies come in time.

    Args:
        app: what it guards.
        access: shared by all ports.
        prefixes: prefix -> door that stands there; "" for what stands at the root.
    """

    def __init__(self, app: ASGIApp, access: Access, prefixes: Mapping[str, Door]) -> None:
        self._app = app
        self._access = access
        self._root = prefixes[""]
        self._prefixes = MappingProxyType({prefix: door for prefix, door in prefixes.items() if prefix})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "websocket":  # no door speaks it, and none shall pass unasked
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        door, path = self._place(scope)
        pace = Pace(receive, self._access.settings, by_piece=is_lines(scope))
        receive, send = pace.receive, pace.closing(send)
        with ExitStack() as held:
            try:
                key = self._access.admit(door, path, scope)
                held.enter_context(self._access.within_limits(key))
            except ProblemError as problem:
                await _refuse(problem, door, scope, receive, send)
                return
            if key is not None:
                name_caller(key.name)
                scope.setdefault("state", {})["caller"] = key.name
            await self._app(scope, receive, send)

    def _place(self, scope: Scope) -> tuple[Door, str]:
        """Return the door that a request is for, and its path there."""
        # Behind a route prefix the path is the whole one (ASGI).
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        for prefix, door in self._prefixes.items():
            if path == prefix or path.startswith(f"{prefix}/"):
                return door, path.removeprefix(prefix)
        return self._root, path


async def _refuse(problem: ProblemError, door: Door, scope: Scope, receive: Receive, send: Send) -> None:
    if door is Door.XANYLABELING:
        await refuse_for_xanylabeling(problem, scope, receive, send)
        return
    response = problem.response()
    headers = MutableHeaders(raw=response.raw_headers)
    if problem.status == _UNAUTHORIZED:
        headers["www-authenticate"] = CHALLENGE
    headers["connection"] = "close"  # what is left of the body is not waited for
    await response(scope, receive, send)


def _peer(scope: Scope) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    client = scope.get("client")
    try:
        address = ipaddress.ip_address(client[0]) if client else None
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return address if mapped is None else mapped


def _is_loopback(address: ipaddress.IPv4Address | ipaddress.IPv6Address | None) -> bool:
    return address is not None and address.is_loopback


def guarded(app: ASGIApp, access: Access, prefixes: Mapping[str, Door]) -> ASGIApp:
    """Return `app` behind a guard; arguments as of `Guard`."""
    return Guard(app, access, prefixes)
