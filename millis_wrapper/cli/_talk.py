"""Interactive chat in the terminal."""

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

from ._output import colored, error_line, note, report, write

if TYPE_CHECKING:
    from millis_wrapper import Conversation
    from millis_wrapper._sync.stream import ChatStream

    from ._options import Session

    Messages: TypeAlias = list[dict[str, Any]]

SPEAKER = "Agent: "
_HELP = """\
/end [TEXT]   End the session and leave. With TEXT, send it as the last message.
              Without it, send the history again, marked as the end of session.
/save [FILE]  Save the history as JSON; without FILE, to the last file used.
/help         Show this help.
Ctrl-C        Stop the reply; at the prompt, press it twice to leave.
/quit, /exit  Leave without sending anything; Ctrl-D does the same."""


class Talk:
    """One interactive conversation.

    Args:
        conversation: Keeps the history.
        end: Returns the stream that ends the session without another message.
        show: Prints a reply.
        session: Settings of this run of the command.
        history: The file from which the history was loaded.
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
        # /save overwrites only these files: the one with the loaded history, and those it created.
        self._own_files = [] if history is None else [history.expanduser()]

    def run(self) -> None:
        """Read lines and print replies until /end, /quit, /exit or Ctrl-D.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed twice at the prompt.
        """
        interrupted = False
        while True:
            try:
                line = _read_line().strip()
            except EOFError:
                note("")
                return
            except KeyboardInterrupt:
                # The first one may have been meant for a reply that just ended; leaving loses the history.
                if interrupted:
                    raise
                interrupted = True
                note("\n(press Ctrl-C again, or Ctrl-D, to leave)")
                continue
            except UnicodeDecodeError as error:
                note(f"millis: the line is not valid UTF-8: {error}")
                continue
            interrupted = False
            if line.startswith("/"):
                if self._run_command(line):
                    return
            elif line:
                self._take_turn(line)

    def _run_command(self, line: str) -> bool:
        """Run a command such as `/save FILE`; return whether the conversation is over."""
        command, _, rest = line.partition(" ")
        rest = rest.strip()
        if command in ("/quit", "/exit"):
            return True
        if command == "/end":
            # The session begins with the first message.
            is_empty = not rest and not self._conversation.messages
            return is_empty or self._take_turn(rest, end_of_session=True)
        if command == "/save":
            self._save(rest)
        elif command == "/help":
            note(_HELP)
        else:
            note(f"millis: unknown command {command}; type /help for a list")
        return False

    def _take_turn(self, text: str, *, end_of_session: bool = False) -> bool:
        """Send `text`, or only the history if it is empty, and print the reply.

        Returns:
            Whether the reply is complete. Errors are reported, and the conversation continues.
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
            kept = stream is not None and bool(text) and self._keep_partial_reply(before, text, stream)
            note(
                f"(stopped; {'the partial reply was added' if kept else 'nothing was added'} to the history)"
            )
        except MillisError as error:
            report(error, self._session, " (this turn was not added to the history; you can send it again)")
        else:
            return True
        return False

    def _keep_partial_reply(self, before: Messages, text: str, stream: ChatStream) -> bool:
        """Add a stopped turn to the history; return whether the history contains it."""
        # The library drops an interrupted turn. Here, Ctrl-C is how a user skips the rest of a reply.
        stream.close()
        if stream.reply.text and self._conversation.messages == before:
            user = {"role": "user", "content": text}
            assistant = {"role": "assistant", "content": stream.reply.text}
            self._conversation.load([*before, user, assistant])
        return self._conversation.messages != before

    def _save(self, name: str) -> None:
        messages = self._conversation.messages
        if not messages:
            note("millis: the history is empty; there is nothing to save")
            return
        if not name and not self._own_files:
            note("millis: /save: pass a file name, as in /save chat.json")
            return
        # backslashreplace writes half a surrogate pair as JSON does.
        content = json.dumps(messages, ensure_ascii=False, indent=2).encode(errors="backslashreplace") + b"\n"
        try:
            path = Path(name).expanduser() if name else self._own_files[-1]
            with path.open("wb" if path in self._own_files else "xb") as file:
                file.write(content)
        except (OSError, RuntimeError, ValueError) as error:
            reason = error_line(error) if isinstance(error, OSError) else error
            note(f"millis: could not save the history: {reason}; try another file name")
        else:
            self._own_files.append(path)
            note(f"(saved {len(messages)} messages to {path})")


def _read_line() -> str:
    """Return the next line of input.

    Raises:
        EOFError: The input has ended.
    """
    if sys.stdout.isatty():
        name = colored("You", "cyan", sys.stdout)
        with suppress(ImportError):  # Windows does not have readline.
            import_module("readline")  # input() uses it to edit lines and to recall earlier ones
            # Mark the characters of the prompt that do not take up a column.
            name = re.sub(r"(\x1b\[\d+m)", "\x01\\1\x02", name)
        return input(f"{name}> ")
    # input() would write the prompt to stdout, among the replies.
    sys.stderr.write(colored("You", "cyan", sys.stderr) + "> ")
    sys.stderr.flush()
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line
