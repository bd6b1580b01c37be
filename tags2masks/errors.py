"""The one exception for mistakes that a user can mend."""


class UserError(ValueError):
    """Bad input; the message is one line that names the file or key and says what to do."""
