"""Plain FastAPI: the model in a thread, a call a request: python -m benchmarks.serving.peers.plain PORT MODEL."""

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import uvicorn
from fastapi import FastAPI, Request

from benchmarks.serving.peers.yolo import build, content_of

if __name__ == "__main__":
    model = build(sys.argv[2])
    thread = ThreadPoolExecutor(max_workers=1)
    api = FastAPI()

    @api.get("/health")
    async def health() -> dict[str, str]:
        """Tell that it is up."""
        return {"status": "up"}

    @api.post("/predict")
    async def predict(request: Request) -> dict[str, Any]:
        """Label a text, or an image in base64."""
        content = content_of(await request.json())
        (result,) = await asyncio.get_running_loop().run_in_executor(thread, model.label_encoded, [content])
        return {"result": result}

    uvicorn.run(api, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
