"""Load by wrk: so many connections, each with a request under way at all times, for so many seconds."""

import json
import resource
import statistics
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.serving.calls import Call

SCRIPT: Final = Path(__file__).with_name("load.lua")
TIMEOUT_S: Final = 120
PERCENTILES: Final = ("p50", "p95", "p99", "max")


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
        "wrk_cores": cpu / took,
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
        "wrk_cores": round(statistics.median(each["wrk_cores"] for each in rounds), 2),
    }
