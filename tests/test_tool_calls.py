from __future__ import annotations

import json
from typing import Any

import pytest

from millis_wrapper import ToolCallDict
from millis_wrapper._tool_calls import ToolCalls


def put_together(*deltas: Any) -> list[ToolCallDict]:
    calls = ToolCalls()
    for delta in deltas:
        calls.add(delta)
    return calls.whole()


def piece(index: Any = None, call_id: Any = None, name: Any = None, arguments: Any = None) -> dict[str, Any]:
    delta: dict[str, Any] = {
        "index": index,
        "id": call_id,
        "function": {"name": name, "arguments": arguments},
    }
    return {key: value for key, value in delta.items() if value is not None}


def call(call_id: str, name: str, arguments: str, kind: str = "function") -> dict[str, Any]:
    return {"id": call_id, "type": kind, "function": {"name": name, "arguments": arguments}}


def test_without_deltas_there_are_no_calls() -> None:
    """A reply of text has none, and says so."""
    assert put_together() == []
    assert not ToolCalls()


def test_pieces_of_one_index_are_one_call() -> None:
    """The first piece names the call, the rest bring its arguments, letter by letter."""
    assert put_together(
        [piece(0, "call_1", "look", "")], [piece(0, arguments='{"a"')], [piece(0, arguments=":1}")]
    ) == [call("call_1", "look", '{"a":1}')]


def test_calls_are_kept_apart_by_their_index() -> None:
    """Pieces of several calls may be mixed, in one event or many."""
    assert put_together(
        [piece(0, "a", "one", "x"), piece(1, "b", "two", "p")],
        [piece(1, arguments="q")],
        [piece(0, arguments="y"), piece(2, "c", "three", "")],
    ) == [call("a", "one", "xy"), call("b", "two", "pq"), call("c", "three", "")]


def test_without_an_index_the_id_keeps_the_calls_apart() -> None:
    """A piece with neither goes on with the call that came last."""
    assert put_together(
        [piece(None, "a", "one", "x")],
        [piece(arguments="y")],
        [piece(None, "b", "two", "p")],
        [piece(None, "a", None, "z")],
    ) == [call("a", "one", "xyz"), call("b", "two", "p")]
    assert put_together([piece(arguments="x")], [piece(arguments="y")]) == [call("", "", "xy")]


def test_calls_that_all_have_the_index_0_are_kept_apart() -> None:
    """Another id with a name is another call; what follows without an id belongs to it."""
    assert put_together(
        [piece(0, "a", "one", "x"), piece(0, "b", "two", "p")], [piece(0, arguments="q")]
    ) == [call("a", "one", "x"), call("b", "two", "pq")]


@pytest.mark.parametrize("index", [None, 0, 0.0])
@pytest.mark.parametrize("call_id", [None, ""])
def test_whole_calls_without_an_id_are_kept_apart(index: Any, call_id: Any) -> None:
    """A name that comes when the arguments are complete begins a new call; two of one name stay two."""
    first, second = piece(index, call_id, "look", '{"a":1}'), piece(index, call_id, "look", '{"b":2}')
    third = piece(index, call_id, "check", "{}")
    expected = [call("", "look", '{"a":1}'), call("", "look", '{"b":2}'), call("", "check", "{}")]
    assert put_together([first, second, third]) == expected
    assert put_together([first], [second], [third]) == expected


def test_a_whole_call_without_an_id_may_be_followed_by_one_in_pieces() -> None:
    """What follows the name belongs to the call that it began."""
    assert put_together(
        [piece(0, "", "look", '{"a":1}')],
        [piece(0, "", "check", "")],
        [piece(0, "", None, '{"b"')],
        [piece(0, "", None, ":2}")],
        [piece(0, "", "look", "{}")],
    ) == [call("", "look", '{"a":1}'), call("", "check", '{"b":2}'), call("", "look", "{}")]


@pytest.mark.parametrize("so_far", ['{"a":', '{"a":{}', '{"a":"}', '{"a":"}"', "", " "])
def test_a_name_that_is_repeated_before_the_arguments_are_complete_goes_on(so_far: str) -> None:
    """A brace inside of the arguments does not end them."""
    found = put_together([piece(0, None, "look", so_far)], [piece(0, None, "look", "rest")])
    assert found == [call("", "look", so_far + "rest")]


def test_calls_that_are_repeated_with_their_id_are_one() -> None:
    """An id that is known goes on with its call, whatever its arguments are so far."""
    assert put_together([piece(0, "a", "look", "{}")], [piece(0, "a", "look", "")]) == [
        call("a", "look", "{}")
    ]


def test_an_index_may_be_a_float() -> None:
    """Some languages have no integers: 0.0 and 0 are one index."""
    assert put_together(
        [piece(0.0, "a", "one", "x"), piece(1.0, "b", "two", "p")],
        [piece(1, arguments="q"), piece(0, arguments="y")],
        [piece(0.0, arguments="z")],
    ) == [call("a", "one", "xyz"), call("b", "two", "pq")]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"city": "Köln", "n": [1, None]}, '{"city": "Köln", "n": [1, null]}'),
        ({}, "{}"),
        ([1, "x"], '[1, "x"]'),
        ([], "[]"),
    ],
)
def test_arguments_as_an_object_are_written_as_json(arguments: Any, text: str) -> None:
    """Arguments are text in `tool_calls`, as the contract's messages carry them, however they came."""
    assert put_together([piece(0, "a", "look", arguments)]) == [call("a", "look", text)]


def test_whole_calls_with_arguments_as_an_object_are_kept_apart() -> None:
    """The object is complete by itself, so the next name begins a new call."""
    assert put_together([piece(0, "", "look", {"a": 1}), piece(0, "", "look", {"b": 2})]) == [
        call("", "look", '{"a": 1}'),
        call("", "look", '{"b": 2}'),
    ]


@pytest.mark.parametrize("index", [float("nan"), float("inf"), 1.5, "0", True])
def test_an_odd_index_raises_nothing(index: Any) -> None:
    """The id keeps such calls apart."""
    found = put_together([piece(index, "a", "one", "{}"), piece(index, "b", "two", "{}")])
    assert found == [call("a", "one", "{}"), call("b", "two", "{}")]


def test_a_new_id_in_every_piece_makes_no_new_call() -> None:
    """An id without a name does not begin a call that has begun."""
    assert len(put_together([piece(0, "a", "one", "x")], [piece(0, "b", None, "y")])) == 1


@pytest.mark.parametrize("names", [["look", "look", "look"], ["lo", "ok"], ["look", None, ""]])
def test_a_name_may_come_once_or_repeated_or_in_pieces(names: list[Any]) -> None:
    """Each way gives the same name."""
    assert put_together(*([piece(0, "a", name, "")] for name in names)) == [call("a", "look", "")]


def test_a_piece_without_an_id_goes_on_with_the_call_of_its_index() -> None:
    """Whether the id came before it or comes after it."""
    assert put_together([piece(0, "a", "look", "x")], [piece(0, None, "look", "y")]) == [
        call("a", "look", "xy")
    ]
    assert put_together([piece(0, None, "lo", "x")], [piece(0, "a", "ok", "y")]) == [call("a", "look", "xy")]


def test_the_kind_of_call_is_kept() -> None:
    """A kind that is not known yet comes through."""
    assert put_together([{"index": 0, "id": "a", "type": "brand_new"}], [{"index": 0, "type": None}]) == [
        call("a", "", "", "brand_new")
    ]


@pytest.mark.parametrize(
    "deltas",
    [None, {}, "x", 7, [None], ["x"], [[]], {"index": 0}],
)
def test_deltas_of_another_form_add_no_call(deltas: Any) -> None:
    """It is left to the chunk's data."""
    assert put_together(deltas) == []


@pytest.mark.parametrize("odd", [1.5, True, [], {}, ["x"]])
def test_odd_parts_of_a_call_are_passed_over(odd: Any) -> None:
    """Only text is taken for an id, a type or a name, and an odd value raises nothing."""
    found = put_together(
        [{"index": 0, "id": odd, "type": odd, "function": {"name": odd, "arguments": ""}}],
        [{"index": 0, "function": odd}],
        [{"index": [odd], "function": None}],
    )
    assert found == [call("", "", "")]


@pytest.mark.parametrize("odd", [7, 1.5, True, None])
def test_arguments_of_another_type_are_passed_over(odd: Any) -> None:
    """A number or a bool holds no arguments; what comes after it is kept."""
    assert put_together([piece(0, "a", "look", odd)], [piece(0, arguments="{}")]) == [call("a", "look", "{}")]


def test_surrogate_pairs_are_joined() -> None:
    """Arguments can be sent back in the history, whatever way they were cut."""
    assert put_together([piece(0, "a", "look", '{"x":"\ud83d')], [piece(0, arguments='\ude00"}')]) == [
        call("a", "look", '{"x":"\N{GRINNING FACE}"}')
    ]
    assert put_together([piece(0, "a\ud83d", "\ude00b", "\ud83dc")]) == [
        call("a\ufffd", "\ufffdb", "\ufffdc")
    ]


def test_calls_that_were_returned_are_not_changed() -> None:
    """Each look at the calls is a copy of its own."""
    calls = ToolCalls()
    calls.add([piece(0, "a", "one", "x")])
    before = calls.whole()
    before[0]["function"]["arguments"] = "changed"
    calls.add([piece(0, arguments="y")])
    assert calls.whole() == [call("a", "one", "xy")]


# The end of the reply.


def completed(*deltas: Any) -> list[Any] | str:
    """The calls that a complete reply holds, or what is wrong with them."""
    calls = ToolCalls()
    for delta in deltas:
        calls.add(delta)
    problem = calls.complete()
    return [*calls.whole()] if problem is None else problem[0]


@pytest.mark.parametrize(
    ("pieces", "arguments"),
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
def test_the_arguments_of_a_complete_call_are_one_json_object(pieces: list[Any], arguments: str) -> None:
    """`json.loads` never raises on them."""
    found = completed(*([piece(0, "a", "look" if at == 0 else None, one)] for at, one in enumerate(pieces)))
    assert found == [call("a", "look", arguments)]
    assert isinstance(json.loads(arguments), dict)


@pytest.mark.parametrize(
    "pieces", [['{"a":1'], ['{"a":1}', '{"a":2}'], ['{"a":1}{}'], ["words"], ["[1]"], ["3"], ["true"], ["[]"]]
)
def test_arguments_that_are_not_one_object_are_a_problem(pieces: list[str]) -> None:
    """They were cut off, or mean something that is not known."""
    found = completed(*([piece(0, "a", "look" if at == 0 else None, one)] for at, one in enumerate(pieces)))
    assert isinstance(found, str)
    assert "not one JSON object" in found


def test_a_missing_id_is_made_up() -> None:
    """Each call has an id of its own, the same one however often it is asked for."""
    found = completed([piece(0, None, "one", "{}"), piece(1, "call_0", "two", "{}"), piece(2, "", "three")])
    assert [one["id"] for one in found if isinstance(one, dict)] == ["call_3", "call_0", "call_2"]


def test_a_number_is_an_id() -> None:
    """It becomes text."""
    assert completed([piece(0, 5, "look", "{}")]) == [call("5", "look", "{}")]


def test_a_call_without_a_name_and_two_calls_with_one_id_are_problems() -> None:
    """Neither can be answered."""
    assert "no name" in completed([piece(0, "a", None, "{}")])
    assert "same id" in completed([piece(0, "a", "one", "{}"), piece(1, "a", "two", "{}")])
