"""Check the public types as a user's tools see them: in the built wheel, installed into a fresh environment.

`scripts/check` runs this script. mypy, pyright, ty and pyrefly check `tests/typing_api.py` and an import of
every public name. Then pyright's language server completes keys and values in inline dicts.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Generator
from pathlib import Path
from typing import Any, Self

from millis_api import dicts, models

import millis_wrapper

ROOT = Path(__file__).resolve().parent.parent

FILES = ("typing_api.py", "every_name.py")
# Each checker also rejects an unneeded `type: ignore`, so it has to find every mistake that has one in FILES.
CHECKERS = {
    "mypy": "mypy --strict --no-incremental --python-executable {python} {files}",
    "pyright": "pyright --pythonpath {python}",  # with files as arguments, it ignores pyrightconfig.json
    "ty": "ty check --error-on-warning --error unused-type-ignore-comment --python {python} {files}",
    "pyrefly": "pyrefly check --preset strict --error unused-type-ignore"
    " --python-interpreter-path {python} {files}",
}

_CONFIG_KEYS = frozenset(models.AgentConfigOverrideDict.__annotations__)
_MESSAGE_KEYS = frozenset({"role", "content", "tool_calls", "tool_call_id"})

# Code with the cursor at "|", and the completions that an editor must offer.
COMPLETIONS = [
    ('Millis().chat.send("Hi", agent_config={"|"})', _CONFIG_KEYS),
    ('Millis().chat.stream("Hi", agent_config={"flow": {"|"}})', frozenset(models.FlowDict.__annotations__)),
    ('AsyncMillis().chat.conversation(agent_config={"|"})', _CONFIG_KEYS),
    ('Millis().chat.send([{"|"}])', _MESSAGE_KEYS),
    ('Millis().chat.send([{"role": "|"}])', frozenset({"assistant", "tool", "user"})),
]


def main() -> int:
    """Print the reports of the tools and return the exit status."""
    names = [*millis_wrapper.__all__, *dicts.__all__]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        python = _fresh_environment(folder)
        imports = "".join(f"from millis_wrapper import {name} as {name}\n" for name in names)
        (folder / "every_name.py").write_text(imports)
        shutil.copy(ROOT / "tests" / "typing_api.py", folder)
        settings = {"typeCheckingMode": "strict", "reportUnnecessaryTypeIgnoreComment": True}
        (folder / "pyrightconfig.json").write_text(json.dumps(settings))
        failed = [name for name, command in CHECKERS.items() if not _passes(name, command, folder, python)]
        if missing := [*_missing_completions(folder, python)]:
            failed.append("completions")
            print("completions:", *missing, sep="\n  ")
    print(
        f"failed: {', '.join(failed)}"
        if failed
        else f"checked: {len(names)} names, {len(COMPLETIONS)} completions"
    )
    return bool(failed)


def _fresh_environment(folder: Path) -> Path:
    """Build the wheel, install it into a new environment, and return the environment's interpreter."""
    build = (sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT)
    subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
    venv.create(folder / ".venv")
    python = folder / ".venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    (wheel,) = folder.glob("*.whl")
    pip = (sys.executable, "-m", "pip", "--quiet", "--python", python, "install", wheel)
    subprocess.run(pip, check=True)
    return python


def _passes(name: str, command: str, folder: Path, python: Path) -> bool:
    arguments = command.format(python=python, files=" ".join(FILES)).split()
    done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{name}:\n{done.stdout}{done.stderr}")
    return not done.returncode


def _missing_completions(folder: Path, python: Path) -> Generator[str]:
    with LanguageServer(folder, python) as server:
        for code, expected in COMPLETIONS:
            offered = server.complete(f"from millis_wrapper import AsyncMillis, Millis\n{code}\n")
            if missing := expected - offered:
                yield f"{code}: does not complete {', '.join(sorted(missing))}"


class LanguageServer:
    """pyright's language server, limited to the messages that a completion needs."""

    def __init__(self, folder: Path, python: Path) -> None:
        self._folder = folder
        self._python = str(python)
        self._messages = itertools.count(1)
        self._process = subprocess.Popen(
            ("pyright-langserver", "--stdio"), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def __enter__(self) -> Self:
        root = {"uri": self._folder.as_uri(), "name": "fresh"}
        capabilities = {"workspace": {"configuration": True, "workspaceFolders": True}}
        self._request("initialize", processId=None, workspaceFolders=[root], capabilities=capabilities)
        self._write(method="initialized", params={})
        return self

    def __exit__(self, *error: object) -> None:
        self._process.terminate()
        self._process.communicate()

    def complete(self, code: str) -> set[str]:
        """Return the completions at the cursor "|" in `code`."""
        before, _, after = code.partition("|")
        uri = (self._folder / f"completion_{next(self._messages)}.py").as_uri()
        text = {"uri": uri, "languageId": "python", "version": 1, "text": before + after}
        self._write(method="textDocument/didOpen", params={"textDocument": text})
        at = {"line": before.count("\n"), "character": len(before) - before.rfind("\n") - 1}
        offered = self._request("textDocument/completion", textDocument={"uri": uri}, position=at)
        return {item["label"].strip('"') for item in offered["items"]}

    def _request(self, method: str, **params: Any) -> Any:
        number = next(self._messages)
        self._write(id=number, method=method, params=params)
        while True:
            message = self._read()
            if message.get("id") == number and "method" not in message:
                return message["result"]
            if message.get("method") == "workspace/configuration":
                sections = [item.get("section") for item in message["params"]["items"]]
                settings = [{"pythonPath": self._python} if one == "python" else {} for one in sections]
                self._write(id=message["id"], result=settings)
            elif "method" in message and "id" in message:
                self._write(id=message["id"], result=None)

    def _write(self, **message: Any) -> None:
        assert self._process.stdin is not None
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self._process.stdin.flush()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        size = 0
        while line := self._process.stdout.readline().strip():
            if line.lower().startswith(b"content-length:"):
                size = int(line.partition(b":")[2])
        if not size:
            raise EOFError("pyright-langserver has ended")
        message: dict[str, Any] = json.loads(self._process.stdout.read(size))
        return message


if __name__ == "__main__":
    sys.exit(main())
