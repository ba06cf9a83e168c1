"""A demo that streams a reply and duplicates an agent, on the mock server or the live service."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from millis_wrapper._stdout import discard_stdout
from millis_wrapper._text import escape_control_characters, shorten
from millis_wrapper.errors import MillisError, plain_message

if TYPE_CHECKING:
    from millis_wrapper import Millis

QUESTION = "Hello! Who is there?"
REPLY = (
    "I am a mock agent on your own machine. My reply streams over real HTTP, word by word, like the reply "
    "of a live agent. It needs no key and costs nothing."
)
PACE = 0.06  # seconds between two chunks, slow enough to watch


def main(arguments: Sequence[str]) -> int:
    """Run the demo, with the agent id in `arguments` if given, and return the exit status."""
    # argparse would take an agent id for an option, since most ids begin with a hyphen.
    if len(arguments) > 1 or set(arguments) & {"-h", "--help"}:
        print("usage: demo [AGENT_ID]  (an agent id selects the live service; set MILLIS_API_KEY)")
        return 0 if len(arguments) == 1 else 2
    try:
        run_demo(arguments[0] if arguments else None)
    except MillisError as error:
        print(f"demo: {plain_message(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return 130
    except OSError as error:
        discard_stdout()
        if not isinstance(error, BrokenPipeError):  # `| head` closes the pipe early
            print(f"demo: could not write to stdout: {error.strerror}", file=sys.stderr)
            return 1
    return 0


def run_demo(agent_id: str | None, *, allow_http: bool = False) -> None:
    """Stream and print a reply, then duplicate the agent and print the id of the copy.

    Args:
        agent_id: An agent of the live service, which needs MILLIS_API_KEY. None selects the mock server.
        allow_http: Like the argument of `Millis`.

    Raises:
        MillisError: A call failed.
    """
    from millis_wrapper import Millis

    from . import DEFAULT_AGENT_ID, MockMillis

    if agent_id is not None:
        with Millis(allow_http=allow_http) as millis:
            print("This demo uses the live service: the chat may cost money, and the copy is real.\n")
            _chat_and_duplicate(millis, agent_id)
        return
    with MockMillis(pace=PACE) as mock, Millis("demo-key", base_url=mock.url) as millis:
        mock.reply_with(REPLY)
        print(f"The mock server is running at {mock.url}.\n")
        _chat_and_duplicate(millis, DEFAULT_AGENT_ID)
    if os.environ.get("MILLIS_API_KEY"):
        print("\nTo use the live service, set MILLIS_API_KEY and pass the id of one of your agents.")


def _chat_and_duplicate(millis: Millis, agent_id: str) -> None:
    print(f"You:   {QUESTION}", flush=True)
    with millis.chat.stream(QUESTION, agent_id=agent_id) as stream:
        print("Agent: ", end="", flush=True)
        try:
            for text in stream.text_stream:
                print(escape_control_characters(text), end="", flush=True)
        finally:
            print(flush=True)
    print(f"\nDuplicating the agent {agent_id} ...", flush=True)
    copy = millis.agents.duplicate(agent_id)
    print(f"The copy's id is {shorten(copy.id, 200)}.", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
