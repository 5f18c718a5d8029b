"""Sequences of tensors, made and taken apart again: none is a value that others read."""

from __future__ import annotations

from tests.fuzz.known import Known, UnfitError
from tests.fuzz.maker import Maker, Step

WEIGHTS = {"split_to_sequence": 0.6, "sequence_construct": 0.6}


def _ends(make: Maker, count: int, axis: int, *, alike: bool) -> Step:
    """What is made of a sequence of so many tensors, whose shapes may be alike."""
    match make.choice(("at", "at", "concat", "stack" if alike else "concat", "length")):
        case "at":
            return "SequenceAt", [make.ints(make.pick.randrange(-count, count))], {}
        case "concat":
            return "ConcatFromSequence", [], {"axis": axis}
        case "stack":
            return "ConcatFromSequence", [], {"axis": axis, "new_axis": 1}
        case _:
            return "SequenceLength", [], {}


def _changes(make: Maker, count: int, other: Known) -> tuple[list[Step], int]:
    """Tensors that come into a sequence or leave it, and how many it has then."""
    steps: list[Step] = []
    for _ in range(make.pick.randint(0, 2)):
        place = [make.ints(make.pick.randrange(-count, count))] if make.chance(0.7) else []
        if count > 1 and make.chance(0.5):
            steps.append(("SequenceErase", place, {}))
            count -= 1
        else:
            steps.append(("SequenceInsert", [other, *place], {}))
            count += 1
    return steps, count


def split_to_sequence(make: Maker) -> None:
    """Parts of an axis, of one size, of none, or of stated ones."""
    x = make.one(make.any_of(), (1, 4))
    axis = make.axis(x)
    if not x.fixed(axis) or not x.shape[axis]:
        raise UnfitError
    size, keep = x.shape[axis], 1
    kind = make.choice(("ones", "dropped", "even", "stated"))
    if kind == "even":
        each = make.pick.randint(1, size)
        given, count, alike = [make.ints(each)], -(-size // each), not size % each
    elif kind == "stated":
        first = make.pick.randint(0 if make.empty else 1, size)
        given, count, alike = [make.ints([first, size - first])], 2, 2 * first == size
        if first == size and not make.empty:
            raise UnfitError
    else:
        given, count, alike, keep = [], size, True, int(kind == "ones")
    steps, count = _changes(make, count, x) if keep else ([], count)
    if not keep and x.rank == 1:  # scalars have no axis to be joined along
        end: Step = ("SequenceAt", [make.ints(make.pick.randrange(-count, count))], {})
    else:
        place = axis if keep else max(min(axis, x.rank - 2), 1 - x.rank)
        end = _ends(make, count, place, alike=alike and not steps)
    make.chain(x, ("SplitToSequence", given, {"axis": axis, "keepdims": keep}), *steps, end)


def sequence_construct(make: Maker) -> None:
    """Values of one dtype, alike or not along one axis."""
    x = make.one(make.any_of(), (1, 4))
    axis = make.axis(x)
    more = [make.found((x.dtype,), (x.rank, x.rank), None) or x for _ in range(make.pick.randint(0, 3))]
    alike = all(v.dims == x.dims for v in more)
    steps, count = _changes(make, 1 + len(more), x)
    make.chain(x, ("SequenceConstruct", more, {}), *steps, _ends(make, count, axis, alike=alike))
