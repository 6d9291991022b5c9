"""Error texts: why the image was not obtained, which image it was, and nothing secret."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from logminer.model import ErrorKind
from logminer.trace.failures import image_in, image_in_url, kind_of, message_of

Linear = Callable[[Callable[[], object], Callable[[], object]], bool]

KINDS = (
    (b"toomanyrequests: You have reached your pull rate limit.", ErrorKind.RATE_LIMITED),
    (b"unexpected status code 429", ErrorKind.RATE_LIMITED),
    (b"manifest for x:1 not found: manifest unknown: manifest unknown", ErrorKind.NOT_FOUND),
    (b"Error: image x/y:latest not found", ErrorKind.NOT_FOUND),
    (b"repository registry.example.com:5000/x not found", ErrorKind.NOT_FOUND),
    (b"unauthorized: authentication required", ErrorKind.UNAUTHORIZED),
    (b'Get "https://r.example.com/v2/": no basic auth credentials', ErrorKind.UNAUTHORIZED),
    (
        b"pull access denied for x, repository does not exist or may require 'docker login'",
        ErrorKind.DENIED,
    ),
    (b"received unexpected HTTP status: 403 Forbidden", ErrorKind.DENIED),
    (b"dial tcp: lookup r.example.com on 10.0.0.2:53: no such host", ErrorKind.NETWORK),
    (b"net/http: request canceled (Client.Timeout exceeded)", ErrorKind.NETWORK),
    (b"unexpected EOF", ErrorKind.NETWORK),
    (b"x509: certificate signed by unknown authority", ErrorKind.TLS),
    (b"received unexpected HTTP status: 502 Bad Gateway", ErrorKind.SERVER),
    (b"no matching manifest for linux/arm64/v8 in the manifest list entries", ErrorKind.PLATFORM),
    (b'Back-off pulling image "x:1"', ErrorKind.OTHER),
    (b"", ErrorKind.OTHER),
)


@pytest.mark.parametrize(("error", "kind"), KINDS)
def test_the_first_kind_whose_words_stand_in_the_text_wins(error: bytes, kind: ErrorKind) -> None:
    """Docker's `pull access denied … does not exist` is a denial; 429 comes before everything."""
    assert kind_of(error) is kind


@pytest.mark.parametrize(
    ("error", "image"),
    [
        (b'failed to pull image "r.example.com/a:1" with specified', b"r.example.com/a:1"),
        (b'Back-off pulling image "a:1"', b"a:1"),
        (b'failed to pull and unpack image "docker.io/library/a:1": x', b"docker.io/library/a:1"),
        (b"pull access denied for a/b, repository does not exist", b"a/b"),
        (b"manifest for a:nope not found: manifest unknown", b"a:nope"),
        (b"repository r.example.com:5000/a not found", b"r.example.com:5000/a"),
        (b"Error: image local_image:latest not found", b"local_image:latest"),
        (b"No such image: a:1", b"a:1"),
        (
            b'Get "https://r.example.com/v2/g/app/manifests/1.2": unauthorized',
            b"r.example.com/g/app:1.2",
        ),
        (b"toomanyrequests: slow down", None),
        (b"", None),
    ],
)
def test_an_error_names_its_image(error: bytes, image: bytes | None) -> None:
    """The name stands in the sentence, or else in the URL of the request."""
    assert image_in(error) == image


@pytest.mark.parametrize(
    ("error", "image"),
    [
        (b"https://r.example.com/v2/a/manifests/1: x", b"r.example.com/a:1"),
        (b"https://u:p@r.example.com/v2/a/manifests/1", b"r.example.com/a:1"),
        (
            b"https://r.example.com/v2/a/manifests/sha256:" + b"ab" * 32 + b'"',
            b"r.example.com/a@sha256:" + b"ab" * 32,
        ),
        (b"https://r.example.com/token?scope=a", None),
    ],
)
def test_a_request_names_its_image(error: bytes, image: bytes | None) -> None:
    """Host, repository and tag stand apart in a URL; its userinfo is no part of the host."""
    assert image_in_url(error) == image


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (b"  no   such\tthing (manager.go:237:0s)", "no such thing"),
        (b"a (executor_docker.go:168:12s) b", "a b"),
        (b"x(a.go:1:2s): no", "x: no"),
        (b"x(a (y.go:1:2s).go:1:2s)glpat-abcdefij", "x(a.go:1:2s)[MASKED]"),
        (
            b"no. Check https://docs.gitlab.com/runner/shells/#x for more information",
            "no",
        ),
        (b"https://u:secret@r.example.com/x: no", "https://[MASKED]@r.example.com/x: no"),
        (b"https://u:s@cr@t@r.example.com/x", "https://[MASKED]@r.example.com/x"),
        (b"https://" + b"u" * 900 + b"@r.example.com", "https://[MASKED]@r.example.com"),
        (b"token glpat-abcdefgh12345678 is no good", "token [MASKED] is no good"),
        (b"glcbt-64_abcdefghijk.lm", "[MASKED]"),
        (b"Bearer YWJjZGVmZ2hpams= refused", "Bearer [MASKED] refused"),
        (b"Basic dXNlcjpwYXNzd29yZA== refused", "Basic [MASKED] refused"),
        (
            b"https://r.example.com/a?sig=abc%3D&se=1",
            "https://r.example.com/a?sig=[MASKED]&se=[MASKED]",
        ),
        (b"jwt eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "jwt [MASKED]"),
        (b"dckr_pat_abcdefghijkl", "[MASKED]"),
        (b"global-registry.example.com: no", "global-registry.example.com: no"),
        (b"\xff\x00x", "\ufffd\x00x"),
        (b"x" * 501, "x" * 500),
        (b" " * 3995 + b"://user:password@host", "://[MASKED]@host"),
    ],
)
def test_a_message_is_one_bounded_line_without_secrets(error: bytes, message: str) -> None:
    """Positions in the runner's source and whatever opens a door are left out."""
    assert message_of(error) == message


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        *((b"toomanyrequests", ErrorKind.RATE_LIMITED), (b"429 Too Many", ErrorKind.RATE_LIMITED)),
        *((b"pull rate limit", ErrorKind.RATE_LIMITED), (b"status: 429", ErrorKind.RATE_LIMITED)),
        *((b"manifest unknown", ErrorKind.NOT_FOUND), (b"name unknown", ErrorKind.NOT_FOUND)),
        *((b"x not found", ErrorKind.NOT_FOUND), (b"No such image", ErrorKind.NOT_FOUND)),
        *((b"status code 404", ErrorKind.NOT_FOUND), (b"status 401", ErrorKind.UNAUTHORIZED)),
        *((b"Unauthorized", ErrorKind.UNAUTHORIZED), (b"denied", ErrorKind.DENIED)),
        (b"authentication required", ErrorKind.UNAUTHORIZED),
        (b"no basic auth credentials", ErrorKind.UNAUTHORIZED),
        *((b"Forbidden", ErrorKind.DENIED), (b"status code: 403", ErrorKind.DENIED)),
        *((b"dial tcp", ErrorKind.NETWORK), (b"no such host", ErrorKind.NETWORK)),
        *((b"connection refused", ErrorKind.NETWORK), (b"connection reset", ErrorKind.NETWORK)),
        *((b"i/o timeout", ErrorKind.NETWORK), (b"Client.Timeout", ErrorKind.NETWORK)),
        *((b"EOF", ErrorKind.NETWORK), (b"handshake timeout", ErrorKind.NETWORK)),
        (b"deadline exceeded", ErrorKind.NETWORK),
        (b"network is unreachable", ErrorKind.NETWORK),
        *((b"x509", ErrorKind.TLS), (b"tls:", ErrorKind.TLS)),
        (b"server gave HTTP response to HTTPS client", ErrorKind.TLS),
        *((b"500 Internal", ErrorKind.SERVER), (b"502 Bad", ErrorKind.SERVER)),
        *((b"503 Service", ErrorKind.SERVER), (b"504 Gateway", ErrorKind.SERVER)),
        *((b"status: 503", ErrorKind.SERVER), (b"internal server error", ErrorKind.SERVER)),
        *((b"Bad Gateway", ErrorKind.SERVER), (b"service unavailable", ErrorKind.SERVER)),
        (b"gateway timeout", ErrorKind.SERVER),
        (b"no matching manifest for", ErrorKind.PLATFORM),
        (b"no match for platform", ErrorKind.PLATFORM),
        *((b"geoff", ErrorKind.OTHER), (b"undeniedly", ErrorKind.OTHER), (b"404", ErrorKind.OTHER)),
    ],
)
def test_each_wording_tells_a_kind_by_itself(words: bytes, kind: ErrorKind) -> None:
    """None needs another one beside it; a number alone, or a part of a word, tells nothing."""
    assert kind_of(words) is kind
    assert kind_of(b"first, " + words + b", last") is kind


@pytest.mark.parametrize(
    "secret",
    [
        *(
            b"://user@host",
            b"Bearer abcdefij",
            b"bearer abcdefij",
            b"Basic abcdefij",
            b"basic abcdefij",
        ),
        *(b"?key=value", b"&key=value", b"eyJabcdefij.abc", b"AKIAABCDEFGH01234567"),
        *(b"glpat-abcdefij", b"gldt-abcdefij", b"glrt-abcdefij", b"glrtr-abcdefij"),
        *(b"glcbt-abcdefij", b"glptt-abcdefij", b"glft-abcdefij", b"glimt-abcdefij"),
        *(b"glagent-abcdefij", b"glsoat-abcdefij", b"gloas-abcdefij", b"glffct-abcdefij"),
        *(b"glwt-abcdefij", b"gho_abcdefij", b"ghp_abcdefij", b"ghs_abcdefij", b"ghu_abcdefij"),
        *(b"ghr_abcdefij", b"github_pat_abcdefij", b"dckr_pat_abcdefij", b"dckr_oat_abcdefij"),
    ],
)
def test_each_secret_is_masked_by_itself(secret: bytes) -> None:
    """None needs another one beside it to be seen."""
    for message in (message_of(secret), message_of(b"first, " + secret + b" last")):
        assert "[MASKED]" in message
        assert secret.decode() not in message


@pytest.mark.parametrize("function", [kind_of, message_of, image_in, image_in_url])
@pytest.mark.parametrize(
    "piece",
    [
        *(b"https://a/", b"https://aa", b"manifest for ", b"repository a:1/", b"image ", b"a"),
        *(b"?a=", b"&a", b"://a", b"eyJaaaaaaaaa.", b"glpat-", b"Bearer ", b"(a.go:1:1", b" "),
        *(b'pulling image "', b"https://a/v2/a/manifests", b"failed to pull ", b". Check "),
    ],
)
def test_time_grows_with_the_text(
    function: Callable[[bytes], object], piece: bytes, linear: Linear
) -> None:
    """No text of 16 KiB makes an expression backtrack more than linearly (with a wide margin)."""
    short, long = ((piece * size)[:size] for size in (2048, 16 * 1024))

    assert linear(partial(function, short), partial(function, long))
