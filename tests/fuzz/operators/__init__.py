"""What a model may be made of: each function adds an operator, or some that belong together, to a maker."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable

from tests.fuzz.maker import Maker

Rule = Callable[[Maker], object]


def rules() -> list[tuple[Rule, float]]:
    """Every rule with how likely it is; rules are the public functions of the modules, in a fixed order."""
    found = []
    for module in sorted(m.name for m in pkgutil.iter_modules(__path__)):
        loaded = importlib.import_module(f"{__name__}.{module}")
        weights: dict[str, float] = getattr(loaded, "WEIGHTS", {})
        for name, member in sorted(vars(loaded).items()):
            if callable(member) and member.__module__ == loaded.__name__ and not name.startswith("_"):
                found.append((member, weights.get(name, 1.0)))
    return found
