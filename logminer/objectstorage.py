"""Object storage, as stores and archives reach it: the way there, and what it says in few words.

obstore speaks to S3, Google Cloud and Azure alike, and finds credentials and endpoints in the
environment by each one's own names (`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`, …); nothing here sees
or keeps them.
"""

from __future__ import annotations

import os
import re
import urllib.parse
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from obstore.exceptions import BaseError
from obstore.store import from_url

from logminer.errors import UsageError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_RETRIES: Final = 6
_PATIENCE: Final = timedelta(seconds=30)
"""A request is tried again for about six seconds, longer only where answers are slow: a mistyped
endpoint is noticed while somebody looks, and neither a lock nor a log is lost over one request."""

_ENDPOINTS: Final = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})

_NO_BUCKET: Final = ("NoSuchBucket", "ContainerNotFound")
_SECRET: Final = re.compile(r"\w+://\S+")
"""Addresses, which may be signed."""
_CODE: Final = re.compile(r"<Code>(\w+)</Code>")


def connect(url: str) -> ObjectStore:
    """Return what is below a URL (s3://bucket/prefix, gs://…, az://…); no server is asked yet.

    Raises UsageError for a URL that names none, and for an endpoint that is to be asked without
    TLS, unless it is on this machine or `AWS_ALLOW_HTTP` allows it.
    """
    host = _plain_http() if url.startswith("s3:") else None
    if host not in {None, *_LOOPBACK} and "AWS_ALLOW_HTTP" not in os.environ:
        raise UsageError(
            f"the endpoint {host} would be asked over plain HTTP: give its https:// address,"
            " or set AWS_ALLOW_HTTP=true where the network is to be trusted"
        )
    try:
        return from_url(
            url,
            client_options={"allow_http": True} if host in _LOOPBACK else None,
            retry_config={"max_retries": _RETRIES, "retry_timeout": _PATIENCE},
        )
    except (BaseError, ValueError) as error:
        raise UsageError(
            f"{url} names no place on object storage ({reason(error)}): give it as"
            " s3://bucket/prefix, gs://bucket/prefix or az://container/prefix"
        ) from error


def lacks_bucket(error: Exception) -> bool:
    """Whether this says that there is no such bucket."""
    return any(word in str(error) for word in _NO_BUCKET)


def code(error: Exception) -> str | None:
    """Return what S3 calls the error; None where it does not say."""
    match = _CODE.search(str(error))
    return match and match[1]


def reason(error: Exception) -> str:
    """Return what went wrong in few words, without the request, its URL and Rust's structures."""
    if said := code(error):
        return said
    text = str(error).partition("\n")[0]
    said = text.rpartition(" - ")[2].rpartition("status code: ")[2].removeprefix("HTTP error: ")
    return _SECRET.sub("…", said).strip(" :")[:200]


def _plain_http() -> str | None:
    """Return the host of an S3 endpoint that is to be asked without TLS; None for any other."""
    endpoint = next((os.environ[name] for name in _ENDPOINTS if os.environ.get(name)), "")
    url = urllib.parse.urlsplit(endpoint)
    return url.hostname if url.scheme == "http" else None
