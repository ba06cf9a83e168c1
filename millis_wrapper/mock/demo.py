"""The demo: a reply that streams in, and an agent that is copied, on the mock or on the live service."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from millis_wrapper._stdout import discard_stdout
from millis_wrapper._text import escape_control_characters, shorten
from millis_wrapper.errors import MillisError

if TYPE_CHECKING:
    from millis_wrapper import Millis

QUESTION = "Hello! Who is there?"
ANSWER = (
    "A mock server, on your own machine. These words came one by one, over real HTTP, as an agent's "
    "would: no key was needed, nobody was called, and nothing was charged."
)
PACE = 0.06  # seconds between two words: slow enough to be seen


def main(arguments: Sequence[str]) -> int:
    """Run the demo with the agent id in `arguments`, if there is one; return the exit status."""
    # No argparse: an agent id usually begins with a hyphen.
    if len(arguments) > 1 or set(arguments) & {"-h", "--help"}:
        print("usage: demo [AGENT_ID]  (with an agent id, on the live service: set MILLIS_API_KEY)")
        return 2
    try:
        run(arguments[0] if arguments else None)
    except MillisError as error:
        print(f"\ndemo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return 130
    except OSError as error:
        discard_stdout()
        if not isinstance(error, BrokenPipeError):  # `| head` has had what it wanted
            print(f"\ndemo: stdout cannot be written to: {error.strerror}", file=sys.stderr)
            return 1
    return 0


def run(agent_id: str | None, *, allow_http: bool = False) -> None:
    """Print a reply of an agent as it streams in, then copy the agent and name the copy.

    Args:
        agent_id: an agent of the live service, with the key from MILLIS_API_KEY; None is the mock's own.
        allow_http: as for `Millis`.

    Raises:
        MillisError: a call failed.
    """
    from millis_wrapper import Millis

    from . import DEFAULT_AGENT_ID, MockMillis

    if agent_id is not None:
        with Millis(allow_http=allow_http) as millis:
            print("The live service; what follows may cost you, and the copy is real.\n")
            _show(millis, agent_id)
        return
    with MockMillis(pace=PACE) as mock, Millis("demo-key", base_url=mock.url) as millis:
        mock.reply_with(ANSWER)
        print(f"A mock of the service runs at {mock.url}.\n")
        _show(millis, DEFAULT_AGENT_ID)
    if os.environ.get("MILLIS_API_KEY"):
        print("\nFor the same on the live service, add the id of one of your agents.")


def _show(millis: Millis, agent_id: str) -> None:
    print(f"You:   {QUESTION}\nAgent: ", end="", flush=True)
    with millis.chat.stream(QUESTION, agent_id=agent_id) as stream:
        for text in stream.text_stream:
            print(escape_control_characters(text), end="", flush=True)
    print(f"\n\nMaking a copy of the agent {agent_id} ...", flush=True)
    copy = millis.agents.duplicate(agent_id)
    print(f"The copy's id is {shorten(copy.id, 200)}.", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
