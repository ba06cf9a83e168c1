"""The input of openapi-python-client: the contract in its form, and our overrides of its templates."""

from __future__ import annotations

import pytest
from jinja2 import Environment, FileSystemLoader, nodes
from schemas import ROOT, document

from scripts import _document, _generate

pytestmark = pytest.mark.untraced


@pytest.mark.parametrize("name", ["client.py.jinja", "types.py.jinja"])
def test_each_replaced_text_is_in_the_template_of_the_generator(name: str) -> None:
    """A newer generator with another text fails here instead of silently skipping a replacement."""
    environment = Environment(
        loader=FileSystemLoader(_generate.generator_templates()),
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
    upstream = environment.get_template(name).render(config={"docstrings_on_attributes": True})
    tree = environment.parse((ROOT / "openapi" / "templates" / name).read_text("utf-8"))
    arguments = [one.args[0] for one in tree.find_all(nodes.Filter) if one.name == "replace"]
    replaced = [one.value for one in arguments if isinstance(one, nodes.Const)]
    assert len(replaced) >= 3
    for text in replaced:
        assert text in upstream


def test_the_generator_gets_the_contract_without_closed_objects() -> None:
    """The rest of the contract is unchanged, except for the descriptions of parameters."""
    given = _document.for_the_generator(document())
    schemas = given["components"]["schemas"]
    assert "additionalProperties" not in schemas["AgentConfigOverride"]
    schemas["AgentConfigOverride"]["additionalProperties"] = False
    # The generator reads a parameter's description from its schema.
    for _, _, _, parameters in _document.operations(given):
        for parameter in parameters:
            assert parameter["schema"].pop("description") == parameter["description"]
    assert given == document()
