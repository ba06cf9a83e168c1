"""The content of one reply: text, tool calls, usage and finish reason. No I/O."""

from __future__ import annotations

from typing import Any, Literal, assert_never

from . import _meanings
from ._events import read_object
from ._meanings import Choice, Chunk, KeepAlive, NotUnderstood, Text, Token
from ._text import split_high_surrogate
from ._tool_calls import ToolCalls
from .results import ChatChunk

_NOTED_CHARACTERS = 1000  # more than a message shows, because redaction may shorten the text


class ChoicePicker:
    """Decides which choice of a chunk is the reply.

    A request cannot ask for several choices, so the only choice of a chunk is the reply, whatever its index:
    some services count the chunks in it. After a chunk with several choices, the choice with index 0, or the
    first choice, is the reply for the rest of the stream. An index that returns after another index means
    that two replies are mixed.

    Args:
        index: The index of the reply in earlier chunks; None before the first one.
    """

    def __init__(self, index: str | None) -> None:
        self._index = index
        self._previous = "0"  # the index of the last chunk that had only one choice
        self._left: set[str] = set()  # former indexes of the reply
        self._others: set[str] = set()  # indexes of choices that are not the reply

    def pick(self, choices: tuple[Choice, ...]) -> Choice | Literal["other", "mixed"]:
        """Return the choice that is the reply; "other" if the chunk lacks it, "mixed" if that is unclear."""
        choice, *more = choices
        if more:
            by_index = {choice.index or str(at): choice for at, choice in enumerate(choices)}
            index = "0" if "0" in by_index else next(iter(by_index))
            if len(by_index) < len(choices) or self._index not in (None, index):
                return "mixed"
            self._index = self._previous = index
            self._others |= by_index.keys() - {index}
            return by_index[index]
        index = self._previous = choice.index or self._previous
        if index in self._others:
            return "other"
        if index != self._index:
            if self._others or index in self._left:
                return "mixed"
            if self._index is not None:
                self._left.add(self._index)
            self._index = index
        return choice


class Content:
    """The content of one reply while it grows."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        """The text of the reply, as it arrived."""
        self.usage: Any = None  # a UsageDict as far as the service keeps to the contract
        self.finish_reason: str | None = None
        self.calls: ToolCalls | None = None
        """The tool calls, or None."""
        self.is_common = False
        """Whether the only effect of a `ChatChunk` is that its text is appended to `texts`."""
        # The start of the first event that was not understood, and of the first with unspoken content.
        self._not_understood = self._unspoken = ""
        self._joined = (0, "")  # how many texts were joined, and the result
        self._half = ""  # the first half of a surrogate pair, which waits for the other
        self._form: Literal["chunks", "text"] | None = None
        # None until needed, because the garbage collector visits each object of each open stream.
        self._picker: ChoicePicker | None = None
        self._held: list[Token] | None = None  # tokens that arrived before the form was known

    @property
    def is_empty(self) -> bool:
        """Whether the reply lacks text and tool calls."""
        return not (self.texts or self._half or self.calls)

    def text(self) -> str:
        """Return the text that was received."""
        # Another thread may add text at the same time, so the result is stored in one step.
        count, text = self._joined
        new = self.texts[count:]
        text += "".join(new)
        self._joined = count + len(new), text
        return text

    def add(self, meaning: _meanings.Content, source: str) -> list[ChatChunk]:
        """Add the meaning of one event, whose data is `source`; return its chunks."""
        match meaning:
            case ChatChunk():
                if self._picker or self._half:
                    chunk = read_object(meaning.data, meaning.event)
                    # `read_object` returns one of these two for the common form.
                    return self.add(chunk, source) if isinstance(chunk, Chunk | NotUnderstood) else [meaning]
                chunks = [*self.release("chunks"), meaning]
                self.texts.append(meaning.text)
                self.is_common = True
                return chunks
            case Chunk():
                choice = self._pick(meaning.choices) if meaning.choices else None
                chunks = [*self.release("chunks"), self._add_chunk(meaning, choice, source)]
                self.is_common = bool(self.texts and not self._half and not self._picker)
                return chunks
            case Text(data, event, text):
                if self._form == "chunks":
                    self.note_not_understood(source)
                    return [ChatChunk("", data, event)]
                return [*self.release("text"), ChatChunk(self._add_text(text), data, event)]
            case Token(data, event, text):
                if self._form is None:
                    self._held = self._held or []
                    self._held.append(meaning)
                    return []
                return [ChatChunk(self._add_text(text) if self._form == "text" else "", data, event)]
            case KeepAlive(data, event, is_known):
                if not is_known:
                    self._note_unspoken(source)
                return [ChatChunk("", data, event)]
            case NotUnderstood(data, event):
                self.note_not_understood(source)
                return [ChatChunk("", data, event)]
            case _:
                assert_never(meaning)

    def release(self, form: Literal["chunks", "text"] | None = None) -> list[ChatChunk]:
        """Set the form of the stream, and return the chunks of the held tokens.

        Args:
            form: The form of the events; None if the stream ended before it was known.
        """
        held, self._held = self._held or [], None
        self._form = form
        chunks: list[ChatChunk] = []
        for token in held:
            is_text = form == "text" or (form is None and token.counts_alone)
            chunks.append(ChatChunk(self._add_text(token.text) if is_text else "", token.data, token.event))
        return chunks

    def complete(self) -> tuple[str, str] | None:
        """Complete the tool calls at the end of the reply.

        Returns:
            Why the reply is not complete, with `{}` for the part of the stream that shows it, and that part;
            None if everything was understood.
        """
        if self._not_understood:
            return "could not understand the event {}, so the reply may be incomplete", self._not_understood
        if self._unspoken and self.is_empty:
            return "the reply has neither text nor tool calls, only events such as {}", self._unspoken
        return self.calls.complete() if self.calls else None

    def end_text(self) -> list[ChatChunk]:
        """End the text; return U+FFFD in a chunk if half of a character still waits."""
        if not self._half:
            return []
        self.texts.append("\ufffd")
        return [ChatChunk("\ufffd", "")]

    def note_not_understood(self, source: str) -> None:
        """Note the data of an event that could not be understood."""
        self._not_understood = self._not_understood or source[:_NOTED_CHARACTERS]

    def _note_unspoken(self, source: str) -> None:
        self._unspoken = self._unspoken or source[:_NOTED_CHARACTERS]

    def _add_text(self, text: str) -> str:
        """Add `text`, and return what can be passed on now."""
        text, self._half = split_high_surrogate(self._half + text)
        if text:
            self.texts.append(text)
        return text

    def _pick(self, choices: tuple[Choice, ...]) -> Choice | Literal["other", "mixed"]:
        """Return the choice that is the reply; see `ChoicePicker.pick`."""
        if self._picker is None:
            if len(choices) == 1 and choices[0].index in (None, "0"):
                return choices[0]
            self._picker = ChoicePicker("0" if self._form == "chunks" else None)
        return self._picker.pick(choices)

    def _add_chunk(
        self, chunk: Chunk, choice: Choice | Literal["other", "mixed"] | None, source: str
    ) -> ChatChunk:
        """Add the usage of a chunk and the choice that is the reply."""
        if chunk.is_unspoken:
            self._note_unspoken(source)
        if chunk.usage is not None:
            self.usage = chunk.usage
        if choice == "mixed":
            self.note_not_understood(source)
        if not isinstance(choice, Choice):
            return ChatChunk("", chunk.data, chunk.event)
        text, complete_text = choice.text, choice.complete_text
        if complete_text and not (self.texts or self._half or text):
            text = complete_text
        elif complete_text and complete_text not in (text, self.text() + text):
            # A service may repeat the text of its deltas, but not send a different one.
            self.note_not_understood(source)
        if choice.tool_calls:
            self.calls = self.calls or ToolCalls()
            self.calls.add(choice.tool_calls)
        if choice.finish_reason:
            self.finish_reason = choice.finish_reason
        return ChatChunk(self._add_text(text), chunk.data, chunk.event, choice.finish_reason)
