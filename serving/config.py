"""Settings of the service, validated whole: which models, on what, how many, and how much a call may carry."""

import ipaddress
import socket
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from contract.errors import InputError
from contract.tables import Kind
from serving.access.settings import AccessSettings
from serving.doors.labelstudio.settings import LabelStudioSettings
from serving.http.addresses import UriRules
from serving.jobs import JobSettings
from serving.settings import MIB as MIB
from serving.settings import Positive as Positive
from serving.settings import Seconds as Seconds
from serving.settings import Settings as Settings
from serving.watch.settings import WatchSettings


class Batching(Settings):
    """How the items of small calls are gathered: as many as wait, whenever one of the calls in flight is answered."""

    max_batch_size: Positive = 16
    calls_in_flight: Positive = 2
    """Gathered calls on their way to each replica: one that the model works on, and the next."""
    full_calls_in_flight: Positive | None = None
    """As many where each but the last is as large as may be, for such calls gain nothing by waiting; None: no more than
    the others. More of them keep a fast model at work while the doors are busy."""


class Scaling(Settings):
    """How many replicas: Serve adds one when each carries more than `target_ongoing_requests`."""

    min_replicas: Annotated[int, Field(ge=0)] = 1
    max_replicas: Positive = 1
    target_ongoing_requests: Annotated[float, Field(gt=0)] = 1.5

    @model_validator(mode="after")
    def _ordered(self) -> "Scaling":
        if self.min_replicas > self.max_replicas:
            raise ValueError(f"min_replicas {self.min_replicas} is above max_replicas {self.max_replicas}")
        return self


class ModelSettings(Settings):
    """One deployment: a model by its name in configs/models.yaml, by path, or "fake"."""

    name: Annotated[str, Field(min_length=1)]
    models_file: Path | None = None
    device: str = "auto"
    num_cpus: Annotated[float, Field(ge=0)] = 0.5
    num_gpus: Annotated[float, Field(ge=0)] | None = None
    """GPUs, or a fraction of one, that a replica reserves; None: a quarter where `device` finds GPUs, else none."""
    threads: Positive | None = None
    """Threads of the model's own arithmetic on a CPU; None leaves it to Ray, which gives one a whole CPU asked for."""
    batching: Batching = Batching()
    scaling: Scaling = Scaling()
    max_ongoing_requests: Positive = 64
    health_check_period_s: Seconds = 5.0
    health_check_timeout_s: Seconds = 30.0

    @model_validator(mode="after")
    def _cuda_needs_a_gpu(self) -> "ModelSettings":
        if self.device.startswith("cuda") and self.num_gpus == 0:
            raise ValueError("device cuda needs num_gpus above 0, else Ray hides every GPU from the replica")
        return self


class Limits(Settings):
    """What one HTTP call may carry, and how long it may take."""

    max_body_bytes: Positive = 64 * MIB
    max_video_bytes: Positive = 512 * MIB
    max_items: Positive = 64
    max_job_items: Positive = 1024
    max_items_waiting: Positive = 256
    """Items that may wait for one model; more are refused with 503 until there is room."""
    max_bytes_waiting: Positive = 512 * MIB
    """Bytes of contents that may wait for one model."""
    max_bytes_held: Positive = 1024 * MIB
    """Bytes of the bodies of all requests under way together; what has no room waits, then is refused with 503."""
    max_chunk_items_waiting: Positive = 16_384
    """Items of jobs' chunks that may wait for one model."""
    call_timeout_s: Seconds = 600.0
    stream_heartbeat_s: Seconds = 10.0
    """How often a streamed answer says that an item is still worked on."""
    drain_s: Seconds = 30.0
    """How long answers under way may take when the service stops."""


class Door(str, Enum):
    """A protocol that the service speaks."""

    REST = "rest"
    CVAT = "cvat"
    XANYLABELING = "xanylabeling"
    LABELSTUDIO = "labelstudio"


class DoorSettings(Settings):
    """Whether a door is open, and the port it has for itself beside the shared one."""

    open: bool = True
    port: Annotated[int, Field(gt=0, lt=65536)] | None = None
    deadline_s: Seconds | None = None
    """How long a review tool's call may take, which is to be less than the tool waits; None leaves the door's own."""


class ServeSettings(Settings):
    """Everything that the service needs; the ``args`` of the application in configs/serve.yaml."""

    models: Annotated[dict[Kind, ModelSettings], Field(min_length=1)]
    terms: dict[str, Any] | None = None
    """A contract's document: its classes, label map and thresholds; None keeps the models' own."""
    limits: Limits = Limits()
    doors: dict[Door, DoorSettings] = Field(default_factory=dict, validate_default=True)
    """All doors are open on the shared port; what is said here differs."""
    allowed_folders: tuple[Path, ...] = ()
    """Folders that the replicas can read and that a caller may name paths in; none by default."""
    uris: UriRules = UriRules()
    """Which addresses the service may fetch for a caller; none by default."""
    labelstudio: LabelStudioSettings = LabelStudioSettings()
    """Which Label Studio servers are trusted, and whose finished work goes into which lot."""
    access: AccessSettings = AccessSettings()
    """Who may call, and how much."""
    work: Path | None = None
    """The work folder, as of the command line's --work; without one the service keeps nothing and has no jobs."""
    watch: WatchSettings = WatchSettings()
    """What operators see: log, traces, status page."""
    jobs: JobSettings = JobSettings()
    num_cpus: Annotated[float, Field(ge=0)] = 0.1
    """CPUs that the HTTP front door reserves."""

    @field_validator("doors")
    @classmethod
    def _all_doors(cls, doors: dict[Door, DoorSettings]) -> dict[Door, DoorSettings]:
        return {door: doors.get(door, DoorSettings()) for door in Door}

    @model_validator(mode="after")
    def _folders_are_absolute(self) -> "ServeSettings":
        for folder in self.allowed_folders:
            if not folder.is_absolute():
                raise ValueError(f"allowed_folders: {folder} is not absolute")
        return self

    @classmethod
    def of(cls, models: Mapping[Kind, str], *, device: str, terms: dict[str, Any] | None = None) -> "ServeSettings":
        """Return the default settings for `models` by name, all on `device`."""
        return cls(models={kind: ModelSettings(name=name, device=device) for kind, name in models.items()}, terms=terms)


class Address(Settings):
    """Where HTTP listens; loopback unless told otherwise."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, lt=65536)] = 8000
    """0 takes a free one."""
    ssl_certfile: Path | None = None
    ssl_keyfile: Path | None = None
    """Certificate chain and key, both in PEM: with them the service speaks HTTPS."""

    @model_validator(mode="after")
    def _both_files(self) -> "Address":
        if (self.ssl_certfile is None) != (self.ssl_keyfile is None):
            raise ValueError("ssl_certfile and ssl_keyfile go together")
        return self

    @property
    def is_loopback(self) -> bool:
        """Tell whether only this machine can reach it."""
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except OSError:
            return False
        return all(ipaddress.ip_address(address[0]).is_loopback for *_, address in found)

    @property
    def scheme(self) -> str:
        """Return https where there is a certificate, else http."""
        return "http" if self.ssl_certfile is None else "https"


def load_settings(path: Path) -> tuple[ServeSettings, Address]:
    """Read the settings and the address from a Serve config file such as configs/serve.yaml.

    Raises:
        InputError: the file is absent, not YAML, or its application is not ours; every wrong field is named.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a YAML document ({' '.join(str(error).split())})") from error
    try:
        (application,) = document["applications"]
        options = document.get("http_options", {})
        address = {key: options[key] for key in Address.model_fields if key in options}
        settings = application["args"]
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: not a Serve config with one application and its args") from error
    try:
        return ServeSettings.model_validate(settings), Address.model_validate(address)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise InputError(f"{path}: {error.error_count()} problem(s): {problems}") from error
