"""Why an item is on the list, as a sentence: from the head of the model that speaks most for it."""

from typing import Any


class Explainer:
    def __init__(self, *_: Any) -> None: ...

    def reason(self, index: int) -> str:
        return ""
