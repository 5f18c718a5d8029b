"""Ways to damage pack.json: any place in it, with every field of the schema as likely as any other."""

from __future__ import annotations

import copy
import dataclasses
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pyruntime.pack import schema, targets
from pyruntime.pack.decode import key_of

JUNK: list[Any] = [
    *(None, True, False, 0, 1, 2, 3, 4, 5, 8, 63, 64, 255, 256, 257, 512, -1, -256, 1.5, 1e300),
    *(2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53 - 1, 2**53, 2**63 - 1, 2**63, 10**30, -(2**63)),
    *("", "x", "n", "batch", "+", "//", "float32", "int64", "uint32", "float64", "string", "bfloat16"),
    *("read", "read_write", "arena", "weights", "state", "inputs", "outputs", "numerator", "denominator"),
    *("pack.json", "../x", "main", "ü", "0" * 64, "dispatch", "jump", "host"),
    *(
        [],
        {},
        [0],
        ["n"],
        [[]],
        [0, 5],
        ["arena", 0, 0],
        ["arena", 1, 0, 4],
        ["weights", 0, 0, 4],
        ["state", 0, 0],
    ),
    *(["n", 0, "//"], ["batch", "batch", "*"], [1, "+"], ["n", 256, "*"], [-1, "n", "*"], [2**62, "n", "*"]),
]
FIELDS = frozenset(
    f"{cls.__name__}.{field.name}"
    for module in (schema, targets)
    for cls in vars(module).values()
    if isinstance(cls, type) and dataclasses.is_dataclass(cls) and cls.__module__ == module.__name__
    for field in dataclasses.fields(cls)
)


class Place(NamedTuple):
    """Where in a manifest's JSON something is, or could be, and which field of the schema that belongs to."""

    way: tuple[str | int, ...]
    field: str


def places(decoded: Any, way: tuple[str | int, ...] = (), field: str = "") -> Iterator[Place]:
    """Every place of a decoded manifest, optional fields that it leaves out too."""
    if field:
        yield Place(way, field)
    if dataclasses.is_dataclass(decoded):
        positional = getattr(decoded, "POSITIONAL", False)
        for number, each in enumerate(dataclasses.fields(decoded)):
            name = f"{type(decoded).__name__}.{each.name}"
            key = number if positional else key_of(each)
            yield from places(getattr(decoded, each.name), (*way, key), name)
    elif isinstance(decoded, Mapping):
        for key, value in decoded.items():
            yield from places(value, (*way, key), field)
    elif isinstance(decoded, Sequence) and not isinstance(decoded, str):
        for number, value in enumerate(decoded):
            yield from places(value, (*way, number), field)


def by_field(decoded: schema.Manifest) -> dict[str, list[Place]]:
    """A manifest's places, by their field."""
    found: dict[str, list[Place]] = {}
    for place in places(decoded):
        found.setdefault(place.field, []).append(place)
    return found


def at(value: Any, way: Sequence[str | int]) -> Any:
    """What is there; None where nothing is, or is no more."""
    for key in way:
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def mutated(
    manifest: Any, fields: Mapping[str, Sequence[Place]], draw: random.Random, first: str = ""
) -> tuple[Any, list[str]]:
    """A copy with one to three places replaced, nudged, removed, doubled or copied over; their fields.

    Args:
        manifest: the JSON of pack.json.
        fields: its places, by their field.
        draw: decides.
        first: the field of the first place; any if not given.
    """
    manifest, changed = copy.deepcopy(manifest), []
    names = sorted(fields)
    for number in range(draw.choice((1, 1, 1, 2, 3))):
        place = draw.choice(fields[first if first and not number else draw.choice(names)])
        *way, last = place.way
        holder: Any = at(manifest, way)
        inside = isinstance(last, int) and isinstance(holder, list) and last < len(holder)
        if not inside and not (isinstance(last, str) and isinstance(holder, dict)):
            continue  # an earlier change took it away
        changed.append(place.field)
        value = at(holder, [last])
        match draw.choice(("junk", "junk", "nudge", "remove", "double", "other")):
            case "nudge" if isinstance(value, int):
                holder[last] = value + draw.choice((-256, -4, -1, 1, 4, 256))
            case "remove" if value is not None:
                del holder[last]
            case "double" if isinstance(last, int):
                holder.insert(last, copy.deepcopy(value))
            case "other":
                other = draw.choice(fields[draw.choice([place.field, *names])])
                holder[last] = copy.deepcopy(at(manifest, other.way))
            case _:
                holder[last] = copy.deepcopy(draw.choice(JUNK))
    return manifest, changed
