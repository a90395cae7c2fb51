"""The one exception that speaks to a user."""


class PercasymError(Exception):
    """A mistake that the user can mend.

    Its message is one line that says what is wrong and what to do. The command line prints it and exits with
    code 2; any other exception is a bug and keeps its traceback.
    """
