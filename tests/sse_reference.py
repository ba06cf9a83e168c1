"""A slow and simple SSE decoder that follows the standards step by step, to compare the real one with.

It shares only the event class with `millis_wrapper.sse`, and decodes a complete stream.
"""

from __future__ import annotations

from collections.abc import Iterator

from millis_wrapper.sse import ServerSentEvent

FIELDS = ["data", "event", "id", "retry"]


def reference_events(stream: bytes) -> tuple[list[ServerSentEvent], ServerSentEvent | None]:
    """Return the events of a complete stream, and the event that the end of the stream cut off."""
    lines, rest = _lines(utf8_decode(stream))
    state = _State()
    events: list[ServerSentEvent] = []
    for line in lines:
        if line == "":
            if state.data_buffer != "":
                events.append(state.event())
            state.data_buffer = ""
            state.event_type_buffer = ""
            state.begun = False
        else:
            state.process(line)
    if ":" not in rest and rest != "" and any(name.startswith(rest) for name in FIELDS):
        state.begun = True
    if rest != "":
        state.process(rest)
    return events, state.event() if state.begun else None


class _State:
    def __init__(self) -> None:
        self.data_buffer = ""
        self.event_type_buffer = ""
        self.last_event_id_buffer = ""
        self.retry: int | None = None
        self.begun = False

    def process(self, line: str) -> None:
        """Process one line that is not blank."""
        if line[0] == ":":
            return
        if ":" in line:
            colon = line.index(":")
            field = line[:colon]
            value = line[colon + 1 :]
            if value != "" and value[0] == " ":
                value = value[1:]
        else:
            field = line
            value = ""
        if field in FIELDS:
            self.begun = True
        if field == "event":
            self.event_type_buffer = value
        elif field == "data":
            self.data_buffer = self.data_buffer + value
            self.data_buffer = self.data_buffer + "\n"
        elif field == "id":
            if "\0" not in value:
                self.last_event_id_buffer = value
        elif field == "retry" and value != "" and all(character in "0123456789" for character in value):
            self.retry = int(value)

    def event(self) -> ServerSentEvent:
        """Create an event from the buffers."""
        data = self.data_buffer
        if data != "" and data[-1] == "\n":
            data = data[:-1]
        event_type = "message"
        if self.event_type_buffer != "":
            event_type = self.event_type_buffer
        retry = self.retry
        self.retry = None
        return ServerSentEvent(event_type, data, self.last_event_id_buffer, retry)


def _lines(text: str) -> tuple[list[str], str]:
    """Return the complete lines of a text, and the text after the last line end."""
    lines: list[str] = []
    line = ""
    position = 0
    while position < len(text):
        if text[position] == "\r" and position + 1 < len(text) and text[position + 1] == "\n":
            lines.append(line)
            line = ""
            position += 2
        elif text[position] in ("\r", "\n"):
            lines.append(line)
            line = ""
            position += 1
        else:
            line += text[position]
            position += 1
    return lines, line


def utf8_decode(stream: bytes) -> str:
    """Decode as the Encoding Standard's "UTF-8 decode" does: one BOM dropped, errors replaced."""
    if stream[:3] == b"\xef\xbb\xbf":
        stream = stream[3:]
    return "".join(_code_points(stream))


def _code_points(stream: bytes) -> Iterator[str]:
    code_point = 0
    bytes_seen = 0
    bytes_needed = 0
    lower_boundary = 0x80
    upper_boundary = 0xBF
    position = 0
    while position < len(stream):
        byte = stream[position]
        position += 1
        if bytes_needed == 0:
            if byte <= 0x7F:
                yield chr(byte)
            elif 0xC2 <= byte <= 0xDF:
                bytes_needed = 1
                code_point = byte & 0x1F
            elif 0xE0 <= byte <= 0xEF:
                if byte == 0xE0:
                    lower_boundary = 0xA0
                if byte == 0xED:
                    upper_boundary = 0x9F
                bytes_needed = 2
                code_point = byte & 0xF
            elif 0xF0 <= byte <= 0xF4:
                if byte == 0xF0:
                    lower_boundary = 0x90
                if byte == 0xF4:
                    upper_boundary = 0x8F
                bytes_needed = 3
                code_point = byte & 0x7
            else:
                yield "\ufffd"
            continue
        if not lower_boundary <= byte <= upper_boundary:
            code_point = bytes_needed = bytes_seen = 0
            lower_boundary = 0x80
            upper_boundary = 0xBF
            position -= 1  # the byte starts the next sequence
            yield "\ufffd"
            continue
        lower_boundary = 0x80
        upper_boundary = 0xBF
        code_point = (code_point << 6) | (byte & 0x3F)
        bytes_seen += 1
        if bytes_seen == bytes_needed:
            yield chr(code_point)
            code_point = bytes_needed = bytes_seen = 0
    if bytes_needed != 0:
        yield "\ufffd"
