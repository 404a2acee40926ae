"""The command line, the demo, and the wiring of all packages; and the client of the service, by its short name.

`from goldgate import Client` loads what it needs on first use, so that commands do not pay for it.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from serving.client.calls import Order as Order
    from serving.client.shells import AsyncClient as AsyncClient
    from serving.client.shells import Client as Client

__all__ = ["AsyncClient", "Client", "Order"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from serving.client import calls, shells

    return getattr(calls if name == "Order" else shells, name)
