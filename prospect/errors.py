"""The exceptions of PROSPECT.

    ProspectError
    |-- DataError        a file, record or field that can't be right
    |-- MissingError     a file, package or weight that isn't there; says how to get it
    |-- ConfigError      a setting that can't work
    |-- llm.ServerError  a language model's server fails; a later run asks again
    |-- llm.SpendLimit   the next request could cost more than is allowed
    `-- llm.Pending      a reply comes with a later batch

Every message says what is wrong with which value, where, and what to do.
`prospect` prints these without a traceback and exits with status 2; any other
exception is a bug.
"""


class ProspectError(Exception):
    """Base of all errors a user can act on."""


class DataError(ProspectError):
    """A file, record or field that can't be right."""


class MissingError(ProspectError):
    """A file, package or weight that isn't there."""


class ConfigError(ProspectError):
    """A setting that can't work."""
