"""Small JSON files of a model folder, read with errors that name the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pyruntime.errors import ModelError

LARGEST = 64 << 20  # bytes; the index of a model of a thousand shards has one


def read_json(path: Path) -> Any:
    """The value in a JSON file. Raises ModelError where the file is missing, huge or no JSON."""
    try:
        if not path.is_file():
            raise ModelError(f"{path}: no such file")
        if path.stat().st_size > LARGEST:
            raise ModelError(f"{path}: {path.stat().st_size} bytes are too many for such a file")
        return json.loads(path.read_bytes())
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: not JSON: {error}") from None


def read_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises ModelError as `read_json`, and for any other value."""
    value = read_json(path)
    if not isinstance(value, dict):
        raise ModelError(f"{path}: expected an object, got {type(value).__name__}")
    return value
