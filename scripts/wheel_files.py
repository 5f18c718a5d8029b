"""Puts the JavaScript runtime into the wheel, so that its URL is all Pyodide needs; hatchling runs this."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

BUILT = Path("js_bindings/dist/standalone")  # by `npm run build`; a source distribution brings it along
PLACE = "pyruntime/runtime/web/js"


class WheelFiles(BuildHookInterface):  # type: ignore[type-arg]  # whatever its configuration is
    """A wheel without the built files is complete but for web pages, where it says what it lacks."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before each build; `version` is "standard" or "editable"."""
        if version == "editable":
            return
        files = sorted((Path(self.root) / BUILT).glob("*.js"))
        if not files:
            self.app.display_warning(f"{BUILT} is not built: the wheel will not run by itself in web pages")
        build_data["force_include"].update({str(file): f"{PLACE}/{file.name}" for file in files})
