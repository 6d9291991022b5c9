"""References taken apart: the published cases, our edge cases, and properties of every text.

The published cases are the facts of distribution/reference's own tests (reference_test.go,
normalize_test.go, regexp_test.go), restated as what `parse` says of them after normalisation.
"""

from __future__ import annotations

import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from logminer.reference import image_id, parse

SHA256 = "sha256:" + "f" * 64
SHA384 = "sha384:" + "0a" * 48
SHA512 = "sha512:" + "f" * 128
HEX = "1a3f5e7d9c1b3a5f7e9d1c3b5a7f9e1d3c5b7a9f1e3d5d7c9b1a3f5e7d9c1b3a"
HUB = "docker.io"
LONG = "thisisthesongthatneverendsitgoesonandonandonthisisthesongthatnev"

Parts = tuple[str, str, str | None, str | None]


def parts(text: str) -> Parts | None:
    """Registry, repository, tag and digest of a text, or None."""
    ref = parse(text)
    return None if ref is None else (ref.registry, ref.repository, ref.tag, ref.digest)


# text, registry, repository, tag, digest
PUBLISHED: list[tuple[str, str, str, str | None, str | None]] = [
    # What reference_test.go parses.
    ("test_com", HUB, "library/test_com", None, None),
    ("test.com:tag", HUB, "library/test.com", "tag", None),
    ("test.com:5000", HUB, "library/test.com", "5000", None),
    ("test.com/repo:tag", "test.com", "repo", "tag", None),
    ("test:5000/repo", "test:5000", "repo", None, None),
    ("test:5000/repo:tag", "test:5000", "repo", "tag", None),
    (f"test:5000/repo@{SHA256}", "test:5000", "repo", None, SHA256),
    (f"test:5000/repo:tag@{SHA256}", "test:5000", "repo", "tag", SHA256),
    ("lowercase:Uppercase", HUB, "library/lowercase", "Uppercase", None),
    (
        "a/" * 127 + "a:tag-puts-this-over-max",
        HUB,
        "a/" * 127 + "a",
        "tag-puts-this-over-max",
        None,
    ),
    ("sub-dom1.foo.com/bar/baz/quux", "sub-dom1.foo.com", "bar/baz/quux", None, None),
    ("sub-dom1.foo.com/bar/baz:long-tag", "sub-dom1.foo.com", "bar/baz", "long-tag", None),
    (
        "b.gcr.io/test.example.com/my-app:test.example.com",
        "b.gcr.io",
        "test.example.com/my-app",
        "test.example.com",
        None,
    ),
    ("xn--n3h.com/myimage:xn--n3h.com", "xn--n3h.com", "myimage", "xn--n3h.com", None),
    (
        f"xn--7o8h.com/myimage:xn--7o8h.com@{SHA512}",
        "xn--7o8h.com",
        "myimage",
        "xn--7o8h.com",
        SHA512,
    ),
    ("foo_bar.com:8080", HUB, "library/foo_bar.com", "8080", None),
    ("foo/foo_bar.com:8080", HUB, "foo/foo_bar.com", "8080", None),
    ("192.168.1.1", HUB, "library/192.168.1.1", None, None),
    ("192.168.1.1:tag", HUB, "library/192.168.1.1", "tag", None),
    ("192.168.1.1:5000", HUB, "library/192.168.1.1", "5000", None),
    ("192.168.1.1/repo", "192.168.1.1", "repo", None, None),
    ("192.168.1.1:5000/repo", "192.168.1.1:5000", "repo", None, None),
    ("192.168.1.1:5000/repo:5050", "192.168.1.1:5000", "repo", "5050", None),
    ("[2001:db8::1]/repo", "[2001:db8::1]", "repo", None, None),
    ("[2001:db8:1:2:3:4:5:6]/repo:tag", "[2001:db8:1:2:3:4:5:6]", "repo", "tag", None),
    ("[2001:db8::1]:5000/repo", "[2001:db8::1]:5000", "repo", None, None),
    ("[2001:db8::1]:5000/repo:tag", "[2001:db8::1]:5000", "repo", "tag", None),
    (f"[2001:db8::1]:5000/repo@{SHA256}", "[2001:db8::1]:5000", "repo", None, SHA256),
    (f"[2001:db8::1]:5000/repo:tag@{SHA256}", "[2001:db8::1]:5000", "repo", "tag", SHA256),
    ("[2001:db8::]:5000/repo", "[2001:db8::]:5000", "repo", None, None),
    ("[::1]:5000/repo", "[::1]:5000", "repo", None, None),
    # The other tables of reference_test.go.
    ("test_com/foo", HUB, "test_com/foo", None, None),
    ("test-com:8080/foo", "test-com:8080", "foo", None, None),
    ("xn--n3h.com:18080/foo", "xn--n3h.com:18080", "foo", None, None),
    ("example.com:8000/named:tagged", "example.com:8000", "named", "tagged", None),
    ("test.com:8000/foo:TAG5", "test.com:8000", "foo", "TAG5", None),
    # Names that normalize_test.go holds valid.
    ("docker/docker", HUB, "docker/docker", None, None),
    ("library/debian", HUB, "library/debian", None, None),
    ("debian", HUB, "library/debian", None, None),
    ("docker.io/docker/docker", HUB, "docker/docker", None, None),
    ("docker.io/library/debian", HUB, "library/debian", None, None),
    ("docker.io/debian", HUB, "library/debian", None, None),
    ("index.docker.io/docker/docker", HUB, "docker/docker", None, None),
    ("index.docker.io/library/debian", HUB, "library/debian", None, None),
    ("index.docker.io/debian", HUB, "library/debian", None, None),
    ("127.0.0.1:5000/library/debian", "127.0.0.1:5000", "library/debian", None, None),
    ("127.0.0.1:5000/debian", "127.0.0.1:5000", "debian", None, None),
    ("192.168.0.1:8/debian", "192.168.0.1:8", "debian", None, None),
    (LONG, HUB, f"library/{LONG}", None, None),
    ("[fc00::1]:5000/docker", "[fc00::1]:5000", "docker", None, None),
    (
        "[fc00:1:2:3:4:5:6:7]:5000/library/debian",
        "[fc00:1:2:3:4:5:6:7]:5000",
        "library/debian",
        None,
        None,
    ),
    (f"docker.io/{HEX}", HUB, f"library/{HEX}", None, None),
    ("Docker/docker", "Docker", "docker", None, None),
    ("DOCKER/docker", "DOCKER", "docker", None, None),
    ("docker-rules/docker", HUB, "docker-rules/docker", None, None),
    ("docker---rules/docker", HUB, "docker---rules/docker", None, None),
    ("d/docker", HUB, "d/docker", None, None),
    ("jess/t", HUB, "jess/t", None, None),
    ("dock__er/docker", HUB, "dock__er/docker", None, None),
    # What normalize_test.go says is implied.
    ("library/ubuntu-12.04-base", HUB, "library/ubuntu-12.04-base", None, None),
    ("ubuntu-12.04-base", HUB, "library/ubuntu-12.04-base", None, None),
    ("index.docker.io/library/ubuntu-12.04-base", HUB, "library/ubuntu-12.04-base", None, None),
    ("library/foo/bar", HUB, "library/foo/bar", None, None),
    ("store/foo/bar", HUB, "store/foo/bar", None, None),
    ("other/library", HUB, "other/library", None, None),
    ("127.0.0.1:8000/private/moonbase", "127.0.0.1:8000", "private/moonbase", None, None),
    ("example.com/privatebase", "example.com", "privatebase", None, None),
    ("FOO/bar", "FOO", "bar", None, None),
    (f"busybox:latest@{SHA256}", HUB, "library/busybox", "latest", SHA256),
    (f"redis@{SHA256}", HUB, "library/redis", None, SHA256),
    (f"docker.io/dmcgowan/myapp@{SHA256}", HUB, "dmcgowan/myapp", None, SHA256),
    (HEX[:63], HUB, f"library/{HEX[:63]}", None, None),
    ("dbcc1", HUB, "library/dbcc1", None, None),
    # Names and hosts of regexp_test.go.
    (
        "aa/aa/aa/aa/aa/aa/aa/aa/aa/bb/bb/bb/bb/bb/bb",
        HUB,
        "aa/aa/aa/aa/aa/aa/aa/aa/aa/bb/bb/bb/bb/bb/bb",
        None,
        None,
    ),
    ("foo.com", HUB, "library/foo.com", None, None),
    ("localhost:8080/bar", "localhost:8080", "bar", None, None),
    ("aa-a/a", HUB, "aa-a/a", None, None),
    ("foo.com/foo_bar", "foo.com", "foo_bar", None, None),
    (
        "example.com/some_separator__underscore/myimage",
        "example.com",
        "some_separator__underscore/myimage",
        None,
        None,
    ),
    (
        "registry.io/foo/project--id.module--name.ver---sion--name",
        "registry.io",
        "foo/project--id.module--name.ver---sion--name",
        None,
        None,
    ),
    ("Asdf.com/foo/bar", "Asdf.com", "foo/bar", None, None),
    ("0101.com/x", "0101.com", "x", None, None),
    ("ab.c-om/x", "ab.c-om", "x", None, None),
    ("192.168.1.1:750050/x", "192.168.1.1:750050", "x", None, None),
    ("[fd00123123123]:75050/x", "[fd00123123123]:75050", "x", None, None),
    (f"localhost:8080@{SHA256}", HUB, "library/localhost", "8080", SHA256),
    (f"localhost@{SHA256}", HUB, "library/localhost", None, SHA256),
    (f"localhost:8080/name@{SHA256}", "localhost:8080", "name", None, SHA256),
]

PUBLISHED_INVALID = [
    "",
    ":justtag",
    f"@{SHA256}",
    "repo@sha256:" + "f" * 34,
    "validname@invaliddigest:" + "f" * 64,
    "Uppercase:tag",
    "test:5000/Uppercase/lowercase:tag",
    "a/" * 128 + "a:tag",
    "aa/asdf$$^/aa",
    "[2001:db8::1]",
    "[2001:db8::1]:5000",
    "[2001:db8::1]:tag",
    "[fe80::1%eth0]:5000/repo",
    "[fe80::1%@invalidzone]:5000/repo",
    "https://github.com/docker/docker",
    "docker/Docker",
    "-docker",
    "-docker/docker",
    "-docker.io/docker/docker",
    "docker///docker",
    "docker.io/docker/Docker",
    "docker.io/docker///docker",
    "[fc00::1]",
    "fc00::1:5000/debian",
    "[2001:db8:3:4::192.0.2.33]:5000/debian",
    HEX,
    "docker-/docker",
    "-docker-/docker",
    "____/____",
    "_docker/_docker",
    "docker_/docker_",
    "dock..er/docker",
    "dock_.er/docker",
    "dock-.er/docker",
    "docker/",
    "this_is_not_a_valid_namespace_because_it_is_longer_than_255_" * 5 + "/docker",
    "a/a/a/a/",
    "a//a/a",
    "foo.com/",
    "foo.com:http/bar",
    "a^a",
    "foo.com/a-/a/a",
    "foo/bar-",
    "foo/-bar",
    "foo_bar.com:8080/app",
    "example.com/__underscore/myimage",
    "example.com/..dots/myimage",
    "example.com/.dots/myimage",
    "example.com/nodouble..dots/myimage",
    "docker./docker",
    ".docker/docker",
    "do..cker/docker",
    "do__cker:8080/docker",
    "Foo/FarB",
    "ab-.com/x",
    "ab.-com/x",
    "ab.com-/x",
    "[fd00:1:2::3]75050/x",
    "[fd00:1:2::3]::75050/x",
    "registry.com:8080/myapp@sha256:badbadbadbad",
    "registry.com:8080/myapp:invalid~tag",
    "bad_hostname.com:8080/myapp:tag",
    "localhost:http/name@" + SHA256,
    "registry.com:8080/myapp@bad",
    "registry.com:8080/myapp@2bad",
    "busybox:-foo",
    "-foo",
    # go-digest's digest_test.go, behind a name
    "x@sha256:" + "E" * 64,
    "x@sha256:",
    "x@sha256:" + " " * 64,
    "x@sha512:" + "a" * 64,
    "x@sha384.foo+bar:" + "a" * 96,
    "x@sha256+b64:LCa0a2j_xo_5m0U8HTBBNBNCLXBkg7-g-YpeiGJm564",
    "x@foo:d41d8cd98f00b204e9800998ecf8427e",
]


@pytest.mark.parametrize(("text", "registry", "repository", "tag", "digest"), PUBLISHED)
def test_published_references_come_apart_as_published(
    text: str, registry: str, repository: str, tag: str | None, digest: str | None
) -> None:
    """What distribution/reference accepts, we take apart and normalise alike."""
    actual = parts(text)

    assert (registry, repository, tag, digest) == actual


@pytest.mark.parametrize("text", PUBLISHED_INVALID)
def test_published_invalid_texts_are_none(text: str) -> None:
    """What distribution/reference refuses, we refuse."""
    assert parse(text) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("localhost/x", ("localhost", "x", None, None), id="localhost is a host"),
        pytest.param("localhost", (HUB, "library/localhost", None, None), id="localhost alone"),
        pytest.param("localhost:5000/x", ("localhost:5000", "x", None, None), id="port and no tag"),
        pytest.param("localhosts/x", (HUB, "localhosts/x", None, None), id="almost localhost"),
        pytest.param("x:5000", (HUB, "library/x", "5000", None), id="digits are a tag"),
        pytest.param(
            f"registry:5000/x:t@{SHA256}", ("registry:5000", "x", "t", SHA256), id="everything"
        ),
        pytest.param(
            "10.1.107.12:5000/dy/cppcheck",
            ("10.1.107.12:5000", "dy/cppcheck", None, None),
            id="address and port",
        ),
        pytest.param("[::1]:5000/x", ("[::1]:5000", "x", None, None), id="IPv6 and port"),
        pytest.param(
            "Registry.Local/x", ("Registry.Local", "x", None, None), id="host in upper case"
        ),
        pytest.param("Foo/bar", ("Foo", "bar", None, None), id="upper case makes a host"),
        pytest.param("myRepo/x", ("myRepo", "x", None, None), id="inner upper case makes a host"),
        pytest.param(
            "registry-1.docker.io/alpine:3",
            (HUB, "library/alpine", "3", None),
            id="the host that serves Docker Hub",
        ),
        pytest.param(
            "registry.hub.docker.com/bitnami/redis",
            (HUB, "bitnami/redis", None, None),
            id="Docker Hub's old host",
        ),
        pytest.param(
            "1234.dkr.ecr.us-west-2.amazonaws.com/a/b:t",
            ("1234.dkr.ecr.us-west-2.amazonaws.com", "a/b", "t", None),
            id="ECR",
        ),
        pytest.param(f"x@{SHA384}", (HUB, "library/x", None, SHA384), id="sha384"),
        pytest.param("x:" + "t" * 128, (HUB, "library/x", "t" * 128, None), id="longest tag"),
        pytest.param("x:1.0-", (HUB, "library/x", "1.0-", None), id="tag ending in a dash"),
        pytest.param("x:_", (HUB, "library/x", "_", None), id="tag of an underscore"),
        pytest.param("r.io/" + "a" * 255, ("r.io", "a" * 255, None, None), id="longest repository"),
        pytest.param("a" * 247, (HUB, "library/" + "a" * 247, None, None), id="with library/"),
        pytest.param(f"{HEX}:1", (HUB, f"library/{HEX}", "1", None), id="64 digits with a tag"),
        pytest.param(
            "sha256:5000/x", ("sha256:5000", "x", None, None), id="a host named as an algorithm"
        ),
        pytest.param("linux/amd64", (HUB, "linux/amd64", None, None), id="only its place can tell"),
    ],
)
def test_edge_cases_are_references(text: str, expected: Parts) -> None:
    """Each named edge of the grammar falls on the side the grammar says."""
    actual = parts(text)

    assert expected == actual


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(HEX, id="bare ID"),
        pytest.param(SHA256, id="image ID"),
        pytest.param(SHA512, id="ID of another algorithm"),
        pytest.param("sha256:abcdef012345", id="piece of an ID"),
        pytest.param("docker://alpine:3", id="transport prefix"),
        pytest.param("${VAR}/x", id="braced variable"),
        pytest.param("$CI_REGISTRY_IMAGE:tag", id="variable"),
        pytest.param("x:$TAG", id="variable tag"),
        pytest.param("[MASKED]/x", id="masked host"),
        pytest.param("r.io/[MASKED]/x:1", id="masked path"),
        pytest.param("img...", id="glued dots"),
        pytest.param("postgres:latest...", id="glued dots after a tag"),
        pytest.param("postgres:latest.", id="full stop after a tag"),
        pytest.param("postgres:", id="colon"),
        pytest.param("postgres,", id="comma"),
        pytest.param("postgres:9,", id="comma after a tag"),
        pytest.param('"postgres"', id="quotes"),
        pytest.param("postgres\x1b[0;m", id="colour"),
        pytest.param("postgres\n", id="line end"),
        pytest.param(" postgres", id="space"),
        pytest.param("npm@latest", id="package"),
        pytest.param("user@host:path", id="scp"),
        pytest.param("git@gitlab.example.com:g/p", id="ssh remote"),
        pytest.param("https://r.io/x:1", id="URL"),
        pytest.param("r.io:/x", id="port without digits"),
        pytest.param("x:" + "t" * 129, id="tag too long"),
        pytest.param("r.io/" + "a" * 256, id="repository too long"),
        pytest.param("a" * 248, id="repository too long with library/"),
        pytest.param("a." * 129 + "io/x", id="registry too long"),
        pytest.param("a" * 1025, id="text too long"),
        pytest.param("my_host.com/app", id="first part with a dot and no valid host"),
        pytest.param("x:१", id="digits of another script"),
        pytest.param("r.io:१/x", id="port in another script"),
        pytest.param("\ud800", id="lone surrogate"),
        pytest.param("x\x00", id="zero byte"),
        pytest.param(f"x@{SHA256}0", id="digest too long"),
        pytest.param(f"x@{SHA256}@{SHA256}", id="two digests"),
        pytest.param("a:b:c", id="two tags"),
    ],
)
def test_other_texts_are_none(text: str) -> None:
    """What a log prints beside references is none."""
    assert parse(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "a-" * 500,
        "a" + "-" * 1000,
        "a" + "_" * 1000,
        "A-" * 500 + "/",
        "a/" * 511 + "!",
        "[" * 1000,
    ],
)
def test_hostile_texts_end_at_once(text: str) -> None:
    """Texts made to backtrack are refused; with nested repetition the time limit would strike."""
    assert parse(text) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("alpine", "docker.io/library/alpine:latest"),
        ("alpine:3.20", "docker.io/library/alpine:3.20"),
        (f"alpine@{SHA256}", f"docker.io/library/alpine@{SHA256}"),
        (f"alpine:3.20@{SHA256}", f"docker.io/library/alpine@{SHA256}"),
        ("registry.example.com:5000/g/p", "registry.example.com:5000/g/p:latest"),
        ("Foo/bar:1", "Foo/bar:1"),
        ("library/busybox", "docker.io/library/busybox:latest"),
        ("docker.io/busybox", "docker.io/library/busybox:latest"),
        ("gcr.io/library/busybox", "gcr.io/library/busybox:latest"),
        (f"gcr.io/library/busybox:latest@{SHA256}", f"gcr.io/library/busybox@{SHA256}"),
    ],
)
def test_canonical_text(text: str, expected: str) -> None:
    """The digest decides, else the tag, else `latest`; `str` says the same."""
    ref = parse(text)

    assert ref is not None
    assert (expected, expected, text) == (ref.reference, str(ref), ref.written)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SHA256, SHA256),
        (HEX, HEX),
        (HEX.upper(), None),
        (HEX[:63], None),
        (HEX + "0", None),
        ("sha256:" + HEX[:12], None),
        (SHA512, None),
        (f"alpine@{SHA256}", None),
        (SHA256 + "\n", None),
        ("", None),
    ],
)
def test_image_ids(text: str, expected: str | None) -> None:
    """Only a whole ID is one, and it is returned as written."""
    actual = image_id(text)

    assert expected == actual


alphanumerics = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=8)
separators = st.sampled_from([".", "_", "__", "-", "---"])


@st.composite
def segments(draw: st.DrawFn) -> str:
    """One part of a repository, built from the words of the grammar."""
    tail = draw(st.lists(st.tuples(separators, alphanumerics), max_size=2))
    return draw(alphanumerics) + "".join(separator + word for separator, word in tail)


labels = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9-]{0,8}[A-Za-z0-9])?", fullmatch=True)
hosts = st.one_of(
    st.lists(labels, min_size=2, max_size=4).map(".".join),
    st.just("localhost"),
    st.sampled_from(["[::1]", "[2001:db8::1]", "10.0.0.1"]),
)
ports = st.one_of(st.just(""), st.integers(1, 65535).map(lambda port: f":{port}"))
tags = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}[A-Za-z0-9_-]", fullmatch=True)
digests = st.one_of(
    *(
        st.text("0123456789abcdef", min_size=size, max_size=size).map(f"{name}:{{}}".format)
        for name, size in (("sha256", 64), ("sha384", 96), ("sha512", 128))
    )
)


@given(
    registry=st.builds(str.__add__, hosts, ports),
    repository=st.lists(segments(), min_size=1, max_size=4).map("/".join),
    tag=st.none() | tags,
    digest=st.none() | digests,
)
def test_what_is_built_from_parts_gives_the_parts_back(
    registry: str, repository: str, tag: str | None, digest: str | None
) -> None:
    """Joining parts that follow the grammar and parsing the text loses and adds nothing."""
    text = f"{registry}/{repository}"
    text += "" if tag is None else f":{tag}"
    text += "" if digest is None else f"@{digest}"
    actual = parts(text)

    assert (registry, repository, tag, digest) == actual


alphabet = st.characters() | st.sampled_from("aZ09./:@_-[]")


@given(st.text(alphabet) | st.from_regex(r"[a-z.:/@\[\]-]{1,40}", fullmatch=True))
@example("a." * 129 + "b/x")
@example("a" * 248)
@example(f"docker.io/{HEX}:1")
def test_any_text_is_answered_and_canonical_text_is_a_fixed_point(text: str) -> None:
    """No text raises, and parsing a canonical text changes nothing any more."""
    ref = parse(text)
    if ref is None:
        return
    again = parse(ref.reference)

    assert again is not None
    assert (ref.registry, ref.repository, ref.digest) == (
        again.registry,
        again.repository,
        again.digest,
    )
    assert ref.reference == again.reference


@given(st.sampled_from(PUBLISHED))
def test_published_references_round_trip(
    case: tuple[str, str, str, str | None, str | None],
) -> None:
    """The canonical text of every published reference is its own canonical text."""
    ref = parse(case[0])

    assert ref is not None
    again = parse(ref.reference)
    assert again is not None
    assert ref.reference == again.reference
