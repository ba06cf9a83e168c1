"""Agent ids on the command line, wherever they stand and whatever they look like."""

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


# Two in three begin like an option, and one in three like the very option that takes a text.
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
    """In place of the client: raises what it is asked for."""

    class Recorder:
        def __init__(self, *, region: str | None, allow_http: bool) -> None:
            self.region = region
            self.chat = self.agents = self

        def __enter__(self) -> Recorder:
            return self

        def __exit__(self, *_: object) -> None: ...

        def conversation(self, **said: Any) -> Recorder:
            self.said = said
            return self

        def stream(self, text: str, *, end_of_session: bool) -> None:
            raise _CallError(self.said["agent_id"], text, end_of_session, self.said["metadata"], self.region)

        def duplicate(self, agent_id: str) -> None:
            raise _CallError(agent_id, self.region)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("millis_wrapper._sync.client.Millis", Recorder)
        patch.setattr("millis_wrapper.cli._app.exit_code_for", _raise)
        yield


def _raise(error: BaseException, *_: object) -> None:
    raise error


def asked(*arguments: str) -> tuple[Any, ...]:
    """Return what the command asks the client for."""
    with pytest.raises(_CallError) as caught:
        run(arguments)
    return caught.value.args


@settings(max_examples=60)
@given(agent_id=IDS, text=TEXTS, place=st.integers(0, 4), glued=st.booleans(), data=st.data())
def test_an_id_works_wherever_it_stands(
    agent_id: str, text: str, place: int, glued: bool, data: st.DataObject
) -> None:
    """Before, between and after the options, each of which keeps its meaning and its value."""
    options = [
        [f"--message={text}"] if glued else [data.draw(st.sampled_from(["-m", "--message"])), text],
        ["--end-session"],
        ["--metadata", "name=-m"],
        ["--region", "eu"],
    ]
    options.insert(place, [agent_id])
    expected = (agent_id, text, True, {"name": "-m"}, "eu")
    assert asked("chat", *(argument for option in options for argument in option)) == expected


@settings(max_examples=30)
@given(agent_id=IDS)
def test_an_id_works_behind_two_hyphens_too(agent_id: str) -> None:
    """Who knows the way of other commands is not punished for it."""
    assert asked("duplicate", "--", agent_id) == (agent_id, None)
    assert asked("duplicate", "--region=us", "--", agent_id) == (agent_id, "us")


@pytest.mark.parametrize("agent_id", ["-Oabc", "--json", "agent", "-m"])
def test_two_hyphens_make_anything_an_id(agent_id: str) -> None:
    """An id of another form than the service's can be given all the same."""
    assert asked("duplicate", "--", agent_id) == (agent_id, None)


@settings(max_examples=30)
@given(agent_id=IDS)
def test_an_option_before_the_command_leaves_the_id_alone(agent_id: str) -> None:
    """`millis --debug duplicate ID` finds the command first."""
    assert asked("--debug", "duplicate", agent_id) == (agent_id, None)


@pytest.mark.parametrize("command", ["chat", "duplicate"])
def test_no_option_looks_like_an_id(command: str) -> None:
    """An id can be told from every option."""
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
@pytest.mark.parametrize("command", [["chat"], ["duplicate"], ["demo"], ["chat", "Hello"]])
def test_a_mistyped_id_is_named_as_such(
    capsys: pytest.CaptureFixture[str], command: list[str], agent_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An argument of one hyphen and several characters is an id, and never an option with a value."""
    monkeypatch.setattr("millis_wrapper.cli._app.exit_code_for", exit_code_for)
    assert run([*command, agent_id]) == 2
    assert run([command[0], agent_id, *command[1:]]) == 2
    said = capsys.readouterr().err
    assert said.count(f"{agent_id} is not an agent id (20 characters)") == 2
    assert said.count("\n") == 2


def test_a_text_may_follow_the_id() -> None:
    """The id is the first, the text the second, wherever the options are."""
    expected = ("-OabCdEfGhIjKlMnOpQr", "hi there", False, None, "eu")
    assert asked("chat", "-OabCdEfGhIjKlMnOpQr", "hi there", "--region", "eu") == expected
    assert asked("chat", "--region", "eu", "-OabCdEfGhIjKlMnOpQr", "hi there") == expected
    assert asked("chat", "--region=eu", "--", "-OabCdEfGhIjKlMnOpQr", "hi there") == expected
