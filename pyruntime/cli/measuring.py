"""Measures a pack for `pyruntime bench`, and shows where its time goes as a table."""

from __future__ import annotations

import functools
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

import pyruntime
from pyruntime.cli import browsers, look
from pyruntime.cli.conversion import shortened
from pyruntime.cli.execution import feeder_for, made_pack
from pyruntime.cli.feeds import parse_sizes
from pyruntime.cli.progress import MeasuringProgress, Waiting
from pyruntime.pack.reader import Pack
from pyruntime.runtime.bench import browser, native
from pyruntime.runtime.bench.profile import Budget, Limits, Profile, StepTime, together
from pyruntime.runtime.session import Device

BAR = 16  # characters of the longest bar
STEP = 34  # characters of a step's name
SHOWN = 40  # steps; the others, which take least, share a row
BUSY, TRIFLE = 1.3, 1e-4  # how much longer than its steps a run is when others use the processors
GOOD, FAIR = 0.6, 0.3  # shares of the limit from which a bar is green, and yellow


@dataclass(frozen=True)
class Request:
    """What the command line asks for; fields as its options."""

    path: Path
    inputs: tuple[str, ...] = ()
    seed: int = 0
    symbols: tuple[str, ...] = ()
    device: Device = "auto"
    threads: int | None = None
    budget: Budget = field(default_factory=Budget)
    browser: str = ""  # which one; here if empty


def measure(request: Request) -> Profile:
    """Convert if need be, load, feed and measure.

    Raises:
        InputError: inputs do not fit.
        PyRuntimeError: as `pyruntime.convert`, `pyruntime.load` and `Session.run` raise it.
        OSError: a file cannot be read.
    """
    with ExitStack() as stack:
        asked = parse_sizes(request.symbols)
        pack, _ = stack.enter_context(made_pack(request.path, request.device))
        feeder = feeder_for(request.inputs, asked, request.seed)
        progress = MeasuringProgress(look.stderr())
        if request.browser:  # which needs no engine here
            subject = browser.Subject.of(stack.enter_context(Pack(pack)), feeder, asked)
            opener = functools.partial(browsers.opened, request.browser)
            bar = stack.enter_context(progress)
            return browser.profile(subject, request.device, request.threads, request.budget, opener, bar)
        with Waiting(look.stderr(), "loading"):
            loaded = pyruntime.load(pack, device=request.device, threads=request.threads)
        session = stack.enter_context(loaded)
        native.grow_states(session, asked)
        feeds = feeder(session.inputs, session.state.symbols)
        return native.measure(session, feeds, request.budget, stack.enter_context(progress))


def show(path: Path, profile: Profile, console: Console) -> None:
    """Print where and what was measured, each step by the time that it takes, sums, and the limit."""
    console.print(Text.assemble(look.mark("ok"), " ", (str(path), look.STRONG), f"  {headline(profile)}"))
    if profile.steps:
        look.print_section(console, _steps(profile))
        if len(profile.templates) > 1:
            look.print_section(console, _templates(profile))
    look.print_section(console, *map(Text, summary(profile)))
    for note in notes(profile):
        look.print_section(console, Text.assemble(look.mark("limited"), " ", note))


def headline(profile: Profile) -> str:
    """Where it ran, and at which sizes."""
    threads = f", {profile.threads} threads" if profile.threads > 1 else ""
    place = "" if profile.place == "native" else f" in {profile.place}"
    return f"{profile.device}{place}{threads}{look.sizes_text(profile.symbols)}"


def summary(profile: Profile) -> list[str]:
    """The whole run, and the limit that it is compared with."""
    whole = f"whole run {look.seconds_text(profile.seconds)}, at best {look.seconds_text(profile.least)}"
    told = [whole, f"{profile.rounds} rounds"]
    if profile.steps:
        told.insert(1, f"sum of its steps {look.seconds_text(profile.total)}")
    if profile.share is not None:
        told.insert(1, f"{percent(profile.share)} of the limit")
    lines = [" · ".join(told)]
    if profile.limits is not None:
        lines.append(f"limit: {limit_text(profile.limits)}, in {profile.engine}")
    return lines


def notes(profile: Profile) -> list[str]:
    """What a reader of the numbers should know."""
    made = list(profile.notes)
    slow = profile.seconds > BUSY * profile.total + TRIFLE
    if profile.device == "wasm" and profile.total and slow:  # on a GPU a run has uploads and waits, too
        made.append(
            f"a whole run takes {profile.seconds / profile.total:.1f} times as long as its steps: something"
            " else is using the processors (what is at best is the first quarter of all rounds)"
        )
    if profile.steps and all(s.operations is None for s in profile.steps):
        made.append("the pack does not tell what its steps compute: convert the model anew to compare them")
    return made


def limit_text(limits: Limits) -> str:
    """Rates of the loops: multiply-adds, and copies of the smallest and the largest size."""
    (small, fast), (large, slow) = limits.copies[0], limits.copies[-1]
    return (
        f"{speed_text(limits.multiply_adds)} by {limits.kind}; copies of {look.bytes_text(small)} at"
        f" {look.bytes_text(fast)}/s, of {look.bytes_text(large)} at {look.bytes_text(slow)}/s"
    )


def speed_text(speed: float) -> str:
    """Operations a second: 31.2 GFLOP/s."""
    number, _, unit = look.count_text(speed).partition(" ")
    return f"{number} {unit}FLOP/s"


def _steps(profile: Profile) -> Table:
    """The steps that take longest, each beside the others, and the rest together."""
    table = _table("step")
    steps = sorted(profile.steps, key=lambda s: -s.seconds)
    shown, rest = steps[:SHOWN], steps[SHOWN:]
    for step in shown:
        again = f" ×{step.calls}" if step.calls != 1 else ""
        name = Text.assemble((shortened(step.name, STEP), look.NAME), (again, look.QUIET))
        table.add_row(name, *_numbers(step, profile), _bar(step, steps[0].seconds))
    if rest:
        others = together("", rest)
        table.add_row(Text(f"{len(rest)} more", style=look.QUIET), *_numbers(others, profile), "")
    return table


def _templates(profile: Profile) -> Table:
    """The sum of each kind of kernel."""
    table = _table("kernels")
    for kind in profile.templates:
        name = Text.assemble((kind.name, look.NAME), (f" ×{kind.calls}", look.QUIET))
        table.add_row(name, *_numbers(kind, profile), _bar(kind, profile.templates[0].seconds))
    return table


def _table(first: str) -> Table:
    numbers = ("time", "part", "at best", "GFLOP/s", "of limit")
    return look.table(first, *numbers, "", right=numbers)


def _numbers(step: StepTime, profile: Profile) -> tuple[str, ...]:
    """Time, its part of all steps, the least time, and speed and share of the limit at that."""
    return (
        look.seconds_text(step.seconds),
        percent(step.seconds / profile.total) if profile.total else "",
        look.seconds_text(step.least),
        f"{step.speed / 1e9:.1f}" if step.speed else "",
        percent(step.share) if step.share is not None else "",
    )


def _bar(step: StepTime, longest: float) -> Text:
    """As long as the step's time, beside the longest, and as green as it is near the limit."""
    length = round(BAR * step.seconds / longest) if longest else 0
    share = step.share
    colour = look.QUIET
    if share is not None:
        colour = "green" if share >= GOOD else "yellow" if share >= FAIR else "red"
    return Text("━" * max(length, 1), style=colour)


def percent(share: float) -> str:
    """A share as one reads it: 7 %, 0.4 %."""
    return f"{100 * share:.0f} %" if share >= 0.0095 or share < 0.0005 else f"{100 * share:.1f} %"
