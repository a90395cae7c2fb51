"""The one exception that speaks to a user, and how a full disk is told from other failures."""


class PercasymError(Exception):
    """A mistake that the user can mend.

    Its message is one line that says what is wrong and what to do, whatever line breaks a name in it has. The
    command line prints it and exits with code 2; any other exception is a bug and keeps its traceback.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(" ".join(str(message).splitlines()))


DISK_IS_FULL = "the disk is full: free some space and run the same command again; what is finished is kept"


def tells_of_full_disk(text: str) -> bool:
    """Whether an error, or the end of a log, says so in the words of the system or of a database."""
    words = ("No space left on device", "Disk quota exceeded", "File too large", "disk is full")
    return any(said in text for said in words)
