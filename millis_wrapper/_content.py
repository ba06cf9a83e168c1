"""The content of one reply: text, tool calls, usage and finish reason. No I/O."""

from __future__ import annotations

from typing import Any, Literal, assert_never

from . import _meanings
from ._events import read_object
from ._json import write_json
from ._meanings import Choice, Chunk, KeepAlive, NotUnderstood, Text, Token
from ._text import join_surrogate_pairs, split_high_surrogate
from ._tool_calls import ToolCalls
from .results import ChatChunk


class ReplyText:
    """The text of a reply, in the chunks in which it arrived."""

    def __init__(self) -> None:
        self.chunks: list[str] = []
        self._joined = (0, "")  # how many chunks were joined, and their text
        self._half = ""  # the first half of a surrogate pair, which waits for the other

    def __bool__(self) -> bool:
        return bool(self.chunks or self._half)

    @property
    def is_split(self) -> bool:
        """Whether the first half of a character waits for the other half."""
        return self._half != ""

    def add(self, text: str) -> str:
        """Add `text`, and return what can be passed on now."""
        text, self._half = split_high_surrogate(self._half + text)
        if text:
            self.chunks.append(text)
        return text

    def end(self) -> str:
        """End the text; return U+FFFD if half of a character still waits, otherwise ""."""
        last, self._half = join_surrogate_pairs(self._half), ""
        if last:
            self.chunks.append(last)
        return last

    def join(self) -> str:
        """Return the text that was received."""
        # Another thread may add text at the same time, so the result is stored in one step.
        count, text = self._joined
        new = self.chunks[count:]
        text += "".join(new)
        self._joined = count + len(new), text
        return text


class ChoicePicker:
    """Decides which choice of a chunk is the reply.

    A request cannot ask for several choices, so the only choice of a chunk is the reply at any index; some
    services count the chunks in it. After a chunk with several choices, the choice with index 0, or the first
    choice, is the reply for the rest of the stream. An index that returns after another index means that two
    replies are mixed.
    """

    def __init__(self) -> None:
        self._index: str = "0"
        self._previous: str = "0"
        self._seen: set[str] = set()
        self._others: set[str] = set()

    @property
    def is_simple(self) -> bool:
        """Whether every choice was the only one of its chunk, with index 0 or without an index."""
        return self._index == "0" and len(self._seen) <= 1 and not self._others

    def pick_plain(self) -> bool:
        """Pick the only choice of a chunk, with index 0 or without an index; return whether that is clear."""
        if not self.is_simple:
            return False
        self._seen.add("0")
        return True

    def pick(self, choices: tuple[Choice, ...]) -> Choice | Literal["other", "mixed"]:
        """Return the choice that is the reply; "other" if the chunk lacks it, "mixed" if that is unclear."""
        choice, *more = choices
        if more:
            by_index = {choice.index or str(at): choice for at, choice in enumerate(choices)}
            index = "0" if "0" in by_index else next(iter(by_index))
            if len(by_index) < len(choices) or (self._seen and index != self._index):
                return "mixed"
            self._index = self._previous = index
            self._seen.add(index)
            self._others |= by_index.keys() - {index}
            return by_index[index]
        index = self._previous = choice.index or self._previous
        if index in self._others:
            return "other"
        if index not in self._seen and not self._others:
            self._seen.add(index)
            self._index = index
        return choice if index == self._index else "mixed"


class Content:
    """The content of one reply while it grows."""

    def __init__(self) -> None:
        self.text = ReplyText()
        self.usage: Any = None  # a UsageDict as far as the service keeps to the contract
        self.finish_reason: str | None = None
        self.is_common = False
        """Whether a `ChatChunk` among the meanings only adds its text to text that is there already."""
        self.not_understood: str | None = None
        """The start of the first event that could not be understood; a reply with one is not complete."""
        self._form: Literal["chunks", "text"] | None = None
        self._picker = ChoicePicker()
        # None until needed: the garbage collector visits each list of each open stream.
        self._held: list[Token] | None = None  # tokens that came before the form of the stream was known
        self._calls: ToolCalls | None = None

    @property
    def is_empty(self) -> bool:
        """Whether the reply lacks text, tool calls and a finish reason."""
        return not (self.text or self._calls or self.finish_reason)

    @property
    def tool_calls(self) -> list[Any]:
        """The tool calls that were received."""
        return self._calls.so_far() if self._calls else []

    def complete_tool_calls(self) -> tuple[str, str] | None:
        """Complete the tool calls at the end of the reply; see `ToolCalls.complete`."""
        return self._calls.complete() if self._calls else None

    def add(self, meaning: _meanings.Content) -> list[ChatChunk]:
        """Add the meaning of one event; return its chunks."""
        match meaning:
            case ChatChunk():
                if self._picker.pick_plain() and not self.text.is_split:
                    self.text.chunks.append(meaning.text)
                    self.is_common = True
                    return [*self.decide("chunks"), meaning]
                chunk = read_object(meaning.data, meaning.event)
                # The common form is a chunk in every case.
                return self.add(chunk) if isinstance(chunk, Chunk | NotUnderstood) else [meaning]
            case Chunk():
                chunks = [*self.decide("chunks"), self._add_chunk(meaning)]
                self.is_common = self._picker.is_simple and bool(self.text) and not self.text.is_split
                return chunks
            case Text(data, event, text):
                if self._form == "chunks":
                    self.note_not_understood(data)
                    return [ChatChunk("", data, event)]
                return [*self.decide("text"), ChatChunk(self.text.add(text), data, event)]
            case Token(data, event, text):
                if self._form is None:
                    self._held = self._held or []
                    self._held.append(meaning)
                    return []
                return [ChatChunk(self.text.add(text) if self._form == "text" else "", data, event)]
            case KeepAlive(data, event):
                return [ChatChunk("", data, event)]
            case NotUnderstood(data, event, source):
                self.note_not_understood(source)
                return [ChatChunk("", data, event)]
            case _:
                assert_never(meaning)

    def decide(self, form: Literal["chunks", "text"] | None) -> list[ChatChunk]:
        """Set the form of the stream, and return the chunks of the held tokens.

        Args:
            form: The form of the events; None if the stream ended before it was known.
        """
        held, self._held = self._held or [], None
        self._form = form or self._form
        chunks: list[ChatChunk] = []
        for token in held:
            is_text = form == "text" or (form is None and token.counts_alone)
            chunks.append(ChatChunk(self.text.add(token.text) if is_text else "", token.data, token.event))
        return chunks

    def note_not_understood(self, source: str) -> None:
        """Note an event that could not be understood."""
        if self.not_understood is None:
            self.not_understood = source[:1000]

    def _add_chunk(self, chunk: Chunk) -> ChatChunk:
        """Add the reply's choice of one chunk."""
        empty = ChatChunk("", chunk.data, chunk.event)
        if chunk.usage is not None:
            self.usage = chunk.usage
        if not chunk.choices:
            return empty
        choice = self._picker.pick(chunk.choices)
        if choice == "mixed":
            self.note_not_understood(write_json(chunk.data))
        if isinstance(choice, str):
            return empty
        text, complete_text = choice.text, choice.complete_text
        if complete_text and not (self.text or text):
            text = complete_text
        elif complete_text and complete_text not in (text, self.text.join() + text):
            # A service may send the complete text once more beside or after its deltas, but not another text.
            self.note_not_understood(write_json(chunk.data))
        if choice.tool_calls:
            self._calls = self._calls or ToolCalls()
            self._calls.add(choice.tool_calls)
        if choice.finish_reason:
            self.finish_reason = choice.finish_reason
        return ChatChunk(self.text.add(text), chunk.data, chunk.event, choice.finish_reason)
