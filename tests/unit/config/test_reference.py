from __future__ import annotations

from pathlib import Path

from portline.config.models import MODELS
from portline.config.reference import page

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "options.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), (
        "write it anew: python -m portline.config.reference > docs/reference/options.md"
    )


def test_the_page_has_every_option_twice_as_entry_and_in_the_table() -> None:
    text = page()
    for field in (name for model in MODELS.values() for name in model.model_fields):
        key = field.replace("_", "-")
        assert f"### `{key}`\n" in text
        assert f"| `{key}` | " in text
