"""Configuration that the server merged: the same rows as from the files, on the files' lines."""

from __future__ import annotations

from dataclasses import replace

from logminer.inventory import Facts, predefined, read_tree
from logminer.model import Resolution

FILES = [
    (
        ".gitlab-ci.yml",
        (
            b"include:\n  - local: ci/base.yml\n  - project: platform/ci\n    file: a.yml\n"
            b"build:\n  extends: .base\n  image: $TOOL:1\n  script: [x]\n"
            b"child:\n  trigger:\n    include: ci/child.yml\n"
        ),
    ),
    ("ci/base.yml", b".base:\n  services:\n    - redis:7\nvariables:\n  TOOL: cosign\n"),
    ("ci/child.yml", b"below:\n  image: $TOOL:2\n  script: [x]\n"),
    ("Dockerfile", b"FROM alpine:3\n"),
]
MERGED = """---
variables:
  TOOL: cosign
".base":
  services:
  - redis:7
build:
  services:
  - redis:7
  extends: ".base"
  image: "$TOOL:1"
  script:
  - x
child:
  trigger:
    include: ci/child.yml
from-the-project:
  image: elsewhere:1
  script:
  - x
"""


def told(merged: str | None) -> list[tuple[str, int | None, str | None, str | None]]:
    """Path, line, name and image of each row that names one."""
    return [
        (row.path, row.line, row.name, row.resolved)
        for row in read_tree(FILES, Facts(), merged=merged)
        if row.resolution is not Resolution.UNREAD
    ]


def test_the_server_knows_more_and_the_files_know_where() -> None:
    """What the server merged stands on the lines of the files; what they lack has none."""
    assert told(MERGED) == [
        (".gitlab-ci.yml", None, "from-the-project", "elsewhere:1"),
        (".gitlab-ci.yml", 7, "build", "cosign:1"),
        ("Dockerfile", 1, "0", "alpine:3"),
        ("ci/base.yml", 3, "build", "redis:7"),
        ("ci/child.yml", 2, "below", "cosign:2"),
    ]


def test_both_agree_on_what_both_can_know() -> None:
    """Without the server the same rows come from the files, and the gap is said."""
    whole = told(MERGED)
    gaps = [row.note for row in read_tree(FILES, Facts()) if row.image is None]

    assert told(None) == [row for row in whole if row[2] != "from-the-project"]
    assert gaps == ["include: project platform/ci file a.yml: only the server reads it"]
    assert all(row.image for row in read_tree(FILES, Facts(), merged=MERGED))


def test_without_files() -> None:
    """The merged configuration alone is enough."""
    rows = read_tree([], Facts(), merged=MERGED)

    assert [(row.path, row.line, row.resolved) for row in rows if row.image is not None] == [
        (".gitlab-ci.yml", None, "cosign:1"),
        (".gitlab-ci.yml", None, "redis:7"),
        (".gitlab-ci.yml", None, "elsewhere:1"),
    ]


def test_an_image_on_two_lines_has_none() -> None:
    """Where the files name the same thing twice, none of the lines is given."""
    text = b"a:\n  services:\n    - x:1\n    - x:1\n  script: [x]\n"
    (row,) = read_tree([(".gitlab-ci.yml", text)], Facts(), merged=text.decode())

    assert row.line is None


def test_merged_text_that_is_none() -> None:
    """An answer that is no YAML, or nothing, is a gap or no row."""
    (gap,) = read_tree([], Facts(), merged="a: [")

    assert (gap.resolution, gap.path) == (Resolution.UNREAD, ".gitlab-ci.yml")
    assert read_tree([], Facts(), merged="") == []


def test_settings_and_precedence() -> None:
    """Predefined < configuration < workflow < job < matrix < rules < the project's settings."""
    base = "variables: {V: config}\n"
    job = "j:\n  image: a:$V\n  script: [x]\n"
    layers = [
        ("", "predefined"),
        (base, "config"),
        (base + "workflow: {rules: [{variables: {V: workflow}}]}\n", "workflow"),
    ]
    within = [
        ("", None),
        ("  variables: {V: job}\n", "job"),
        ("  variables: {V: job}\n  parallel: {matrix: [{V: matrix}]}\n", "matrix"),
        (
            (
                "  variables: {V: job}\n  parallel: {matrix: [{V: matrix}]}\n"
                "  rules: [{variables: {V: rule}}]\n"
            ),
            "rule",
        ),
    ]
    facts = Facts(predefined={"V": "predefined"})
    for above, outer in layers:
        for inside, inner in within:
            text = (above + job + inside).encode()
            for known, value in (
                (facts, inner or outer),
                (replace(facts, settings={"V": "settings"}), "settings"),
            ):
                (row,) = read_tree([(".gitlab-ci.yml", text)], known)
                assert row.resolved == f"a:{value}"


def test_inherit() -> None:
    """What a job does not inherit it does not have: all, none, or a list."""
    text = (
        "default: {image: d, services: [s]}\nvariables: {A: '1', B: '2'}\n"
        "none: {inherit: {default: false, variables: false}, image: x:$A}\n"
        "some: {inherit: {default: [services], variables: [B]}, image: x:$A$B}\n"
        "all: {script: x}\n"
    )
    rows = read_tree([(".gitlab-ci.yml", text.encode())], Facts())

    assert {(row.name, row.image, row.variables) for row in rows} == {
        ("none", "x:$A", ("A",)),
        ("some", "x:$A$B", ("A",)),
        ("some", "s", ()),
        ("all", "d", ()),
        ("all", "s", ()),
    }


def test_facts_of_a_project() -> None:
    """The registry's host is that of the project's image in it."""
    known = predefined(
        server_url="https://g.example.com",
        project_path="a/b",
        project_id=7,
        default_branch="main",
        registry_image="r.example.com:5050/a/b",
    )

    assert (known["CI_REGISTRY"], known["CI_PROJECT_ID"], known["CI_DEFAULT_BRANCH"]) == (
        "r.example.com:5050",
        "7",
        "main",
    )
