"""Finds this machine's browsers, and opens a page in one: headless with its own profile, or the user's."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import webbrowser
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from pyruntime.errors import DeviceError

DEFAULT = "default"  # the user's own browser, in a window
_END = 10.0  # seconds that a browser has to end


class Browser(NamedTuple):
    """A kind of browser: its programs on PATH, and where macOS and Windows keep it."""

    programs: tuple[str, ...]
    mac: str
    windows: str
    gecko: bool = False


BROWSERS = {
    "chromium": Browser(("chromium", "chromium-browser"), "Chromium", "Chromium/Application/chrome.exe"),
    "chrome": Browser(
        ("google-chrome", "google-chrome-stable", "chrome"),
        "Google Chrome",
        "Google/Chrome/Application/chrome.exe",
    ),
    "edge": Browser(
        ("microsoft-edge", "microsoft-edge-stable", "msedge"),
        "Microsoft Edge",
        "Microsoft/Edge/Application/msedge.exe",
    ),
    "firefox": Browser(("firefox", "firefox-esr"), "Firefox", "Mozilla Firefox/firefox.exe", gecko=True),
}
_CHROMIUM = (
    "--headless=new",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--disable-sync",
    "--enable-unsafe-webgpu",  # on Linux WebGPU is behind this flag
    "--enable-webgpu-developer-features",  # timestamps that are not rounded to 0.1 ms
)
_GECKO = {
    "browser.aboutwelcome.enabled": "false",
    "browser.shell.checkDefaultBrowser": "false",
    "datareporting.policy.dataSubmissionEnabled": "false",
    "app.update.enabled": "false",
    "dom.webgpu.enabled": "true",
    "gfx.webgpu.ignore-blocklist": "true",  # on Linux drivers are blocked; what is opened is our own
}

_NONE: Mapping[str, str] = MappingProxyType({})


def find(name: str) -> tuple[Path, bool]:
    """A browser's program by its name or path, "auto" for the first there is; and whether it is a Firefox.

    Raises DeviceError where it is not there, with what to do.
    """
    if name not in BROWSERS and name != "auto":
        program = shutil.which(name)
        if program is None:
            known = ", ".join(BROWSERS)
            raise DeviceError(
                f"there is no browser {name!r}: give auto, default, {known}, or a program's path"
            )
        return Path(program), "firefox" in Path(program).name.lower()
    for kind in BROWSERS if name == "auto" else (name,):
        for place in _places(BROWSERS[kind]):
            return place, BROWSERS[kind].gecko
    missing = "a browser that runs without a window" if name == "auto" else name
    raise DeviceError(
        f"{missing} was not found: install it, or open the page in your own: --browser {DEFAULT}"
    )


def _places(browser: Browser) -> Iterator[Path]:
    """Where it is."""
    for program in browser.programs:
        if found := shutil.which(program):
            yield Path(found)
    if sys.platform == "darwin":
        yield from _files([Path(f"/Applications/{browser.mac}.app/Contents/MacOS/{browser.mac.lower()}")])
        yield from _files([Path(f"/Applications/{browser.mac}.app/Contents/MacOS/{browser.mac}")])
    if sys.platform == "win32":
        folders = (os.environ.get(v) for v in ("PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA"))
        yield from _files([Path(folder) / browser.windows for folder in folders if folder])


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    yield from (path for path in paths if path.is_file())


@contextmanager
def opened(name: str, url: str, preferences: Mapping[str, str] = _NONE) -> Iterator[None]:
    """A page in a browser, which ends with the context unless it is the user's own. Raises DeviceError.

    Args:
        name: of `BROWSERS`, "auto", "default", or a program.
        url: of the page.
        preferences: further ones of a Firefox, as they stand in its user.js.
    """
    if name == DEFAULT:
        if not webbrowser.open(url):
            raise DeviceError("this machine has no default browser; name one: --browser chromium")
        yield
        return
    program, gecko = find(name)
    with tempfile.TemporaryDirectory(prefix="pyruntime-browser-", ignore_cleanup_errors=True) as profile:
        try:
            process = subprocess.Popen(
                _command(program, gecko, Path(profile), url, preferences),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        except OSError as error:
            raise DeviceError(f"{program} cannot be started: {error.strerror}") from None
        try:
            yield
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_END)
            if process.poll() is None:
                process.kill()
                process.wait()


def _command(
    program: Path, gecko: bool, profile: Path, url: str, more: Mapping[str, str] = _NONE
) -> list[str]:
    """How it is started without a window, in a profile of its own."""
    if gecko:
        preferences = (f'user_pref("{name}", {value});\n' for name, value in {**_GECKO, **more}.items())
        (profile / "user.js").write_text("".join(preferences))
        return [str(program), "--headless", "--no-remote", "--profile", str(profile), url]
    # the administrator of a container cannot have Chromium's sandbox; the page is our own
    sandbox = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    return [str(program), *_CHROMIUM, *sandbox, f"--user-data-dir={profile}", url]
