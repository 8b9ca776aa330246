from __future__ import annotations

import pytest

from portline.config.form import WORDS, Entry, forms
from portline.config.models import MODELS, options
from portline.config.options import Group, key_of


def entries(kind: str) -> dict[str, Entry]:
    return {entry.key: entry for group in forms()[kind].groups for entry in group.options}


@pytest.mark.parametrize("kind", MODELS)
def test_every_option_is_in_the_form_once(kind: str) -> None:
    groups = forms()[kind].groups
    keys = [entry.key for group in groups for entry in group.options]
    assert sorted([*keys, "kind"]) == sorted(map(key_of, options(MODELS[kind])))
    order = [group.value for group in Group]
    assert [each.name for each in groups] == [
        name for name in order if name in {g.name for g in groups}
    ]


@pytest.mark.parametrize("kind", MODELS)
def test_a_default_may_be_written(kind: str) -> None:
    model = MODELS[kind]
    for field, option in options(model).items():
        if field == "kind":
            continue
        entry = entries(kind)[key_of(field)]
        assert entry.value in WORDS.values()
        if entry.default is not None:
            assert option.kind.read(entry.default) == model.model_fields[field].default
        if entry.choices and isinstance(entry.default, str):
            assert entry.default in entry.choices


def test_what_a_form_needs_to_know() -> None:
    found = entries("server")
    baudrate = found["baudrate"]
    assert (baudrate.value, baudrate.low, baudrate.high) == ("integer", 50, 4_000_000)
    assert (baudrate.unit, baudrate.default, baudrate.many) == ("bit/s", 9600, False)
    assert found["parity"].choices == ("none", "odd", "even", "mark", "space")
    assert found["parity"].default == "none"
    assert found["listen"].many
    assert found["nodelay"].value == "flag"
    assert found["port"].default is None
