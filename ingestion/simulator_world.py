"""The simulated world."""

from dataclasses import dataclass


@dataclass(frozen=True)
class WorldConfig:
    """The size and the seed of a simulated world; the same config is the same world, on any machine."""

    seed: int = 0
    n_users: int = 2_000
    n_items: int = 3_000
    n_days: int = 60
    n_events: int = 150_000
    """Approximate: what people do is drawn, not counted out."""
