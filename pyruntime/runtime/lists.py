"""Lists of tensors, as users feed and get them, and the inputs and outputs that are their elements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyruntime.errors import InputError
from pyruntime.pack.schema import Entry, Listed


def spread(entry: Entry, feeds: Mapping[str, Any]) -> Mapping[str, Any]:
    """Feeds with the elements of lists by their own names, by which they can also be fed.

    Raises InputError for a list of another length, and for what is none.
    """
    lists = {each.name: each for each in entry.lists_of("inputs")}
    made: dict[str, Any] = {}
    for name, value in feeds.items():
        if name not in lists:
            made[name] = value
            continue
        for number, element in enumerate(_elements(lists[name], value), lists[name].first):
            made[entry.inputs[number].name] = element
    return made


def names(entry: Entry) -> list[str]:
    """What users call each of the inputs: elements by the name of their list."""
    found = [spec.name for spec in entry.inputs]
    for told in entry.lists_of("inputs"):
        length = told.length or 0
        found[told.first : told.first + length] = [told.name] * length
    return found


def _elements(told: Listed, value: Any) -> Sequence[Any]:
    if told.length is None:
        if value is not None:
            raise InputError(f"input {told.name!r}: the pack was made for its absence, so leave it out")
        return ()
    if not isinstance(value, (list, tuple)):
        raise InputError(
            f"input {told.name!r}: expected a list of {told.length} tensors, got {type(value).__name__}"
        )
    if len(value) != told.length:
        raise InputError(
            f"input {told.name!r}: the pack takes a list of {told.length} tensors, got {len(value)};"
            f" another number needs another pack, converted with elements={{{told.name!r}: {len(value)}}}"
        )
    return value


def gathered(entry: Entry, values: Sequence[Any]) -> dict[str, Any]:
    """Outputs by name, in the model's order: a list for each list, None for an absent optional."""
    names = [spec.name for spec in entry.outputs]
    made: dict[str, Any] = {}
    done = 0
    for told in entry.lists_of("outputs"):
        end = told.first + (told.length or 0)
        made |= zip(names[done : told.first], values[done : told.first], strict=True)
        made[told.name] = None if told.length is None else list(values[told.first : end])
        done = end
    return made | dict(zip(names[done:], values[done:], strict=True))
