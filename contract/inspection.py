"""Words of lot-by-lot inspection: the preferred AQLs, levels and severities (ISO 2859-1, GB/T 2828.1)."""

from typing import Final, Literal, get_args

Level = Literal["S-1", "S-2", "S-3", "S-4", "I", "II", "III"]
Severity = Literal["normal", "tightened", "reduced"]

LEVELS: Final[tuple[Level, ...]] = get_args(Level)
SEVERITIES: Final[tuple[Severity, ...]] = get_args(Severity)

# Acceptance quality limits in per cent of nonconforming items; above 10 the standards count nonconformities instead.
AQLS: Final = (0.010, 0.015, 0.025, 0.040, 0.065, 0.10, 0.15, 0.25, 0.40, 0.65, 1.0, 1.5, 2.5, 4.0, 6.5, 10.0)
