from __future__ import annotations

import json
from typing import Any

import paths
import pytest
from chat_streams import event, play

from millis_wrapper import ToolCallDict
from millis_wrapper._tool_calls import ToolCalls


def assembled(*deltas: Any) -> list[ToolCallDict]:
    calls = ToolCalls()
    for each in deltas:
        calls.add(each)
    return calls.so_far()


def failure_of(deltas: Any) -> str:
    """Return the message of the error of a reply with these tool-call deltas."""
    return str(play([event({"choices": [{"delta": {"tool_calls": deltas}}]}), b"data: [DONE]\n\n"]).error)


def delta(index: Any = None, call_id: Any = None, name: Any = None, arguments: Any = None) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "index": index,
        "id": call_id,
        "function": {"name": name, "arguments": arguments},
    }
    return {key: value for key, value in fields.items() if value is not None}


def call(call_id: str, name: str, arguments: str, kind: str = "function") -> dict[str, Any]:
    return {"id": call_id, "type": kind, "function": {"name": name, "arguments": arguments}}


def test_a_reply_without_deltas_has_an_empty_list_of_calls() -> None:
    """The object is falsy."""
    assert assembled() == []
    assert not ToolCalls()


def test_deltas_with_one_index_are_one_call() -> None:
    """The first delta has the name, and the following ones have the parts of the arguments."""
    assert assembled(
        [delta(0, "call_1", "look", "")], [delta(0, arguments='{"a"')], [delta(0, arguments=":1}")]
    ) == [call("call_1", "look", '{"a":1}')]


def test_the_index_separates_calls() -> None:
    """Deltas of several calls may be interleaved, in one event or in many."""
    assert assembled(
        [delta(0, "a", "one", "x"), delta(1, "b", "two", "p")],
        [delta(1, arguments="q")],
        [delta(0, arguments="y"), delta(2, "c", "three", "")],
    ) == [call("a", "one", "xy"), call("b", "two", "pq"), call("c", "three", "")]


def test_without_an_index_the_id_separates_calls() -> None:
    """A delta without an index and an id continues the last call."""
    assert assembled(
        [delta(None, "a", "one", "x")],
        [delta(arguments="y")],
        [delta(None, "b", "two", "p")],
        [delta(None, "a", None, "z")],
    ) == [call("a", "one", "xyz"), call("b", "two", "p")]
    assert assembled([delta(arguments="x")], [delta(arguments="y")]) == [call("", "", "xy")]


def test_calls_that_all_have_index_0_are_separated_by_their_ids() -> None:
    """Another id with a name starts a new call, and deltas without an id belong to it."""
    assert assembled([delta(0, "a", "one", "x"), delta(0, "b", "two", "p")], [delta(0, arguments="q")]) == [
        call("a", "one", "x"),
        call("b", "two", "pq"),
    ]


@pytest.mark.parametrize("index", [None, 0, 0.0])
@pytest.mark.parametrize("call_id", [None, ""])
def test_complete_calls_without_an_id_are_separated(index: Any, call_id: Any) -> None:
    """After complete arguments, a name starts a new call, even if it is the same name."""
    first, second = delta(index, call_id, "look", '{"a":1}'), delta(index, call_id, "look", '{"b":2}')
    third = delta(index, call_id, "check", "{}")
    expected = [call("", "look", '{"a":1}'), call("", "look", '{"b":2}'), call("", "check", "{}")]
    assert assembled([first, second, third]) == expected
    assert assembled([first], [second], [third]) == expected


def test_a_complete_call_without_an_id_may_be_followed_by_deltas_of_another() -> None:
    """The deltas after the name belong to the call that the name started."""
    assert assembled(
        [delta(0, "", "look", '{"a":1}')],
        [delta(0, "", "check", "")],
        [delta(0, "", None, '{"b"')],
        [delta(0, "", None, ":2}")],
        [delta(0, "", "look", "{}")],
    ) == [call("", "look", '{"a":1}'), call("", "check", '{"b":2}'), call("", "look", "{}")]


@pytest.mark.parametrize("start", ['{"a":', '{"a":{}', '{"a":"}', '{"a":"}"', "", " "])
def test_a_name_that_is_repeated_before_the_arguments_are_complete_continues_the_call(start: str) -> None:
    """A brace inside a string of the arguments does not end them."""
    found = assembled([delta(0, None, "look", start)], [delta(0, None, "look", "rest")])
    assert found == [call("", "look", start + "rest")]


def test_a_repeated_id_continues_its_call() -> None:
    """It does not matter whether the arguments are already complete."""
    assert assembled([delta(0, "a", "look", "{}")], [delta(0, "a", "look", "")]) == [call("a", "look", "{}")]
    parts = [delta(0, "a", "look", '{"a"')], [delta(1, "a", None, ":1")], [delta(1, "a", None, "}")]
    assert assembled(*parts) == [call("a", "look", '{"a":1}')]


def test_an_index_may_be_a_float() -> None:
    """In languages without integers, 0.0 and 0 are the same index."""
    assert assembled(
        [delta(0.0, "a", "one", "x"), delta(1.0, "b", "two", "p")],
        [delta(1, arguments="q"), delta(0, arguments="y")],
        [delta(0.0, arguments="z")],
    ) == [call("a", "one", "xyz"), call("b", "two", "pq")]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"city": "Köln", "n": [1, None]}, '{"city": "Köln", "n": [1, null]}'),
        ({}, "{}"),
    ],
)
def test_arguments_as_an_object_are_written_as_json(arguments: Any, text: str) -> None:
    """`tool_calls` has arguments as text, like the messages of the contract."""
    assert assembled([delta(0, "a", "look", arguments)]) == [call("a", "look", text)]


def test_complete_calls_with_arguments_as_an_object_are_separated() -> None:
    """An object is complete, so the next name starts a new call."""
    assert assembled([delta(0, "", "look", {"a": 1}), delta(0, "", "look", {"b": 2})]) == [
        call("", "look", '{"a": 1}'),
        call("", "look", '{"b": 2}'),
    ]


@pytest.mark.parametrize("index", [float("nan"), float("inf"), 1.5, "0", True])
def test_an_invalid_index_is_ignored(index: Any) -> None:
    """The id separates such calls."""
    found = assembled([delta(index, "a", "one", "{}"), delta(index, "b", "two", "{}")])
    assert found == [call("a", "one", "{}"), call("b", "two", "{}")]


def test_a_new_id_without_a_name_does_not_start_a_call() -> None:
    """Some services send a new id with every delta."""
    assert len(assembled([delta(0, "a", "one", "x")], [delta(0, "b", None, "y")])) == 1


@pytest.mark.parametrize("names", [["look", "look", "look"], ["lo", "ok"], ["look", None, ""]])
def test_a_name_may_be_sent_once_repeatedly_or_in_parts(names: list[Any]) -> None:
    """All forms give the same name."""
    assert assembled(*([delta(0, "a", name, "")] for name in names)) == [call("a", "look", "")]


def test_a_delta_without_an_id_continues_the_call_of_its_index() -> None:
    """The id may arrive before or after it."""
    assert assembled([delta(0, "a", "look", "x")], [delta(0, None, "look", "y")]) == [call("a", "look", "xy")]
    assert assembled([delta(0, None, "lo", "x")], [delta(0, "a", "ok", "y")]) == [call("a", "look", "xy")]


def test_the_type_of_a_call_is_kept() -> None:
    """This includes an unknown type."""
    assert assembled([{"index": 0, "id": "a", "type": "brand_new"}], [{"index": 0, "type": None}]) == [
        call("a", "", "", "brand_new")
    ]


@pytest.mark.parametrize("deltas", [{"index": 0}, "x", 7, [None], ["x"], [[]]])
def test_deltas_of_another_form_make_the_reply_fail(deltas: Any) -> None:
    """A tool call in them would be lost."""
    assert "could not understand" in failure_of(deltas)


WRONG: dict[str, list[Any]] = {
    "id": [1.5, True, [], {}],
    "index": [[], {}],
    "type": [7, True, [], {}],
    "function": ["look", 7, True, []],
    "name": [7, True, [], {}],
    "arguments": [7, True, [], ["x"]],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field in WRONG for value in WRONG[field]])
def test_a_field_of_another_type_makes_the_reply_fail(field: str, value: Any) -> None:
    """The field may hold a part of the call."""
    call = delta(0, "a", "look", "{}")
    holder = call["function"] if field in call["function"] else call
    holder[field] = value
    assert "could not understand" in failure_of([call])


def test_surrogate_pairs_are_joined() -> None:
    """Arguments that were split within a character can be sent back in the history."""
    assert assembled([delta(0, "a", "look", '{"x":"\ud83d')], [delta(0, arguments='\ude00"}')]) == [
        call("a", "look", '{"x":"\N{GRINNING FACE}"}')
    ]
    assert assembled([delta(0, "a\ud83d", "\ude00b", "\ud83dc")]) == [call("a\ufffd", "\ufffdb", "\ufffdc")]


def test_returned_calls_do_not_change() -> None:
    """The caller gets a copy on every access."""
    calls = ToolCalls()
    calls.add([delta(0, "a", "one", "x")])
    before = calls.so_far()
    before[0]["function"]["arguments"] = "changed"
    calls.add([delta(0, arguments="y")])
    assert calls.so_far() == [call("a", "one", "xy")]


# The end of the reply.


def completed(*deltas: Any) -> list[Any] | str:
    """Return the calls of a complete reply, or the problem."""
    calls = ToolCalls()
    for each in deltas:
        calls.add(each)
    problem = calls.complete()
    return [*calls.so_far()] if problem is None else problem[0]


@pytest.mark.parametrize(
    ("parts", "arguments"),
    [
        ([None], "{}"),
        ([""], "{}"),
        (["null"], "{}"),
        (["  "], "{}"),
        (['""'], "{}"),
        (['{"a":1}'], '{"a":1}'),
        (['{"a"', ":1}"], '{"a":1}'),
        (["{}", '{"a"', ":1}"], '{"a": 1}'),
        (["{}", "{}", '{"a":1}'], '{"a": 1}'),
        (['{"a":1}', '{"a": 1}'], '{"a": 1}'),
        ([{"a": [1]}], '{"a": [1]}'),
        (['"{\\"a\\":1}"'], '{"a":1}'),
        (['{"a":"x\ny"}'], '{"a": "x\\ny"}'),
    ],
)
def test_the_arguments_of_a_complete_call_are_one_json_object(parts: list[Any], arguments: str) -> None:
    """`json.loads` never raises on them."""
    found = completed(*([delta(0, "a", "look" if at == 0 else None, one)] for at, one in enumerate(parts)))
    assert found == [call("a", "look", arguments)]
    assert isinstance(json.loads(arguments), dict)


@pytest.mark.parametrize(
    "parts", [['{"a":1'], ['{"a":1}', '{"a":2}'], ['{"a":1}{}'], ["text"], ["[1]"], ["3"], ["true"], ["[]"]]
)
def test_arguments_that_are_not_one_object_are_a_problem(parts: list[str]) -> None:
    """They were cut off or have an unknown meaning."""
    found = completed(*([delta(0, "a", "look" if at == 0 else None, one)] for at, one in enumerate(parts)))
    assert isinstance(found, str)
    assert "JSON object" in found


def test_a_missing_id_is_generated() -> None:
    """Each call has a unique id, which does not change between accesses."""
    found = completed([delta(0, None, "one", "{}"), delta(1, "call_0", "two", "{}"), delta(2, "", "three")])
    assert [one["id"] for one in found if isinstance(one, dict)] == ["call_3", "call_0", "call_2"]


def test_a_number_is_accepted_as_an_id() -> None:
    """The number becomes text."""
    assert completed([delta(0, 5, "look", "{}")]) == [call("5", "look", "{}")]


def test_a_call_without_a_name_and_two_calls_with_one_id_are_problems() -> None:
    """The caller could not send a result for such calls."""
    assert "missing its name" in completed([delta(0, "a", None, "{}")])
    assert "same id" in completed([delta(0, "a", "one", "{}"), delta(1, "a", "two", "{}")])


UNUSUAL_CALLS: list[dict[str, Any]] = json.loads(
    (paths.CORPUS / "unusual_tool_calls.json").read_text("utf-8")
)
FINISHED: dict[str, Any] = {"choices": [{"delta": {}, "finish_reason": "tool_calls"}]}


@pytest.mark.parametrize("case", UNUSUAL_CALLS, ids=[case["name"] for case in UNUSUAL_CALLS])
def test_unusual_tool_calls_are_understood_completely_or_the_reply_fails(case: dict[str, Any]) -> None:
    """The calls of a complete reply are those of the case; with `calls: null` the reply has to fail."""
    outcome = play([*map(event, [*case["stream"], FINISHED]), b"data: [DONE]\n\n"])
    if outcome.reply is None:
        return
    calls = outcome.reply.tool_calls
    functions = [each["function"] for each in calls]
    named = [[each["name"], json.loads(each["arguments"])] for each in functions]
    assert named == case["calls"]
    assert all(each["id"] for each in calls)
    assert len({each["id"] for each in calls}) == len(calls)
