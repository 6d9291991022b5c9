"""Mirrors seen through: the built-in ones, those of a file, and files that are wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logminer.errors import UsageError
from logminer.reference import Mirror, Upstream, Upstreams, parse

if TYPE_CHECKING:
    from pathlib import Path

COMPANY = """
[[mirror]]
name = "harbor"
registry = "harbor.example.com"
prefix = "dockerhub"
upstream = "docker.io"

[[mirror]]
name = "ecr"
registry = "*.dkr.ecr.*.amazonaws.com"
prefix = "docker-hub"
upstream = "registry-1.docker.io"

[[mirror]]
name = "ecr-quay"
registry = "*.dkr.ecr.*.amazonaws.com"
prefix = "quay"
upstream = "quay.io"

[[mirror]]
name = "artifactory"
registry = "artifactory.example.com"
prefix = "docker-*"
upstream = "docker.io"

[[mirror]]
name = "artifactory-host"
registry = "docker-remote.jfrog.example.com"
upstream = "docker.io"

[[mirror]]
name = "nexus"
registry = "nexus.example.com:8083"
upstream = "ghcr.io"

[[mirror]]
name = "virtual_registry"
registry = "gitlab.example.com"
prefix = "virtual_registries/container/7"
upstream = "quay.io"
"""


@pytest.fixture
def company(tmp_path: Path) -> Upstreams:
    """Return the table of a company with one mirror of each kind."""
    path = tmp_path / "mirrors.toml"
    path.write_text(COMPANY, encoding="utf-8")
    return Upstreams.load(path)


def resolved(table: Upstreams, text: str) -> tuple[str, str, str] | None:
    """Via, registry and repository behind a reference, or None."""
    ref = parse(text)
    assert ref is not None
    upstream = table.resolve(ref)
    return None if upstream is None else (upstream.via, upstream.registry, upstream.repository)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            "gitlab.example.com:443/group/dependency_proxy/containers/python:3.11",
            ("dependency_proxy", "docker.io", "library/python"),
            id="one segment is official",
        ),
        pytest.param(
            "gitlab.example.com/a/b/c/dependency_proxy/containers/bitnami/redis",
            ("dependency_proxy", "docker.io", "bitnami/redis"),
            id="nested group",
        ),
        pytest.param(
            "gitlab.example.com/g/dependency_proxy/containers/x/dependency_proxy/containers/y",
            ("dependency_proxy", "docker.io", "x/dependency_proxy/containers/y"),
            id="the first proxy in the path is the one",
        ),
        pytest.param(
            "gitlab.example.com/dependency_proxy/containers/python", None, id="no group, no proxy"
        ),
        pytest.param("gitlab.example.com/g/dependency_proxy/containers", None, id="no image"),
        pytest.param("gitlab.example.com/g/dependency_proxy/x", None, id="no containers"),
        pytest.param("g/dependency_proxy/containers/python", None, id="Docker Hub itself"),
        pytest.param(
            "gitlab.example.com/virtual_registries/container/1/library/alpine:latest",
            ("virtual_registry", "docker.io", "library/alpine"),
            id="virtual registry",
        ),
        pytest.param(
            "gitlab.example.com/virtual_registries/container/12/alpine",
            ("virtual_registry", "docker.io", "library/alpine"),
            id="virtual registry, one segment",
        ),
        pytest.param("gitlab.example.com/virtual_registries/container/1", None, id="no image left"),
        pytest.param(
            "gitlab.example.com/g/virtual_registries/container/1/x", None, id="not at the top"
        ),
        pytest.param(
            "mirror.gcr.io/library/node:22",
            ("mirror.gcr.io", "docker.io", "library/node"),
            id="Google's mirror",
        ),
        pytest.param("gcr.io/library/node", None, id="not Google's mirror"),
        pytest.param("mirrorxgcr.io/library/node", None, id="a dot is a dot"),
        pytest.param("alpine:3.20", None, id="official image"),
        pytest.param("quay.io/prometheus/busybox", None, id="another registry"),
        pytest.param("harbor.example.com/dockerhub/library/x", None, id="known to nobody"),
    ],
)
def test_built_in_mirrors(text: str, expected: tuple[str, str, str] | None) -> None:
    """Without configuration only the unmistakable names are seen through."""
    actual = resolved(Upstreams.default(), text)

    assert expected == actual


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("harbor.example.com/dockerhub/library/redis:7", ("harbor", "docker.io", "library/redis")),
        ("harbor.example.com/dockerhub/redis", ("harbor", "docker.io", "library/redis")),
        ("HARBOR.example.com/dockerhub/redis", ("harbor", "docker.io", "library/redis")),
        ("harbor.example.com/dockerhub2/redis", None),
        ("harbor.example.com/dockerhub", None),
        ("harbor.example.com:443/dockerhub/redis", None),
        (
            "1234.dkr.ecr.us-west-2.amazonaws.com/docker-hub/library/node",
            ("ecr", "docker.io", "library/node"),
        ),
        ("1234.dkr.ecr.us-west-2.amazonaws.com/quay/a/b", ("ecr-quay", "quay.io", "a/b")),
        ("1234.dkr.ecr.us-west-2.amazonaws.com/our/own", None),
        (
            "artifactory.example.com/docker-remote/nginx",
            ("artifactory", "docker.io", "library/nginx"),
        ),
        ("artifactory.example.com/team/docker-remote/nginx", None),
        ("docker-remote.jfrog.example.com/a/b", ("artifactory-host", "docker.io", "a/b")),
        ("nexus.example.com:8083/cli/cli", ("nexus", "ghcr.io", "cli/cli")),
        ("nexus.example.com:8083/cli", ("nexus", "ghcr.io", "cli")),
        ("nexus.example.com:8084/cli/cli", None),
        (
            "gitlab.example.com/virtual_registries/container/7/app",
            ("virtual_registry", "quay.io", "app"),
        ),
        (
            "gitlab.example.com/virtual_registries/container/8/app",
            ("virtual_registry", "docker.io", "library/app"),
        ),
    ],
)
def test_mirrors_of_a_file(
    company: Upstreams, text: str, expected: tuple[str, str, str] | None
) -> None:
    """The file's entries decide first, the built-in ones stay."""
    actual = resolved(company, text)

    assert expected == actual


def test_the_first_entry_that_fits_decides() -> None:
    """Order is the only precedence."""
    first = Mirror(name="first", registry="r.io", prefix=None, upstream="quay.io")
    second = Mirror(name="second", registry="r.io", prefix="a", upstream="docker.io")
    ref = parse("r.io/a/b")
    assert ref is not None

    actual = [Upstreams(mirrors=order).resolve(ref) for order in ((first, second), (second, first))]

    assert [
        Upstream(via="first", registry="quay.io", repository="a/b"),
        Upstream(via="second", registry="docker.io", repository="library/b"),
    ] == actual


def test_an_empty_file_is_the_built_in_table(tmp_path: Path) -> None:
    """A file that adds nothing changes nothing."""
    path = tmp_path / "mirrors.toml"
    path.write_text("# none yet\n", encoding="utf-8")
    actual = Upstreams.load(path)

    assert Upstreams.default() == actual


ENTRY = {"name": '"n"', "registry": '"r.io"', "prefix": '"p"', "upstream": '"u.io"'}


def entry(**changes: str | None) -> str:
    """Write a valid entry as TOML, with some keys changed, added or (None) removed."""
    pairs = {**ENTRY, **changes}
    lines = (f"{key} = {value}" for key, value in pairs.items() if value is not None)
    return "\n".join(["[[mirror]]", *lines])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param("[[mirror", "is not TOML", id="no TOML"),
        pytest.param('[[upstream]]\nname = "x"', "unknown name 'upstream'", id="another table"),
        pytest.param('[mirror]\nname = "x"', "is no list of tables", id="one table"),
        pytest.param("mirror = [1]", "entry 1 is not a table", id="no table"),
        pytest.param(
            entry() + "\n" + entry(nmae='"x"'), "entry 2 has an unknown key 'nmae'", id="typo"
        ),
        pytest.param(entry(name=None), "entry 1 has no name", id="no name"),
        pytest.param(entry(registry=None), "entry 1 has no registry", id="no registry"),
        pytest.param(entry(upstream=None), "entry 1 has no upstream", id="no upstream"),
        pytest.param(entry(name='"two words"'), "name must be", id="name of two words"),
        pytest.param(entry(name='"a\\nb"'), "name must be", id="name of two lines"),
        pytest.param(entry(registry="5000"), "registry must be", id="number"),
        pytest.param(entry(registry='"https://r.io"'), "registry must be", id="URL"),
        pytest.param(entry(registry='"index.docker.io"'), "is Docker Hub", id="Docker Hub"),
        pytest.param(entry(prefix='"/p/"'), "prefix must be", id="slashes around"),
        pytest.param(entry(prefix='""'), "prefix must be", id="empty prefix"),
        pytest.param(entry(prefix='"Proj"'), "prefix must be", id="upper case in a path"),
        pytest.param(
            entry(upstream='"quay.io/org"'), "upstream must be", id="path in the upstream"
        ),
        pytest.param(entry(upstream='"quay"'), "upstream must be", id="no registry"),
        pytest.param(entry(upstream='"a..b"'), "upstream must be", id="no host"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(tmp_path: Path, content: str, expected: str) -> None:
    """The message names the file and what is wrong in it."""
    path = tmp_path / "mirrors.toml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        Upstreams.load(path)
    message = str(caught.value)

    assert message.startswith(str(path))
    assert expected in message
    assert "\n" not in message


def test_a_valid_entry_is_accepted(tmp_path: Path) -> None:
    """What the cases above spoil is valid when left alone."""
    path = tmp_path / "mirrors.toml"
    path.write_text(entry(), encoding="utf-8")
    actual = Upstreams.load(path).mirrors[0]

    assert Mirror(name="n", registry="r.io", prefix="p", upstream="u.io") == actual


def test_a_missing_or_binary_file_is_refused(tmp_path: Path) -> None:
    """What cannot be read as text is named as such."""
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe")

    with pytest.raises(UsageError, match="cannot be read: No such file"):
        Upstreams.load(tmp_path / "missing.toml")
    with pytest.raises(UsageError, match="not UTF-8"):
        Upstreams.load(binary)


segments = st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True)


@given(
    group=st.lists(segments, min_size=1, max_size=3),
    image=st.lists(segments, min_size=2, max_size=3),
)
def test_any_image_behind_the_dependency_proxy_is_found(group: list[str], image: list[str]) -> None:
    """Whatever the group, what stands behind the proxy's path is Docker Hub's repository."""
    path = "/".join(image)
    text = f"gitlab.example.com/{'/'.join(group)}/dependency_proxy/containers/{path}:1"
    actual = resolved(Upstreams.default(), text)

    assert ("dependency_proxy", "docker.io", path) == actual
