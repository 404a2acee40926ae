"""The dashboard and the alerts ask for nothing that /metrics does not tell."""

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families as parse_text

from serving.front import Front, open_front
from serving.watch.gpu import Gpu
from serving.watch.metrics import Metrics
from serving.watch.watching import Watch
from tests.serving.watch.fronts import fakes, settings
from tests.serving.watch.test_page import board

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"
# Made by Prometheus when it scrapes.
OF_THE_SCRAPE = {"instance", "job"}


def families(text: str) -> dict[str, set[str]]:
    """Return the labels of each series by its name."""
    found: dict[str, set[str]] = {}
    families: Iterable[Metric] = parse_text(text)
    for family in families:
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


@pytest.fixture
def exposed(listen: Callable[[Any], str]) -> dict[str, set[str]]:
    front = Front(fakes(), settings(max_items=1), watch=Watch(), jobs=board())
    url = listen(open_front(front))
    httpx.post(f"{url}/v1/sentiment", json={"text": "fine"})
    front.watch.metrics.ended(("rest", "POST", "/v1/sentiment"), 503, 0.1)
    with_gpu, _ = Metrics(read=lambda: [Gpu(0, "H100", 1, 2, 0.5)]).page(None)
    return {**families(with_gpu.decode()), **families(httpx.get(f"{url}/metrics").text)}


def dashboard() -> dict[str, Any]:
    document = json.loads((DEPLOY / "grafana.json").read_text(encoding="utf-8"))
    assert isinstance(document, dict)
    return document


def dashboard_queries() -> list[str]:
    document = dashboard()
    variables = [each["query"]["query"] for each in document["templating"]["list"] if each["type"] == "query"]
    return [target["expr"] for panel in document["panels"] for target in panel["targets"]] + variables


def alert_queries() -> list[str]:
    (group,) = yaml.safe_load((DEPLOY / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    return [rule["expr"] for rule in group["rules"]]


@pytest.mark.parametrize("queries", [dashboard_queries(), alert_queries()], ids=["dashboard", "alerts"])
def test_every_metric_and_label_of_a_query_is_exposed(exposed: dict[str, set[str]], queries: list[str]) -> None:
    assert queries
    known = exposed | {"up": OF_THE_SCRAPE}
    for query in queries:
        named = re.findall(r"\b((?:goldgate|process)_\w+|up)\b(?:\{([^}]*)\})?", query)
        assert named, query
        labels = OF_THE_SCRAPE.union(*(known.get(name, set()) for name, _ in named))
        for name, selector in named:
            assert name in known, f"{query}: {name} is not exposed"
            used = set(re.findall(r"(\w+)\s*[=!]~?\s*\"", selector))
            assert used <= known[name] | OF_THE_SCRAPE, f"{query}: {used}"
        for grouped in re.findall(r"by \(([^)]*)\)", query):
            assert set(grouped.replace(" ", "").split(",")) <= labels, query


def test_each_metric_of_ours_is_on_the_dashboard(exposed: dict[str, set[str]]) -> None:
    shown = " ".join(dashboard_queries())
    ours = {re.sub(r"_(bucket|sum|count)$", "", name) for name in exposed if name.startswith("goldgate_")}
    assert {name for name in ours if name not in shown} == set()


def test_panels_have_titles_and_places_of_their_own() -> None:
    document = dashboard()
    taken: set[tuple[int, int]] = set()
    ids = [panel["id"] for panel in document["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in document["panels"]:
        assert panel["title"]
        place = panel["gridPos"]
        assert 0 <= place["x"] <= place["x"] + place["w"] <= 24
        cells = {(place["x"] + dx, place["y"] + dy) for dx in range(place["w"]) for dy in range(place["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells


def test_the_example_of_prometheus_scrapes_the_shared_port() -> None:
    document = yaml.safe_load((DEPLOY / "prometheus.yml").read_text(encoding="utf-8"))
    assert [each["job_name"] for each in document["scrape_configs"]] == ["goldgate", "ray"]
    assert document["scrape_configs"][0]["metrics_path"] == "/metrics"
    assert [(DEPLOY / name).is_file() for name in document["rule_files"]] == [True]
