"""`logminer inventory` of local clones: which files, which formats, which end."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
from typer.testing import Result

from logminer.cli.clones import facts_of
from logminer.cli.declared import write_codequality, write_findings, write_junit, write_rows
from logminer.inventory import Facts, parse_policy, read_file
from logminer.reference import Upstreams

if TYPE_CHECKING:
    from pathlib import Path

Invoke = Callable[..., Result]

POLICY = '[registries]\nallowed = ["registry.example.com"]\n[tags]\nforbidden = ["latest"]\n'


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, invoke: Invoke) -> Path:
    """A small clone, where the command is run."""
    del invoke  # it goes to an empty directory first
    root = tmp_path / "clone"
    for name, text in {
        ".git/config": '[core]\n[remote "origin"]\n\turl = https://me:secret@git.example.com/a/b.git\n',
        ".git/Dockerfile": "FROM never:1\n",
        ".gitignore": "build/\n*.tmp.yml\n!keep.tmp.yml\n",
        ".gitlab-ci.yml": "build:\n  image: $CI_PROJECT_PATH/x:$MINE\n  script: [x]\n",
        "Dockerfile": "FROM registry.example.com/base:1\n",
        "build/Dockerfile": "FROM ignored:1\n",
        "compose.tmp.yml": "services: {a: {image: 'ignored:2'}}\n",
        "sub/.gitignore": "/Dockerfile\n!compose.tmp.yml\n",
        "sub/Dockerfile": "FROM ignored:3\n",
        "sub/compose.tmp.yml": "services:\n  a: {image: alpine}\n",
        "inner/.git/HEAD": "ref: refs/heads/main\n",
        "inner/.gitlab-ci.yml": "inner: {image: 'inner:1', script: [x]}\n",
        "README.md": "image: text:1\n",
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / "link").symlink_to(root / "sub")
    (root / "Dockerfile.link").symlink_to(tmp_path / "outside")
    (tmp_path / "outside").write_text("FROM outside:1\n")
    monkeypatch.chdir(root)
    monkeypatch.delenv("GITLAB_CI", raising=False)
    (tmp_path / "policy.toml").write_text(POLICY)
    return root


def rows(end: Result) -> list[dict[str, Any]]:
    """The rows of a JSON answer."""
    found = json.loads(end.stdout)
    assert isinstance(found, list)
    return found


def test_a_clone_is_what_git_would_hold(clone: Path, invoke: Invoke) -> None:
    """Ignored files, links and Git's own are left out; a repository within is one of its own."""
    end = invoke("inventory", "--path", str(clone), "--format", "json", "--variable", "MINE=7")

    assert end.exit_code == 0
    assert [(row["path"], row["line"], row["resolved"]) for row in rows(end)] == [
        (f"{clone}/.gitlab-ci.yml", 2, "a/b/x:7"),
        (f"{clone}/Dockerfile", 1, "registry.example.com/base:1"),
        (f"{clone}/inner/.gitlab-ci.yml", 1, "inner:1"),
        (f"{clone}/sub/compose.tmp.yml", 2, "alpine"),
    ]
    assert "secret" not in end.stdout + end.stderr
    assert end.stderr == "4 declarations in 4 files; 3 literal, 1 resolved\n"


def test_files_are_read_with_what_is_around_them(
    clone: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Named files give their own rows and no others, from wherever in the clone they are named."""
    whole = rows(invoke("inventory", "--path", ".", "-f", "json"))
    some = rows(invoke("inventory", "Dockerfile", "sub/compose.tmp.yml", "-f", "json"))
    monkeypatch.chdir(clone / "sub")
    below = rows(invoke("inventory", "compose.tmp.yml", "Dockerfile", "-f", "json"))

    assert some == [row for row in whole if row["path"] in {"Dockerfile", "sub/compose.tmp.yml"}]
    assert [(row["path"], row["image"]) for row in below] == [
        ("Dockerfile", "ignored:3"),  # asked for, though it is ignored
        ("compose.tmp.yml", "alpine"),
    ]


def test_a_file_without_a_repository(tmp_path: Path, invoke: Invoke) -> None:
    """A file alone is read alone."""
    (tmp_path / "Dockerfile").write_text("FROM a:1\n")
    (row,) = rows(invoke("inventory", str(tmp_path / "Dockerfile"), "-f", "json"))

    assert (row["path"], row["reference"]) == (
        str(tmp_path / "Dockerfile"),
        "docker.io/library/a:1",
    )


def test_csv_is_the_json(clone: Path, invoke: Invoke) -> None:
    """Both formats say the same, column by column; no cell is a formula."""
    (clone / "Dockerfile").write_text("FROM -x\nFROM scratch AS =cmd\nCOPY --from=@a b c\n")
    wanted = rows(invoke("inventory", "--path", ".", "--format", "json"))
    table = list(
        csv.DictReader(io.StringIO(invoke("inventory", "--path", ".", "-f", "csv").stdout))
    )

    assert [list(row) for row in table] == [list(row) for row in wanted]
    for plain, row in zip(table, wanted, strict=True):
        for name, value in row.items():
            whole = " ".join(value) if isinstance(value, list) else value
            assert plain[name].lstrip("'") == ("" if whole is None else str(whole))
            assert not plain[name].startswith(("=", "+", "-", "@"))


@pytest.mark.parametrize("form", ["table", "csv", "json", "junit", "codequality"])
def test_findings_end_with_one(clone: Path, invoke: Invoke, form: str) -> None:
    """Every format shows the same findings, and the exit code says that there are some."""
    end = invoke("inventory", "--path", ".", "--check", "../policy.toml", "-f", form)

    assert end.exit_code == 1
    assert end.stdout.count("is not an allowed registry") >= 2
    assert "sub/compose.tmp.yml" in end.stdout
    assert end.stderr.splitlines()[-1] == "3 findings by ../policy.toml"
    assert clone.name not in end.stdout


@pytest.mark.parametrize(
    ("form", "empty"),
    [
        ("table", ""),
        ("json", "[]\n"),
        ("codequality", "[]\n"),
        ("csv", '"rule"'),
        ("junit", "<?xml"),
    ],
)
def test_no_findings_end_with_nought(clone: Path, invoke: Invoke, form: str, empty: str) -> None:
    """Where everything is allowed, a report is still one that can be read."""
    arguments = ("--check", "../policy.toml", "-f", form, "-o", "report")
    end = invoke("inventory", "Dockerfile", *arguments)

    assert end.exit_code == 0
    assert end.stdout == ""
    assert (clone / "report").read_text().startswith(empty)
    if form == "table":
        assert (clone / "report").read_text() == ""


def test_code_quality(clone: Path, invoke: Invoke) -> None:
    """The report has the fields that GitLab reads, its fingerprints differ and outlive lines."""
    arguments = ("inventory", "--path", ".", "--check", "../policy.toml", "-f", "codequality")
    before = rows(invoke(*arguments))
    path = clone / "sub" / "compose.tmp.yml"
    path.write_text("# moved\n" + path.read_text())
    after = rows(invoke(*arguments))

    assert before[-1] == {
        "description": "a: alpine: the tag latest is forbidden, and no tag means it: name another",
        "check_name": "logminer/tag",
        "fingerprint": before[-1]["fingerprint"],
        "severity": "minor",
        "location": {"path": "sub/compose.tmp.yml", "lines": {"begin": 2}},
    }
    assert after[-1]["location"]["lines"] == {"begin": 3}
    assert [each["fingerprint"] for each in after] == [each["fingerprint"] for each in before]
    assert len({each["fingerprint"] for each in before}) == len(before)


def test_junit(invoke: Invoke, clone: Path) -> None:
    """Every declaration is a test, and those that break a rule fail."""
    (clone / "broken.yml").write_text("apiVersion: v1\nkind: Pod\nimage: [\n")
    end = invoke("inventory", "--path", ".", "--check", "../policy.toml", "-f", "junit")
    suite = ET.fromstring(end.stdout)  # noqa: S314 -- our own
    failures = [each.get("classname") for each in suite if each.find("failure") is not None]

    assert suite.attrib == {
        "name": "logminer inventory",
        "tests": "5",
        "failures": "2",
        "errors": "0",
        "skipped": "1",
    }
    assert failures == ["inner/.gitlab-ci.yml", "sub/compose.tmp.yml"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "name a local clone with --path DIR, or files"),
        (("--path", "nowhere"), "nowhere: no directory"),
        (("nowhere.yml",), "nowhere.yml: no such file"),
        (("--path", ".", "--format", "junit"), "name a policy with --check"),
        (("--path", ".", "--check", "none.toml"), "none.toml: cannot be read"),
        (("--path", ".", "--check", "wrong.toml"), "wrong.toml: line 2: forbidden must be"),
        (("--path", ".", "--variable", "x"), "write NAME=VALUE"),
        (("--path", ".", "--mirrors", "none.toml"), "none.toml: cannot be read"),
    ],
)
def test_mistakes(clone: Path, invoke: Invoke, arguments: tuple[str, ...], words: str) -> None:
    """A mistake of the user's is one line that says what to do, and exit code 2."""
    (clone / "wrong.toml").write_text("[tags]\nforbidden = 'latest'\n")
    end = invoke("inventory", *arguments)

    assert (end.exit_code, end.stdout) == (2, "")
    assert words in end.stderr
    assert end.stderr.count("\n") == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read(clone: Path, invoke: Invoke) -> None:
    """A file that is refused is a gap, a line of complaint and exit code 3."""
    (clone / "Dockerfile").chmod(0)
    end = invoke("inventory", "--path", ".", "-f", "json")

    assert end.exit_code == 3
    assert "Dockerfile: cannot be read" in end.stderr


def test_what_is_too_large(clone: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file beyond the bound is a gap, a line of complaint and exit code 3."""
    monkeypatch.setattr("logminer.cli.clones.MAX_FILE_BYTES", 40)
    (clone / "Dockerfile").write_text("FROM a\n" * 10)
    end = invoke("inventory", "--path", ".", "-f", "json")

    assert end.exit_code == 3
    assert [row["note"] for row in rows(end) if row["path"] == "Dockerfile"] == [
        "cannot be read, or is too large"
    ]


@pytest.mark.parametrize(
    ("url", "path", "server"),
    [
        ("https://git.example.com:8443/a/b/c.git", "a/b/c", "https://git.example.com:8443"),
        ("https://u:p@git.example.com/a/b", "a/b", "https://git.example.com"),
        ("git@git.example.com:a/b.git", "a/b", None),
        ("ssh://git@git.example.com:2222/a/b/c.git", "a/b/c", None),
        ("/srv/git/x", None, None),
        ("https://[", None, None),
        ("nothing", None, None),
    ],
)
def test_what_a_remote_tells(
    tmp_path: Path, url: str, path: str | None, server: str | None
) -> None:
    """The path of the project, by HTTP also the server; never a user or a password."""
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_text(f'[remote "origin"]\n\turl = {url}\n')
    known = facts_of(tmp_path, {}).predefined

    assert known.get("CI_PROJECT_PATH") == path
    assert known.get("CI_SERVER_URL") == server
    assert not any("p@" in text or "u:" in text for text in known.values())


def test_a_pipeline_job_knows_its_project(
    clone: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a job of its own project the predefined variables come from the environment."""
    monkeypatch.setenv("GITLAB_CI", "true")
    monkeypatch.setenv("CI_PROJECT_PATH", "of/the-job")
    monkeypatch.setenv("MINE", "no predefined one")
    (clone / ".gitlab-ci.yml").write_text("a: {image: '$CI_PROJECT_PATH', script: [x]}\n")
    (row,) = rows(invoke("inventory", ".gitlab-ci.yml", "-f", "json"))

    assert row["resolved"] == "of/the-job"


def test_foreign_text_is_only_text() -> None:
    """No format lets a file's text move a cursor, break a line or leave its field."""
    evil = 'FROM "\x1b[2J\u202e<b>&]]>"\nFROM a:1 AS "x\x07y"\n'.encode()
    read = [
        *read_file("Dockerfile", evil, Facts()),
        *read_file("Dockerfile\x1b[1m\n", evil, Facts()),
    ]
    policy = parse_policy("[digests]\nrequired = true\n[unresolved]\nforbidden = true", "p")
    findings = list(policy.findings(read, Upstreams.default()))
    out = io.StringIO()
    write_rows(read, out)
    write_findings(findings, out)
    write_codequality(findings, out)
    write_junit(read, findings, out)
    text = out.getvalue()

    assert findings
    assert not {"\x1b", "\x07", "\u202e"} & set(text)
    ET.fromstring(text[text.index("<?xml") :])  # noqa: S314 -- our own


HELM = """#!/bin/sh
test "$1 $2" = "template release" || exit 9
case "$3" in
*/broken) echo "Error: no such thing" >&2; exit 1;;
esac
cat <<EOF
---
# Source: shop/templates/web.yaml
apiVersion: v1
kind: Pod
metadata: {name: web}
spec: {containers: [{name: c, image: "shop/web:2"}]}
---
# Source: shop/charts/redis/templates/pod.yaml
apiVersion: v1
kind: Pod
metadata: {name: redis}
spec: {containers: [{name: c, image: "redis:7"}]}
EOF
"""


def test_charts_are_rendered_where_that_is_asked_for(
    clone: Path, tmp_path: Path, invoke: Invoke
) -> None:
    """What Helm renders takes the place of its templates; a chart that does not is said."""
    template = b'image: "{{ .Values.image }}"\n'
    for chart in ("shop", "shop/charts/redis", "broken"):
        (clone / chart / "templates").mkdir(parents=True)
        (clone / chart / "Chart.yaml").write_text("name: x\n")
        (clone / chart / "templates" / "web.yaml").write_bytes(template)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "helm").write_text(HELM)
    (tmp_path / "bin" / "helm").chmod(0o755)
    path = f"{tmp_path}/bin:{os.defpath}"
    end = invoke("inventory", "--path", ".", "-f", "json", "--render", PATH=path)
    found = [
        (row["path"], row["line"], row["name"], row["resolved"] or row["note"], row["resolution"])
        for row in rows(end)
        if row["kind"] == "helm"
    ]

    assert found == [
        ("broken/Chart.yaml", None, None, "helm template: Error: no such thing", "unread"),
        ("broken/templates/web.yaml", 1, None, "only Helm renders this template", "unrendered"),
        ("shop/charts/redis/templates/pod.yaml", None, "Pod/redis/c", "redis:7", "default"),
        ("shop/templates/web.yaml", None, "Pod/web/c", "shop/web:2", "default"),
    ]


def test_rendering_needs_helm(clone: Path, invoke: Invoke) -> None:
    """Without Helm it is one line that says so."""
    end = invoke("inventory", "--path", str(clone), "--render", PATH=str(clone))

    assert end.exit_code == 2
    assert "--render needs helm" in end.stderr
