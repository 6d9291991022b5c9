"""Whatever a file says, reading it ends soon, raises nothing and says nothing that is not there."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logminer.inventory import Facts, predefined, read_file, read_tree, unread, wanted
from logminer.inventory.ci import MAX_ALTERNATIVES, MAX_JOBS, MAX_MATRIX
from logminer.inventory.variables import MAX_LENGTH
from logminer.model import DeclarationKind, Resolution

GOLDEN = Path(__file__).parent / "golden"
NAMES = (
    ".gitlab-ci.yml",
    "Dockerfile",
    "compose.yaml",
    "deploy/web.yaml",
    "kustomization.yaml",
    "chart/Chart.yaml",
    "chart/values.yaml",
    "chart/templates/web.yaml",
    "web.yaml.j2",
    "templates/part.yml",
    "manifest.json",
    ".env",
)
FILES = sorted(path for path in GOLDEN.rglob("*") if path.is_file() and "files" in path.parts)
YAML_PIECES = st.sampled_from(
    [
        *(
            "image: ",
            "services:\n",
            "  ",
            "- ",
            "a",
            ":",
            "\n",
            "&x ",
            "*x",
            "<<: *x",
            "{",
            "}",
            "[",
        ),
        *("]", ",", "'", '"', "|\n", "!reference [a, image]", "extends: a\n", "include: /*.yml\n"),
        *(
            "$A",
            "${A:-",
            "}}",
            "{{ .Values.x }}",
            "---\n",
            "apiVersion: v1\nkind: Pod\n",
            "\t",
            "\0",
        ),
        *(
            "containers:\n",
            "variables: {A: $A}\n",
            "FROM ",
            "ARG A=$A\n",
            "<<EOF\n",
            "\\\n",
            "#",
            "%",
        ),
        *(
            "parallel: {matrix: [{A: [1, 2]}]}\n",
            "images:\n",
            "repository: a\n",
            "\u2028",
            "é",
            "~",
        ),
        *("spec: {inputs: {x: }}\n---\n", "$[[ inputs.x ]]", "trigger: {include: a.yml}\n"),
    ]
)


def sane(rows: object) -> None:
    """Check what holds of every row."""
    assert isinstance(rows, list)
    for row in rows:
        gap = row.resolution is Resolution.UNREAD
        known = row.resolution not in {
            Resolution.UNREAD,
            Resolution.UNRESOLVED,
            Resolution.UNRENDERED,
        }
        assert (row.image is None) == gap == (row.role is None)
        assert (row.resolved is not None) == known
        assert not gap or row.note
        assert row.resolution is not Resolution.UNRESOLVED or row.variables
        assert row.line is None or row.line >= 1
        for text in (row.image, row.resolved):
            assert text is None or 0 < len(text) <= MAX_LENGTH


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(NAMES), st.lists(YAML_PIECES, max_size=25)), max_size=4))
def test_pieces_of_configuration(files: list[tuple[str, list[str]]]) -> None:
    """Any mixture of what configuration is made of gives rows that keep their promises."""
    data = [(name, "".join(pieces).encode()) for name, pieces in files]

    sane(read_tree(data, Facts()))
    sane(read_tree(data, Facts(), merged=data[0][1].decode() if data else ""))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damaged_files(data: st.DataObject) -> None:
    """Real files with bytes lost, doubled and changed do the same."""
    path = data.draw(st.sampled_from(FILES))
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(at, min(len(whole), at + 40)))
    put = data.draw(st.binary(max_size=8) | st.just(whole[at:end] * 2))
    name = path.as_posix().split("/files/")[1]

    sane(read_tree([(name, whole[:at] + put + whole[end:])], Facts()))


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(NAMES), st.binary(max_size=80))
def test_any_bytes(name: str, data: bytes) -> None:
    """Bytes that are nothing at all do no harm."""
    sane(read_file(name, data, Facts()))


LAUGHS = "a0: &a0 [ha, ha]\n" + "".join(
    f"a{n}: &a{n} [{f'*a{n - 1},' * 9}]\n" for n in range(1, 90)
)
BOMBS = {
    "laughs in CI": (".gitlab-ci.yml", f"{LAUGHS}job: {{image: x, services: *a80}}\n"),
    "laughs in a manifest": ("a.yaml", f"apiVersion: v1\nkind: Pod\nimage: x\n{LAUGHS}"),
    "laughs in values": ("values.yaml", LAUGHS),
    "laughs in Compose": ("compose.yaml", f"{LAUGHS}services: {{a: {{image: b, build: *a80}}}}"),
    "laughs of variables": (
        ".gitlab-ci.yml",
        "variables:\n"
        + "".join(f"  V{n}: {f'$V{n + 1}' * 9}\n" for n in range(60))
        + "job: {image: $V0, script: x}\n",
    ),
    "many that extend much": (
        ".gitlab-ci.yml",
        f".a: {{variables: {{{','.join(f'V{n}: 1' for n in range(9_000))}}}}}\n"
        + "".join(
            f"j{n}: {{extends: .a, variables: {{X: 1}}, image: $V1}}\n" for n in range(2_000)
        ),
    ),
    "a chain of extends": (
        ".gitlab-ci.yml",
        "".join(f"j{n}: {{extends: [j{n + 1}, j{n + 2}], image: x}}\n" for n in range(500)),
    ),
    "circles": (
        ".gitlab-ci.yml",
        """
include: .gitlab-ci.yml
a: {extends: b, image: x}
b: {extends: a}
c: {image: !reference [c, image]}
d: {services: !reference [d, services]}
e: {trigger: {include: .gitlab-ci.yml}}
variables: {A: $B, B: $A}
f: {image: $A}
""",
    ),
    "references": (
        ".gitlab-ci.yml",
        "a0: {services: [x]}\n"
        + "".join(
            f"a{n}: {{services: [{f'!reference [a{n - 1}, services],' * 2}]}}\n"
            for n in range(1, 40)
        ),
    ),
    "stars": (".gitlab-ci.yml", f"include: [{'/**a*' * 60}.yml]\na: {{image: x}}\n"),
    "open heredocs": ("Dockerfile", "FROM a\n" + "RUN <<NEVER\n" * 20_000),
    "a long line": ("Dockerfile", "FROM a\nRUN " + "x " * 500_000),
    "a long name": ("Dockerfile", "FROM " + "a" * 100_000),
    "many braces": ("Dockerfile", "ARG A=1\nFROM " + "${A:-" * 800),
    "many arguments": (
        "Dockerfile",
        "ARG A0=aaaaaaaaaa\n"
        + "".join(f"ARG A{n}=$A{n - 1}$A{n - 1}\n" for n in range(1, 300))
        + "FROM $A299\n",
    ),
    "a long image": ("compose.yaml", f"services: {{a: {{image: {'x' * 100_000}}}}}"),
    "actions that never end": ("chart.yaml.j2", "image: {{ " + "{{ " * 20_000),
    "an action of blanks": ("values.yaml", 'image: "{{' + " " * 4_000 + '"'),
    "many names of an image": (
        "kustomization.yaml",
        "resources: [" + "a," * 5_000 + "]\nimages: [" + "{name: b, newName: c}," * 5_000 + "]",
    ),
    "blanks": ("a.yaml.j2", "image:" + " " * 200_000 + "\n"),
    "blanks again": ("chart.tpl", (" " * 1_000 + "- ") * 200),
    "extends in Compose": (
        "compose.yaml",
        "services: {a: {extends: b}, b: {extends: {file: compose.yaml, service: a}}}",
    ),
    "kustomizations of each other": (
        "kustomization.yaml",
        "resources: [., ./, kustomization.yaml]\nimages: [{name: a, newName: b}]\n",
    ),
}


@pytest.mark.timeout(30)
@pytest.mark.parametrize("bomb", BOMBS)
def test_bombs(bomb: str) -> None:
    """What is made to explode is read, refused or named as a gap, and soon."""
    name, text = BOMBS[bomb]

    sane(read_file(name, text.encode(), Facts()))


def test_what_is_too_much_is_said() -> None:
    """Jobs and combinations beyond the bounds are cut, and of jobs a row says so."""
    jobs = "".join(f"j{n}: {{image: x}}\n" for n in range(MAX_JOBS + 1))
    matrix = ",".join(f"K{n}: [1, 2, 3]" for n in range(20))
    rules = ",".join(f"{{variables: {{A: v{n}}}}}" for n in range(MAX_ALTERNATIVES + 9))
    text = f"m: {{image: $K1, parallel: {{matrix: [{{{matrix}}}]}}}}\n"
    text += f"r: {{image: $A, rules: [{rules}]}}\n"
    many = read_file(".gitlab-ci.yml", jobs.encode(), Facts())
    wide = read_file(".gitlab-ci.yml", text.encode(), Facts())

    assert [row.note for row in many if row.image is None] == ["only 10,000 jobs are looked at"]
    assert len(many) == MAX_JOBS + 1
    assert sum((row.name or "").startswith("m: [") for row in wide) == MAX_MATRIX
    assert sum(row.name == "r" for row in wide) == MAX_ALTERNATIVES


def test_a_tree_that_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound smaller files are still read; gaps are said of what may declare images."""
    monkeypatch.setattr("logminer.inventory.tree.MAX_TREE_BYTES", 100)
    pod = b"apiVersion: v1\nkind: Pod\nspec: {containers: [{image: a}]}\n"
    rows = read_tree(
        [
            ("a.yaml", pod),
            ("b.yaml", pod),
            ("c.yaml", b"x: y\n" * 20),
            ("d.json", b'{"no": "picture"}' * 20),
            ("e.Dockerfile", b"FROM b\n"),
            ("f.Dockerfile", b"FROM b\n" * 20),
        ],
        Facts(),
    )

    assert [(row.path, row.image) for row in rows] == [
        ("a.yaml", "a"),
        ("b.yaml", None),
        ("e.Dockerfile", "b"),
        ("f.Dockerfile", None),
    ]


def test_a_row_for_what_was_not_read() -> None:
    """Whoever holds the files says what was not read; the name tells the kind."""
    kinds = {
        ".gitlab-ci.yml": DeclarationKind.CI,
        "x/Containerfile": DeclarationKind.DOCKERFILE,
        "docker-compose.prod.yml": DeclarationKind.COMPOSE,
        "k/kustomization.yaml": DeclarationKind.KUSTOMIZE,
        "c/values-prod.yaml": DeclarationKind.HELM,
        "a/b.yaml": DeclarationKind.KUBERNETES,
    }

    assert {path: unread(path, "too large").kind for path in kinds} == kinds
    assert unread("a.yaml", "why", DeclarationKind.CI).kind is DeclarationKind.CI
    sane([unread(path, "too large") for path in kinds])


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("Dockerfile", True),
        ("a/dockerfile.dev", True),
        ("a/Containerfile", True),
        ("app.Dockerfile", True),
        ("app.containerfile", True),
        ("Dockerfile-alpine", True),
        ("Dockerfile.dockerignore", False),
        ("MyDockerfile", False),
        ("a.yml", True),
        ("a.YAML", True),
        ("a.json", True),
        ("a.yaml.tmpl", True),
        (".env", True),
        ("Kustomization", True),
        ("chart/charts/redis-1.0.tgz", True),
        ("redis-1.0.tgz", False),
        ("README.md", False),
        ("main.py", False),
    ],
)
def test_names_that_are_wanted(path: str, expected: bool) -> None:  # noqa: FBT001
    """Any name that a tool accepts is wanted, and no other."""
    assert wanted(path) is expected


def test_an_own_path_of_the_configuration() -> None:
    """A project may keep its configuration anywhere, under any name."""
    facts = Facts(config_path="ci/pipeline.conf")

    assert [row.image for row in read_tree([("ci/pipeline.conf", b"a: {image: x:1}")], facts)] == [
        "x:1"
    ]


def test_predefined_variables() -> None:
    """The port is written also where it is the scheme's own; a server may have a path."""
    known = predefined(server_url="http://git.example.com:8080/gitlab/", project_path="A/b/c")

    assert known["CI_SERVER_HOST"] == "git.example.com"
    assert known["CI_DEPENDENCY_PROXY_SERVER"] == "git.example.com:8080"
    assert known["CI_DEPENDENCY_PROXY_GROUP_IMAGE_PREFIX"] == (
        "git.example.com:8080/a/dependency_proxy/containers"
    )
    assert known["CI_API_V4_URL"] == "http://git.example.com:8080/gitlab/api/v4"
    assert known["CI_PROJECT_URL"] == "http://git.example.com:8080/gitlab/A/b/c"
    assert not known.keys() & {"CI_REGISTRY", "CI_REGISTRY_IMAGE", "CI_PROJECT_ID"}
