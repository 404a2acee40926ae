"""Who computes a text classifier: torch on the CPU, torch on CUDA without padding, or OpenVINO on the CPU in streams.

OpenVINO runs several batches at a time, each on a share of the threads, and none waits for another at every layer. Its
network is converted from the loaded torch module, and is used only if it answers as that does on trial batches of other
shapes than it was traced with.
"""

import importlib.util
import queue
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import torch
import transformers
from numpy.typing import NDArray

from contract.errors import StorageError, WeightsError
from contract.files import first_line, sha256_json, storage_errors
from models.openvinocore import openvino_core
from models.textbatches import Batch
from models.textfolder import quiet
from models.textpacked import CUDA_CALLS, Kernel, PackedEngine, varlen_attn

CPU_BATCH_TOKENS: Final = 2048
CUDA_BATCH_TOKENS: Final = 65_536
_TRIALS: Final = ((1, 5), (3, 19), (2, 12))  # windows, tokens
_TOLERANCE: Final = 1e-3  # of logits
_HALF_TOLERANCE: Final = 5e-2  # of logits that two kernels compute in half precision


class Engine(Protocol):
    """A loaded classifier that `at_once` threads may call at the same time."""

    at_once: int
    batch_tokens: int
    runtime: str
    precision: str

    def logits(self, batch: Batch) -> NDArray[np.float64]:
        """Return the model's outputs, (windows, labels)."""
        ...


class TorchEngine:
    """The torch module on its device."""

    def __init__(self, model: Any, device: torch.device) -> None:
        self._model, self._device = model.to(device), device
        cuda = device.type == "cuda"
        self.at_once = CUDA_CALLS if cuda else 1
        self.batch_tokens = CUDA_BATCH_TOKENS if cuda else CPU_BATCH_TOKENS
        self.runtime = f"transformers {transformers.__version__}, torch {torch.__version__}"
        self.precision = str(model.dtype).removeprefix("torch.")

    @torch.inference_mode()
    def logits(self, batch: Batch) -> NDArray[np.float64]:
        """Return the model's outputs, (windows, labels)."""
        named = {"input_ids": batch.ids, "attention_mask": batch.mask, "token_type_ids": batch.types}
        inputs = {name: self._moved(array) for name, array in named.items() if array is not None}
        outputs: NDArray[np.float64] = self._model(**inputs).logits.float().cpu().double().numpy()
        return outputs

    def _moved(self, array: NDArray[np.int64]) -> torch.Tensor:
        tensor = torch.from_numpy(array)
        if self._device.type == "cpu":
            return tensor
        return tensor.pin_memory().to(self._device, non_blocking=True)


def open_cuda(model: Any, device: torch.device, *, typed: bool, kernel: Kernel = varlen_attn) -> Engine:
    """Return the engine of a torch classifier on CUDA: without padding where it answers on trial batches as with it.

    The kernels are of half precision; in float32, and where a model cannot be run so, windows are padded.

    Args:
        model: the classifier, as it is to be run.
        device: where.
        typed: whether it is to be told token types.
        kernel: attention of variable length.
    """
    plain, attention = TorchEngine(model, device), model.config._attn_implementation
    trials = [_trial(model, windows=windows, tokens=tokens, typed=typed) for windows, tokens in _TRIALS]
    wanted = [plain.logits(batch) for batch in trials]
    tolerance = _TOLERANCE if model.dtype == torch.float32 else _HALF_TOLERANCE
    try:
        packed = PackedEngine(model, device, batch_tokens=plain.batch_tokens, kernel=kernel)
        found = [packed.logits(batch) for batch in trials]
    except (RuntimeError, ValueError, TypeError, KeyError, IndexError, AttributeError, NotImplementedError):
        found = []  # transformers and the kernels say so in many ways
    if found and all(np.allclose(a, b, rtol=tolerance, atol=tolerance) for a, b in zip(found, wanted, strict=True)):
        return packed
    model.set_attn_implementation(attention)
    return plain


class OpenVinoEngine:
    """OpenVINO's network of a classifier, on as many streams as suit the threads that torch would use."""

    def __init__(self, network: Any, *, precision: str) -> None:
        import openvino

        options = {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bfloat16" else "f32",
        }
        compiled = openvino_core().compile_model(network, "CPU", options)
        self.at_once = int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        self.batch_tokens = CPU_BATCH_TOKENS
        self.runtime = f"transformers {transformers.__version__}, openvino {openvino.__version__.split('-')[0]}"
        self.precision = precision
        self._typed = len(compiled.inputs) > 2
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(self.at_once):
            self._requests.put(compiled.create_infer_request())

    def logits(self, batch: Batch) -> NDArray[np.float64]:
        """Return the network's outputs, (windows, labels)."""
        inputs: list[NDArray[np.int64]] = [batch.ids, batch.mask]
        if self._typed:
            inputs.append(np.zeros_like(batch.ids) if batch.types is None else batch.types)
        request = self._requests.get()
        try:
            # Shared with the request until its next call, by which time it is somebody's own.
            outputs: NDArray[np.float64] = request.infer(inputs, share_inputs=True)[0].astype(np.float64)
            return outputs
        finally:
            self._requests.put(request)


def openvino_is_there() -> bool:
    """Return whether OpenVINO is installed."""
    return importlib.util.find_spec("openvino") is not None


def cpu_has_bfloat16() -> bool:
    """Return whether OpenVINO computes in bfloat16 on this CPU."""
    return "BF16" in openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def open_openvino(model: Any, *, typed: bool, precision: str, cache: Path | None, digest: str | None) -> OpenVinoEngine:
    """Return the engine that OpenVINO makes of a torch classifier on the CPU.

    Args:
        model: the classifier, in float32.
        typed: whether it is to be told token types.
        precision: float32 or bfloat16.
        cache: folder where the converted network of weights with `digest` is kept; None keeps none.
        digest: SHA-256 of the weights.

    Raises:
        WeightsError: the network cannot be converted, or does not answer as the classifier does.
    """
    engine = OpenVinoEngine(_network(model, typed=typed, cache=cache, digest=digest), precision="float32")
    _try(engine, model, typed=typed)
    if precision == "float32":
        return engine
    return OpenVinoEngine(_network(model, typed=typed, cache=cache, digest=digest), precision=precision)


def _network(model: Any, *, typed: bool, cache: Path | None, digest: str | None) -> Any:
    import openvino

    if cache is None or digest is None:
        return _converted(model, typed=typed)
    versions = [openvino.__version__, torch.__version__, transformers.__version__]
    folder = cache / f"openvino-{sha256_json([digest, typed, versions])[:16]}"
    try:
        return openvino_core().read_model(folder / "network.xml")
    except RuntimeError:  # absent or damaged
        network = _converted(model, typed=typed)
    try:
        _keep(network, folder)
    except (StorageError, OSError):
        return network  # without a cache it is converted at every start
    return network


def _keep(network: Any, folder: Path) -> None:
    import openvino

    with storage_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as part:
            made = Path(part) / "new"
            made.mkdir()
            openvino.save_model(network, made / "network.xml", compress_to_fp16=False)
            if folder.exists():  # damaged, or another process was quicker: either way the new one serves
                folder.rename(Path(part) / "old")
            made.rename(folder)


class _Named(torch.nn.Module):
    """The classifier with inputs in a fixed order and its logits alone."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self._inner = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, *types: torch.Tensor) -> torch.Tensor:
        """Return the logits."""
        named = {"token_type_ids": types[0]} if types else {}
        logits: torch.Tensor = self._inner(input_ids=input_ids, attention_mask=attention_mask, **named).logits
        return logits


def _converted(model: Any, *, typed: bool) -> Any:
    import openvino

    example = _trial(model, windows=2, tokens=16, typed=typed)
    tensors = tuple(torch.from_numpy(array) for array in _given(example))
    shapes = [openvino.PartialShape([-1, -1])] * len(tensors)
    with quiet(), warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the tracer's remarks; whether the trace holds is tried afterwards
        try:
            return openvino.convert_model(_Named(model), example_input=tensors, input=shapes)
        except Exception as error:  # the converter raises Exception itself
            raise WeightsError(f"OpenVINO cannot convert {model.config.model_type} ({first_line(error)})") from error


def _given(batch: Batch) -> Sequence[NDArray[np.int64]]:
    return [array for array in batch if array is not None]


def _trial(model: Any, *, windows: int, tokens: int, typed: bool) -> Batch:
    """Return a batch of arbitrary tokens, all but the first window padded."""
    padding = model.config.pad_token_id or 0
    chosen = np.random.default_rng(windows * tokens).integers(0, model.config.vocab_size, (windows, tokens))
    real = np.arange(tokens) < np.arange(tokens, tokens - windows, -1)[:, None]
    ids = np.where(real, np.where(chosen == padding, (padding + 1) % model.config.vocab_size, chosen), padding)
    types = (real & (np.arange(tokens) >= tokens // 2)).astype(np.int64) if typed else None
    return Batch(ids.astype(np.int64), real.astype(np.int64), types)


def _try(engine: OpenVinoEngine, model: Any, *, typed: bool) -> None:
    truth = TorchEngine(model, torch.device("cpu"))
    for windows, tokens in _TRIALS:
        batch = _trial(model, windows=windows, tokens=tokens, typed=typed)
        try:
            found = engine.logits(batch)
        except RuntimeError as error:
            raise WeightsError(f"OpenVINO cannot run {model.config.model_type} ({first_line(error)})") from error
        wanted = truth.logits(batch)
        if found.shape != wanted.shape or not np.allclose(found, wanted, rtol=_TOLERANCE, atol=_TOLERANCE):
            raise WeightsError(f"OpenVINO does not answer as torch does for {model.config.model_type}")
