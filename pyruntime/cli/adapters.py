"""Prints the WebGPU adapters of this machine as JSON. `doctor` starts this, since drivers can crash."""

from __future__ import annotations

import json
import os
import tempfile
from typing import Any


def adapters() -> list[dict[str, Any]]:
    """Name, backend, type, features and the largest storage binding of each adapter, as wgpu lists them."""
    import wgpu

    return [
        {
            "name": adapter.info["device"],
            "backend": adapter.info["backend_type"],
            "type": adapter.info["adapter_type"],
            "features": sorted(adapter.features),
            "binding": adapter.limits["max-storage-buffer-binding-size"],
        }
        for adapter in wgpu.gpu.enumerate_adapters_sync()
    ]


def main() -> None:
    """Print {"adapters": [...]}, or {"error": why there are none}."""
    with tempfile.TemporaryDirectory(prefix="runtime-") as folder:
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)  # wgpu asks for it, and containers leave it unset
        try:
            answer: dict[str, Any] = {"adapters": adapters()}
        except (RuntimeError, OSError, ImportError) as error:
            answer = {"error": str(error)}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
