"""Numbers with their noun, as people write them."""

__all__ = ["plural"]


def plural(count: int, one: str, many: str = "") -> str:
    """Return ``1 byte``, ``3 bytes``; ``many`` where the noun takes more than an ``s``."""
    return f"{count} {one if count == 1 else many or f'{one}s'}"
