"""What the JSON of one chunk says. Its form is OpenAI's, as seen on the wire; which of the optional parts the
service sends is not written down anywhere, so each may be missing, null, or of another type.
"""

from __future__ import annotations

from typing import Any

from ._json import is_array, is_object


def is_error(data: dict[str, Any]) -> bool:
    """Return whether a chunk reports an error."""
    # {"error": null} beside choices is the way of some services to say that there is none.
    return "error" in data and (bool(data["error"]) or "choices" not in data)


def choice_0(data: dict[str, Any]) -> dict[str, Any] | None:
    """Return the choice of which the reply is made; None when the chunk is about something else."""
    choices = data.get("choices")
    for choice in choices if is_array(choices) else ():
        if is_object(choice) and choice.get("index", 0) in (0, None):
            return choice
    return None


def content_text(content: Any) -> str:
    """Return the text of a delta's `content`: a string, or a list of text parts."""
    if isinstance(content, str):
        return content
    return "".join(_part_text(part) for part in content) if is_array(content) else ""


def _part_text(part: Any) -> str:
    text = part.get("text") if is_object(part) else part
    return text if isinstance(text, str) else ""
