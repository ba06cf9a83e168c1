from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path
from typing import IO, Any

import pytest
from config_cases import bounded, full_config, invalid_configs
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


def error_for(source: Any) -> str:
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
def test_the_format_depends_on_the_file_name_or_the_first_character(
    name: str, content: str | bytes, tmp_path: Path
) -> None:
    """The path may be a str or a Path, and the file may have a byte order mark."""
    path = saved(tmp_path, name, content)
    assert load_config(path) == load_config(str(path)) == CONFIG


@pytest.mark.parametrize("file", [io.StringIO(JSON), io.StringIO("\ufeff" + YAML), io.BytesIO(YAML.encode())])
def test_an_open_file_is_accepted(file: IO[str] | IO[bytes]) -> None:
    """The file may contain text or bytes, as stdin does."""
    assert load_config(file) == CONFIG


def test_the_format_of_an_open_file_depends_on_its_name(tmp_path: Path) -> None:
    """A byte order mark is ignored."""
    with open(saved(tmp_path, "a.json", "\ufeff" + JSON), encoding="utf-8") as file:
        assert load_config(file) == CONFIG


def test_a_saved_duplicate_response_is_loaded_as_its_config() -> None:
    """The output of `millis duplicate --json` can be used as a config file."""
    assert load_config(CORPUS / "pages" / "duplicate-response.json") == full_config()


def test_a_config_with_unknown_keys_is_not_a_duplicate_response(tmp_path: Path) -> None:
    """A config with the unknown keys `id` and `config` is loaded unchanged."""
    config = {"id": "-O", "config": {"prompt": "x"}, "prompt": "y"}
    assert load_config(saved(tmp_path, "a.json", json.dumps(config))) == config


def test_the_values_of_aliases_are_not_shared(tmp_path: Path) -> None:
    """Changing the value of one alias does not change the others."""
    config = load_config(saved(tmp_path, "a.yaml", "tools: [&x {name: a, description: b}, *x]"))
    config["tools"][0]["name"] = "c"
    assert config["tools"][1]["name"] == "a"


@pytest.mark.parametrize(
    ("name", "content", "key_word"),
    [
        (
            "a.json",
            '{\n "prompt": "a",\n "prompt": "b"\n}',
            ', line 3: duplicate key "prompt"',
        ),
        ("a.yaml", "prompt: a\nflow: {}\nprompt: b", ', line 3: duplicate key "prompt"'),
        ("a.json", '{"prompt": "a",\n}', "not valid JSON: "),
        ("a.json", YAML, ", line 1: not valid JSON: "),
        ("a.yaml", "prompt: [a", ", line 1: "),
        ("a", "\n\n{'prompt': 1}", ", line 3: not valid JSON: "),
        ("a.json", b'{\n"prompt": "\xff"}', ", line 2: is not UTF-8"),
        ("a.yaml", YAML.encode("utf-16"), ", line 1: is not UTF-8"),
        ("a.json", "", "empty file"),
        ("a.yaml", " \n", "empty file"),
        ("a.yaml", "# later", "got null"),
        ("a.json", "[]", "got a list"),
        ("a.json", '"prompt"', "got a string"),
        ("a", "Be kind.", "got a string"),
        ("a.json", '{"vad_threshold": NaN}', ": vad_threshold: nan "),
        ("a.json", '{"tools": [{"timeout": 1e999}]}', ": tools[0].timeout: inf "),
        ("a.json", '{"prompt": "\\ud83d"}', "prompt: contains half a surrogate"),
        ("a.json", "[" * 102 + "]" * 102, "100 levels"),
        ("a.json", '{"x": ' + "1" * 5000 + "}", "too many digits"),
    ],
)
def test_a_file_without_a_valid_config_is_rejected(
    name: str, content: str | bytes, key_word: str, tmp_path: Path
) -> None:
    """The error names the file, the line or path, and the problem."""
    path = saved(tmp_path, name, content)
    message = error_for(path)
    assert message.startswith(str(path))
    assert key_word in message
    assert "\n" not in message


def test_aliases_that_multiply_are_rejected(tmp_path: Path) -> None:
    """A small file cannot use up the memory."""
    lines = ["a0: &a0 [x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60))]
    assert "100,000 values" in error_for(saved(tmp_path, "a.yaml", "\n".join(lines)))


@pytest.mark.parametrize("name", ["none.json", ".", "a\0b"])
def test_the_error_for_a_file_that_cannot_be_opened_names_it(name: str, tmp_path: Path) -> None:
    """The error for a missing file, a folder or an invalid name is one line that contains the name."""
    assert name.replace("\0", "\\u0000") in error_for(f"{tmp_path}/{name}")


@pytest.mark.parametrize(
    ("source", "pattern"),
    [
        (None, "source: .* path .* null$"),
        ({"prompt": ""}, "source: .* path .* an object$"),
        (io.BytesIO(b"\xff"), "the config, line 1: is not UTF-8"),
        (io.TextIOWrapper(io.BytesIO(b"\xff"), "utf-8"), "the config: is not UTF-8"),
    ],
)
def test_a_source_that_is_not_a_text_file_is_rejected(source: Any, pattern: str) -> None:
    """An open file without a name is called `the config`."""
    assert re.match(pattern, error_for(source))


def test_yaml_without_pyyaml_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """JSON files can be loaded without PyYAML."""
    monkeypatch.delitem(sys.modules, "millis_wrapper.config._yaml_text", raising=False)
    monkeypatch.setitem(sys.modules, "yaml", None)
    assert load_config(saved(tmp_path, "a.json", JSON)) == CONFIG
    message = error_for(saved(tmp_path, "a.yaml", YAML))
    assert "a.yaml: " in message
    assert "PyYAML" in message
    assert "'.[contract]'" in message


def _places(value: Any, path: str = "") -> list[str]:
    return [path, *(place for way, child in children(value, path) for place in _places(child, way))]


@bounded
@given(invalid_configs, st.sampled_from([None, 1]))
def test_every_value_of_a_file_has_a_line(config: dict[str, Any], indent: int | None) -> None:
    """Every path has a line in JSON and in YAML, and later paths never have an earlier line."""
    text = json.dumps(config, indent=indent)
    as_json, as_yaml = json_lines(text), yaml_lines(text)
    for lines in (as_json, as_yaml):
        places = _places(config)
        assert set(lines) == set(places)
        assert [lines[place] for place in places] == sorted(lines[place] for place in places)
    if indent:
        assert as_json == as_yaml
