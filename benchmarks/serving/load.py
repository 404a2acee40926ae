"""Load: so many connections, each with a request under way at all times.

By wrk for so many seconds; or, where a request takes long, so that those under way at the end would count, by threads until
so many requests are answered.
"""

import http.client
import itertools
import json
import resource
import statistics
import subprocess
import time
from collections import Counter, deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from benchmarks.serving.calls import Call, numbered

SCRIPT: Final = Path(__file__).with_name("load.lua")
TIMEOUT_S: Final = 120
PERCENTILES: Final = ("p50", "p95", "p99", "max")
_TURNS: Final = itertools.count()


def spread_out(call: Call, folder: Path) -> Path:
    """Write the bodies of `call` where wrk reads them, and return the folder."""
    place = folder / "".join(letter if letter.isalnum() else "-" for letter in call.name)
    place.mkdir(exist_ok=True)
    for index, body in enumerate(call.bodies):
        (place / str(index)).write_bytes(body)
    return place


def drive(url: str, call: Call, place: Path, *, clients: int, seconds: float) -> dict[str, Any]:
    """Load `url` with `call` once; milliseconds, and the share of a core that wrk itself took.

    Raises:
        RuntimeError: wrk failed.
    """
    headers = [word for pair in (("content-type", call.content_type), *call.headers) for word in pair]
    arguments = [call.path, str(place), str(len(call.bodies)), str(clients % len(call.bodies)), *headers]
    options = ["-t1", f"-c{clients}", f"-d{round(seconds)}s", f"--timeout={TIMEOUT_S}s", "--script", str(SCRIPT)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(["wrk", *options, url, "--", *arguments], capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    line = next((each for each in done.stdout.splitlines() if each.startswith("JSON ")), None)
    if line is None:
        raise RuntimeError(f"wrk ended with {done.returncode}: {done.stdout[-500:]}{done.stderr[-500:]}")
    found = json.loads(line.removeprefix("JSON "))
    took = found.pop("microseconds") / 1e6
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    errors = {name: found[name] for name in ("not_2xx", "connect", "read", "write", "timeout") if found[name]}
    return {
        "requests_per_s": found["requests"] / took,
        "requests": found["requests"],
        **{f"{name}_ms": found[name] / 1000 for name in PERCENTILES},
        "errors": errors,
        "client_cores": cpu / took,
    }


def complete(url: str, call: Call, *, clients: int, passes: int) -> dict[str, Any]:
    """Send every variant of `call` `passes` times and return what `drive` does; the time is that until the last answer."""
    turns = deque(numbered(body, next(_TURNS)) for _ in range(passes) for body in call.bodies)
    count, took_ms, statuses = len(turns), [], Counter[int]()
    headers = {"content-type": call.content_type, **dict(call.headers)}

    def client() -> None:
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=TIMEOUT_S)
        while True:
            try:
                body = turns.popleft()
            except IndexError:
                break
            begun = time.perf_counter()
            connection.request("POST", call.path, body, headers)
            reply = connection.getresponse()
            reply.read()
            took_ms.append(1000 * (time.perf_counter() - begun))
            statuses[reply.status] += 1
        connection.close()

    started, cpu = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(clients) as pool:
        for done in [pool.submit(client) for _ in range(clients)]:
            done.result()
    seconds = time.perf_counter() - started
    ranked = sorted(took_ms)
    at = {f"p{share}_ms": ranked[min(count - 1, count * share // 100)] for share in (50, 95, 99)}
    errors = {"not_2xx": sum(number for status, number in statuses.items() if status >= 300)}
    return {
        "requests_per_s": count / seconds,
        "requests": count,
        **at,
        "max_ms": ranked[-1],
        "errors": {name: number for name, number in errors.items() if number},
        "client_cores": (time.process_time() - cpu) / seconds,
    }


def summed(rounds: Sequence[dict[str, Any]], *, items: int) -> dict[str, Any]:
    """Return several rounds as one result: medians, and the spread of the rate."""
    rates = [each["requests_per_s"] for each in rounds]
    errors = {name: sum(each["errors"].get(name, 0) for each in rounds) for each in rounds for name in each["errors"]}
    return {
        "requests_per_s": round(statistics.median(rates), 1),
        "spread": [round(min(rates), 1), round(max(rates), 1)],
        **({"items_per_s": round(items * statistics.median(rates), 1)} if items > 1 else {}),
        **{f"{name}_ms": round(statistics.median(each[f"{name}_ms"] for each in rounds), 2) for name in PERCENTILES},
        "requests": sum(each["requests"] for each in rounds),
        "errors": errors,
        "client_cores": round(statistics.median(each["client_cores"] for each in rounds), 2),
    }
