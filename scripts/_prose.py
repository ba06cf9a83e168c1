"""Find wording that readers stumble over: docs, docstrings, comments, messages, names of tests and cases.

`scripts/check` runs it on every file, and `python -m scripts._prose FILE ...` on some. scripts/prose.tsv has
the rules, each with a bad and a good example. Code spans, quotations in Markdown, and strings in tests are
not checked.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Generated files repeat their sources. The rest is data, or text of others.
SKIPPED = re.compile(
    r"generated/|openapi/(editions/|REFERENCE)|millis_wrapper/_sync/(?!io)|tests/(?!.*py$)(?!corpus/.*\.json$)"
    r"|scripts/(constraints|prose)\.|LICENSE$|\.gitignore$"
)
CODE = re.compile(r"^ *```.*?^ *```|`[^`\n]*`|https?://\S+", re.DOTALL | re.MULTILINE)
CASE_NAME = re.compile(r'^ *\{"name": "(.*?)"', re.MULTILINE)


def load_rules() -> dict[re.Pattern[str], list[str]]:
    """Return by pattern: what to write instead, a bad example, and a good one.

    A space in a pattern also matches a line break in a comment or between two string literals.
    """
    rows = (ROOT / "scripts" / "prose.tsv").read_text("utf-8").splitlines()[1:]
    return {_compiled(row.split("\t")[0]): row.split("\t")[1:] for row in rows}


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w-])(?:{pattern})(?![\w-])".replace(" ", r"[\s#]+"), re.IGNORECASE)


def findings(path: str, text: str) -> Iterator[str]:
    """Yield a line for each match: its place, the words, and what to write instead."""
    prose = _prose(path, text)
    for pattern, (instead, _bad, _good) in load_rules().items():
        for found in pattern.finditer(prose):
            words = " ".join(found[0].replace("#", " ").split())
            yield f"{path}:{prose.count(chr(10), 0, found.start()) + 1}: {words!r}: {instead}"


def _prose(path: str, text: str) -> str:
    """Return `text` with blanks in place of everything else, so that positions stay the same."""
    if path.endswith(".json"):
        text = _only(text, ((found.start(1), found[1]) for found in CASE_NAME.finditer(text)))
    elif path.endswith(".py"):
        text = _only(text, _python_prose(text, strings=not path.startswith("tests/")))
    elif path.endswith(".md"):
        text = re.sub(r'"[^"\n]*"', _blank, text)
    return CODE.sub(_blank, text)


def _python_prose(text: str, strings: bool) -> Iterator[tuple[int, str]]:
    """Yield position and text of comments, docstrings and test names; with `strings`, of every string."""
    lines = [0, *(found.end() for found in re.finditer("\n", text))]
    is_first, previous = True, ""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        kind = tokenize.tok_name[token.type]
        start = lines[token.start[0] - 1] + token.start[1]
        if previous == "def" and token.string.startswith("test_"):
            yield start, token.string.replace("_", " ")
        elif kind == "COMMENT" or ("STRING" in kind and (strings or is_first)):
            # Prefix and quotes become spaces, so that a pattern matches across adjacent literals.
            yield start, re.sub(r"^\w*[\"']+|[\"']+$", lambda found: " " * len(found[0]), token.string)
        if kind not in ("COMMENT", "NL", "INDENT", "DEDENT"):
            is_first, previous = kind == "NEWLINE", token.string


def _only(text: str, parts: Iterable[tuple[int, str]]) -> str:
    kept = list(re.sub(r"\S", "\0", text))
    for start, part in parts:
        kept[start : start + len(part)] = part
    return "".join(kept)


def _blank(found: re.Match[str]) -> str:
    return re.sub(r"\S", "\0", found[0])


def main() -> int:
    """Print the findings; return 1 if there are any."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", *sys.argv[1:]], cwd=ROOT, capture_output=True, text=True, check=True
    )
    paths = [path for path in listed.stdout.split("\0") if path and not SKIPPED.match(path)]
    found = [line for path in paths for line in findings(path, (ROOT / path).read_text("utf-8"))]
    for line in found:
        print(line)
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
