"""The one exception for mistakes that a user can mend."""


class UserError(ValueError):
    """Bad input; a line for each mistake names the file or key and says what to do."""
