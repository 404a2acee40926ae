import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from contract.inspection import AQLS, LEVELS, SEVERITIES, Level, Severity
from qa.sampling.aql import LETTERS, Plan, cell, code_letter, plan, plan_of, tighter
from qa.sampling.plans import chance_to_accept, wrong_share_accepted

# The tables as the reference prints them: the oracle, which knows nothing of diagonals.
CODES = """
lot              S-1 S-2 S-3 S-4  I  II III
2-8               A   A   A   A   A  A  B
9-15              A   A   A   A   A  B  C
16-25             A   A   B   B   B  C  D
26-50             A   B   B   C   C  D  E
51-90             B   B   C   C   C  E  F
91-150            B   B   C   D   D  F  G
151-280           B   C   D   E   E  G  H
281-500           B   C   D   E   F  H  J
501-1200          C   C   E   F   G  J  K
1201-3200         C   D   E   G   H  K  L
3201-10000        C   D   F   G   J  L  M
10001-35000       C   D   F   H   K  M  N
35001-150000      D   E   G   J   L  N  P
150001-500000     D   E   G   J   M  P  Q
>=500001          D   E   H   K   N  Q  R
"""
NORMAL = """
     n    0.65  1.0  1.5  2.5  4.0  6.5
A    2     v    v    v    v    v    0
B    3     v    v    v    v    0    ^
C    5     v    v    v    0    ^    v
D    8     v    v    0    ^    v    1
E   13     v    0    ^    v    1    2
F   20     0    ^    v    1    2    3
G   32     ^    v    1    2    3    5
H   50     v    1    2    3    5    7
J   80     1    2    3    5    7   10
K  125     2    3    5    7   10   14
L  200     3    5    7   10   14   21
M  315     5    7   10   14   21    ^
N  500     7   10   14   21    ^    ^
P  800    10   14   21    ^    ^    ^
Q 1250    14   21    ^    ^    ^    ^
R 2000    21    ^    ^    ^    ^    ^
"""
TIGHTENED = """
     n    0.65  1.0  1.5  2.5  4.0  6.5
A    2     v    v    v    v    v    v
B    3     v    v    v    v    v    0
C    5     v    v    v    v    0    v
D    8     v    v    v    0    v    v
E   13     v    v    0    v    v    1
F   20     v    0    v    v    1    2
G   32     0    v    v    1    2    3
H   50     v    v    1    2    3    5
J   80     v    1    2    3    5    8
K  125     1    2    3    5    8   12
L  200     2    3    5    8   12   18
M  315     3    5    8   12   18    ^
N  500     5    8   12   18    ^    ^
P  800     8   12   18    ^    ^    ^
Q 1250    12   18    ^    ^    ^    ^
R 2000    18    ^    ^    ^    ^    ^
"""
REDUCED = """
     n    0.65  1.0  1.5  2.5  4.0  6.5
A    2     v    v    v    v    v    0
B    2     v    v    v    v    0    ^
C    2     v    v    v    0    ^    v
D    3     v    v    0    ^    v    v
E    5     v    0    ^    v    v    1
F    8     0    ^    v    v    1    2
G   13     ^    v    v    1    2    3
H   20     v    v    1    2    3    5
J   32     v    1    2    3    5    6
K   50     1    2    3    5    6    8
L   80     2    3    5    6    8   10
M  125     3    5    6    8   10    ^
N  200     5    6    8   10    ^    ^
P  315     6    8   10    ^    ^    ^
Q  500     8   10    ^    ^    ^    ^
R  800    10    ^    ^    ^    ^    ^
"""
# AQL, plan, P(accept) at the AQL, and the percentages of wrong items accepted with probability .95 and .10.
CURVES = """
0.65 J80/1 .9042 .446 4.78
0.65 K125/2 .9513 .657 4.20
0.65 L200/3 .9575 .686 3.31
0.65 N500/7 .9821 .799 2.34
1.0 E13/0 .8775 .394 16.23
1.0 H50/1 .9106 .715 7.56
1.0 J80/2 .9534 1.030 6.52
1.0 K125/3 .9626 1.100 5.27
1.0 L200/5 .9840 1.314 4.59
1.0 N500/10 .9868 1.239 3.06
1.5 H50/2 .9608 1.655 10.30
1.5 K125/5 .9882 2.111 7.29
1.5 L200/7 .9887 2.006 5.82
1.5 N500/14 .9903 1.858 4.00
2.5 F20/1 .9118 1.807 18.10
2.5 H50/3 .9638 2.779 12.88
2.5 J80/5 .9848 3.317 11.28
2.5 K125/7 .9864 3.224 9.24
2.5 L200/10 .9874 3.115 7.60
2.5 N500/21 .9914 2.997 5.60
4.0 H50/5 .9856 5.357 17.76
4.0 K125/10 .9881 5.014 12.06
4.0 L200/14 .9848 4.680 9.91
4.0 M315/21 .9912 4.775 8.84
6.5 H50/7 .9853 8.219 22.42
6.5 K125/14 .9840 7.544 15.70
6.5 L200/21 .9887 7.565 13.84
"""
MASTERS: dict[Severity, str] = {"normal": NORMAL, "tightened": TIGHTENED, "reduced": REDUCED}
SPOTS: list[tuple[Severity, str, float, str, int, int]] = [
    ("normal", "G", 1.0, "H", 50, 1),
    ("normal", "F", 1.0, "E", 13, 0),
    ("normal", "K", 1.0, "K", 125, 3),
    ("normal", "J", 2.5, "J", 80, 5),
    ("normal", "N", 6.5, "L", 200, 21),
    ("normal", "R", 6.5, "L", 200, 21),
    ("normal", "C", 6.5, "D", 8, 1),
    ("normal", "E", 2.5, "F", 20, 1),
    ("normal", "N", 10.0, "K", 125, 21),
    ("tightened", "G", 1.0, "J", 80, 1),
    ("tightened", "K", 1.0, "K", 125, 2),
    ("tightened", "H", 0.65, "K", 125, 1),
    ("tightened", "N", 6.5, "L", 200, 18),
    ("tightened", "R", 0.025, "S", 3150, 1),
    ("reduced", "K", 1.0, "K", 50, 2),
    ("reduced", "H", 1.0, "J", 32, 1),
    ("reduced", "D", 4.0, "F", 8, 1),
    ("reduced", "R", 6.5, "L", 80, 10),
]


def printed(severity: Severity) -> dict[tuple[str, float], tuple[int, int | str]]:
    """(letter, AQL) -> (sample size, what is printed) of a table as text."""
    head, *rows = MASTERS[severity].strip().splitlines()
    limits = [float(word) for word in head.split()[1:]]
    table: dict[tuple[str, float], tuple[int, int | str]] = {}
    for row in rows:
        letter, size, *cells = row.split()
        for limit, found in zip(limits, cells, strict=True):
            table[letter, limit] = (int(size), int(found) if found.isdigit() else found)
    return table


def lots() -> list[tuple[int, int, dict[Level, str]]]:
    """(smallest lot, largest lot, letters by level) of every row of the table of code letters."""
    _, *rows = CODES.strip().splitlines()
    found = []
    for row in rows:
        lot, *letters = row.split()
        low, _, high = lot.removeprefix(">=").partition("-")
        found.append((int(low), int(high or 10**9), dict(zip(LEVELS, letters, strict=True))))
    return found


def test_every_code_letter() -> None:
    rows = lots()
    assert len(rows) == 15
    assert [low for low, _, _ in rows[1:]] == [high + 1 for _, high, _ in rows[:-1]]
    for low, high, letters in rows:
        for level, letter in letters.items():
            for lot in (low, (low + high) // 2, high):
                assert code_letter(lot, level) == letter, (lot, level)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_every_printed_cell(severity: Severity) -> None:
    table = printed(severity)
    assert len(table) == 16 * 6
    for (letter, limit), (size, found) in table.items():
        assert cell(letter, limit, severity=severity) == found, (letter, limit)
        if isinstance(found, int):
            assert plan_of(letter, limit, severity=severity) == Plan(letter, size, found, found + 1)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_every_printed_arrow_leads_to_the_first_printed_plan_in_its_direction(severity: Severity) -> None:
    table = printed(severity)
    for (letter, limit), (_, found) in table.items():
        if isinstance(found, int):
            continue
        place = LETTERS.index(letter)
        way = LETTERS[place + 1 :] if found == "v" else LETTERS[:place][::-1]
        target = next(other for other in way if isinstance(table[other, limit][1], int))
        size, accept = table[target, limit]
        assert plan_of(letter, limit, severity=severity) == Plan(target, size, int(accept), int(accept) + 1)


@pytest.mark.parametrize(("severity", "letter", "limit", "row", "n", "accept"), SPOTS)
def test_spot_plans(severity: Severity, letter: str, limit: float, row: str, n: int, accept: int) -> None:
    assert plan_of(letter, limit, severity=severity) == Plan(row, n, accept, accept + 1)


def test_errors_of_other_implementations_are_not_ours() -> None:
    # a row filled with 0, 1, 2, 3, 5 ... and no arrows
    assert plan_of("F", 1.0) == Plan("E", 13, 0, 1)
    # an arrow in the wrong direction
    assert cell("E", 2.5) == "v"
    assert plan_of("E", 2.5) == Plan("F", 20, 1, 2)
    # the tightened table a column off
    assert plan_of("K", 1.0, severity="tightened").accept == 2
    # the sample sizes of normal inspection under reduced inspection
    assert plan_of("K", 1.0, severity="reduced").n == 50


def test_level_i_is_no_fixed_shift_of_level_ii_and_level_iii_is_one_letter_further() -> None:
    for low, _, letters in lots():
        first, second, third = (LETTERS.index(code_letter(low, level)) for level in ("I", "II", "III"))
        assert first - second == (0 if low < 9 else -1 if low < 51 else -2)
        assert third - second == 1
        assert letters["II"] == LETTERS[second]


@pytest.mark.parametrize(
    ("level", "plan_"),
    [("I", "L/200"), ("II", "N/500"), ("III", "P/800"), ("S-1", "D/8"), ("S-2", "E/13"), ("S-3", "G/32"), ("S-4", "J/80")],
)
@pytest.mark.parametrize("lot", [50_000, 100_000])
def test_the_model_contracts_volumes_as_one_lot(lot: int, level: Level, plan_: str) -> None:
    letter, size = plan_.split("/")
    assert code_letter(lot, level) == letter
    limit = next(limit for limit in AQLS if isinstance(cell(letter, limit), int))
    assert plan_of(letter, limit).n == int(size)


def test_weekly_lots_of_the_model_contract() -> None:
    assert code_letter(10_000) == "L"
    assert plan(10_000, aql=4.0) == Plan("L", 200, 14, 15)


def test_an_aql_of_ten_does_not_prove_ninety_per_cent() -> None:
    found = plan(50_000, aql=10.0)
    assert found == Plan("K", 125, 21, 22)
    assert chance_to_accept(found.n, found.accept, share=0.85) == pytest.approx(0.76, abs=0.005)


@pytest.mark.parametrize("line", CURVES.strip().splitlines())
def test_operating_characteristics(line: str) -> None:
    limit, name, *figures = line.split()
    at_limit, good, bad = map(float, figures)
    size, _, accept = name[1:].partition("/")
    n, most = int(size), int(accept)
    assert plan_of(name[0], float(limit)) == Plan(name[0], n, most, most + 1)
    assert chance_to_accept(n, most, share=1 - float(limit) / 100) == pytest.approx(at_limit, abs=5.1e-5)
    assert 100 * wrong_share_accepted(n, most, chance=0.95) == pytest.approx(good, abs=5.1e-4)
    assert 100 * wrong_share_accepted(n, most, chance=0.10) == pytest.approx(bad, abs=5.1e-3)


def test_published_points_of_operating_characteristics() -> None:
    for letter, good, bad in (("K", 1.10, 5.27), ("J", 1.03, 6.52)):
        found = plan_of(letter, 1.0)
        assert 100 * wrong_share_accepted(found.n, found.accept, chance=0.95) == pytest.approx(good, abs=5.1e-3)
        assert 100 * wrong_share_accepted(found.n, found.accept, chance=0.10) == pytest.approx(bad, abs=5.1e-3)


def test_a_sample_that_reaches_the_lot_is_the_lot() -> None:
    assert plan(30, aql=0.65) == Plan("F", 20, 0, 1)
    assert plan(20, aql=0.65) == Plan("F", 20, 0, 1, whole_lot=True)
    assert plan(5, aql=0.65) == Plan("F", 5, 0, 1, whole_lot=True)


@given(st.integers(2, 10**6), st.sampled_from(AQLS), st.sampled_from(LEVELS), st.sampled_from(SEVERITIES))
def test_every_lot_has_a_plan(lot: int, limit: float, level: Level, severity: Severity) -> None:
    found = plan(lot, aql=limit, level=level, severity=severity)
    assert 1 <= found.n <= lot
    assert found.reject == found.accept + 1
    assert found.whole_lot == (found.n == lot)


@given(st.sampled_from(AQLS), st.sampled_from(LETTERS), st.floats(0.0001, 0.5))
def test_tightened_inspection_never_accepts_more_than_normal(limit: float, letter: str, wrong: float) -> None:
    tightened, normal = (plan_of(letter, limit, severity=severity) for severity in ("tightened", "normal"))
    assume((limit, letter) not in ((0.015, "R"), (10.0, "A")))  # the standard's arrows lead to a larger normal sample
    chances = [chance_to_accept(found.n, found.accept, share=1 - wrong) for found in (tightened, normal)]
    assert chances[0] <= chances[1] + 1e-12


def test_what_is_outside_the_tables_is_refused() -> None:
    with pytest.raises(ValueError, match="begin at 2 items"):
        code_letter(1)
    with pytest.raises(ValueError, match="no preferred AQL"):
        plan(100, aql=5.0)
    with pytest.raises(ValueError, match="no code letter"):
        plan_of("I", 1.0)
    with pytest.raises(ValueError, match="no inspection level"):
        code_letter(100, "IV")  # type: ignore[arg-type]


def test_the_next_tighter_limit() -> None:
    assert tighter(1.0) == 0.65
    assert tighter(0.010) is None
