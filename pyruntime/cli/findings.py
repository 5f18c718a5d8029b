"""What `pyruntime doctor` finds, group by group, and what follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from pyruntime.cli.look import State


@dataclass(frozen=True)
class Finding:
    """One thing that was looked for.

    Attributes:
        name: what it is.
        state: "ok"; "limited", usable with a drawback; "missing"; "broken", there but unusable.
        version: of what was found.
        detail: what was found, in short.
        cost: what the state costs.
        remedy: how to mend it.
    """

    name: str
    state: State
    version: str = ""
    detail: str = ""
    cost: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class Group:
    """Findings that serve one purpose.

    Attributes:
        title: the purpose.
        findings: what was found.
        need: "all" of them, "one" of them, or "none" of them to convert and run models here.
    """

    title: str
    need: Literal["all", "one", "none"]
    findings: Sequence[Finding]

    def shown_state(self, finding: Finding) -> State:
        """The state that is shown: missing is merely limited where nothing depends on it."""
        usable = any(f.state in ("ok", "limited") for f in self.findings)
        spared = self.need == "none" or (self.need == "one" and usable)
        return "limited" if finding.state == "missing" and spared else finding.state

    def to_dict(self) -> dict[str, Any]:
        """Plain containers, for JSON."""
        findings = [{**asdict(f), "shown": self.shown_state(f)} for f in self.findings]
        return {"title": self.title, "need": self.need, "findings": findings}


@dataclass(frozen=True)
class Diagnosis:
    """All groups; `trials` are the findings of converting and running a small model on each device."""

    groups: Sequence[Group]
    trials: Group

    @property
    def devices(self) -> list[str]:
        """Devices on which the small model gave the right result."""
        return [f.name for f in self.trials.findings if f.state == "ok"]

    @property
    def healthy(self) -> bool:
        """Whether a model can be converted, and run on at least one device."""
        return bool(self.devices)

    def to_dict(self) -> dict[str, Any]:
        """Plain containers, for JSON."""
        groups = [g.to_dict() for g in (*self.groups, self.trials)]
        return {"healthy": self.healthy, "devices": self.devices, "groups": groups}
