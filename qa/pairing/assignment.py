"""Best one-to-one choices over sparse edges, component by component, as compiled loops: shortest augmenting paths.

The solver is that of Jonker and Volgenant 1987 in the row-by-row form of Crouse 2016, over edge lists instead of a
full matrix: every row has a private way out (to stay single) which costs more than any gain in quality could be worth,
so that the number of pairs comes first. Quality is counted in whole steps of 2**-40 (`STEPS`): sums of integers are
exact, and neither the order of edges nor rounding can decide between two choices.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from contract.compiled import compiled

Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]

STEPS: Final = 1 << 40
_FAR: Final = np.iinfo(np.int64).max
_FULL: Final = 8  # a component with a pair in so many is solved as a table: faster, and no larger than the edges by much


class Candidates(NamedTuple):
    """Edges: left element, right element, and quality from 0 to 1; none occurs twice."""

    left: Indices
    right: Indices
    quality: Floats


class _Edges(NamedTuple):
    """Edges sorted by row: those of row i are starts[i] to starts[i + 1]. Staying single costs a row `alone`."""

    starts: Indices
    column: Indices
    cost: Indices
    alone: int


class _Prices(NamedTuple):
    """Dual prices and the matching so far, by row and by column; -1 where there is none."""

    of_row: Indices
    of_column: Indices
    edge: Indices  # taken by the row
    row: Indices  # that took the column


class _Front(NamedTuple):
    """What a search has reached, by column: its distance, and the edge and row that lead there; and its heap."""

    distance: Indices
    via: Indices
    via_row: Indices
    heap: Indices
    position: Indices  # in the heap
    done: Indices


@compiled
def choose_best(edges: Candidates, members: Indices, starts: Indices, chosen: Mask) -> None:
    """Mark in `chosen` the best of the edges `members`, component by component: most pairs, then the best sum of quality.

    Args:
        edges: all of them.
        members: numbers of edges, one component after the other, in each by (left, right).
        starts: where each component begins in `members`, and the end of the last.
        chosen: of each edge.
    """
    if members.size == 0:
        return
    place = np.zeros(max(edges.left.max(), edges.right.max()) + 1, dtype=np.int64)
    for component in range(starts.size - 1):
        _solve(edges, members[starts[component] : starts[component + 1]], place, chosen)


@compiled
def _by_group(group: Indices, groups: int) -> tuple[Indices, Indices]:
    """Return where each group starts and the elements group by group, in their order within each."""
    starts = np.zeros(groups + 1, dtype=np.int64)
    for code in group:
        starts[code + 1] += 1
    for code in range(groups):
        starts[code + 1] += starts[code]
    following = starts[:-1].copy()
    order = np.empty(group.size, dtype=np.int64)
    for index in range(group.size):
        order[following[group[index]]] = index
        following[group[index]] += 1
    return starts, order


@compiled
def _numbered(values: Indices, place: Indices) -> tuple[Indices, int]:
    """Return `values` numbered from 0 in their order, and how many differ; `place` is scratch as long as the largest."""
    distinct = np.unique(values)
    for number in range(distinct.size):
        place[distinct[number]] = number
    return place[values], distinct.size


@compiled
def _solve(all_edges: Candidates, own: Indices, place: Indices, chosen: Mask) -> None:
    """Mark in `chosen` which of the edges `own`, which make one component, are taken."""
    rows, row_count = _numbered(all_edges.left[own], place)
    columns, column_count = _numbered(all_edges.right[own], place)
    if row_count > column_count:  # a row more than there are columns would search all of the component in vain
        rows, columns, row_count, column_count = columns, rows, column_count, row_count
    starts, order = _by_group(rows, row_count)
    steps = STEPS
    while steps > 1 and row_count > (1 << 59) // steps:  # sums must fit: only beyond half a million rows
        steps //= 2
    cost = np.empty(order.size, dtype=np.int64)
    for index in range(order.size):
        cost[index] = steps - round(all_edges.quality[own[order[index]]] * steps)
    edges = _Edges(starts, columns[order], cost, (2 * row_count + 2) * steps)
    if _FULL * order.size >= row_count * column_count:
        taken = _cheapest_of_table(edges, column_count)
    else:
        taken = _cheapest(edges, column_count)
    for row in range(row_count):
        if taken[row] >= 0:
            chosen[own[order[taken[row]]]] = True


@compiled
def _cheapest(edges: _Edges, columns: int) -> Indices:
    """Return the edge taken by each row, -1 where it stays single."""
    rows = edges.starts.size - 1
    prices = _Prices(
        np.empty(rows, dtype=np.int64),
        np.zeros(columns, dtype=np.int64),
        np.full(rows, -1, dtype=np.int64),
        np.full(columns, -1, dtype=np.int64),
    )
    _take_cheapest_of_each(edges, prices)
    front = _Front(
        np.full(columns, _FAR, dtype=np.int64),
        np.empty(columns, dtype=np.int64),
        np.empty(columns, dtype=np.int64),
        np.empty(columns, dtype=np.int64),
        np.empty(columns, dtype=np.int64),
        np.empty(columns, dtype=np.int64),
    )
    for source in range(rows):
        if prices.edge[source] < 0:
            end, finished, waiting, length = _search(edges, prices, front, source)
            _reprice(prices, front, finished, length)
            prices.of_row[source] += length
            _turn(edges, prices, front, source, end)
            for index in range(finished):
                front.distance[front.done[index]] = _FAR
            for index in range(waiting):
                front.distance[front.heap[index]] = _FAR
    return prices.edge


@compiled
def _take_cheapest_of_each(edges: _Edges, prices: _Prices) -> None:
    """Price every row at its cheapest edge, and take one such edge whose column is free still."""
    for row in range(prices.of_row.size):
        own = range(edges.starts[row], edges.starts[row + 1])
        prices.of_row[row] = edges.cost[own.start : own.stop].min()
        for edge in own:
            if edges.cost[edge] == prices.of_row[row] and prices.row[edges.column[edge]] < 0:
                prices.edge[row] = edge
                prices.row[edges.column[edge]] = row
                break


@compiled
def _search(edges: _Edges, prices: _Prices, front: _Front, source: int) -> tuple[int, int, int, int]:
    """Find the shortest way from `source` to a free column, or to a row that had better stay single.

    Returns:
        The column at its end (that of the row which becomes single, -1 where this is `source` itself), the number of
        columns finished and still waiting, and the way's length.
    """
    row, end, reached, finished, waiting = source, -1, 0, 0, 0
    shortest = edges.alone - prices.of_row[source]
    while True:
        if reached + edges.alone - prices.of_row[row] < shortest:
            shortest = reached + edges.alone - prices.of_row[row]
            end = edges.column[prices.edge[row]]
        waiting = _reach(edges, prices, front, (row, reached, waiting))
        if waiting == 0 or front.distance[front.heap[0]] >= shortest:
            return end, finished, waiting, shortest
        waiting -= 1
        nearest = _drop_first(front, waiting)
        front.done[finished] = nearest
        finished += 1
        reached = front.distance[nearest]
        row = prices.row[nearest]
        if row < 0:
            return nearest, finished, waiting, reached


@compiled
def _reach(edges: _Edges, prices: _Prices, front: _Front, here: tuple[int, int, int]) -> int:
    """Go over the edges of a row and return how many columns wait; `here` is the row, its distance, and how many did."""
    row, reached, waiting = here
    for edge in range(edges.starts[row], edges.starts[row + 1]):
        other = edges.column[edge]
        through = reached + edges.cost[edge] - prices.of_row[row] - prices.of_column[other]
        if through < front.distance[other]:
            if front.distance[other] == _FAR:
                front.position[other] = waiting
                waiting += 1
            front.distance[other] = through
            front.via[other] = edge
            front.via_row[other] = row
            _rise(front, other)
    return waiting


@compiled
def _rise(front: _Front, column: int) -> None:
    """Move `column` up in the heap to where its distance belongs."""
    place = front.position[column]
    while place > 0:
        above = front.heap[(place - 1) // 2]
        if front.distance[above] <= front.distance[column]:
            break
        front.heap[place] = above
        front.position[above] = place
        place = (place - 1) // 2
    front.heap[place] = column
    front.position[column] = place


@compiled
def _drop_first(front: _Front, size: int) -> int:
    """Take the nearest column from the heap, which keeps `size`, and return it."""
    nearest, last = front.heap[0], front.heap[size]
    place = 0
    while 2 * place + 1 < size:
        below = 2 * place + 1
        if below + 1 < size and front.distance[front.heap[below + 1]] < front.distance[front.heap[below]]:
            below += 1
        if front.distance[front.heap[below]] >= front.distance[last]:
            break
        front.heap[place] = front.heap[below]
        front.position[front.heap[place]] = place
        place = below
    front.heap[place] = last
    front.position[last] = place
    return int(nearest)


@compiled
def _reprice(prices: _Prices, front: _Front, finished: int, length: int) -> None:
    """Move prices so that every edge of the ways searched costs nothing beyond them."""
    for index in range(finished):
        column = front.done[index]
        prices.of_column[column] += front.distance[column] - length
        if prices.row[column] >= 0:
            prices.of_row[prices.row[column]] += length - front.distance[column]


@compiled
def _turn(edges: _Edges, prices: _Prices, front: _Front, source: int, end: int) -> None:
    """Match along the way back from the column `end`; its row so far, if there is one, becomes single."""
    if end >= 0 and prices.row[end] >= 0:
        prices.edge[prices.row[end]] = -1
    while end >= 0:
        row, edge = front.via_row[end], front.via[end]
        prices.row[end] = row
        end = edges.column[prices.edge[row]] if row != source else -1
        prices.edge[row] = edge


class _Table(NamedTuple):
    """All costs, rows by columns; the prices and the matching so far; and what a search has reached, by column."""

    cost: NDArray[np.int64]
    row_price: Indices
    column_price: Indices
    column: Indices  # taken by the row
    row: Indices  # that took the column
    distance: Indices
    via: Indices  # the row that leads there
    done: Mask


@compiled
def _cheapest_of_table(edges: _Edges, columns: int) -> Indices:
    """Return what `_cheapest` returns. A pair that is no edge costs as much as staying single: every row takes a column."""
    rows = edges.starts.size - 1
    cost = np.full((rows, columns), edges.alone, dtype=np.int64)
    for row in range(rows):
        own = slice(edges.starts[row], edges.starts[row + 1])
        cost[row][edges.column[own]] = edges.cost[own]
    table = _Table(
        cost,
        np.empty(rows, dtype=np.int64),
        np.zeros(columns, dtype=np.int64),
        np.full(rows, -1, dtype=np.int64),
        np.full(columns, -1, dtype=np.int64),
        np.empty(columns, dtype=np.int64),
        np.empty(columns, dtype=np.int64),
        np.empty(columns, dtype=np.bool_),
    )
    for row in range(rows):
        _take_cheapest(table, row)
    for row in range(rows):
        if table.column[row] < 0:
            _match_row(table, row)
    taken = np.full(rows, -1, dtype=np.int64)
    for row in range(rows):
        for edge in range(edges.starts[row], edges.starts[row + 1]):
            if edges.column[edge] == table.column[row]:
                taken[row] = edge
    return taken


@compiled
def _take_cheapest(table: _Table, row: int) -> None:
    """Price a row at its cheapest column, and take one such column that is free."""
    cost = table.cost[row]
    table.row_price[row] = cost.min()
    for column in range(cost.size):
        if cost[column] == table.row_price[row] and table.row[column] < 0:
            table.column[row], table.row[column] = column, row
            break


@compiled
def _match_row(table: _Table, source: int) -> None:
    """Take a column for `source`, along the shortest way to one that is free."""
    table.distance[:] = _FAR
    table.done[:] = False
    reached, row, nearest = 0, source, -1
    while row >= 0:
        nearest = _nearest(table, row, reached)
        reached = table.distance[nearest]
        table.done[nearest] = True
        row = table.row[nearest]
    for column in range(table.done.size):
        if table.done[column]:
            table.column_price[column] += table.distance[column] - reached
            if table.row[column] >= 0:
                table.row_price[table.row[column]] += reached - table.distance[column]
    table.row_price[source] += reached
    while nearest >= 0:
        row = table.via[nearest]
        table.row[nearest] = row
        before = table.column[row]  # none of the source
        table.column[row] = nearest
        nearest = before


@compiled
def _nearest(table: _Table, row: int, reached: int) -> int:
    """Go on from `row`, and return the nearest column that is not done yet; of equals, one that is free."""
    cost, offset = table.cost[row], reached - table.row_price[row]
    nearest, shortest = -1, _FAR
    for column in range(cost.size):
        if table.done[column]:
            continue
        through = offset + cost[column] - table.column_price[column]
        if through < table.distance[column]:
            table.distance[column] = through
            table.via[column] = row
        if table.distance[column] < shortest or (table.distance[column] == shortest and table.row[column] < 0):
            nearest, shortest = column, table.distance[column]
    return nearest
