"""MkDocs hook that builds the docs site from the READMEs, the recipes and the docstrings, where they are.

Links between these files are rewritten for the site. A link to another file becomes a download.
"""

from __future__ import annotations

import ast
import posixpath
import re
from functools import partial
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

import millis_wrapper

ROOT = Path(__file__).resolve().parent.parent
PAGES = {
    "scripts/site/index.md": "index.md",
    "scripts/site/why.md": "why.md",
    "millis_wrapper/README.md": "guide.md",
    "millis_wrapper/mock/README.md": "mock.md",
    "millis_wrapper/gateway/README.md": "gateway.md",
    "openapi/REFERENCE.md": "contract.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
}
# Links to these files lead to a page that shows their content in another form.
SHOWN_IN = {
    "README.md": "index.md",
    "millis_wrapper/errors.py": "api/errors.md",
    **{
        recipe.relative_to(ROOT).as_posix(): f"recipes.md#{recipe.stem}"
        for recipe in sorted((ROOT / "tests" / "recipes").glob("*.py"))
    },
}
# Modules with a page each, and the names of millis_wrapper by page. A public name without a page is an error.
MODULES = ("config", "contract", "sse", "mock", "testing", "gateway", "mcp")
NAMES = {
    "Client": [
        *("Millis", "_sync.client.Chat", "_sync.client.Agents", "AsyncMillis", "Timeout", "RetryPolicy"),
        *("Config", "Message", "Messages"),
    ],
    "Streams and replies": [
        *("ChatStream", "Conversation", "ChatReply", "ChatChunk", "DuplicatedAgent"),
        *("AsyncChatStream", "AsyncConversation"),
    ],
    "Errors": sorted(name for name in millis_wrapper.__all__ if name.endswith(("Error", "Warning"))),
}
LINK = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Replace the files of scripts/site/ by all pages and downloads of the site."""
    content = {target: (ROOT / source).read_text("utf-8") for source, target in PAGES.items()}
    downloads: set[str] = set()
    for source, target in PAGES.items():
        rewritten = partial(_rewritten, source=source, downloads=downloads)
        content[target] = LINK.sub(rewritten, content[target])
    content["recipes.md"] = "# Recipes\n\n" + "\n".join(
        _recipe(Path(path)) for path in SHOWN_IN if path.startswith("tests/recipes/")
    )
    for name in MODULES:
        content[f"api/{name}.md"] = f"# `millis_wrapper.{name}`\n\n::: millis_wrapper.{name}\n"
    for title, names in NAMES.items():
        content[f"api/{title.split()[0].lower()}.md"] = f"# {title}\n\n" + "\n".join(map(_named, names))
    if missing := {*millis_wrapper.__all__} - {"__version__"}.union(*NAMES.values()):
        raise PluginError(f"scripts/_docs.py: NAMES lacks {sorted(missing)}")
    for old in [*files]:
        if old.src_uri in content:
            files.remove(old)
    for target, text in content.items():
        files.append(File.generated(config, target, content=text))
    for path in sorted(downloads):
        files.append(File.generated(config, f"files/{path}", abs_src_path=str(ROOT / path)))
    return files


def _rewritten(link: re.Match[str], source: str, downloads: set[str]) -> str:
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), link[1]))
    anchor = link[2] or ""
    if path in PAGES:
        target = PAGES[path] + anchor
    elif path in SHOWN_IN:
        target = SHOWN_IN[path]
    elif (ROOT / path).is_file():
        downloads.add(path)
        target = f"files/{path}"
    else:
        return link[0]  # MkDocs reports it.
    return f"]({target})"


def _recipe(path: Path) -> str:
    code = (ROOT / path).read_text("utf-8")
    title = (ast.get_docstring(ast.parse(code)) or path.stem).partition("\n")[0]
    return f"## {path.name} {{ #{path.stem} }}\n\n{title}\n\n```python\n{code}```\n"


def _named(name: str) -> str:
    return (
        f"::: millis_wrapper.{name}\n    options: {{ show_root_heading: true, show_root_toc_entry: true }}\n"
    )
