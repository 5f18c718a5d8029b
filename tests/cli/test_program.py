"""The program as a whole: help, exit codes, missing extras, bugs, what is imported when."""

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import pyruntime
from pyruntime import errors
from pyruntime.cli import app
from pyruntime.cli.exits import BUG, EXITS, HANDLED, INTERRUPTED, USAGE, exit_code
from tests.browser.fixtures import ROOT
from tests.cli.conftest import Invoke, start

COMMANDS = tuple(command.__name__.replace("_", "-") for command in app.COMMANDS)
HEAVY = ("numpy", "onnx", "wgpu", "wasmtime", "pyruntime_converter", "pyruntime.runtime.session")


@pytest.mark.parametrize("command", [(), ("convert",), ("run",), ("doctor",)])
def test_help_tells_the_exit_codes(invoke: Invoke, command: tuple[str, ...]) -> None:
    result = invoke(*command, "--help")
    assert result.exit_code == 0
    for row in EXITS:
        assert f"{row.code}: {row.when}" in result.stdout


def test_the_guide_tells_the_exit_codes() -> None:
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", (ROOT / "docs" / "cli.md").read_text(), flags=re.MULTILINE)
    assert rows == [(str(row.code), row.when) for row in EXITS]


def test_without_a_command_the_help_is_shown(invoke: Invoke) -> None:
    result = invoke()
    assert result.exit_code == USAGE
    assert "convert" in result.output
    assert "doctor" in result.output


def test_version(invoke: Invoke) -> None:
    result = invoke("--version")
    assert (result.exit_code, result.stdout.split()[:2]) == (0, ["pyruntime", pyruntime.__version__])


def test_the_package_is_the_program() -> None:
    command = [sys.executable, "-m", "pyruntime", "--version"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.split()[:2]) == (0, ["pyruntime", pyruntime.__version__])


@pytest.mark.parametrize(
    "arguments", [("frob",), ("run", "x.pack", "--frob"), ("convert",), ("run", "a", "b")]
)
def test_a_wrong_command_line_is_a_usage_error(invoke: Invoke, arguments: tuple[str, ...]) -> None:
    assert invoke(*arguments).exit_code == USAGE


def test_every_error_has_an_exit_code() -> None:
    typed = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, errors.PyRuntimeError)]
    assert all(issubclass(e, HANDLED) for e in typed)
    codes = {
        errors.ModelError("m"): 1,
        errors.HashError("h"): 1,
        FileNotFoundError("f"): 1,
        errors.InputError("i"): 2,
        errors.UnsupportedError("Conv", "c", "r"): 3,
        errors.UnsupportedNodesError([errors.UnsupportedError("Conv", "c", "r")]): 3,
        errors.DeviceError("d"): 4,
        errors.CompilerError("c"): 4,
        errors.MemoryLimitError("m"): 5,
        errors.RunError("r"): 5,
        errors.OptionError("o"): 2,
        MemoryError(): 5,
    }
    assert {e: exit_code(e) for e in codes} == codes


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_without_the_extra_it_says_how_to_get_it(missing: str) -> None:
    done = start("--help", before=f"sys.modules[{missing!r}] = None")
    assert (done.returncode, done.stdout) == (USAGE, "")
    assert "pip install pyruntime[cli]" in done.stderr
    assert missing in done.stderr
    assert "Traceback" not in done.stderr


def test_help_imports_nothing_heavy() -> None:
    listed = f"import atexit; atexit.register(lambda: print([m for m in {HEAVY!r} if m in sys.modules]))"
    done = start("--help", before=listed)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "[]")


def test_help_imports_little() -> None:
    """It takes as long as its imports: typer, rich and what these need, and few of ours."""
    listed = (
        "import atexit; atexit.register(lambda: print(len(sys.modules),"
        " sum(m.startswith('pyruntime') for m in sys.modules)))"
    )
    every, ours = map(int, start("--help", before=listed).stdout.split()[-2:])
    assert 5 < ours <= 25
    assert every < 450


def test_a_bug_shows_its_traceback_and_asks_for_a_report() -> None:
    broken = "import pyruntime\ndef load(*a, **k): raise ZeroDivisionError('ouch')\npyruntime.load = load"
    done = start("run", "x.pack", before=broken)
    assert done.returncode == BUG
    assert "ZeroDivisionError: ouch" in done.stderr
    assert "bug in pyruntime" in done.stderr


def test_an_error_is_one_panel_without_a_traceback(invoke: Invoke) -> None:
    result = invoke("run", "nowhere.pack")
    assert (result.exit_code, result.stdout) == (1, "")
    for part in ("pack-missing-file", "there is no pack at nowhere.pack", "exit code 1", "--debug"):
        assert part in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(("told", "message"), [("", "not enough memory"), ("cannot allocate 30 GiB",) * 2])
def test_a_machine_without_memory(told: str, message: str) -> None:
    broken = f"import pyruntime\ndef load(*a, **k): raise MemoryError({told!r})\npyruntime.load = load"
    done = start("run", "x.pack", "--json", before=broken)
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["code"]) == (5, "memory")
    assert message in error["message"]


def test_ctrl_c_during_imports() -> None:
    done = start(
        "--help",
        before="""
class Interrupted:
    def find_spec(self, name, path=None, target=None):
        if name == "pyruntime.cli.app": raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupted())""",
    )
    assert (done.returncode, done.stdout, done.stderr) == (INTERRUPTED, "", "")


@pytest.mark.parametrize("command", ["check", "convert", "inspect", "run", "bench", "diff"])
def test_a_file_that_cannot_be_read(
    invoke: Invoke, model: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told as any other file that is of no use. Root can read all files, so calls are made to fail."""
    unreadable = Path("unreadable.onnx")
    unreadable.write_bytes(model.read_bytes())
    unreadable.chmod(0)
    monkeypatch.setattr(os, "access", lambda *_args, **_named: False)
    real = Path.open

    def refused(path: Path, *arguments: Any, **named: Any) -> Any:
        if path.name == unreadable.name:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, *arguments, **named)

    monkeypatch.setattr(Path, "open", refused)
    result = invoke(command, unreadable, "--json")
    error = json.loads(result.stdout)["error"]
    assert (result.exit_code, error["exit"], error["code"]) == (1, 1, "model-invalid")
    assert "Permission denied" in error["message"]


def test_debug_shows_the_traceback(invoke: Invoke) -> None:
    result = invoke("run", "nowhere.pack", "--debug")
    assert result.exit_code == 1
    assert "Traceback" in result.stderr
    assert "MissingFileError" in result.stderr


def test_errors_as_json(invoke: Invoke) -> None:
    result = invoke("run", "nowhere.pack", "--json")
    told = json.loads(result.stdout)["error"]
    assert (result.exit_code, result.stderr) == (1, "")
    assert (told["code"], told["exit"]) == ("pack-missing-file", 1)
    assert "traceback" in json.loads(invoke("run", "nowhere.pack", "--json", "--debug").stdout)


def test_files_that_the_system_refuses_are_named(invoke: Invoke, tmp_path: Path, packs: Path) -> None:
    result = invoke("run", packs / "affine", "-d", "wasm", "--input", "x=nowhere.npy")
    assert result.exit_code == 1
    assert "nowhere.npy: No such file" in result.stderr


def test_a_console_without_unicode_gets_plain_marks(packs: Path) -> None:
    done = start("run", packs / "double", "-r", "-d", "wasm", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("+ ")


@pytest.mark.parametrize(
    ("words", "expected"),
    [("", set(COMMANDS)), ("ins", {"inspect"}), ("inspect --ht", {"--html"}), ("check --targ", {"--target"})],
)
def test_shells_complete_commands_and_options(words: str, expected: set[str]) -> None:
    """What the script of --show-completion asks the program for when Tab is pressed."""
    line = f"pyruntime {words}"
    asked = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}
    done = start(_PYRUNTIME_COMPLETE="complete_bash", **asked)
    assert (done.returncode, set(done.stdout.split())) == (0, expected), done.stderr


def test_every_command_speaks_json_and_lists_the_exit_codes(invoke: Invoke) -> None:
    for command in COMMANDS:
        told = invoke(command, "--help").stdout
        assert "--json" in told, command
        assert all(f"{row.code}: {row.when}" in told for row in EXITS), command


def test_the_guide_has_every_command_and_exit_code() -> None:
    told = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
    assert all(f"| {row.code} | {row.when} |" in told for row in EXITS)
    assert all(re.search(rf"^\| `{command}[ `]", told, flags=re.MULTILINE) for command in COMMANDS)


def test_module_form() -> None:
    import runpy

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["pyruntime", "--version"])
        with pytest.raises(SystemExit) as ended:
            runpy.run_module("pyruntime.cli", run_name="__main__")
    assert ended.value.code == 0
