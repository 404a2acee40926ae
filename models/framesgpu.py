"""Features of videos that are decoded by the GPU (NVDEC, by way of torchcodec), measured there as well.

The decoder hands out RGB, from which luma and chroma are computed back; what the conversion rounds or clips shows as a
difference from the CPU's features: 2 levels of luma and 3 of chroma on the mean. Sharpness is measured on the same grid.
"""

import importlib.util
from collections.abc import Iterator
from typing import Any, Final

import av
import numpy as np
import torch
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from contract.errors import DeviceError, SourceError
from contract.predictor import Source
from models.analysis import Analysis, Reading, analyse
from models.content import open_content
from models.devices import resolve
from models.features import ANALYSIS, CHROMA, CHROMA_GRID, LUMA, Features
from models.openvideo import OpenVideo
from models.sampling import step_for
from models.spool import FeatureSpool
from models.timeline import Clock

BATCH_BYTES: Final = 256 << 20  # of decoded pictures at a time
_BT601: Final = (0.299, 0.114)  # weights of red and blue in luma, ITU-R BT.601
_BT709: Final = (0.2126, 0.0722)
_STUDIO_LUMA: Final = 219.0 / 255.0
_STUDIO_CHROMA: Final = 224.0 / 255.0


def check_gpu_decoding(device: str) -> str:
    """Return the CUDA device that `device` means, where videos can be decoded there.

    Raises:
        DeviceError: it is no CUDA device, is absent, or torchcodec is not installed.
    """
    resolved = resolve(device)
    if not resolved.startswith("cuda"):
        raise DeviceError(f"decoder: gpu was asked for and the device is {resolved!r}; choose cuda, or decoder: cpu")
    if importlib.util.find_spec("torchcodec") is None:
        raise DeviceError("decoding by a GPU needs the package torchcodec; install it, or choose decoder: cpu")
    return resolved


def analyse_on_gpu(source: Source, device: str, reading: Reading) -> Analysis:
    """Decode and measure the whole of `source` on `device`; the CPU does it for pictures that are to be turned.

    Raises:
        SourceError: it cannot be opened or decoded, is cut off, or is longer than the limit.
        StorageError: the folder for temporary files cannot be written.
    """
    with OpenVideo(source, max_seconds=reading.max_seconds) as video:
        first = next((picture for packet in video.packets() for picture in packet.decode()), None)
        if isinstance(first, av.VideoFrame) and first.rotation:
            return analyse(source, None, reading)  # torchcodec turns pictures upright, and features are of them as stored
        codec = video.stream.codec_context
        weights = _BT709 if codec.colorspace == Colorspace.ITU709 else _BT601
        clock, spool = Clock(video.step), FeatureSpool()
        full_range = (codec.pix_fmt or "").startswith("yuvj") or codec.color_range == ColorRange.JPEG
        for rgb, times, lengths in _batches(source, device, video):
            spool.append(measured(rgb, weights=weights, full_range=full_range))
            for shown, length in zip(times, lengths, strict=True):
                clock.tick(shown, length)
        if not clock.frames:
            raise SourceError("the video stream holds no frames")
        video.check_tail(clock)
    return Analysis(spool.features(), clock.timeline(), clock.first)


def _batches(source: Source, device: str, video: OpenVideo) -> Iterator[tuple[torch.Tensor, list[float], list[float]]]:
    """Yield RGB (n x 3 x H x W, uint8, on the device) with the seconds and the length of each picture."""
    from torchcodec.decoders import VideoDecoder

    size = 3 * video.stream.codec_context.width * video.stream.codec_context.height
    step = max(1, BATCH_BYTES // max(1, size))
    try:
        with open_content(source) as file:
            decoder: Any = VideoDecoder(file, stream_index=video.stream.index, device=device)
            for first in range(0, len(decoder), step):
                batch = decoder.get_frames_in_range(first, min(first + step, len(decoder)))
                yield batch.data, batch.pts_seconds.tolist(), batch.duration_seconds.tolist()
    except (RuntimeError, ValueError, IndexError, OSError) as error:
        raise SourceError(f"cannot be decoded by the GPU ({' '.join(str(error).split())[:200]})") from error


def measured(rgb: torch.Tensor, *, weights: tuple[float, float], full_range: bool) -> Features:
    """Return the features of upright or stored pictures, as models/features.py has them.

    Args:
        rgb: n x 3 x H x W, uint8, full range.
        weights: of red and blue in luma.
        full_range: whether the stored luma was; sharpness is in its levels.
    """
    red, blue = weights
    height, width = rgb.shape[2:]
    cells = _sampled(rgb, step_for(width, height, grid=ANALYSIS))
    luma = red * cells[:, 0] + (1.0 - red - blue) * cells[:, 1] + blue * cells[:, 2]
    coarse = _sampled(rgb, step_for(width, height, grid=CHROMA_GRID))
    base = red * coarse[:, 0] + (1.0 - red - blue) * coarse[:, 1] + blue * coarse[:, 2]
    chroma = [
        128.0 + _STUDIO_CHROMA * (coarse[:, channel] - base) / (2.0 * (1.0 - weight))
        for channel, weight in ((2, blue), (0, red))
    ]
    columns = [_block_means(plane, CHROMA[1], CHROMA[0]) for plane in chroma]
    scale = 1.0 if full_range else _STUDIO_LUMA
    return Features(_block_means(luma, LUMA[1], LUMA[0]), np.concatenate(columns, axis=1), _laplacian_variance(luma * scale))


def _sampled(rgb: torch.Tensor, step: int) -> torch.Tensor:
    """Return the mean of four pixels of each cell, float32, as `models.sampling.sample` chooses them."""
    rows, columns = rgb.shape[2] // step, rgb.shape[3] // step
    near, far = step // 4, step - 1 - step // 4
    total = torch.zeros((*rgb.shape[:2], rows, columns), device=rgb.device)
    for down in (near, far):
        for along in (near, far):
            total += rgb[:, :, down::step, along::step][:, :, :rows, :columns]
    return total / 4.0


def _block_means(planes: torch.Tensor, rows: int, columns: int) -> NDArray[np.uint8]:
    down, along = _shares(planes.shape[1], rows, planes.device), _shares(planes.shape[2], columns, planes.device)
    means = (down @ planes @ along.T).clamp(0.0, 255.0)
    result: NDArray[np.uint8] = (means + 0.5).to(torch.uint8).flatten(1).cpu().numpy()
    return result


def _shares(whole: int, parts: int, device: torch.device) -> torch.Tensor:
    """Return parts x whole: the share of each row or column in the mean of a block."""
    first = torch.arange(parts) * whole // parts
    last = torch.maximum(first + 1, (torch.arange(parts) + 1) * whole // parts)
    at = torch.arange(whole)
    inside = (at >= first[:, None]) & (at < last[:, None])
    return (inside / (last - first)[:, None]).to(device, torch.float32)


def _laplacian_variance(luma: torch.Tensor) -> NDArray[np.float32]:
    if luma.shape[1] < 3 or luma.shape[2] < 3:
        return np.zeros(len(luma), np.float32)
    sides = luma[:, :-2, 1:-1] + luma[:, 2:, 1:-1] + luma[:, 1:-1, :-2] + luma[:, 1:-1, 2:]
    edges = sides - 4.0 * luma[:, 1:-1, 1:-1]
    result: NDArray[np.float32] = edges.flatten(1).double().var(dim=1, correction=0).float().cpu().numpy()
    return result
