"""Agent ids on the command line, in any position and of any form."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.main import get_command

from millis_wrapper.cli._app import app, run
from millis_wrapper.cli._output import exit_code_for

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def _beginning(start: str, rest: str) -> str:
    return (start + rest)[:20]


# Most of these start like an option, some like -m, the option that accepts a text.
IDS: st.SearchStrategy[str] = st.builds(
    _beginning,
    st.sampled_from(["-", "--", "-m", "--m", "", "-O"]),
    st.text(LETTERS, min_size=20, max_size=20),
)

TEXTS: st.SearchStrategy[str] = st.one_of(
    st.text(min_size=1, max_size=9).filter(str.strip), IDS, st.just("--")
)


class _CallError(Exception):
    pass


@pytest.fixture(scope="module", autouse=True)
def _calls() -> Iterator[None]:
    """Replace the client with one that raises its arguments."""

    class Recorder:
        def __init__(self, *, region: str | None, allow_http: bool) -> None:
            self.region = region
            self.chat = self.agents = self

        def __enter__(self) -> Recorder:
            return self

        def __exit__(self, *_: object) -> None: ...

        def conversation(self, **arguments: Any) -> Recorder:
            self.arguments = arguments
            return self

        def stream(self, text: str, *, end_of_session: bool) -> None:
            agent_id, metadata = self.arguments["agent_id"], self.arguments["metadata"]
            raise _CallError(agent_id, text, end_of_session, metadata, self.region)

        def duplicate(self, agent_id: str) -> None:
            raise _CallError(agent_id, self.region)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("millis_wrapper._sync.client.Millis", Recorder)
        patch.setattr("millis_wrapper.cli._app.exit_code_for", _raise)
        yield


def _raise(error: BaseException, *_: object) -> None:
    raise error


def call(*arguments: str) -> tuple[Any, ...]:
    """Run the command; return the arguments of its call to the client."""
    with pytest.raises(_CallError) as caught:
        run(arguments)
    return caught.value.args


@settings(max_examples=60)
@given(agent_id=IDS, text=TEXTS, place=st.integers(0, 4), glued=st.booleans(), data=st.data())
def test_an_id_works_in_any_position(
    agent_id: str, text: str, place: int, glued: bool, data: st.DataObject
) -> None:
    """The id may stand before, between and after options, which keep their values."""
    options = [
        [f"--message={text}"] if glued else [data.draw(st.sampled_from(["-m", "--message"])), text],
        ["--end-session"],
        ["--metadata", "name=-m"],
        ["--region", "eu"],
    ]
    options.insert(place, [agent_id])
    expected = (agent_id, text, True, {"name": "-m"}, "eu")
    assert call("chat", *(argument for option in options for argument in option)) == expected


@settings(max_examples=30)
@given(agent_id=IDS)
def test_an_id_works_after_two_hyphens(agent_id: str) -> None:
    """`--` ends the options, as in other commands."""
    assert call("duplicate", "--", agent_id) == (agent_id, None)
    assert call("duplicate", "--region=us", "--", agent_id) == (agent_id, "us")


@pytest.mark.parametrize("agent_id", ["-Oabc", "--json", "agent", "-m"])
def test_any_argument_after_two_hyphens_is_an_id(agent_id: str) -> None:
    """An id that looks like an option can be passed after `--`."""
    assert call("duplicate", "--", agent_id) == (agent_id, None)


@settings(max_examples=30)
@given(agent_id=IDS)
def test_an_option_before_the_command_leaves_the_id_alone(agent_id: str) -> None:
    """`millis --debug duplicate ID` runs `duplicate` with the id."""
    assert call("--debug", "duplicate", agent_id) == (agent_id, None)


@pytest.mark.parametrize("command", ["chat", "duplicate"])
def test_no_option_looks_like_an_id(command: str) -> None:
    """An agent id cannot be mistaken for an option."""
    context: Any = get_command(app)
    options = [param for param in context.commands[command].params if param.param_type_name == "option"]
    names = [name for option in options for name in option.opts]
    assert not [name for name in names if re.fullmatch("-[A-Za-z0-9_-]{19}", name)]


@pytest.mark.parametrize(
    "agent_id",
    [
        "-Oabc",
        "-OabCdEfGhIjKlMnOpQ",
        "-OabCdEfGhIjKlMnOpQrs",
        "-mock-agent---------x",
        "-mock-agent--",
        "-he",
    ],
)
def test_one_hyphen_and_several_characters_are_an_id(agent_id: str) -> None:
    """An id of the wrong length reaches the service, which reports it; its letters are never options."""
    assert call("duplicate", agent_id) == (agent_id, None)
    assert call("chat", agent_id, "Hello") == (agent_id, "Hello", False, None, None)
    assert call("chat", "--region", "eu", agent_id, "-m", "Hello") == (agent_id, "Hello", False, None, "eu")


def test_a_second_argument_with_one_hyphen_is_not_sent_as_text(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`-mHello` could be meant as an option, so the error explains how to write it."""
    monkeypatch.setattr("millis_wrapper.cli._app.exit_code_for", exit_code_for)
    assert run(["chat", "-OabCdEfGhIjKlMnOpQr", "-mHello"]) == 2
    error = capsys.readouterr().err
    assert "-mHello is not an option" in error
    assert error.count("\n") == 1


def test_a_text_may_follow_the_id() -> None:
    """The first argument is the id and the second the text, before, between or after options."""
    expected = ("-OabCdEfGhIjKlMnOpQr", "hi there", False, None, "eu")
    assert call("chat", "-OabCdEfGhIjKlMnOpQr", "hi there", "--region", "eu") == expected
    assert call("chat", "--region", "eu", "-OabCdEfGhIjKlMnOpQr", "hi there") == expected
    assert call("chat", "--region=eu", "--", "-OabCdEfGhIjKlMnOpQr", "hi there") == expected
