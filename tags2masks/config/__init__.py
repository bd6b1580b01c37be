"""The blocks of the config file: the only place of defaults. Imports no torch."""
