from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import IO, Any

import pytest
from config_cases import bounded, full_config, odd_configs
from hypothesis import given
from hypothesis import strategies as st
from schemas import CORPUS

from millis_wrapper import ConfigurationError
from millis_wrapper._paths import children
from millis_wrapper.config import load_config
from millis_wrapper.config._json_text import json_lines
from millis_wrapper.config._yaml_text import yaml_lines

CONFIG = {"prompt": "Grüß {name}.", "language": "no", "flow": {"response_delay": 400}}
JSON = json.dumps(CONFIG, ensure_ascii=False)
FLOW_YAML = '{"prompt": "Grüß {name}.", language: no, flow: {response_delay: 400}}'
YAML = "prompt: Grüß {name}.\nlanguage: no\nflow: {response_delay: 400}\n"


def saved(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refusal(source: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_config(source)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        *[(name, JSON) for name in ("a.json", "a.JSON", "a", "a.txt", "a.yaml", "a.yml")],
        *[(name, YAML) for name in ("a.yaml", "a.yml", "a.YML", "a", "a.conf")],
        ("a.YAML", FLOW_YAML),
        ("bom.json", b"\xef\xbb\xbf" + JSON.encode()),
        ("bom", b"\xef\xbb\xbf\r\n" + JSON.encode()),
        ("lines.yaml", YAML.replace("\n", "\r\n")),
    ],
)
def test_json_and_yaml_are_read_by_the_ending_or_else_by_the_look(
    name: str, content: str | bytes, tmp_path: Path
) -> None:
    """A config is the same by a path as text or as Path, in either format, with a byte order mark or not."""
    path = saved(tmp_path, name, content)
    assert load_config(path) == load_config(str(path)) == CONFIG


@pytest.mark.parametrize("file", [io.StringIO(JSON), io.StringIO("\ufeff" + YAML), io.BytesIO(YAML.encode())])
def test_an_open_file_is_read(file: IO[str] | IO[bytes]) -> None:
    """Standard input, or any other open file of text or bytes, will do."""
    assert load_config(file) == CONFIG


def test_an_open_file_is_read_by_its_name(tmp_path: Path) -> None:
    """A file that the caller has opened is what its name says; a byte order mark is no text."""
    with open(saved(tmp_path, "a.json", "\ufeff" + JSON), encoding="utf-8") as file:
        assert load_config(file) == CONFIG


def test_the_whole_answer_of_duplicate_gives_its_config() -> None:
    """What `millis duplicate --json` has printed into a file can be used as a config at once."""
    assert load_config(CORPUS / "pages" / "duplicate-answer.json") == full_config()


def test_a_config_is_not_taken_for_an_answer(tmp_path: Path) -> None:
    """A config with a key that nobody knows stays whole."""
    config = {"id": "-O", "config": {"prompt": "x"}, "prompt": "y"}
    assert load_config(saved(tmp_path, "a.json", json.dumps(config))) == config


def test_what_an_alias_names_is_not_shared(tmp_path: Path) -> None:
    """Changing one place of a config changes no other, however the file was written."""
    config = load_config(saved(tmp_path, "a.yaml", "tools: [&x {name: a, description: b}, *x]"))
    config["tools"][0]["name"] = "c"
    assert config["tools"][1]["name"] == "a"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (
            "a.json",
            '{\n "prompt": "a",\n "prompt": "b"\n}',
            ', line 3: the key "prompt" comes twice in one object,',
        ),
        ("a.yaml", "prompt: a\nflow: {}\nprompt: b", ', line 3: the key "prompt" comes twice in one object,'),
        ("a.json", '{"prompt": "a",\n}', "not valid JSON: "),
        ("a.json", YAML, ", line 1: not valid JSON: Expecting value at column 1"),
        ("a.yaml", "prompt: [a", ", line 1: expected ',' or ']'"),
        ("a", "\n\n{'prompt': 1}", ", line 3: not valid JSON: "),
        ("a.json", b'{\n"prompt": "\xff"}', ", line 2: is not UTF-8 text; save it as UTF-8"),
        ("a.yaml", YAML.encode("utf-16"), ", line 1: is not UTF-8 text; save it as UTF-8"),
        ("a.json", "", ': is empty; a config is an object, such as {"prompt": "Be kind."}'),
        ("a.yaml", " \n", ": is empty; a config is an object"),
        ("a.yaml", "# later", ": holds null; a config is an object"),
        ("a.json", "[]", ": holds a list; a config is an object"),
        ("a.json", '"prompt"', ": holds a string; a config is an object"),
        ("a", "Be kind.", ": holds a string; a config is an object"),
        ("a.json", '{"vad_threshold": NaN}', ": vad_threshold: nan is not a number in JSON"),
        ("a.json", '{"tools": [{"timeout": 1e999}]}', ": tools[0].timeout: inf is not a number in JSON"),
        ("a.json", '{"prompt": "\\ud83d"}', ": prompt: holds half a surrogate pair, which is not text"),
        ("a.json", "[" * 102 + "]" * 102, ": is nested more than 100 levels deep"),
        ("a.json", '{"x": ' + "1" * 5000 + "}", ": a number has too many digits"),
    ],
)
def test_a_file_that_holds_no_config_is_refused(
    name: str, content: str | bytes, words: str, tmp_path: Path
) -> None:
    """The error names the file, the line or the place, and what is wrong there."""
    path = saved(tmp_path, name, content)
    message = refusal(path)
    assert message.startswith(str(path))
    assert words in message
    assert "\n" not in message


def test_aliases_that_unfold_without_end_are_refused(tmp_path: Path) -> None:
    """A small file cannot fill the memory."""
    lines = ["a0: &a0 [x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60))]
    assert refusal(saved(tmp_path, "a.yaml", "\n".join(lines))).endswith(
        "holds more than 100,000 values; does it hold itself?"
    )


@pytest.mark.parametrize("name", ["none.json", ".", "a\0b"])
def test_a_file_that_cannot_be_read_is_named(name: str, tmp_path: Path) -> None:
    """A missing file, a folder and a name that cannot be are errors of this library, and of one line."""
    assert name.replace("\0", "\\x00") in refusal(f"{tmp_path}/{name}")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (None, "load_config: pass a path or an open file, not null"),
        ({"prompt": ""}, "load_config: pass a path or an open file, not an object"),
        (io.BytesIO(b"\xff"), "the config, line 1: is not UTF-8 text"),
        (io.TextIOWrapper(io.BytesIO(b"\xff"), "utf-8"), "the config: is not UTF-8 text"),
    ],
)
def test_what_is_no_file_of_text_is_refused(source: Any, words: str) -> None:
    """Also a wrong argument, and an open file that has no name, are told in words."""
    assert refusal(source).startswith(words)


def test_json_needs_no_library_and_yaml_says_which(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever lacks PyYAML can read JSON, and is told what to install for YAML."""
    monkeypatch.delitem(sys.modules, "millis_wrapper.config._yaml_text", raising=False)
    monkeypatch.setitem(sys.modules, "yaml", None)
    assert load_config(saved(tmp_path, "a.json", JSON)) == CONFIG
    assert refusal(saved(tmp_path, "a.yaml", YAML)).endswith(
        "a.yaml: reading YAML needs PyYAML; in a clone of millis-wrapper, run pip install '.[contract]'"
    )


def _places(value: Any, path: str = "") -> list[str]:
    return [path, *(place for way, child in children(value, path) for place in _places(child, way))]


@bounded
@given(odd_configs, st.sampled_from([None, 1]))
def test_every_value_of_a_file_has_a_line(config: dict[str, Any], indent: int | None) -> None:
    """JSON and YAML give each path a line, and paths that are further down never have an earlier one."""
    text = json.dumps(config, indent=indent)
    as_json, as_yaml = json_lines(text), yaml_lines(text)
    for lines in (as_json, as_yaml):
        places = _places(config)
        assert set(lines) == set(places)
        assert [lines[place] for place in places] == sorted(lines[place] for place in places)
    if indent:
        assert as_json == as_yaml
