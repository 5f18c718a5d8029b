"""What a model may be made of: functions that add an operator, or some that belong together, and rows."""

from __future__ import annotations

import importlib
import pkgutil

from tests.fuzz.maker import Rule
from tests.fuzz.rows import Row


def rules() -> list[tuple[Rule, float]]:
    """Every rule with how likely it is: public functions of the modules, and their `ROWS`, in order."""
    found: list[tuple[Rule, float]] = []
    for module in sorted(m.name for m in pkgutil.iter_modules(__path__)):
        loaded = importlib.import_module(f"{__name__}.{module}")
        weights: dict[str, float] = getattr(loaded, "WEIGHTS", {})
        rows: tuple[Row, ...] = getattr(loaded, "ROWS", ())
        found += [(row, row.weight) for row in rows]
        for name, member in sorted(vars(loaded).items()):
            if callable(member) and member.__module__ == loaded.__name__ and not name.startswith("_"):
                found.append((member, weights.get(name, 1.0)))
    return found
