"""Names of classes that people type."""

LONGEST_NAME = 60


def checked_name(name: str) -> str:
    """A name without spaces around it.

    Raises:
        ValueError: for one that is empty, longer than LONGEST_NAME, or has a line break or
            another character that cannot be shown.
    """
    name = name.strip(" ")
    odd = [character for character in name if not character.isprintable()]
    if not name:
        raise ValueError("a name is empty: write one letter or more")
    if odd:
        raise ValueError(
            f"the name {name[:20]!r} has a character that cannot be shown ({odd[0]!r}): leave it "
            "out"
        )
    if len(name) > LONGEST_NAME:
        raise ValueError(
            f"the name {name[:20]!r}... has {len(name)} letters: write {LONGEST_NAME} at most"
        )
    return name
