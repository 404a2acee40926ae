"""What every test of the session shares."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis
import pytest

# Generated cases are judged by their result: speed lives in benchmarks/.
hypothesis.settings.register_profile("goldgate", deadline=None)
hypothesis.settings.load_profile("goldgate")


def free_port() -> int:
    """Return a port of the loopback that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    assert isinstance(port, int)
    return port


@pytest.fixture(scope="session")
def ray_address() -> Iterator[tuple[str, int]]:
    """One small local Ray with Serve, whose HTTP listens at this host and port; applications come and go on it.

    One for the whole session, because starting it takes longer than any test.
    """
    import ray
    from ray import serve

    from serving.cluster import start_local_ray

    host, port = "127.0.0.1", free_port()
    start_local_ray(num_cpus=2, object_store_bytes=200_000_000)
    serve.start(proxy_location="HeadOnly", http_options={"host": host, "port": port})
    yield host, port
    serve.shutdown()
    ray.shutdown()


@pytest.fixture
def listen() -> Iterator[Callable[[Any], str]]:
    """Put an ASGI application on a port of the loopback and return its address; all of them stop with the test."""
    with contextlib.ExitStack() as stack:
        yield lambda app: stack.enter_context(listening(app))


@contextlib.contextmanager
def listening(app: Any) -> Iterator[str]:
    """Run an ASGI application in a thread, on real sockets."""
    import uvicorn

    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(timeout=30)
