"""What a detector's weights say of themselves, read without running them: classes, runtime, precision."""

import ast
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import yaml

from contract.errors import WeightsError
from contract.files import read_json
from models.checkpoints import refuse_foreign
from models.yolo import quiet_ultralytics

Runtime = Literal["torch", "onnxruntime", "openvino", "tensorrt"]

_MAX_HEADER: Final = 1 << 20
RECEIPT: Final = "engine.json"  # of an engine that was made here; see `models.engines`


class Facts(NamedTuple):
    """What the weights say: class names by number, who runs them, in which precision, on what side length."""

    names: Mapping[int, str]
    runtime: Runtime
    precision: str
    path: Path  # as the runtime wants it: the folder of an OpenVINO model
    made_for: str | None = None  # the precision that an engine made here was judged in


def runtime_of(path: Path) -> Runtime:
    """Return who runs the weights at `path`, by their form.

    Raises:
        WeightsError: it is none of .pt, .onnx, .engine and an OpenVINO folder.
    """
    if path.is_dir() and next(path.glob("*.xml"), None) is not None:
        return "openvino"
    runtime: Runtime | None = {".pt": "torch", ".onnx": "onnxruntime", ".engine": "tensorrt", ".xml": "openvino"}.get(  # type: ignore[assignment]
        path.suffix
    )
    if runtime is None:
        raise WeightsError(f"{path}: a detector is a .pt, .onnx or .engine file, or an OpenVINO folder with its .xml")
    return runtime


def _names(value: Any, path: Path) -> dict[int, str]:
    try:
        document = ast.literal_eval(value) if isinstance(value, str) else value
        pairs = document.items() if isinstance(document, Mapping) else enumerate(document)
        return {int(number): str(name) for number, name in pairs}
    except (ValueError, SyntaxError, TypeError) as error:
        raise WeightsError(f"{path}: the weights name no classes; export them again with Ultralytics") from error


def _arguments(value: Any) -> Mapping[str, Any]:
    try:
        document = ast.literal_eval(value) if isinstance(value, str) else value
    except (ValueError, SyntaxError):
        return {}
    return document if isinstance(document, Mapping) else {}


def _precision(metadata: Mapping[str, Any]) -> str:
    arguments = _arguments(metadata.get("args"))
    quantized = {8: "int8", "8": "int8", 16: "fp16", "16": "fp16"}.get(arguments.get("quantize"))
    if arguments.get("int8") or quantized == "int8":
        return "int8"
    return "fp16" if arguments.get("half") or quantized == "fp16" else "fp32"


def _openvino_metadata(folder: Path) -> Mapping[str, Any]:
    page = folder / "metadata.yaml"
    try:
        document = yaml.safe_load(page.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise WeightsError(f"{page}: cannot be read; export the model again with Ultralytics") from error
    return document if isinstance(document, Mapping) else {}


def _onnx_metadata(path: Path) -> Mapping[str, Any]:
    try:
        import onnxruntime
    except ImportError as error:
        raise WeightsError(f"{path}: onnxruntime is not installed; install it, or give a .pt file") from error
    from onnxruntime.capi import onnxruntime_pybind11_state as faults  # its errors have no base of their own

    refusals = (faults.Fail, faults.InvalidProtobuf, faults.InvalidGraph, faults.InvalidArgument, faults.NotImplemented)
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except (*refusals, faults.RuntimeException, ValueError) as error:
        raise WeightsError(f"{path}: not a loadable ONNX model ({str(error).splitlines()[0][:120]})") from error
    metadata: Mapping[str, Any] = session.get_modelmeta().custom_metadata_map
    return metadata


def _engine_metadata(path: Path) -> Mapping[str, Any]:
    """Ultralytics puts a little-endian length and that much JSON before the engine itself."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(4), "little")
            document = json.loads(file.read(length)) if 0 < length <= _MAX_HEADER else None
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path}: the engine has no header; export it with Ultralytics on this machine") from error
    if not isinstance(document, Mapping):
        raise WeightsError(f"{path}: the engine has no header; export it with Ultralytics on this machine")
    return document


def _torch_names(path: Path) -> dict[int, str]:
    refuse_foreign(path)
    quiet_ultralytics()
    from ultralytics.nn.tasks import torch_safe_load

    try:
        checkpoint = torch_safe_load(path, safe_only=True)[0]
    except (RuntimeError, TypeError, ValueError, KeyError, AttributeError, ImportError, EOFError) as error:
        raise WeightsError(f"{path}: the checkpoint cannot be loaded ({' '.join(str(error).split())[:160]})") from error
    model = checkpoint.get("ema") or checkpoint.get("model") if isinstance(checkpoint, dict) else None
    if model is None or not hasattr(model, "names"):
        raise WeightsError(f"{path}: the checkpoint holds no Ultralytics model; give weights of a detector")
    if getattr(model, "task", "detect") not in ("detect", None):
        raise WeightsError(f"{path}: the model's task is {model.task}, not detect; give weights of a detector")
    return _names(model.names, path)


def _made_for(path: Path) -> str | None:
    """Return the precision in the receipt of an engine at `path`, if it is one."""
    receipt = path.parent / RECEIPT
    if not receipt.is_file():
        return None
    document = read_json(receipt)
    return str(document["precision"]) if isinstance(document, Mapping) and "precision" in document else None


def read_facts(path: Path) -> Facts:
    """Return what the weights at `path` say of themselves.

    Raises:
        WeightsError: they are of no known form, damaged, unsafe, or no detector.
    """
    runtime = runtime_of(path)
    if runtime == "torch":
        made_for = _made_for(path)
        return Facts(_torch_names(path), runtime, made_for or "fp32", path, made_for)
    if runtime == "openvino":
        path = path if path.is_dir() else path.parent
        metadata = _openvino_metadata(path)
    else:
        metadata = _onnx_metadata(path) if runtime == "onnxruntime" else _engine_metadata(path)
    if metadata.get("task", "detect") != "detect":
        raise WeightsError(f"{path}: the model's task is {metadata['task']}, not detect; give weights of a detector")
    made_for = _made_for(path)
    return Facts(_names(metadata.get("names"), path), runtime, made_for or _precision(metadata), path, made_for)
