"""The query parameter `q` of lists: a text that is searched for."""

from typing import Any

from fastapi import Query

TEXT_MAX_CHARACTERS = 200


def search_text(description: str) -> Any:
    """What FastAPI is to know of the parameter; `description` says where the text is searched for."""
    return Query(max_length=TEXT_MAX_CHARACTERS, pattern=r"^[^\x00]*$", description=description, examples=["havnegade"])
