"""Runs: each has a name, and the ledger remembers that it began and how it ended."""

from __future__ import annotations

import contextlib
import datetime as dt
import secrets
from typing import TYPE_CHECKING, Any, Protocol

from logminer.errors import LogminerError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from logminer.store.ledger import Ledger


class Account(Protocol):
    """What a run gives of itself."""

    run_id: str

    @property
    def exit_code(self) -> int:
        """What the command line returns where the run came to its end."""

    def as_dict(self) -> Mapping[str, Any]:
        """Return its figures by name, in values that JSON has."""


def new_run_id(now: dt.datetime) -> str:
    """Return the name of a run that begins now: sorts by time, and differs where that does not."""
    return f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"


@contextlib.contextmanager
def remembered(ledger: Ledger, account: Account, began: dt.datetime) -> Iterator[None]:
    """Let the ledger remember the run inside: that it began, and how it ended."""
    ledger.begin_run(account.run_id, began)
    code = 1
    try:
        yield
        code = account.exit_code
    except LogminerError as error:
        code = error.exit_code
        raise
    except KeyboardInterrupt:
        code = 130
        raise
    finally:
        ledger.end_run(
            account.run_id, dt.datetime.now(dt.UTC), exit_code=code, tally=account.as_dict()
        )
