"""Names of images that people write, and what they mean by them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from logminer import analysis
from logminer.analysis.names import read_names
from logminer.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pandas as pd

IMAGES = [
    ("docker.io", "bitnami/redis", "7.2"),
    ("docker.io", "bitnami/nginx", None),
    ("docker.io", "bitnamicharts/redis", "1"),
    ("docker.io", "library/python", "3.8"),
    ("docker.io", "library/python", "3.12-slim"),
    ("docker.io", "python/tool", "latest"),
    ("quay.io", "coreos/etcd", "v3"),
    ("quay.io", "bitnami/redis", "7.2"),
    ("registry.example.com:5000", "shop/a_b/deep/er", "1"),
    ("registry.example.com:5000", "shop/axb", "1"),
    ("localhost", "shop/app", "1"),
]
PYTHONS = {"library/python:3.8", "library/python:3.12-slim"}


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        ("bitnami", {"bitnami/redis:7.2", "bitnami/nginx:None"}),
        ("bitnami/", {"bitnami/redis:7.2", "bitnami/nginx:None"}),
        ("bitnami/*", {"bitnami/redis:7.2", "bitnami/nginx:None"}),
        ("docker.io/bitnami", {"bitnami/redis:7.2", "bitnami/nginx:None"}),
        ("index.docker.io/bitnami", {"bitnami/redis:7.2", "bitnami/nginx:None"}),
        ("bitnami*", {"bitnami/redis:7.2", "bitnami/nginx:None", "bitnamicharts/redis:1"}),
        ("*/bitnami/redis", set()),
        ("BITNAMI/Redis", {"bitnami/redis:7.2"}),
        ("bitnami/nginx:latest", {"bitnami/nginx:None"}),
        ("python", PYTHONS | {"python/tool:latest"}),
        ("docker.io/library/*", PYTHONS),
        ("python:3.8", {"library/python:3.8"}),
        ("python:3.*", PYTHONS),
        ("library/python:3.*", PYTHONS),
        ("quay.io", {"coreos/etcd:v3", "quay bitnami/redis:7.2"}),
        ("quay.io/coreos", {"coreos/etcd:v3"}),
        ("quay.io/core", set()),
        ("*.io/bitnami/redis", {"bitnami/redis:7.2", "quay bitnami/redis:7.2"}),
        ("registry.example.com:5000", {"shop/a_b/deep/er:1", "shop/axb:1"}),
        ("registry.example.com:5000/shop/a_b", {"shop/a_b/deep/er:1"}),
        ("registry.example.com:5000/shop/axb:1", {"shop/axb:1"}),
        ("localhost", {"shop/app:1"}),
        ("unknown", set()),
    ],
)
def test_what_a_name_means(name: str, fits: set[str], images: Callable[..., pd.DataFrame]) -> None:
    """An organisation, a repository, a registry, a pattern or a tag finds its images, no others."""
    frame = images(
        *(
            {
                "registry": registry,
                "repository": repository,
                "tag": tag,
                "job_name": f"{'quay ' * (registry == 'quay.io' and repository.startswith('b'))}"
                f"{repository}:{tag}",
            }
            for registry, repository, tag in IMAGES
        )
    )

    found = analysis.exposure(frame, [name])

    assert fits == set(found["job_name"])
    assert set(found["name"]) <= {name}


def test_a_digest(images: Callable[..., pd.DataFrame]) -> None:
    """A name with a digest finds the uses of that digest, whatever was written."""
    digests = [f"sha256:{letter * 64}" for letter in "ab"]
    frame = images(*({"digest": digest, "job_name": digest[-1]} for digest in digests))

    assert analysis.exposure(frame, f"alpine@{digests[1]}")["job_name"].tolist() == ["b"]


def test_behind_a_proxy(images: Callable[..., pd.DataFrame]) -> None:
    """An image is found by both of its names, and shown by the true one."""
    proxied = {
        "registry": "gitlab.example.com",
        "repository": "shop/dependency_proxy/containers/redis",
        "via": "dependency_proxy",
        "upstream_registry": "docker.io",
        "upstream_repository": "library/redis",
    }

    found = analysis.exposure(images(proxied, {}), ["redis", "gitlab.example.com/shop/*"])

    assert found[["name", "registry", "repository", "via"]].to_dict("list") == {
        "name": ["redis", "gitlab.example.com/shop/*"],
        "registry": ["docker.io"] * 2,
        "repository": ["library/redis"] * 2,
        "via": ["dependency_proxy"] * 2,
    }


def test_a_use_counts_once_for_a_name(images: Callable[..., pd.DataFrame]) -> None:
    """A name that fits in two ways, or is given twice, counts a use once."""
    found = analysis.exposure(images({}), ["docker.io/*", "docker.io/*"])

    assert found["uses"].tolist() == [1]


@pytest.mark.parametrize(
    "name",
    ["", " ", "a b", "a/../b;", "'; drop", "a%", "a//b", "http://x/y", "\x1b[2J", "a" * 2000, "@"],
    ids=ascii,
)
def test_what_is_no_name(name: str, images: Callable[..., pd.DataFrame]) -> None:
    """A text that can name no image is refused in one line that says what can."""
    with pytest.raises(UsageError, match="an organisation") as caught:
        analysis.exposure(images({}), [name])

    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


def test_no_names(images: Callable[..., pd.DataFrame]) -> None:
    """Without a name there is no question."""
    with pytest.raises(UsageError, match="no name is given"):
        analysis.exposure(images({}), [])


def test_a_file_of_names(tmp_path: Path, images: Callable[..., pd.DataFrame]) -> None:
    """One on each line, with remarks, also from an editor that marks its files."""
    file = tmp_path / "names"
    file.write_bytes("\ufeff# gone soon\r\nalpine\r\n\r\n bitnami  # all\n".encode())

    assert read_names(file) == ["alpine", "bitnami"]
    assert analysis.exposure(images({}), file)["name"].tolist() == ["alpine"]


@pytest.mark.parametrize("content", [None, b"", b"# none\n", b"\xff\xfe"], ids=str)
def test_a_file_without_names(tmp_path: Path, content: bytes | None) -> None:
    """A file that cannot be read or holds none is named."""
    file = tmp_path / "names"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(UsageError, match="names: "):
        read_names(file)
