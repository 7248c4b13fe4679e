"""How an encoder is named: `prefix[:name][;option=value]…`, the same words in settings, API and Postgres."""

from collections.abc import Iterable
from dataclasses import dataclass

from linework_vision.errors import BadSpec


@dataclass(frozen=True, slots=True)
class Spec:
    """A parsed name. `text` is the whole of it, as it was given."""

    text: str
    prefix: str
    name: str
    options: dict[str, str]

    @classmethod
    def parse(cls, text: str) -> "Spec":
        """Raises BadSpec where an option is not `key=value` or is given twice."""
        head, *parts = text.strip().split(";")
        prefix, _, name = head.partition(":")
        options: dict[str, str] = {}
        for part in parts:
            key, equals, value = part.partition("=")
            if not (key and equals and value) or key in options:
                raise BadSpec(f"'{part}' in '{text}' is no option; options are written ;key=value, each once.")
            options[key] = value
        return cls(text.strip(), prefix, name, options)

    def allow(self, known: Iterable[str]) -> None:
        """Raises BadSpec for any option that the loader does not know: a misspelt one must not be ignored."""
        known = sorted(known)
        for key in self.options:
            if key not in known:
                options = ", ".join(known) or "none"
                raise BadSpec(f"'{key}' is no option of '{self.prefix}' encoders. Their options: {options}.")

    def flag(self, key: str, *, default: bool) -> bool:
        """Raises BadSpec unless the option is 'true' or 'false'."""
        value = self.options.get(key, str(default)).lower()
        if value not in ("true", "false"):
            raise BadSpec(f"'{key}' in '{self.text}' is true or false.")
        return value == "true"

    def integer(self, key: str, *, default: int, most: int, least: int = 0) -> int:
        """The option, or `default` where it is not given. Raises BadSpec unless it is a whole number within bounds."""
        value = self.options.get(key)
        if value is None:
            return default
        if not (value.isascii() and value.isdecimal() and len(value) <= len(str(most)) and least <= int(value) <= most):
            raise BadSpec(f"'{key}' is a whole number from {least} to {most}.")
        return int(value)
