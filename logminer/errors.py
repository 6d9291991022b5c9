"""Every error logminer raises on purpose, grouped by what the caller must do.

    LogminerError
    ├── FatalError                  stop: the run cannot go on            exit 1
    │   ├── UsageError              the request itself is wrong           exit 2
    │   │   ├── UnknownScopeError   no such project or group
    │   │   └── NotGitLabError      the server answers, but not as GitLab
    │   ├── AuthorisationError      the token is missing or refused       exit 4
    │   ├── ServerError             the server cannot be reached or fails exit 1
    │   │   └── BlockedError        the server refuses this address for everything
    │   ├── StoreError              the store cannot be read or written   exit 1
    │   │   ├── NotAStoreError      the path holds no logminer store      exit 2
    │   │   ├── OlderLedgerError    an older logminer wrote the ledger
    │   │   └── NewerStoreError     a newer logminer wrote the store      exit 2
    │   └── BusyError               locked, or out of budget or time      exit 75
    │       ├── BudgetSpentError    no request is left, or no time
    │       └── ChangedError        somebody else has replaced what was read
    ├── RetryableError              the same read may succeed later
    │   ├── ConnectionFailedError   no answer, or one that broke off
    │   ├── RateLimitedError        429: wait as long as the server says
    │   └── UnavailableError        5xx
    └── SkippableError              this one thing is not to be had; go on
        ├── NotFoundError           404
        ├── ForbiddenError          403
        └── UnexpectedAnswerError   an answer that GitLab's API does not describe
            └── OffsetLimitError    an old server lists no further back

A message is one line that tells a person what to do next.
No error carries a token, a credential or a signed URL.
`exit_code` is what the command line returns for it; the codes are tabled in the README.
"""


class LogminerError(Exception):
    """The root: catch this to catch whatever logminer raises on purpose."""

    exit_code = 1


class FatalError(LogminerError):
    """The run cannot go on."""


class UsageError(FatalError):
    """What was asked for is wrong: an option, a period, a setting."""

    exit_code = 2


class UnknownScopeError(UsageError):
    """No such project or group, or not visible to this token."""


class NotGitLabError(UsageError):
    """A server answered at the URL, but it is no GitLab API."""


class AuthorisationError(FatalError):
    """The token is missing, expired or refused for everything."""

    exit_code = 4


class ServerError(FatalError):
    """The server cannot be reached, or keeps failing."""


class BlockedError(ServerError):
    """The server refuses this address for everything, as GitLab does for a while to an IP."""


class StoreError(FatalError):
    """The store cannot be read or written."""


class NotAStoreError(StoreError, UsageError):
    """The path holds no logminer store."""

    exit_code = 2


class OlderLedgerError(StoreError):
    """An older logminer wrote the ledger, and only who may write can bring it up to date."""


class NewerStoreError(StoreError, UsageError):
    """A newer logminer wrote the store: only an upgrade helps, trying again does not."""

    exit_code = 2


class BusyError(FatalError):
    """Somebody else holds the lock, or the budget or the time is used up: try again later."""

    exit_code = 75


class BudgetSpentError(BusyError):
    """The run's requests or its time are used up; what was read until then is good."""


class ChangedError(BusyError):
    """Somebody else has replaced a file of the store since it was read."""


class RetryableError(LogminerError):
    """The same read may succeed later; only the client's retry loop catches it."""


class ConnectionFailedError(RetryableError):
    """No connection, no answer in time, or an answer that broke off."""


class RateLimitedError(RetryableError):
    """The server asked us to slow down (429)."""

    def __init__(self, message: str, *, retry_after: float | None) -> None:
        """Keep how many seconds the server asked for; None where it did not say."""
        super().__init__(message)
        self.retry_after = retry_after


class UnavailableError(RetryableError):
    """The server failed (5xx)."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        """Keep how many seconds the server asked for; None where it did not say."""
        super().__init__(message)
        self.retry_after = retry_after


class SkippableError(LogminerError):
    """This one thing is not to be had; the run goes on and counts it."""


class NotFoundError(SkippableError):
    """The server says 404: gone, or not visible to this token."""


class ForbiddenError(SkippableError):
    """The server says 403: visible, but not permitted to this token."""


class UnexpectedAnswerError(SkippableError):
    """The server answered, but not what GitLab's API describes: malformed or refused."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        """Keep the HTTP status, where that is what was not expected."""
        super().__init__(message)
        self.status = status


class OffsetLimitError(UnexpectedAnswerError):
    """A server that pages by number lists no further back: what is older is not to be had so."""

    def __init__(self, message: str, *, listed: int) -> None:
        """Keep how many rows of the list came before its end."""
        super().__init__(message)
        self.listed = listed
