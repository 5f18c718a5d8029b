"""The interpreter computes what WGSL means, and finds planted races, lost barriers, assumed sizes."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.wgsl.compiler import compiled
from tests.wgsl.emulate import bind
from tests.wgsl.machine import Machine, Subgroups

THREADS = 64
HEAD = f"""
@group(0) @binding(0) var<storage, read> x: array<u32>;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;
var<workgroup> held: array<u32, {THREADS}>;
"""
MAIN = f"""
@compute @workgroup_size({THREADS})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {{
"""


def run(
    body: str, functions: str = "", groups: int = 2, subgroups: Subgroups | None = None
) -> tuple[NDArray[np.uint32], dict[str, int]]:
    """What a shader writes to y where x counts from 0, and what is wrong with it."""
    shader = compiled(f"{HEAD}{functions}{MAIN}{body}\n}}\n")
    machine = Machine((groups, 1, 1), THREADS, subgroups)
    x, y = np.arange(groups * THREADS, dtype=np.uint32), np.zeros(groups * THREADS, np.uint32)
    bind(machine, shader, [x, y])
    shader.run(machine)
    return y, machine.faults


def test_control_flow_of_each_invocation() -> None:
    y, faults = run(
        """
        var sum = 0u;
        for (var i = 0u; i < x[id.x]; i++) {
            let sum_of = i * 2u;
            if (i == 3u || (i > 5u && i % 2u == 0u)) {
                continue;
            } else if (i > 40u) {
                break;
            }
            { let i = 100u; sum += i; }
            sum += sum_of;
        }
        while (true) {
            sum -= 1u;
            if (limit(sum, local)) { break; }
        }
        y[id.x] = sum;
        """,
        """
        fn limit(value: u32, local: u32) -> bool {
            if (local < 3u) { return true; }
            return value % 7u == 0u;
        }
        """,
    )

    def expected(n: int, local: int) -> int:
        total = 0
        for i in range(n):
            if i == 3 or (i > 5 and i % 2 == 0):
                continue
            if i > 40:
                break
            total += 100 + 2 * i
        while True:
            total = (total - 1) % 2**32
            if local < 3 or total % 7 == 0:
                return total

    assert y.tolist() == [expected(n, n % THREADS) for n in range(2 * THREADS)]
    assert not faults


def test_types_and_operators() -> None:
    y, faults = run(
        """
        let n = i32(x[id.x]) - 64;
        let four = vec4<i32>(n, n / 3, n % 3, n >> 1u);
        var picked = four.wzyx;
        picked.y = select(picked.y, 7, n < 0 && x[id.x + 1u] < 30u);
        let bits = bitcast<u32>(f32(n)) ^ (x[id.x] << 31u);
        y[id.x] = bitcast<u32>(dot(picked, vec4<i32>(1, 10, 100, 1000))) ^ bits;
        """
    )
    counted = np.arange(128)
    n = counted - 64
    quotient = np.trunc(n / 3).astype(int)
    second = np.where((n < 0) & (counted + 1 < 30), 7, n - 3 * quotient)
    total = (n >> 1) + 10 * second + 100 * quotient + 1000 * n
    bits = n.astype(np.float32).view(np.uint32) ^ (counted << 31).astype(np.uint32)
    np.testing.assert_array_equal(y, total.astype(np.int32).view(np.uint32) ^ bits)
    assert not faults


SHARED = "held[local] = local; {barrier} y[id.x] = held[(local + {step}u) % 64u];"


def test_a_barrier_orders_a_write_and_a_read() -> None:
    y, faults = run(SHARED.format(barrier="workgroupBarrier();", step=1))
    assert y.tolist() == [*range(1, 64), 0] * 2
    assert not faults
    _, faults = run(SHARED.format(barrier="", step=1))
    assert faults == {"held is read while another invocation writes it": 128}
    _, faults = run(SHARED.format(barrier="storageBarrier();", step=1))
    assert faults, "a barrier for storage is none for workgroup memory"
    assert not run(SHARED.format(barrier="", step=0))[1], "what an invocation wrote itself"


RACES = {
    "one word, two writers": ("held[local / 2u] = local;", "held is written by two invocations"),
    "read, then written": (
        "let seen = held[63u - local]; held[local] = seen;",
        "held is written while another invocation reads it",
    ),
    "read by all, then written": (
        "let seen = held[0]; if (local == 5u) { held[0] = seen; }",
        "held is written while another invocation reads it",
    ),
    "a loop comes round": (
        "for (var i = 0u; i < 3u; i++) { held[local] = i; workgroupBarrier(); y[id.x] = held[local ^ 1u]; }",
        "held is written while another invocation reads it",
    ),
    "a neighbour's half of a word": (
        "y[id.x / 2u] = y[id.x / 2u] | (local << (16u * (local % 2u)));",
        "y is written by two invocations",
    ),
    "two workgroups": (
        "if (local == 0u) { y[group.x / 2u] = 1u; }",
        "y is written by two invocations",
    ),
    "two workgroups, and a barrier": (
        "y[id.x] = 1u; storageBarrier(); if (y[127u - id.x] > 5u) { y[id.x] = 2u; }",
        "y is read while another invocation writes it",
    ),
    "past the end": ("held[local + 1u] = 0u;", "held is written past its 64 elements"),
    "read past the end": ("y[id.x] = held[local * 2u];", "held is read past its 64 elements"),
    "a barrier for some": (
        "if (local < 32u) { workgroupBarrier(); }",
        "a barrier is reached by a part of a workgroup (workgroup)",
    ),
    "a barrier after some are gone": (
        "if (local == 9u) { return; } workgroupBarrier();",
        "a barrier is reached by a part of a workgroup (workgroup)",
    ),
    "a part of a subgroup": (
        "if (local < 9u) { y[id.x] = subgroupAdd(1u); }",
        "a part of a subgroup calls a function of subgroups",
    ),
}


@pytest.mark.parametrize("planted", RACES)
def test_what_is_planted_is_found(planted: str) -> None:
    body, what = RACES[planted]
    _, faults = run(body, subgroups=Subgroups(32))
    assert what in faults


def test_storage_is_ordered_within_a_workgroup() -> None:
    body = "y[id.x] = local; {barrier} let other = y[id.x ^ 1u]; {barrier} y[id.x] = other;"
    y, faults = run(body.replace("{barrier}", "storageBarrier();"))
    assert y.tolist() == [n ^ 1 for n in range(64)] * 2
    assert not faults
    assert run(body.replace("{barrier}", "workgroupBarrier();"))[1]


# as long as subgroups have 16 members, or are no larger
ASSUMES = """
let sum = subgroupAdd(local);
if (local % 16u == 0u) { held[local / 16u] = sum; }
workgroupBarrier();
y[id.x] = held[0] + held[1] + held[2] + held[3];
"""
# whatever their size
COUNTS = """
let rank = subgroupExclusiveAdd(1u);
let over = subgroupAdd(local);
held[local] = select(0u, over, rank == 0u);
workgroupBarrier();
var sum = 0u;
for (var i = 0u; i < 64u; i++) { sum += held[i]; }
y[id.x] = sum;
"""


@pytest.mark.parametrize("size", [4, 16, 32, 48, 64, 128])
@pytest.mark.parametrize("shuffled", [False, True])
def test_subgroups_have_any_size_and_members(size: int, shuffled: bool) -> None:
    subgroups = Subgroups(size, shuffled)
    total = sum(range(THREADS))
    y, faults = run(COUNTS, subgroups=subgroups)
    assert (y == total).all()
    assert not faults
    if not shuffled:
        y, _ = run(ASSUMES, subgroups=subgroups)
        assert (y == total).all() == (size == 16)
