"""Ways to damage a file in its bytes, and an ONNX model in the fields that protobuf makes of them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from google.protobuf.message import Message
from onnx import ModelProto, TensorProto

NUMBERS = (0, 1, -1, 2, 3, 7, 255, 256, 65536, 2**31 - 1, 2**31, -(2**31), 2**40, 2**62, 2**63 - 1, -(2**63))
FLOATS = (0.0, -1.0, 1e-45, 3.5e38, float("inf"), float("-inf"), float("nan"))
TEXTS = (
    "",
    "x",
    "../../x",
    "/etc/passwd",
    "a\0b",
    "é" * 300,
    "If",
    "Loop",
    "Conv",
    "ai.onnx.ml",
    "%s%n",
    "*/ #error",
)


def places(message: Message) -> Iterator[tuple[Message, str]]:
    """Every field that is set, of a message and of all in it."""
    for field, value in message.ListFields():
        yield message, field.name
        if field.message_type is not None:
            for each in value if field.is_repeated else [value]:
                yield from places(each)


def _other(value: object, draw: random.Random) -> object:
    """Another value of the same type."""
    match value:
        case bool() | int():
            return draw.choice([value + draw.choice((-1, 1, 64)), draw.choice(NUMBERS)])
        case float():
            return draw.choice(FLOATS)
        case str():
            return draw.choice(TEXTS)
    assert isinstance(value, bytes)
    return draw.choice([value[: len(value) // 2], value * 2, b"", bytes(draw.randbytes(len(value)))])


def _field(model: ModelProto, draw: random.Random) -> None:
    """Change one field: another value, an item less or twice, one from elsewhere, or nothing at all."""
    found = list(places(model))
    holder, name = draw.choice(found)
    (field,) = (f for f, _ in holder.ListFields() if f.name == name)
    value = getattr(holder, name)
    if not field.is_repeated:
        if field.message_type is not None or draw.random() < 0.2:
            holder.ClearField(name)
            return
        try:
            setattr(holder, name, _other(value, draw))
        except ValueError:  # past the field's range
            holder.ClearField(name)
        return
    place = draw.randrange(len(value))
    item = value[place]
    match draw.choice(("remove", "twice", "from elsewhere", "change")):
        case "twice":
            value.append(item)
        case "from elsewhere" if field.message_type is not None:
            same = [getattr(h, n) for h, n in found if n == name and type(h) is type(holder)]
            other = draw.choice(draw.choice(same))
            value[place].ParseFromString(other.SerializeToString())  # it may be what holds this place
        case "change" if field.message_type is None:
            try:
                value[place] = _other(item, draw)
            except ValueError:
                del value[place]
        case _:
            del value[place]


def _fields(data: bytes, draw: random.Random) -> bytes:
    model = ModelProto.FromString(data)
    for _ in range(draw.choice((1, 1, 1, 2, 5))):
        if model.ListFields():
            _field(model, draw)
    return model.SerializeToString()


def flip(data: bytes, draw: random.Random) -> bytes:
    """Other bytes at some places."""
    changed = bytearray(data or b"\0")
    for _ in range(draw.choice((1, 2, 8, 64))):
        changed[draw.randrange(len(changed))] = draw.choice((0, 1, 0x7F, 0x80, 0xFF, draw.randrange(256)))
    return bytes(changed)


def cut(data: bytes, draw: random.Random) -> bytes:
    """The beginning alone."""
    return data[: draw.randrange(len(data) or 1)]


def splice(data: bytes, draw: random.Random) -> bytes:
    """A part that stands elsewhere once more."""
    a, b, at = (draw.randrange(len(data) + 1) for _ in range(3))
    a, b = sorted((a, b))
    return data[:at] + data[a:b] + data[at:]


def _external(data: bytes, draw: random.Random) -> bytes:
    """A weight that is said to lie in another file."""
    model = ModelProto.FromString(data)
    tensor = draw.choice(
        list(model.graph.initializer) or [model.graph.initializer.add(name="w", data_type=1)]
    )
    tensor.data_location = TensorProto.EXTERNAL
    tensor.ClearField("raw_data")
    for key, values in (("location", TEXTS), ("offset", NUMBERS), ("length", NUMBERS)):
        tensor.external_data.add(key=key, value=str(draw.choice(values)))
    return model.SerializeToString()


WAYS: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "fields": _fields,
    "bytes": flip,
    "cut": cut,
    "spliced": splice,
    "external data": _external,
}
OFTEN = [3, 1, 1, 1, 1]


def damaged(data: bytes, draw: random.Random) -> tuple[str, bytes]:
    """A model, damaged in one of the ways, and in which."""
    (way,) = draw.choices(list(WAYS), OFTEN)
    return way, WAYS[way](data, draw)
