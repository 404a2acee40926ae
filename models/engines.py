"""Engines: a detector's weights made ready for one runtime ahead of time, kept by what they were made of.

An engine lies in a folder of its own under the models' cache, named by the weights' digest, the runtime and its version,
the precision and the device, and `engine.json` beside it says so, with what its boxes were worth when it was made.
"""

import contextlib
import logging
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, ValidationError

from contract.errors import DeviceError, InputError, WeightsError
from contract.files import read_json, storage_errors, write_json
from models.checkpoints import refuse_foreign
from models.devices import resolve
from models.exports import RECEIPT, Runtime, runtime_of
from models.images import decode_image
from models.letterbox import fit, letterboxed
from models.registry import Weights, cache_folder
from models.yolo import quiet_ultralytics

Precision = Literal["fp32", "bf16", "fp16", "int8"]
ENGINE: Final = r"^(openvino|onnxruntime|tensorrt|torch)-(fp32|bf16|fp16|int8)$"

_CPU: Final = MappingProxyType({"openvino": ("fp32", "bf16", "int8"), "onnxruntime": ("fp32",), "torch": ("fp32",)})
_CUDA: Final = MappingProxyType({"tensorrt": ("fp32", "fp16"), "onnxruntime": ("fp32",), "torch": ("fp32", "fp16", "bf16")})
_PACKAGES: Final[MappingProxyType[Runtime, tuple[str, ...]]] = MappingProxyType(
    {
        "openvino": ("openvino",),
        "onnxruntime": ("onnxruntime", "onnxruntime-gpu"),
        "tensorrt": ("tensorrt", "tensorrt-cu13", "tensorrt-cu12"),
        "torch": ("torch",),
    }
)
_SIDE: Final = 640  # Ultralytics' own, where the weights do not tell
_FORMATS: Final = MappingProxyType({"openvino": "openvino", "onnxruntime": "onnx", "tensorrt": "engine"})
# Points of AP (of 100) by which an engine may differ from plain torch.
LIMITS: Final[MappingProxyType[Precision, float]] = MappingProxyType({"fp32": 0.1, "bf16": 0.1, "fp16": 0.1, "int8": 0.5})


class Plan(NamedTuple):
    """An engine to be: of which weights, for which runtime, precision and device."""

    weights: Weights
    runtime: Runtime
    precision: Precision
    version: str  # of the runtime
    device: str  # cpu, or cuda:N
    device_name: str

    @property
    def name(self) -> str:
        """How settings call it: runtime-precision."""
        return f"{self.runtime}-{self.precision}"

    @property
    def folder(self) -> Path:
        """Where it lies once it is made."""
        word = "".join(char if char.isalnum() else "_" for char in self.device_name)
        return cache_folder() / "engines" / f"{self.weights.sha256[:16]}-{self.name}-{self.version}-{word}"


class Guard(BaseModel):
    """What an engine's boxes were worth beside plain torch's, on the same pictures."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    images: int
    gold: Literal["labels", "agreement"]
    figure: Literal["AP", "AP50"]
    torch: float
    engine: float
    limit_points: float

    @property
    def change_points(self) -> float:
        """By how many points of 100 the figures differ, in either direction."""
        return abs(self.torch - self.engine) * 100


class EngineReceipt(BaseModel):
    """`engine.json`: of what an engine was made, and what it was worth."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights_sha256: str
    runtime: Runtime
    precision: Precision
    version: str
    device: str
    side: int
    file: str
    guard: Guard


def plan_engine(weights: Weights, *, runtime: Runtime | None, precision: Precision | None, device: str) -> Plan:
    """Choose what was left open: on CUDA TensorRT in fp16 or else torch, on CPUs OpenVINO in bf16 or fp32, or ONNX Runtime.

    Raises:
        WeightsError: the weights are an engine already.
        InputError: the runtime is not installed, or has not this precision on this device.
        DeviceError: the device is absent, or has no bf16.
    """
    if runtime_of(weights.path) != "torch":
        raise WeightsError(f"{weights.path}: engines are built of .pt weights; give those")
    chosen = resolve(device)
    offered = _CUDA if chosen.startswith("cuda") else _CPU
    there = [name for name in _order(chosen) if _version(name) is not None]
    engine = there[0] if runtime is None else runtime
    version = _version(engine)
    if version is None:
        raise InputError(f"{engine} is not installed here; install {_PACKAGES[engine][0]}, or choose another --runtime")
    fitting = _usual(engine, chosen) if precision is None else precision
    if fitting not in offered.get(engine, ()):
        all_of_them = ", ".join(f"{name} {'/'.join(precisions)}" for name, precisions in offered.items())
        raise InputError(f"{engine} in {fitting} is not built for {chosen}; choose one of {all_of_them}")
    if engine == "openvino" and fitting == "bf16" and not _cpu_has_bf16():
        raise DeviceError("this CPU has no bf16 arithmetic; choose --precision fp32 or int8")
    if fitting == "int8" and find_spec("nncf") is None:
        raise InputError("int8 needs nncf, which is not installed; install goldgate[int8]")
    name = torch.cuda.get_device_name(chosen) if chosen.startswith("cuda") else f"cpu-{platform.machine()}"
    return Plan(weights, engine, fitting, version, chosen, name)


def side_of(weights: Weights) -> int:
    """Return the side of the square that .pt weights see where nothing else is said: that of their training."""
    refuse_foreign(weights.path)
    return int(quiet_ultralytics().YOLO(str(weights.path), task="detect").overrides.get("imgsz", _SIDE))


def _order(device: str) -> tuple[Runtime, ...]:
    return ("tensorrt", "torch") if device.startswith("cuda") else ("openvino", "onnxruntime", "torch")


def _usual(runtime: Runtime, device: str) -> Precision:
    if runtime == "openvino":
        return "bf16" if _cpu_has_bf16() else "fp32"
    return "fp16" if device.startswith("cuda") and runtime != "onnxruntime" else "fp32"


def _version(runtime: Runtime) -> str | None:
    for package in _PACKAGES[runtime]:
        with contextlib.suppress(metadata.PackageNotFoundError):
            return metadata.version(package)
    return None


def _cpu_has_bf16() -> bool:
    from models.openvinocore import openvino_core

    return "BF16" in openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class Draft:
    """An engine that is made and not kept yet."""

    def __init__(self, folder: Path, path: Path, side: int) -> None:
        self.path = path
        self.side = side
        self._folder = folder

    def keep(self, plan: Plan, guard: Guard) -> Path:
        """Put the engine where `find_engine` finds it, in place of an earlier one, and return its path.

        Raises:
            StorageError: the cache cannot be written.
        """
        receipt = EngineReceipt(
            weights_sha256=plan.weights.sha256,
            runtime=plan.runtime,
            precision=plan.precision,
            version=plan.version,
            device=plan.device_name,
            side=self.side,
            file=str(self.path.relative_to(self._folder)),
            guard=guard,
        )
        write_json(self._folder / RECEIPT, receipt.model_dump(mode="json"))
        with storage_errors(plan.folder):
            shutil.rmtree(plan.folder, ignore_errors=True)
            self._folder.rename(plan.folder)
        return plan.folder / receipt.file


@contextlib.contextmanager
def making(plan: Plan, pictures: Sequence[Path], *, side: int) -> Iterator[Draft]:
    """Make the engine of `plan`; unless it is kept, nothing of it stays.

    Args:
        plan: of `plan_engine`.
        pictures: to calibrate int8 with.
        side: of the square that it is made for, in pixels.

    Raises:
        StorageError: the cache cannot be written.
    """
    home = plan.folder.parent
    with storage_errors(home):
        home.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=".making-", dir=home))
    try:
        copy = folder / plan.weights.path.name
        shutil.copyfile(plan.weights.path, copy)
        path = copy if plan.runtime == "torch" else _export(plan, copy, side)
        if plan.runtime != "torch":
            copy.unlink()
        if plan.precision == "int8":
            _quantize(path, pictures, side)
        yield Draft(folder, path, side)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _export(plan: Plan, copy: Path, side: int) -> Path:
    options: dict[str, Any] = {"format": _FORMATS[plan.runtime], "imgsz": side, "dynamic": False, "device": plan.device}
    if plan.runtime == "tensorrt" and plan.precision == "fp16":
        options["quantize"] = 16
    return Path(quiet_ultralytics().YOLO(str(copy), task="detect").export(verbose=False, **options))


def _quantize(folder: Path, pictures: Sequence[Path], side: int) -> None:
    """Quantize an OpenVINO folder to int8 after training (NNCF), but for the end of the head."""
    import nncf
    import openvino

    from models.openvinocore import openvino_core

    def entering(picture: Path) -> Any:
        pixels = decode_image(picture.read_bytes())
        place = fit(*pixels.shape[:2], within=(side, side), stride=None)
        return letterboxed(pixels, place).transpose(2, 0, 1)[None].astype("float32") / 255

    page = next(folder.glob("*.xml"))
    model = openvino_core().read_model(page)
    exact = nncf.IgnoredScope(
        names=_last_convolutions(model), types=["Sigmoid", "Softmax", "Subtract", "Divide"], validate=False
    )
    data = nncf.Dataset(list(pictures), entering)
    options = {"preset": nncf.QuantizationPreset.MIXED, "ignored_scope": exact, "subset_size": len(pictures)}
    nncf.set_log_level(logging.ERROR)
    with contextlib.redirect_stdout(sys.stderr):  # where its progress belongs
        quantized = nncf.quantize(model, data, **options)
    openvino.save_model(quantized, str(folder / "quantized.xml"), compress_to_fp16=False)
    del model
    for half in (".xml", ".bin"):
        (folder / f"quantized{half}").replace(page.with_suffix(half))


def _last_convolutions(model: Any) -> list[str]:
    """Return the names of the convolutions that say distances and classes: a step of theirs is a step of every box."""
    from models.openvinonets import cut_head

    cut = cut_head(model)
    names = []
    for result in cut.model.get_results() if cut is not None else ():
        node = result
        while node.get_type_name() != "Convolution":
            node = node.input_value(0).get_node()
        names.append(node.get_friendly_name())
    return names


def device_of(name: str) -> str:
    """Return the device that an engine called `name` is for: half precision in torch, and TensorRT, need CUDA."""
    runtime, _, precision = name.partition("-")
    return "cuda" if runtime == "tensorrt" or (runtime == "torch" and precision != "fp32") else "cpu"


def find_engine(weights: Weights, name: str, device: str) -> Path:
    """Return the engine called `name` (runtime-precision) of `weights` for `device`.

    Raises:
        InputError: the runtime or the precision is none, or not installed.
        WeightsError: it was never built here, or not with this version of the runtime.
    """
    runtime, _, precision = name.partition("-")
    plan = plan_engine(weights, runtime=runtime, precision=precision, device=device)  # type: ignore[arg-type]
    receipt = read_receipt(plan.folder)
    if receipt is None:
        raise WeightsError(
            f"{weights.path}: there is no {name} engine of it for {plan.device_name} and {plan.runtime} {plan.version}; "
            f"run `goldgate models build` with --runtime {runtime} --precision {precision}"
        )
    return plan.folder / receipt.file


def read_receipt(folder: Path) -> EngineReceipt | None:
    """Return what stands in an engine's folder, or None where none does."""
    path = folder / RECEIPT
    if not path.is_file():
        return None
    try:
        return EngineReceipt.model_validate(read_json(path))
    except (ValidationError, InputError) as error:
        raise WeightsError(f"{path}: not a receipt of an engine; remove {folder} and build it again") from error
