"""A folder over HTTP, as Label Studio's server has it: python -m benchmarks.serving.imagehost PORT FOLDER."""

import functools
import http.server
import sys


class Server(http.server.ThreadingHTTPServer):
    """Takes many connections at once: the standard library's own backlog of five makes callers wait whole seconds."""

    request_queue_size = 1024
    daemon_threads = True


class Handler(http.server.SimpleHTTPRequestHandler):
    """Keeps connections open, and says nothing."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the standard library's own name
        """Do nothing."""


if __name__ == "__main__":
    handler = functools.partial(Handler, directory=sys.argv[2])
    Server(("127.0.0.1", int(sys.argv[1])), handler).serve_forever()
