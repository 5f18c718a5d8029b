"""What the options of `convert` have in common: their error, and what stands for none given."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pyruntime.errors import PyRuntimeError

NO_DIMS: Mapping[str, Any] = MappingProxyType({})


class OptionError(PyRuntimeError, ValueError):
    """An option of `convert` has a value that it cannot have."""

    code = "option"
