"""The one way in which a channel can fail to take a notice."""


class Undelivered(Exception):
    """Nobody took it. `reached` says whether somebody answered, if only to refuse."""

    def __init__(self, message: str, *, reached: bool) -> None:
        super().__init__(message)
        self.reached = reached
