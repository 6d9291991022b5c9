"""What an error text says: why the image could not be obtained, which image, and no secret.

The texts are those of moby, containerd, the registries and Go's network stack (grammar, 5.8).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from logminer.model import ErrorKind

MAX_MESSAGE: Final = 500
"""Characters of an error message that are kept: enough for every one in the grammar."""

_REMEMBERED: Final = 128
"""Errors whose answers are remembered: one image fails in many jobs."""

_MAX_SEARCHED: Final = 4096
"""Bytes of an error text in which an image's name is looked for."""

_KINDS: Final[tuple[tuple[ErrorKind, tuple[bytes, ...], re.Pattern[bytes]], ...]] = tuple(
    (kind, hints, re.compile(pattern))
    for kind, hints, pattern in (
        (
            ErrorKind.RATE_LIMITED,
            (b"toomanyrequests", b"pull rate limit", b"429"),
            rb"toomanyrequests|pull rate limit|429 too many|status(?: code)?:? 429",
        ),
        # Docker says "does not exist" of whatever it may not see: that is a denial, not an absence.
        (
            ErrorKind.NOT_FOUND,
            (b"unknown", b"not found", b"no such image", b"404"),
            rb"manifest unknown|name unknown|\bnot found\b|no such image|status(?: code)?:? 404",
        ),
        (
            ErrorKind.UNAUTHORIZED,
            (b"unauthorized", b"authentication required", b"no basic auth cred", b"401"),
            rb"\bunauthorized\b|authentication required|no basic auth cred|status(?: code)?:? 401",
        ),
        (
            ErrorKind.DENIED,
            (b"denied", b"forbidden", b"403"),
            rb"\bdenied\b|\bforbidden\b|status(?: code)?:? 403",
        ),
        (
            ErrorKind.NETWORK,
            (
                *(b"dial tcp", b"no such host", b"connection re", b"timeout", b"eof"),
                *(b"deadline exceeded", b"network is unreachable"),
            ),
            (
                rb"dial tcp|no such host|connection re(?:fused|set)|i/o timeout|client\.timeout"
                rb"|\beof\b|handshake timeout|deadline exceeded|network is unreachable"
            ),
        ),
        (
            ErrorKind.TLS,
            (b"x509", b"tls:", b"http response to https client"),
            rb"x509|\btls:|http response to https client",
        ),
        (
            ErrorKind.SERVER,
            (
                *(b"50", b"internal server error", b"bad gateway"),
                *(b"service unavailable", b"gateway timeout"),
            ),
            (
                rb"\b50[0234] (?:internal|bad|service|gateway)|status(?: code)?:? 50[0234]"
                rb"|internal server error|bad gateway|service unavailable|gateway timeout"
            ),
        ),
        (
            ErrorKind.PLATFORM,
            (b"no match",),
            rb"no matching manifest for|no match for platform",
        ),
    )
)
"""Kinds, the words (in lower case) of which one stands in each text of the kind, and what decides.

Words are looked for first: the expressions, which try themselves at every byte, take several times
as long.
"""

_URL: Final = re.compile(
    rb'https?://(?P<host>[^/\s"]{1,255})/(?:v2/)?(?P<repository>[^\s"?]{1,512}?)'
    rb'/manifests/(?P<tag>[\w][\w.:-]{0,200})"?'
)
_NAMED: Final = (
    re.compile(rb'pull(?:ing)? image "(?P<image>[^"\s]{1,1024})"'),
    re.compile(
        rb"failed to (?:pull and unpack|pull|resolve) (?:image|reference)"
        rb' "(?P<image>[^"\s]{1,1024})"'
    ),
    re.compile(rb"pull access denied for (?P<image>[^\s,]{1,1024}),"),
    re.compile(rb"manifest for (?P<image>\S{1,1024}) not found"),
    re.compile(rb"repository (?P<image>[^\s:]{1,1024}(?::\d+/\S{1,255})?) not found"),
    re.compile(rb"(?:image|No such image:) (?P<image>[^\s\"]{1,1024})(?: not found|$)"),
)
_PLACE: Final = re.compile(rb"\([\w./-]{1,64}\.go:\d{1,6}:\d{1,9}s\)")
_HELP: Final = re.compile(
    rb"\. Check https://docs\.gitlab\.com/runner/shells/\S* for more information$"
)
_HINTS_OF_SECRETS: Final = (
    *(b"@", b"earer ", b"asic ", b"?", b"&", b"eyJ", b"gl", b"gh", b"at_", b"AKIA"),
)
"""One of these stands in every text in which `_SECRETS` finds something."""
_SECRETS: Final = re.compile(
    # Userinfo in a URL; bearer and basic values; signed query strings; JSON web tokens; the tokens
    # of GitLab (its documentation lists the prefixes), GitHub, Docker Hub and AWS.
    rb"(?<=://)(?P<user>[^/\s\"]{1,4096})@|(?<=[Bb]earer )[\w.~+/=-]{8,8192}|(?<=[Bb]asic"
    rb" )[\w+/=]{8,4096}"
    rb"|(?<=[?&])(?P<name>[^\s\"&=]{1,64})=[^\s\"&]{1,8192}|\beyJ[\w-]{8,8192}(?:\.[\w-]{1,8192}){1,4"
    rb"}"
    rb"|\bgl(?:pat|dt|rt|rtr|cbt|ptt|ft|imt|agent|soat|oas|ffct|wt)-[\w.-]{8,512}"
    rb"|\b(?:gh[opsur]_|github_pat_|dckr_[op]at_)[\w-]{8,512}|\bAKIA[0-9A-Z]{16}\b"
)


@lru_cache(_REMEMBERED)
def kind_of(error: bytes) -> ErrorKind:
    """Say why the image could not be obtained: the first kind whose words stand in the text."""
    error = error.lower()
    for kind, hints, pattern in _KINDS:
        if _has_any(hints, error) and pattern.search(error):
            return kind
    return ErrorKind.OTHER


@lru_cache(_REMEMBERED)
def message_of(error: bytes) -> str:
    """Return the text for the store: one line without source positions and secrets, bounded."""
    text = error
    if b".go:" in text:
        # With the space before it, which is no part of the expression: it would be half as fast.
        *before, last = _PLACE.split(text)
        text = b"".join([each.removesuffix(b" ") for each in before]) + last
    if b". Check " in text:
        text = _HELP.sub(b"", text)
    if _has_any(_HINTS_OF_SECRETS, text):
        text = _SECRETS.sub(_mask, text)
    return " ".join(text.decode("utf-8", "replace").split())[:MAX_MESSAGE]


def image_in(error: bytes) -> bytes | None:
    """Return the image that the text names; from the request's URL where it stands nowhere else."""
    error = _searched(error)
    for pattern in _NAMED:
        match = pattern.search(error)
        if match:
            return match["image"]
    return image_in_url(error)


def ends_in_image(error: bytes) -> bool:
    """Whether a name that the text gives an image reaches to its end: a cut would not show."""
    found = [pattern.search(error) for pattern in (*_NAMED, _URL)]
    return any(match is not None and match.end() == len(error) for match in found)


def _has_any(words: tuple[bytes, ...], text: bytes) -> bool:
    """Whether one of these stands in the text."""
    for word in words:  # noqa: SIM110 -- compiled, a generator takes twice the time
        if word in text:
            return True
    return False


def _searched(error: bytes) -> bytes:
    """Return as much of a text as is searched for a name, none of which is cut."""
    if len(error) <= _MAX_SEARCHED:
        return error
    return error[:_MAX_SEARCHED].rpartition(b" ")[0]


def image_in_url(error: bytes) -> bytes | None:
    """Return the image that a request's URL names (`…/v2/REPOSITORY/manifests/TAG`)."""
    match = _URL.search(_searched(error))
    if match is None:
        return None
    host, tag = match["host"].rpartition(b"@")[2], match["tag"].rstrip(b":.,")
    return host + b"/" + match["repository"] + (b"@" if b":" in tag else b":") + tag


def _mask(match: re.Match[bytes]) -> bytes:
    """Keep what tells the reader what stood there."""
    if match["user"] is not None:
        return b"[MASKED]@"
    return match["name"] + b"=[MASKED]" if match["name"] is not None else b"[MASKED]"
