"""Which inputs and outputs are state, by the names that exporters give them: `state="auto"`."""

from __future__ import annotations

import re
from collections.abc import Sequence

# an input's name -> its next value's; of several outputs that fit none is taken
_RULES = (
    (r"^past_key_values\b", "present"),  # past_key_values.0.key -> present.0.key, of optimum
    (r"^past_key_values\b", "present_key_values"),
    (r"^past_", "present_"),
    (r"\bpast\b", "present"),
    (r"^(cache|.*_cache)(.*)$", r"\1_out\2"),
    (r"^(.*)_in$", r"\1_out"),
    (r"^(.*)_?0$", r"\1n"),  # h0 -> hn
    (r"^(.*)$", r"\1N"),  # state -> stateN
    (r"^(.*)$", r"\1n"),
    (r"^(.*)$", r"\1_n"),
    (r"^(.*)$", r"\1_out"),
    (r"^(.*)$", r"\1_next"),
    (r"^(.*)$", r"\1_new"),
    (r"^(.*)$", r"next_\1"),
    (r"^(.*)$", r"new_\1"),
    (r"^(.*)$", r"present_\1"),
)


def guess(inputs: Sequence[str], outputs: Sequence[str]) -> dict[str, str]:
    """The inputs that have one output as their next value, by name, with that output."""
    found: dict[str, str] = {}
    for name in inputs:
        matching = [rule for rule in _RULES if re.search(rule[0], name)]
        fitting = {re.sub(pattern, after, name, count=1) for pattern, after in matching}
        candidates = fitting.intersection(outputs) - {name}
        if len(candidates) == 1:
            found[name] = candidates.pop()
    shared = [o for o in found.values() if list(found.values()).count(o) > 1]
    return {name: output for name, output in found.items() if output not in shared}
