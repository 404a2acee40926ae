"""Thumbnails and sharpness straight from decoded planes, by a few samples of each small area instead of a scaler.

A plane is seen as a grid of cells of `step` x `step` pixels; four pixels of each cell, spread evenly, stand for it. At a
step of 2 they are the whole cell, and the grid is the exact area mean. What is read is a quarter of a megabyte a picture
at most, whatever the picture's size.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from contract.compiled import compiled

SAMPLES: Final = 4  # pixels that stand for a cell
MOST_BITS: Final = 14  # a pixel may have for the sum of a cell to fit 16 bits

Grid = NDArray[np.uint16]


def step_for(width: int, height: int, *, grid: tuple[int, int]) -> int:
    """Return the side of a cell in pixels: the largest at which the grid keeps `grid` (columns, rows), at least 1."""
    return max(1, min(width // grid[0], height // grid[1]))


@compiled
def sample(pixels: NDArray[Any], step: int, grid: Grid) -> None:
    """Fill `grid` (rows x columns) with the sum of four pixels of each cell of `step` x `step`.

    Args:
        pixels: a C-contiguous plane, unsigned, with at least `step` times the rows and columns of `grid`.
        step: side of a cell in pixels.
        grid: written to; uint16, which holds four pixels of up to 14 bits.
    """
    rows, columns = grid.shape
    one = step // 4
    two = step - 1 - one
    for row in range(rows):
        upper, lower, cells = pixels[row * step + one], pixels[row * step + two], grid[row]
        if step == 1:
            for column in range(columns):
                cells[column] = 4 * upper[column]
        elif step == 2:  # written out, so that the compiler knows the stride
            for column in range(columns):
                cells[column] = upper[2 * column] + upper[2 * column + 1] + lower[2 * column] + lower[2 * column + 1]
        else:
            for column in range(columns):
                left, right = column * step + one, column * step + two
                cells[column] = upper[left] + upper[right] + lower[left] + lower[right]


@compiled
def block_means(grid: Grid, scale: float, offset: float, means: NDArray[np.uint8]) -> None:
    """Fill `means` (rows x columns) with the rounded mean of scale x cell + offset over blocks of cells, in [0, 255].

    Blocks meet at whole cells; of a grid smaller than `means`, cells are repeated.
    """
    height, width = grid.shape
    rows, columns = means.shape
    sums = np.empty(width, np.int32)
    for row in range(rows):
        top = row * height // rows
        bottom = max(top + 1, (row + 1) * height // rows)
        sums[:] = 0
        for at in range(top, bottom):
            cells = grid[at]
            for column in range(width):
                sums[column] += cells[column]
        for column in range(columns):
            left = column * width // columns
            right = max(left + 1, (column + 1) * width // columns)
            total = 0
            for at in range(left, right):
                total += sums[at]
            mean = scale * total / ((bottom - top) * (right - left)) + offset
            means[row, column] = np.uint8(min(255.0, max(0.0, mean)) + 0.5)


@compiled
def laplacian_variance(grid: Grid) -> float:
    """Return the variance of the Laplacian over the cells that have four neighbours; 0 where none has."""
    height, width = grid.shape
    if height < 3 or width < 3:
        return 0.0
    total, power = 0, 0
    for row in range(1, height - 1):
        above, here, below = grid[row - 1], grid[row], grid[row + 1]
        for column in range(1, width - 1):
            sides = np.int32(above[column]) + np.int32(below[column]) + np.int32(here[column - 1])
            edge = sides + np.int32(here[column + 1]) - 4 * np.int32(here[column])
            total += int(edge)
            power += int(edge) * int(edge)
    count = (height - 2) * (width - 2)
    mean = total / count
    return float(max(0.0, power / count - mean * mean))
