"""A value that never shows itself."""

import hmac
from typing import NoReturn, Self, final

__all__ = ["Secret"]

_SHOWN = "Secret(…)"


@final
class Secret:
    """A secret text: only `reveal` gives it; no repr, text, format or pickle does (promise P4)."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The secret itself: call this only where it is put on the wire, hashed or shown once."""
        return self._value

    def __repr__(self) -> str:
        return _SHOWN

    def __format__(self, spec: str) -> str:
        return _SHOWN

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash(self._value)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        message = "a secret is not written anywhere"
        raise TypeError(message)
