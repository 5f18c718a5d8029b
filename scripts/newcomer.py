"""Does what the quick starts tell a new user, command by command, as printed, and checks what they promise.

    python3 scripts/newcomer.py

needs the standard library alone, and package indexes. Shell blocks go to one shell, line by line. Others
become files where the text before them ends with a name, as in "The page, `index.html`:". Servers stay
until the end of their document; "Open URL and see `text`" is done in Chromium, and "prints `text`" is
looked for in what the last command wrote.
"""

from __future__ import annotations

import argparse
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("docs/start/python.md", "docs/start/page.md", "docs/start/node.md", "docs/bundlers.md")
SERVERS = ("python3 -m http.server", "node server.mjs", "npx vite preview")
WAIT = 60.0  # seconds for a server to answer, and for a page to show what it should
_BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
NAME = r"`([\w./-]+\.(?:html|m?js|py))`[^`\n]*:\n\n"  # before a block: the file that it is
_NAMED = re.compile(NAME + r"\Z")
_PAGE = re.compile(r"Open (\S+) and see `([^`]+)`")
_PRINTS = re.compile(r"^prints `([^`]+)`", re.MULTILINE)
_ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)/")


class StepError(Exception):
    """A step did not do what the document says."""


class Command(NamedTuple):
    """A line for the shell."""

    line: str
    port: int | None = None  # of a server, which stays


class File(NamedTuple):
    """A file to write in the shell's folder."""

    name: str
    text: str


class Look(NamedTuple):
    """A page to open, and what it shows."""

    url: str
    text: str


class Prints(NamedTuple):
    """What the command before has written."""

    text: str


Step = Command | File | Look | Prints


def steps(text: str) -> Iterator[Step]:
    """What a document tells to do, in order."""
    end = 0
    for block in _BLOCK.finditer(text):
        yield from _said(text[end : block.start()])
        if block["language"] == "sh":
            address = _ADDRESS.search(text, block.start())
            for line in block["text"].splitlines():
                stays = line.startswith(SERVERS)
                assert address or not stays, f"the document does not tell where {line!r} serves"
                yield Command(line, int(address[1]) if address and stays else None)
        elif name := _NAMED.search(text[end : block.start()]):
            yield File(name[1], block["text"])
        end = block.end()
    yield from _said(text[end:])


def _said(text: str) -> Iterator[Step]:
    """What the text between blocks says that there is to see."""
    yield from (Prints(found[1]) for found in _PRINTS.finditer(text))
    yield from (Look(found[1], found[2]) for found in _PAGE.finditer(text))


class Shell:
    """One bash that runs line after line, so that folders, variables and functions stay."""

    END = "newcomer-end"

    def __init__(self, folder: Path) -> None:
        command = ["bash", "--noprofile", "--norc"]
        pipe = subprocess.PIPE
        self._bash = subprocess.Popen(
            command,
            cwd=folder,
            stdin=pipe,
            stdout=pipe,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.folder = folder

    def run(self, line: str) -> str:
        """What a line writes. Raises StepError where it fails."""
        assert self._bash.stdin
        assert self._bash.stdout
        self._bash.stdin.write(f'{{ {line}\n}} </dev/null\nprintf "\\n%s %s %s\\n" {self.END} "$?" "$PWD"\n')
        self._bash.stdin.flush()
        written: list[str] = []
        for got in self._bash.stdout:
            if got.startswith(self.END):
                _, status, folder = got.split(maxsplit=2)
                self.folder = Path(folder.rstrip("\n"))
                text = "".join(written)
                if status != "0":
                    raise StepError(f"exit code {status}:\n{text}")
                return text
            written.append(got)
        raise StepError("the shell ended:\n" + "".join(written))

    def close(self) -> None:
        """End the shell and what it left running."""
        if self._bash.poll() is None:
            os.killpg(self._bash.pid, 15)
        self._bash.communicate()


def follow(shell: Shell, text: str) -> None:
    """Do all that a document tells. Raises StepError."""
    servers: list[int] = []
    output = ""
    for step in steps(text):
        begun = time.monotonic()
        match step:
            case Command(line, port):
                print(f"$ {line}", flush=True)
                if port is None:
                    output = shell.run(line)
                else:
                    shell.run(f"{line} >server-{port}.log 2>&1 &")
                    servers.append(int(shell.run("echo $!")))
                    answers(port)
            case File(name, content):
                print(f"- {name}", flush=True)
                (shell.folder / name).write_text(content)
            case Look(url, shown):
                print(f"- {url} shows {shown!r}", flush=True)
                look(url, shown)
            case Prints(wanted):
                if wanted not in output:
                    raise StepError(f"{wanted!r} is not in what it printed:\n{output}")
        if (took := time.monotonic() - begun) > 1:
            print(f"  {took:.0f} s", flush=True)
    for server in servers:
        shell.run(f"kill {server}")


def answers(port: int) -> None:
    """Wait until something listens there. Raises StepError."""
    until = time.monotonic() + WAIT
    while time.monotonic() < until:
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise StepError(f"nothing listens on port {port}")


def look(url: str, text: str) -> None:
    """Open a page by the Playwright of the checkout's .venv. Raises StepError."""
    own = ROOT / ".venv" / "bin" / "python"
    python = str(own if own.exists() else sys.executable)
    if subprocess.call([python, "-c", "import playwright"], stderr=subprocess.DEVNULL):
        print("  make setup brings a browser, which users have; that takes minutes", flush=True)
        if subprocess.call(["make", "setup"], cwd=ROOT):
            raise StepError("make setup failed")
    command = [python, __file__, "--look", url, text]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise StepError(done.stdout + done.stderr)


def look_here(url: str, text: str) -> None:
    """Open a page in Chromium, and wait until it shows a text."""
    import shutil

    from playwright.sync_api import expect, sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        page.on("pageerror", lambda error: print(str(error)))
        page.goto(url)
        expect(page.locator("output")).to_have_text(text, timeout=WAIT * 1000)
        browser.close()


def elsewhere(text: str) -> str:
    """The same on ports that nobody has."""
    for port in set(_ADDRESS.findall(text)):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            text = re.sub(rf"\b{port}\b", str(free.getsockname()[1]), text)
    return text


def main() -> int:
    """The exit status: 0 where every step did what the documents say."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--folder", type=Path, default=ROOT, help="where the first command is typed; the checkout"
    )
    parser.add_argument("--before", type=Path, help="a file for the shell to read first")
    parser.add_argument("--free-ports", action="store_true", help="serve on ports that are free instead")
    parser.add_argument("--look", nargs=2, metavar=("URL", "TEXT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.look:
        look_here(*options.look)
        return 0
    shell = Shell(options.folder)
    home = None
    try:
        if options.before:
            shell.run(f". '{options.before}'")
        for page in PAGES:
            print(f"\n== {page}", flush=True)
            text = (ROOT / page).read_text()
            if home is not None:
                shell.run(f"cd '{home}'")
            follow(shell, elsewhere(text) if options.free_ports else text)
            home = home or shell.folder
    except StepError as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    finally:
        shell.close()
    print("\nAll steps did what the documents say.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
