"""LitServe with its own batching: python -m benchmarks.serving.peers.litserver PORT MODEL BATCH."""

import sys
from typing import Any, cast

import litserve
from fastapi import Request

from benchmarks.serving.peers.yolo import build, content_of


class Api(litserve.LitAPI):  # type: ignore[misc]
    """Takes a text, or an image in base64."""

    def __init__(self, model: str, **options: Any) -> None:
        super().__init__(**options)
        self._name = model

    def setup(self, device: str) -> None:
        """Load the model in the worker."""
        self._model = build(self._name)

    def decode_request(self, request: Request) -> bytes:
        """Return the content of a JSON document, which is what arrives here whatever the annotation says."""
        return content_of(cast("Any", request))

    def predict(self, contents: Any) -> Any:
        """Label a batch, or one where there is no batching."""
        if isinstance(contents, (bytes, str)):
            return self._model.label_encoded([contents])[0]
        return self._model.label_encoded(list(contents))

    def encode_response(self, output: Any) -> Any:
        """Return the answer of one."""
        return {"result": output}


if __name__ == "__main__":
    port, model, batch = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    api = Api(model, max_batch_size=batch, batch_timeout=0.005 if batch > 1 else 0.0)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1, timeout=120, track_requests=False)
    server.run(host="127.0.0.1", port=port, num_api_servers=1, generate_client_file=False, log_level="warning")
