"""What the tests do inside Pyodide: the standard library and pyruntime alone, plain data in and out."""

from __future__ import annotations

import array
import asyncio
import base64
import importlib
import importlib.util
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pyruntime
from pyruntime import Tensor


def decode(tensors: dict[str, Any]) -> dict[str, Any]:
    """Feeds as the tests send them; strings are nested lists here."""
    return {
        name: nested(t["data"], t["shape"])
        if t["dtype"] == "string"
        else Tensor(memoryview(base64.b64decode(t["base64"])), tuple(t["shape"]), t["dtype"])
        for name, t in tensors.items()
    }


def nested(strings: list[str], shape: list[int]) -> Any:
    """Strings in row-major order as nested lists."""
    for size in reversed(shape[1:]):
        strings = [strings[i : i + size] for i in range(0, len(strings), size)]  # type: ignore[misc]
    return strings if shape else strings[0]


def encode(outputs: dict[str, Any]) -> dict[str, Any]:
    """Outputs as the tests get them."""
    return {name: encoded(output) for name, output in outputs.items()}


def encoded(output: Any) -> dict[str, Any]:
    """A tensor, or nested lists of strings, as plain data."""
    if isinstance(output, (list, str)):
        shape, flat = [], [output]
        while isinstance(flat[0], list):
            shape.append(len(flat[0]))
            flat = [element for part in flat for element in part]
        return {"dtype": "string", "shape": shape, "data": flat}
    assert type(output) is Tensor
    assert output.data.format == "B"
    assert not output.data.readonly
    return {"dtype": output.dtype, "shape": output.shape, "base64": base64.b64encode(output.data).decode()}


def told(error: pyruntime.PyRuntimeError) -> list[str]:
    """An error as plain data."""
    return [type(error).__name__, error.code, str(error)]


async def caught(action: Callable[[], Awaitable[object]]) -> list[str]:
    """The pyruntime error that an action must raise."""
    try:
        await action()
    except pyruntime.PyRuntimeError as error:
        return told(error)
    raise AssertionError("nothing was raised")


def surroundings() -> dict[str, Any]:
    """What is loaded here and what is not."""
    needless = {"ctypes", "pyruntime.ops", "pyruntime.pack.reader", "pyruntime_converter"} & set(sys.modules)
    return {
        "version": pyruntime.__version__,
        "numpy": importlib.util.find_spec("numpy") is not None,
        "platform": sys.platform,
        "needless": sorted(needless),
    }


async def run(url: str, options: dict[str, Any], feeds: list[dict[str, Any]]) -> dict[str, Any]:
    """Loads a pack and runs it once per item of feeds."""
    async with await pyruntime.load_async(url, **options) as session:
        outputs = [encode(await session.run_async(decode(each))) for each in feeds]
        return {"device": session.device, "threads": session.report.threads, "outputs": outputs}


async def run_from_url(url: str, options: dict[str, Any], feeds: list[dict[str, Any]]) -> dict[str, Any]:
    """`run` with the JavaScript runtime that pyruntime.runtime_url names."""
    pyruntime.runtime_url = options.pop("runtime")
    try:
        return await run(url, options, feeds)
    finally:
        pyruntime.runtime_url = None


async def run_from_module(url: str, options: dict[str, Any], feeds: list[dict[str, Any]]) -> dict[str, Any]:
    """`run` with a module that the page has imported."""
    runtime = importlib.import_module("javascript_runtime")
    return await run(url, {**options, "runtime": runtime}, feeds)


async def report(url: str, options: dict[str, Any]) -> dict[str, Any]:
    """What a session tells of itself, before and after a run of a large batch, and of progress."""
    progress: list[tuple[int, int]] = []
    session = await pyruntime.load_async(url, **options, progress=lambda *both: progress.append(both))
    before = session.report.memory_bytes
    x = array.array("f", bytes(4 * 80_000))
    await session.run_async({"x": memoryview(x).cast("B").cast("f", (20_000, 4))})
    told = vars(session.report)
    session.close()
    return {
        "inputs": [[s.name, s.dtype, s.shape] for s in session.inputs],
        "outputs": [[s.name, s.dtype, s.shape] for s in session.outputs],
        "entries": session.entries,
        "report": told,
        "grown": told["memory_bytes"] > before >= told["weights_bytes"],
        "progress": progress[-1][0] == progress[-1][1] > 0,
    }


async def load_error(url: str, options: dict[str, Any]) -> list[str]:
    """The error of loading a pack."""
    return await caught(lambda: pyruntime.load_async(url, **options))


async def run_errors(url: str, options: dict[str, Any]) -> dict[str, list[str]]:
    """Errors of runs that leave the session usable, and of one after closing."""
    session = await pyruntime.load_async(url, **options)
    good = {"x": [[1, 2, 3, 4]]}
    bad: dict[str, dict[str, Any]] = {
        "missing": {},
        "unknown": {**good, "z": 1},
        "dtype": {"x": array.array("i", [1, 2, 3, 4])},
        "shape": {"x": [[1, 2, 3]]},
    }
    errors = {key: await caught(lambda feeds=feeds: session.run_async(feeds)) for key, feeds in bad.items()}  # type: ignore[misc]
    errors["entry"] = await caught(lambda: session.run_async(good, entry="stretch"))
    errors["no entry"] = await caught(lambda: session.run_async(good, entry="zzz"))
    assert (await session.run_async(good))["y"].shape == (1, 3)
    session.close()
    session.close()
    errors["closed"] = await caught(lambda: session.run_async(good))
    return errors


async def without_the_runtime(url: str) -> list[str]:
    """The error of loading a pack where the wheel was built without the JavaScript runtime."""
    from pyruntime.runtime.web import carried, javascript

    folder, kept = carried.CARRIED, javascript._kept[:]
    carried.CARRIED = folder / "nowhere"
    javascript._kept.clear()
    try:
        return await caught(lambda: pyruntime.load_async(url))
    finally:
        carried.CARRIED = folder
        javascript._kept.extend(kept)


async def assets(url: str, options: dict[str, Any]) -> list[Any]:
    """The files of a pack: awaited, and by the plain look-up, which waits or refuses."""
    async with await pyruntime.load_async(url, **options) as session:
        (name,) = session.assets
        awaited = await session.asset_async(name)
        try:
            plain = session.assets[name] == awaited
        except pyruntime.BlockingError:
            plain = False
        missing = await caught(lambda: session.asset_async("zzz"))
        return [name, awaited.decode(), plain, "zzz" in session.assets, missing]


async def stateful(
    url: str, options: dict[str, Any], feeds: list[dict[str, Any]], saved: str
) -> dict[str, Any]:
    """Steps from a saved state on, the states then, and what setting, resetting and errors do."""
    async with await pyruntime.load_async(url, **options) as session:
        state = session.state
        await state.load_async(base64.b64decode(saved))
        # together: what one run makes of the state is what the next begins with
        outputs = await asyncio.gather(*(session.run_async(decode(each)) for each in feeds))
        states = {name: await state.get_async(name) for name in state.names}
        lengths, symbols = session.state.lengths, session.state.symbols
        data = await state.save_async()
        errors = [
            await caught(lambda: state.load_async(data[:20])),
            await caught(lambda: state.get_async("zzz")),
            await caught(lambda: state.set_async(state.names[0], [1, 2, 3])),
        ]
        await state.reset_async()
        empty = await state.save_async()
        for name, tensor in states.items():
            await state.set_async(name, tensor)
        return {
            "outputs": [encode(each) for each in outputs],
            "states": encode(states),
            "saved": base64.b64encode(data).decode(),
            "lengths": lengths,
            "symbols": symbols,
            "errors": errors,
            "reset": len(empty) < len(data) or not lengths,
            "set": await state.save_async() == data,
        }


def plain_state(url: str, options: dict[str, Any], feeds: dict[str, Any]) -> bool:
    """The plain calls, which wait."""
    with pyruntime.load(url, **options) as session:
        session.run(decode(feeds))
        data = session.state.save()
        session.state.reset()
        session.state.load(data)
        name = session.state.names[0]
        session.state.set(name, session.state.get(name))
        return session.state.save() == data


async def stateless(url: str, options: dict[str, Any]) -> list[str]:
    """The error of a pack that keeps no state."""
    async with await pyruntime.load_async(url, **options) as session:
        return await caught(session.state.save_async)


async def cancelled_run(
    url: str, options: dict[str, Any], feeds: list[dict[str, Any]], turns: int
) -> dict[str, Any]:
    """Three runs, the second cancelled: how far it grew the state, and the outputs of the third."""
    first, second, third = map(decode, feeds)
    async with await pyruntime.load_async(url, **options) as session:
        await session.run_async(first)
        (before,) = set(session.state.lengths.values())
        cancelled = asyncio.ensure_future(session.run_async(second))
        for _ in range(turns):
            await asyncio.sleep(0)
        cancelled.cancel()
        outputs = await session.run_async(third)
        (after,) = set(session.state.lengths.values())
        return {"grown": after - before - 1, "outputs": encode(outputs)}


async def trap(url: str, options: dict[str, Any]) -> list[str]:
    """The error of a program that fails."""
    async with await pyruntime.load_async(url, **options, entry="trap") as session:
        return await caught(lambda: session.run_async({"x": [0.0, 0, 0], "factor": 1}))


async def queue(url: str, options: dict[str, Any]) -> bool:
    """Runs started together give what they give one after the other; a cancelled one harms no other."""
    async with await pyruntime.load_async(url, **options) as session:
        feeds = [{"x": [[i, 0, 0, 0]] * (1 + i % 3)} for i in range(12)]
        together = asyncio.gather(*(session.run_async(each) for each in feeds))
        cancelled = asyncio.ensure_future(session.run_async(feeds[0]))
        await asyncio.sleep(0)
        cancelled.cancel()
        made = await together
        try:
            await cancelled
        except asyncio.CancelledError:
            alone = [await session.run_async(each) for each in feeds]
            return [encode(m) for m in made] == [encode(a) for a in alone]
    return False


async def cancelled_load(url: str, options: dict[str, Any]) -> bool:
    """Loading that is cancelled ends at once, and can be begun again."""
    loading = asyncio.ensure_future(pyruntime.load_async(url, **options))
    await asyncio.sleep(0)
    loading.cancel()
    try:
        await loading
    except asyncio.CancelledError:
        (await pyruntime.load_async(url, **options)).close()
        return True
    return False


def run_sync(url: str, options: dict[str, Any], feeds: dict[str, Any]) -> dict[str, Any]:
    """The plain calls, which wait."""
    with pyruntime.load(url, **options) as session:
        return encode(session.run(decode(feeds)))


def refusal(url: str) -> list[str]:
    """The error of a plain call where Python cannot wait."""
    try:
        pyruntime.load(url)
    except pyruntime.PyRuntimeError as error:
        return told(error)
    raise AssertionError("nothing was raised")


async def refused_run(url: str, options: dict[str, Any]) -> list[str]:
    """The error of a plain run where Python cannot wait."""

    async def run() -> None:
        session.run({"x": [[1, 2, 3, 4]]})

    async with await pyruntime.load_async(url, **options) as session:
        return await caught(run)


async def call(name: str, arguments: str) -> str:
    """Runs a scenario of a name: JSON in and out."""
    made = globals()[name](**json.loads(arguments))
    return json.dumps(await made if isinstance(made, Awaitable) else made)


def call_sync(name: str, arguments: str) -> str:
    """`call` for scenarios that never wait."""
    return json.dumps(globals()[name](**json.loads(arguments)))
