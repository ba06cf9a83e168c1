"""A conversation in the terminal: a line, a reply, a line, with the history kept."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from millis_wrapper.errors import MillisError

from ._output import colored, line_for, note, say, write

if TYPE_CHECKING:
    from millis_wrapper import Conversation
    from millis_wrapper._sync.stream import ChatStream

    from ._options import Session

    Messages: TypeAlias = list[dict[str, Any]]

SPEAKER = "Agent: "
_HELP = """\
/end [TEXT]   end the session: says TEXT, or else sends the history once more as it is, with
              end_of_session; then leaves
/save [FILE]  write the history to FILE as JSON; without FILE, where it was written before
/help         show this
Ctrl-C        stop the reply; at the prompt, twice: leave
/quit, /exit  leave, and send nothing; so does Ctrl-D"""


class Talk:
    """One conversation in the terminal.

    Args:
        conversation: keeps the history.
        end: opens the stream that ends a session without a further text.
        show: shows a reply.
        session: whether errors are shown whole.
        history: the file that the history came from.
    """

    def __init__(
        self,
        conversation: Conversation,
        end: Callable[[Messages], ChatStream],
        show: Callable[[ChatStream], None],
        session: Session,
        history: Path | None = None,
    ) -> None:
        self._conversation = conversation
        self._end = end
        self._show = show
        self._session = session
        # Only what this conversation wrote, or came from, is written over.
        self._own_files = [] if history is None else [history.expanduser()]

    def run(self) -> None:
        """Talk until /end or Ctrl-D.

        Raises:
            KeyboardInterrupt: Ctrl-C came twice at the prompt.
        """
        interrupted = False
        while True:
            try:
                line = _ask().strip()
            except EOFError:
                note("")
                return
            except KeyboardInterrupt:
                # Once may have been meant for the reply that had just ended, and the history would be gone.
                if interrupted:
                    raise
                interrupted = True
                note("\n(Ctrl-C again leaves, and so does Ctrl-D)")
                continue
            except UnicodeDecodeError as error:
                note(f"millis: that line is not text: {error}")
                continue
            interrupted = False
            if line.startswith("/"):
                if self._obey(line):
                    return
            elif line:
                self._say(line)

    def _obey(self, line: str) -> bool:
        """Do what the `/command` says; return whether the talk is over."""
        command, _, rest = line.partition(" ")
        rest = rest.strip()
        if command in ("/quit", "/exit"):
            return True
        if command == "/end":
            # Where nothing was said there is no session to end.
            nothing = not rest and not self._conversation.messages
            return nothing or self._say(rest, end_of_session=True)
        if command == "/save":
            self._save(rest)
        elif command == "/help":
            note(_HELP)
        else:
            note(f"millis: there is no {command}; /help shows what there is")
        return False

    def _say(self, text: str, *, end_of_session: bool = False) -> bool:
        """Say `text`, or send the history as it is, and show the reply; return whether that is whole.

        Whatever broke it is said, and the talk goes on.
        """
        before = self._conversation.messages
        stream: ChatStream | None = None
        try:
            if text:
                stream = self._conversation.stream(text, end_of_session=end_of_session)
            else:
                stream = self._end(before)
            if sys.stdout.isatty():
                write(colored("Agent", "green", sys.stdout) + SPEAKER.removeprefix("Agent"))
            self._show(stream)
        except KeyboardInterrupt:
            kept = stream is not None and bool(text) and self._keep(before, text, stream)
            note(f"(stopped; {'what came of the reply' if kept else 'nothing of this turn'} is kept)")
        except MillisError as error:
            say(error, self._session, " (nothing of this turn is kept: say it again, or something else)")
        else:
            return True
        return False

    def _keep(self, before: Messages, text: str, stream: ChatStream) -> bool:
        """Keep what came of a reply that was stopped; return whether anything had."""
        # To a program Ctrl-C is no decision to keep what had come; here it is how one leaves a reply.
        stream.close()
        if stream.reply.text and self._conversation.messages == before:
            said = {"role": "user", "content": text}
            heard = {"role": "assistant", "content": stream.reply.text}
            self._conversation.load([*before, said, heard])
        return self._conversation.messages != before

    def _save(self, name: str) -> None:
        messages = self._conversation.messages
        if not messages:
            note("millis: there is nothing to save yet")
            return
        if not name and not self._own_files:
            note("millis: /save needs the name of a file")
            return
        # backslashreplace writes half a surrogate pair as JSON does.
        content = json.dumps(messages, ensure_ascii=False, indent=2).encode(errors="backslashreplace") + b"\n"
        try:
            path = Path(name).expanduser() if name else self._own_files[-1]
            with path.open("wb" if path in self._own_files else "xb") as file:
                file.write(content)
        except (OSError, RuntimeError, ValueError) as error:
            note(f"millis: not saved: {line_for(error) if isinstance(error, OSError) else error}")
        else:
            self._own_files.append(path)
            note(f"({len(messages)} messages saved in {path})")


def _ask() -> str:
    """Return the next line that is typed.

    Raises:
        EOFError: the input has ended.
    """
    if sys.stdout.isatty():
        name = colored("You", "cyan", sys.stdout)
        with suppress(ImportError):  # Windows has no readline
            import_module("readline")  # input() uses it to edit lines and to recall earlier ones
            # It has to know which characters of the prompt take no column.
            name = re.sub(r"(\x1b\[\d+m)", "\x01\\1\x02", name)
        return input(f"{name}> ")
    # input() would write the prompt into the results.
    sys.stderr.write(colored("You", "cyan", sys.stderr) + "> ")
    sys.stderr.flush()
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line
