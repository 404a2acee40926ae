"""Doors on ports of this process: several ports, TLS, draining, models exchanged under load, signals."""

import gc
import os
import signal
import ssl
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pyarrow as pa
import pytest

from contract.errors import InputError
from contract.predictor import Description, Predictor, Source
from contract.tables import Kind
from models.fake import FakePredictor
from serving.config import Address, Door, DoorSettings, ModelSettings, ServeSettings
from serving.front import Front
from serving.listen import Listener, open_doors, serve_forever, settled
from serving.running import LocalModels, start_serving


class Slow:
    """The fake under another version, that takes its time."""

    def __init__(self, version: str, seconds: float) -> None:
        self._fake = FakePredictor(Kind.TEXT)
        self._version = version
        self._seconds = seconds

    def describe(self) -> Description:
        return self._fake.describe().model_copy(update={"version": self._version})

    def load(self, device: str) -> None:
        self._fake.load(device)

    def predict(self, sources: Sequence[Source]) -> pa.Table:
        time.sleep(self._seconds)
        return self._fake.predict(sources)


def settings(version: str = "1", **others: object) -> ServeSettings:
    model = ModelSettings(name=version, device="cpu", num_cpus=0.1)
    return ServeSettings.model_validate({"models": {Kind.TEXT: model}, **others})


def slow_models(first: ServeSettings, seconds: float = 0.02) -> LocalModels:
    def make(kind: Kind, given: ServeSettings) -> Predictor:
        return Slow(given.models[kind].name, seconds)

    return LocalModels(first, make)


def ask(client: httpx.Client, url: str, text: str = "a") -> httpx.Response:
    return client.post(f"{url}/v1/sentiment", json={"text": text})


def test_models_are_exchanged_under_load_and_no_call_is_dropped() -> None:
    models = slow_models(settings("1"))
    stop = threading.Event()
    with open_doors(models, Address(port=0), lambda backend: Front(backend, models.settings)) as doors:
        url = f"http://127.0.0.1:{doors.ports[0]}"

        def caller(number: int) -> Counter[str]:
            seen: Counter[str] = Counter()
            with httpx.Client(timeout=30) as client:
                while not stop.is_set():
                    reply = ask(client, url, f"{number}")
                    assert reply.status_code == 200, reply.text
                    seen[reply.json()["model"]["version"]] += 1
            return seen

        with ThreadPoolExecutor(8) as pool:
            calls = [pool.submit(caller, number) for number in range(8)]
            for version in ("2", "3"):
                time.sleep(0.3)
                assert doors.change(settings(version)) == [Kind.TEXT]
            time.sleep(0.3)
            stop.set()
            seen = sum((call.result() for call in calls), Counter())
    assert set(seen) == {"1", "2", "3"}
    assert doors.change(settings("3")) == []


@pytest.mark.e2e
def test_models_on_ray_are_exchanged_under_load(ray_address: tuple[str, int]) -> None:
    model = ModelSettings(name="fake", device="cpu", num_cpus=0.1)
    first = ServeSettings(models={Kind.TEXT: model})
    second = ServeSettings(models={Kind.TEXT: model.model_copy(update={"max_ongoing_requests": 32})})
    stop = threading.Event()
    with (
        start_serving(first, application="exchanged") as models,
        open_doors(models, Address(port=0), lambda backend: Front(backend, first)) as doors,
    ):
        url = f"http://127.0.0.1:{doors.ports[0]}"

        def caller() -> int:
            count = 0
            with httpx.Client(timeout=60) as client:
                while not stop.is_set():
                    reply = ask(client, url)
                    assert reply.status_code == 200, reply.text
                    count += 1
            return count

        with ThreadPoolExecutor(4) as pool:
            calls = [pool.submit(caller) for _ in range(4)]
            assert doors.change(second) == [Kind.TEXT]
            time.sleep(0.5)
            stop.set()
            assert all(call.result() > 0 for call in calls)
        assert httpx.get(f"{url}/readyz").json() == {"status": "ready"}


def test_stopping_answers_what_is_under_way() -> None:
    models = slow_models(settings(), seconds=0.5)
    with ThreadPoolExecutor(8) as pool, httpx.Client(timeout=30) as client:
        with open_doors(models, Address(port=0), lambda backend: Front(backend, models.settings)) as doors:
            url = f"http://127.0.0.1:{doors.ports[0]}"
            assert ask(client, url).status_code == 200
            calls = [pool.submit(ask, client, url, f"{number}") for number in range(8)]
            time.sleep(0.2)
        assert [call.result().status_code for call in calls] == [200] * 8
        with pytest.raises(httpx.ConnectError):
            ask(client, url)


def test_a_door_may_have_a_port_of_its_own() -> None:
    with Listener([(0, _nothing), (0, _nothing)], Address(port=0), drain_s=1) as listener:
        own = listener.ports[1]
    models = slow_models(settings(doors={Door.REST: DoorSettings(port=own)}))
    with open_doors(models, Address(port=0), lambda backend: Front(backend, models.settings)) as doors:
        assert doors.ports[1] == own
        assert len(set(doors.ports)) == 2
        for port in doors.ports:
            assert httpx.get(f"http://127.0.0.1:{port}/healthz").json() == {"status": "up"}


async def _nothing(scope: object, receive: object, send: object) -> None:
    raise AssertionError("nobody calls")


def test_a_taken_port_and_a_foreign_host_are_one_sentence() -> None:
    with Listener([(0, _nothing)], Address(port=0), drain_s=1) as listener:
        taken = listener.ports[0]
        with pytest.raises(InputError, match=rf"127.0.0.1:{taken}: cannot listen there \(Address already in use\)"):
            Listener([(taken, _nothing)], Address(port=taken), drain_s=1)
    with pytest.raises(InputError, match=r"192.0.2.1:0: cannot listen there"):
        Listener([(0, _nothing)], Address(host="192.0.2.1", port=0), drain_s=1)


def test_tls_by_files(tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    ask_for = f"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -keyout {key} -out {certificate}"
    ask_for += " -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    subprocess.run(["openssl", *ask_for.split()], check=True, capture_output=True)  # noqa: S603, S607
    models = slow_models(settings())
    address = Address(port=0, ssl_certfile=certificate, ssl_keyfile=key)
    with open_doors(models, address, lambda backend: Front(backend, models.settings)) as doors:
        url = f"https://127.0.0.1:{doors.ports[0]}"
        with httpx.Client(verify=ssl.create_default_context(cafile=certificate)) as client:
            assert ask(client, url).status_code == 200
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.get(f"{url}/healthz")
    with pytest.raises(InputError, match=r"cert.pem: no usable certificate and key"):
        Listener([(0, _nothing)], Address(ssl_certfile=certificate, ssl_keyfile=tmp_path / "absent"), drain_s=1)


def test_signals_reload_and_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    models = slow_models(settings("1"))
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    with Listener([(0, _nothing)], Address(port=0), drain_s=1) as listener:
        address = Address(port=listener.ports[0])
    read = iter([settings("2")])
    seen: list[str] = []

    def reload() -> ServeSettings:
        for found in read:
            return found
        raise InputError("serve.yaml: broken")

    def version(client: httpx.Client) -> str:
        return str(client.get(f"http://127.0.0.1:{address.port}/v1/models").json()["models"][0]["version"])

    def operate() -> None:
        while signal.getsignal(signal.SIGHUP) is before[signal.SIGHUP]:
            time.sleep(0.02)
        with httpx.Client(transport=httpx.HTTPTransport(retries=20), timeout=30) as client:
            seen.append(version(client))
            os.kill(os.getpid(), signal.SIGHUP)
            while version(client) != "2":
                time.sleep(0.02)
            os.kill(os.getpid(), signal.SIGHUP)  # the settings are broken now, which changes nothing
            time.sleep(0.1)
            seen.append(version(client))
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=operate, daemon=True)
    thread.start()
    serve_forever(models, address, make_front=lambda backend: Front(backend, models.settings), reload=reload)
    thread.join(timeout=60)
    assert seen == ["1", "2"]
    assert {number: signal.getsignal(number) for number in before} == before


def test_what_stands_is_no_work_for_the_collector_until_the_end() -> None:
    before = gc.get_freeze_count()
    with settled():
        assert gc.get_freeze_count() > before
        assert len(gc.get_objects()) < gc.get_freeze_count()
    assert gc.get_freeze_count() == 0
