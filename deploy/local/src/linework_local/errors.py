"""What can go wrong with the local stack, said so that a person knows what to do."""


class StackError(Exception):
    """A sentence for the terminal; `hint` says what to try."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
