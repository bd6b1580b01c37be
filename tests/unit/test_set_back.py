"""An option of an inner block that is set to its class's default is not read as the method's."""

import pytest

from tags2masks.config.base import Block
from tags2masks.config.methods import METHODS
from tags2masks.methods import method_block


def set_back():
    """(package, method, field, inner field, value) of `added` fields that a method changes."""
    for package, blocks in METHODS.items():
        for method, block in blocks.items():
            for name, info in block.model_fields.items():
                inner = info.default
                fields = type(inner).model_fields if isinstance(inner, Block) else {}
                for field, about in fields.items():
                    if_set = (about.json_schema_extra or {}).get("in_key") == "if set"
                    if if_set and getattr(inner, field) != about.default:
                        yield package, method, name, field, about.default


CASES = list(set_back())


def test_there_are_such_fields():
    assert ("detectors", "fasterrcnn", "optimizer", "drops", ()) in CASES
    assert ("classifiers", "mctformer", "augment", "square", False) in CASES


@pytest.mark.parametrize(("package", "method", "name", "field", "value"), CASES)
def test_it_is_in_the_recipe(package, method, name, field, value):
    required = {"hints": "vanilla/cam"} if method == "c2am_h" else {}
    # AffinityNet's labels are of the means of the probabilities, if these are kept.
    middle = {"affinity": {"cell_labels": "middle"}}
    given = middle if field == "keep_probabilities" else {}
    block = METHODS[package][method].model_validate({name: {field: value}, **required, **given})
    plain = METHODS[package][method].model_validate(required | given)
    assert getattr(getattr(block, name), field) == value
    assert block.key()[name].keys() == plain.key()[name].keys()
    assert block.key() != plain.key()
    parts = ("hints", "affinity", "walk")  # upstream in a recipe
    spec = {key: value for key, value in block.key().items() if key not in parts}
    recipe = {"method": method, "spec": spec | given}
    again = method_block(package, recipe)
    assert getattr(getattr(again, name), field) == value
