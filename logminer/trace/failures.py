"""What an error text says: why the image could not be obtained, which image, and no secret.

The texts are those of moby, containerd, the registries and Go's network stack (grammar, 5.8).
"""

from __future__ import annotations

import re
from functools import lru_cache

from logminer.model import ErrorKind

MAX_MESSAGE = 500
"""Characters of an error message that are kept: enough for every one in the grammar."""

_REMEMBERED = 128
"""Errors whose answers are remembered: one image fails in many jobs."""

_MAX_SEARCHED = 4096
"""Bytes of an error text in which an image's name is looked for."""

_KINDS: tuple[tuple[ErrorKind, re.Pattern[bytes]], ...] = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        (
            ErrorKind.RATE_LIMITED,
            rb"toomanyrequests|pull rate limit|429 too many|status(?: code)?:? 429",
        ),
        # Docker says "does not exist" of whatever it may not see: that is a denial, not an absence.
        (
            ErrorKind.NOT_FOUND,
            rb"manifest unknown|name unknown|\bnot found\b|no such image|status(?: code)?:? 404",
        ),
        (
            ErrorKind.UNAUTHORIZED,
            rb"\bunauthorized\b|authentication required|no basic auth cred|status(?: code)?:? 401",
        ),
        (ErrorKind.DENIED, rb"\bdenied\b|\bforbidden\b|status(?: code)?:? 403"),
        (
            ErrorKind.NETWORK,
            (
                rb"dial tcp|no such host|connection re(?:fused|set)|i/o timeout|client\.timeout"
                rb"|\beof\b|handshake timeout|deadline exceeded|network is unreachable"
            ),
        ),
        (ErrorKind.TLS, rb"x509|\btls:|http response to https client"),
        (
            ErrorKind.SERVER,
            (
                rb"\b50[0234] (?:internal|bad|service|gateway)|status(?: code)?:? 50[0234]"
                rb"|internal server error|bad gateway|service unavailable|gateway timeout"
            ),
        ),
        (ErrorKind.PLATFORM, rb"no matching manifest for|no match for platform"),
    )
)

_URL = re.compile(
    rb'https?://(?P<host>[^/\s"]{1,255})/(?:v2/)?(?P<repository>[^\s"?]{1,512}?)'
    rb'/manifests/(?P<tag>[\w][\w.:-]{0,200})"?'
)
_NAMED = (
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
_PLACE = re.compile(rb" ?\([\w./-]{1,64}\.go:\d{1,6}:\d{1,9}s\)")
_HELP = re.compile(rb"\. Check https://docs\.gitlab\.com/runner/shells/\S* for more information$")
_SECRETS = re.compile(
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
    for kind, pattern in _KINDS:
        if pattern.search(error):
            return kind
    return ErrorKind.OTHER


@lru_cache(_REMEMBERED)
def message_of(error: bytes) -> str:
    """Return the text for the store: one line without source positions and secrets, bounded."""
    text = _SECRETS.sub(_mask, _HELP.sub(b"", _PLACE.sub(b"", error)))
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
