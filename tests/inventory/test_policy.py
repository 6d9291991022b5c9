"""Policies: every rule finds what it is for and nothing else, and none that is wrong passes."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from logminer.errors import UsageError
from logminer.inventory import Facts, Finding, parse_policy, read_tree
from logminer.inventory.policy import Rule
from logminer.reference import Mirror, Upstreams

D = "sha256:" + "0123456789abcdef" * 4
TEXT = f"""services:
  hub: {{image: "alpine:3"}}
  none: {{image: alpine}}
  latest: {{image: "registry.example.com/shop/web:latest"}}
  rc: {{image: "registry.example.com/shop/web:1-rc2"}}
  pinned: {{image: "registry.example.com/shop/web:latest@{D}"}}
  other: {{image: "quay.io/x/y:1"}}
  proxied: {{image: "harbor.example.com/hub/library/alpine:3"}}
  group: {{image: "gitlab.example.com:443/g/dependency_proxy/containers/alpine:3"}}
  open: {{image: "a/b:$UNKNOWN"}}
"""
UPSTREAMS = Upstreams(
    mirrors=(
        Mirror(name="harbor", registry="harbor.example.com", prefix="hub", upstream="docker.io"),
        *Upstreams.default().mirrors,
    )
)


def found(policy: str, text: str = TEXT, path: str = "compose.yaml") -> list[Finding]:
    """What breaks a policy."""
    rows = read_tree([(path, text.encode())], Facts())
    return list(parse_policy(policy, "policy.toml").findings(rows, UPSTREAMS))


@pytest.mark.parametrize(
    ("policy", "names"),
    [
        (
            '[registries]\nallowed = ["registry.example.com", "docker.io/library"]',
            {"other", "proxied", "group"},
        ),
        ('[registries]\nallowed = ["*.example.com*", "quay.io/x"]', {"hub", "none"}),
        ('[registries]\nallowed = ["docker.io/lib"]\nkinds = ["ci"]', set()),
        ('[[proxy]]\nupstream = "docker.io"', {"hub", "none"}),
        ('[[proxy]]\nupstream = "index.docker.io"\nvia = ["harbor"]', {"hub", "none", "group"}),
        ('[[proxy]]\nupstream = "quay.io"', {"other"}),
        ('[tags]\nforbidden = ["latest"]', {"none", "latest"}),
        ('[tags]\nforbidden = ["*-rc*"]', {"rc"}),
        (
            "[digests]\nrequired = true",
            {"hub", "none", "latest", "rc", "other", "proxied", "group"},
        ),
        ('[digests]\nrequired = false\n[tags]\nforbidden = ["9"]', set()),
        ("[unresolved]\nforbidden = true", {"open"}),
        (
            '[tags]\nforbidden = ["latest"]\n[[exempt]]\nimage = "docker.io/library/*"',
            {"latest"},
        ),
        ('[tags]\nforbidden = ["latest"]\n[[exempt]]\npath = "*.yaml"\nrules = ["tag"]', set()),
        (
            '[tags]\nforbidden = ["latest"]\n[[exempt]]\npath = "docs/**"\nkinds = ["compose"]',
            {"none", "latest"},
        ),
    ],
)
def test_rules(policy: str, names: set[str]) -> None:
    """Each rule finds what it is for and lets everything else through."""
    assert {each.row.name for each in found(policy)} == names


def test_several_proxies_are_several_rules() -> None:
    """Each upstream has rules of its own."""
    both = found('[[proxy]]\nupstream = "docker.io"\n[[proxy]]\nupstream = "quay.io"')

    assert [each.row.name for each in both] == ["hub", "none", "other"]
    assert {each.rule for each in both} == {"proxy"}
    assert {each.rule.severity for each in both} == {"major"}


def test_fingerprints_outlive_lines_and_no_two_are_equal() -> None:
    """A finding keeps its fingerprint where it moves; equal ones are told apart."""
    policy = '[tags]\nforbidden = ["latest"]'
    moved = found(policy, "# a line more\n\n" + TEXT)
    before = found(policy)
    (row,) = read_tree([("Dockerfile", b"FROM a\n")], Facts())
    twice = [row, replace(row, line=9)]
    same = list(parse_policy(policy, "p").findings(twice, UPSTREAMS))

    assert [each.fingerprint for each in moved] == [each.fingerprint for each in before]
    assert [each.row.line for each in moved] != [each.row.line for each in before]
    assert len({each.fingerprint for each in same}) == 2


def test_gaps_break_only_the_rule_for_them() -> None:
    """What was not read breaks no rule about images; the rule for it says why it was not."""
    text = "a: [\nimage: x\n"
    policy = '[registries]\nallowed = ["x"]\n[digests]\nrequired = true\n'

    assert found(policy, text) == []
    (gap,) = found(f"{policy}[unresolved]\nforbidden = true", text)
    assert gap.message.startswith("not read: no YAML: line ")


@pytest.mark.parametrize(
    ("policy", "error"),
    [
        ("", "policy.toml: no rule in it"),
        ("a = [", "policy.toml: is not TOML: "),
        ("[tags]\nforbidden = 1", "policy.toml: line 2: forbidden must be a list of texts"),
        ("[tags]\nforbidden = []", "policy.toml: line 2: forbidden must be a list of texts"),
        ('[tags]\nforbidden = ["a", 1]', "policy.toml: line 2: forbidden must be a list"),
        ("# x\n\n[tag]\nforbidden = []", "policy.toml: line 3: unknown rule 'tag'"),
        ('[tags]\nforbidden = ["a"]\nforbiden = ["b"]', "line 3: unknown key 'forbiden' in tags"),
        ("[digests]\nrequired = 1", "line 2: required must be true or false"),
        ("[digests]\n", "line 1: digests has no required"),
        ('[proxy]\nupstream = "docker.io"', "line 1: write [[proxy]]"),
        ('[[tags]]\nforbidden = ["x"]', "line 1: write [tags]"),
        (
            '[[proxy]]\nupstream = "a"\n[[proxy]]\nvia = ["x"]',
            "policy.toml: line 3: proxy has no upstream",
        ),
        (
            '[[proxy]]\nupstream = "a"\n\n[[proxy]]\nupstream = ["x"]',
            "policy.toml: line 5: upstream must be a text",
        ),
        ("tags = 3", "line 1: tags is no table"),
        ("tags.forbiden = []", "line 1: unknown key 'forbiden'"),
        ('[tags]\nforbidden = ["x"]\nkinds = ["docker"]', "line 3: unknown word 'docker'"),
        ('[tags]\nforbidden = ["x"]\n[[exempt]]\nrules = ["tags"]', "line 4: unknown word 'tags'"),
        ('[tags]\nforbidden = ["x"]\n[[exempt]]\n', "line 3: an exemption that names nothing"),
        ("[" * 5_000, "policy.toml: is n"),
        ("a = " + "[" * 5_000, "policy.toml: is n"),
    ],
)
def test_a_wrong_policy_says_on_which_line(policy: str, error: str) -> None:
    """A policy that says something else than is known is refused, in one line, with its line."""
    with pytest.raises(UsageError) as caught:
        parse_policy(policy, "policy.toml")

    assert error in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_readmes_policy_is_one() -> None:
    """The example that people copy is a policy with every rule in it."""
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```toml\n(\[registries\].*?)```", readme, re.DOTALL)
    policy = parse_policy(example, "README.md")

    assert {check.rule for check in policy.checks} == set(Rule)
    assert len(policy.exemptions) == 1
