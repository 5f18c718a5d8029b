"""Shaders with parts that hang on the device's features: one text in packs, of which runtimes keep what fits.

//# if subgroups
what is used where the device has that feature, or the browser that language feature
//# else
what is used elsewhere
//# end
"""

from __future__ import annotations

import re
from collections.abc import Container

_SECTION = re.compile(r"//# if (\w+)\n(.*?)//# else\n(.*?)//# end\n", re.DOTALL)


def features_of(code: str) -> set[str]:
    """The features that parts of a shader hang on."""
    return {m[1] for m in _SECTION.finditer(code)}


def resolve(code: str, features: Container[str]) -> str:
    """The shader as a device with these features compiles it."""
    return _SECTION.sub(lambda m: m[2] if m[1] in features else m[3], code)
