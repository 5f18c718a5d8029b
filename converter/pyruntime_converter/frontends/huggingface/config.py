"""config.json of a model folder, with typed access and errors that name the key."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from pyruntime.errors import ModelError, UnsupportedError
from pyruntime_converter.frontends.huggingface.json_files import read_object

NAME = "config.json"
LARGEST_SIZE = 1 << 31


class Config:
    """The options of a model. Methods raise ModelError for a value of another kind than asked for.

    Attributes:
        where: the file, for messages.
    """

    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        self._values, self.where = values, where

    @classmethod
    def read(cls, folder: Path) -> Config:
        """The folder's config.json. Raises ModelError where it is missing or no JSON object."""
        return cls(read_object(folder / NAME), str(folder / NAME))

    def size(self, key: str, default: int | None = None) -> int:
        """A size, at least 1; `default` where the key is absent."""
        value = self._get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value < LARGEST_SIZE:
            raise self._wrong(key, "a size", value)
        return value

    def number(self, key: str, default: float) -> float:
        """A number above 0."""
        value = self._get(key, default)
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value < float("inf"):
            raise self._wrong(key, "a number above 0", value)
        return float(value)

    def index(self, key: str, default: int) -> int:
        """An integer, at least 0."""
        value = self._get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < LARGEST_SIZE:
            raise self._wrong(key, "an integer from 0", value)
        return value

    def text(self, key: str, default: str | None = None) -> str:
        """A string."""
        value = self._get(key, default)
        if not isinstance(value, str):
            raise self._wrong(key, "a string", value)
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of strings, empty where the key is absent."""
        value = self._values.get(key) or []
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            raise self._wrong(key, "a list of strings", value)
        return tuple(value)

    def flag(self, key: str, default: bool = False) -> bool:
        """True or false."""
        value = self._get(key, default)
        if not isinstance(value, bool):
            raise self._wrong(key, "true or false", value)
        return value

    def section(self, key: str) -> Config | None:
        """An object inside this one; None where the key is absent."""
        value = self._values.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self._wrong(key, "an object", value)
        return Config(value, f"{self.where}: {key}")

    def choice(self, key: str, allowed: Collection[str], default: str | None = None) -> str:
        """One of the strings that are supported. Raises UnsupportedError for another one."""
        value = self.text(key, default)
        if value not in allowed:
            raise self.unsupported(key, f"supported: {', '.join(map(repr, sorted(allowed)))}")
        return value

    def refuse(self, *keys: str) -> None:
        """Raise UnsupportedError where one of these options is set to anything but null, false or 0."""
        for key in keys:
            if self._values.get(key):
                raise self.unsupported(key, "this is not supported")

    def unsupported(self, key: str, reason: str) -> UnsupportedError:
        """The error for an option that cannot be converted."""
        return UnsupportedError("option", key, f"{self.where} has {self._values.get(key)!r:.80}; {reason}")

    def _get(self, key: str, default: Any) -> Any:
        value = self._values.get(key)
        if value is None:
            if default is None:
                raise ModelError(f"{self.where}: {key!r} is missing")
            return default
        return value

    def _wrong(self, key: str, expected: str, value: Any) -> ModelError:
        return ModelError(f"{self.where}: {key!r} must be {expected}, got {value!r:.80}")
