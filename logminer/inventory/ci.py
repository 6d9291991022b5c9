"""CI configuration to rows: every job's image and services, its variables replaced.

Precedence of variables, the weakest first (GitLab's documentation, "CI/CD variable precedence"):
predefined ones, the configuration's, those of `workflow:rules`, the job's, those of its matrix,
those of its `rules`, and the project's settings.
Rules decide when a pipeline runs, so each rule's variables are an alternative: as many rows as
there are different images.
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import islice, product
from typing import TYPE_CHECKING, Final, TypeAlias

from logminer.inventory.ci_config import Config, Loader, parsed
from logminer.inventory.nodes import Map, Scalar, Seq, Source, is_null, is_text, maps_in
from logminer.inventory.rows import Place, declaration, gap, policies
from logminer.inventory.scalars import ruby_text
from logminer.inventory.variables import (
    MAX_LENGTH,
    Expanded,
    Value,
    expand_runner,
    names_in,
    weakest,
)
from logminer.model import DeclarationKind, DeclaredRole, Resolution

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from logminer.inventory.facts import Facts
    from logminer.inventory.nodes import Node
    from logminer.model import Declaration

MAX_MATRIX: Final = 200
"""Jobs of one matrix: GitLab's limit."""

MAX_ALTERNATIVES: Final = 64
"""Of the rules' values of one image."""

MAX_RULES: Final = 256
MAX_NAMES: Final = 1_000
"""Variables that one image may depend on."""

MAX_JOBS: Final = 10_000
"""Jobs of one configuration; GitLab's limit is far below."""

_MAX_CHILDREN: Final = 2
"""Levels of child pipelines: GitLab's limit."""

_KIND: Final = DeclarationKind.CI
_NO_JOBS: Final = frozenset(
    {
        "after_script",
        "before_script",
        "cache",
        "default",
        "image",
        "include",
        "services",
        "spec",
        "stages",
        "types",
        "variables",
        "workflow",
    }
)
_INPUT: Final = re.compile(r"\$\[\[\s*inputs\.([A-Za-z0-9_-]+)\s*(?:\|([^\]]{0,200}))?\]\]")

_TOP: Final = frozenset({"image", "services"})
"""Defaults that may also stand outside of `default`."""

_FALSE: Final = frozenset({"false", "no", "off"})

_Layer: TypeAlias = "dict[str, Value | None]"
"""Variables by name; None for one that is set to something unknown."""

_Layers: TypeAlias = "tuple[_Layer, ...]"
"""Of one combination, the strongest first and those of the workflow last."""


def read_config(
    files: Mapping[str, bytes], path: str, facts: Facts
) -> tuple[list[Declaration], set[str]]:
    """Return the rows of the configuration that begins with a file, and the files it is made of."""
    outside = _outside(facts)
    config = Loader(files, outside.get).load(path)
    paths: set[str] = set()
    return _rows(config, files, facts, paths), paths


def read_merged(merged: str, files: Mapping[str, bytes], facts: Facts) -> list[Declaration]:
    """Return the rows of a configuration that the server merged; lines are not known in it.

    Child pipelines are no part of it: they are read from the files.
    """
    path = facts.config_path
    _, body, error = parsed(merged.encode(), path)
    if error is not None:
        return [gap(path, None, _KIND, f"no YAML: {error}")]
    if body is None:
        return []
    body.entries.pop("include", None)
    rows = _rows(Config(root=body), files, facts, set())
    return [replace(each, line=None) if each.path == path else each for each in rows]


def _outside(facts: Facts) -> dict[str, Value]:
    """Return what is known beside the configuration, the strongest last."""
    return {name: Value(text=text) for name, text in {**facts.predefined, **facts.settings}.items()}


def _rows(
    config: Config, files: Mapping[str, bytes], facts: Facts, paths: set[str], level: int = 0
) -> list[Declaration]:
    """Return the rows of one pipeline, and of those that its jobs trigger."""
    paths |= config.paths
    pipeline = _Pipeline(config, facts)
    rows = list(config.gaps)
    jobs = [
        name
        for name in config.root.entries
        if name not in _NO_JOBS and not name.startswith(".") and config.own(name) is not None
    ]
    if len(jobs) > MAX_JOBS:
        rows.append(gap(facts.config_path, None, _KIND, f"only {MAX_JOBS:,} jobs are looked at"))
    for name in jobs[:MAX_JOBS]:
        job = _Job(pipeline, name)
        rows.extend(job.gaps())
        if job.get("trigger") is None:
            rows.extend(job.rows())
        elif level < _MAX_CHILDREN:
            child, below = _child(job, files, facts)
            if child is not None:
                rows.extend(_rows(child, files, below, paths, level + 1))
    return rows


def _child(job: _Job, files: Mapping[str, bytes], facts: Facts) -> tuple[Config | None, Facts]:
    """Return the configuration of the pipeline that a job triggers, and its variables."""
    trigger = job.get("trigger")
    include = trigger.get("include") if isinstance(trigger, Map) else None
    if include is None:
        return None, facts
    below = replace(facts, settings={**job.handed_on(), **facts.settings})
    return Loader(files, _outside(below).get).load_included(include), below


class _Pipeline:
    """What all jobs of a configuration share."""

    def __init__(self, config: Config, facts: Facts) -> None:
        self.config = config
        self.facts = facts
        self._layers: dict[int, _Layer] = {}
        self._variables: dict[int, Value | None] = {}
        self._rules: dict[int, list[_Layer]] = {}
        root = config.root
        node = config.dereferenced(root.get("default"))
        top = {key: each for key, each in root.entries.items() if key in _TOP}
        inner = node.entries if isinstance(node, Map) else {}
        self.default = Map(None, 1, root.source, {**top, **inner})
        self.variables = self.layer(root.get("variables"))
        workflow = root.get("workflow")
        self.workflow = self.rules(workflow.get("rules") if isinstance(workflow, Map) else None)

    def layer(self, node: Node | None) -> _Layer:
        """Return the variables that a mapping sets; jobs that share it share the answer."""
        mapping = self.config.dereferenced(node)
        if not isinstance(mapping, Map):
            return {}
        if id(mapping) not in self._layers:
            self._layers[id(mapping)] = {
                name: self._variable(each) for name, each in mapping.entries.items()
            }
        return self._layers[id(mapping)]

    def _variable(self, node: Node) -> Value | None:
        """Return the value of one variable; jobs that share its node share the answer."""
        if id(node) not in self._variables:
            value = self.config.dereferenced(node)
            raw = False
            if isinstance(value, Map):
                raw = value.text("expand") in _FALSE
                value = self.config.dereferenced(value.get("value"))
            self._variables[id(node)] = _value(value, raw=raw)
        return self._variables[id(node)]

    def rules(self, node: Node | None) -> list[_Layer]:
        """Return the variables of each rule that can start something; one empty set without."""
        if node is None:
            return [{}]
        if id(node) not in self._rules:
            self._rules[id(node)] = [
                self.layer(each.get("variables"))
                for each in islice(self.config.listed(node), MAX_RULES)
                if isinstance(each, Map) and each.text("when") != "never"
            ] or [{}]
        return self._rules[id(node)]


def _value(node: Node | None, *, raw: bool) -> Value | None:
    """Return the value of one variable; null is empty, as GitLab takes it."""
    if not isinstance(node, Scalar):
        return Value(text="") if node is None else None
    given = with_inputs("" if is_null(node) else ruby_text(node), node.source)
    if given.text is None:
        return None
    certainty = weakest(Resolution.RESOLVED, given.resolution)
    return Value(text=given.text, certainty=certainty, raw=raw, names=frozenset(given.names))


def with_inputs(text: str, source: Source) -> Expanded:
    """Replace the inputs of an included file, `$[[ inputs.name ]]`; functions are not known."""
    unknown: set[str] = set()
    used: set[str] = set()
    certain = [Resolution.LITERAL]

    def replaced(match: re.Match[str]) -> str:
        name = match[1]
        value = source.inputs.get(name)
        function = match[2]
        if value is None or (function and function.strip() != "expand_vars"):
            unknown.add(f"inputs.{name}")
            return match[0]
        used.add(f"inputs.{name}")
        given = name in source.given
        certain.append(Resolution.RESOLVED if given else Resolution.DEFAULT)
        return ruby_text(value)

    done = _INPUT.sub(replaced, text) if "$[[" in text and len(text) <= MAX_LENGTH else text
    if unknown:
        return Expanded(text=None, resolution=Resolution.UNRESOLVED, names=tuple(sorted(unknown)))
    return Expanded(text=done, resolution=weakest(*certain), names=tuple(sorted(used)))


class _Job:
    """One job with what it extends."""

    def __init__(self, pipeline: _Pipeline, key: str) -> None:
        config = pipeline.config
        whole = config.job(key)
        body = whole or config.own(key) or config.root
        self._pipeline = pipeline
        self._key = key
        self._complete = whole is not None
        self._body = body
        self.name = with_inputs(key, body.source).text or key
        self._own = pipeline.layer(body.get("variables"))
        self._rules = pipeline.rules(body.get("rules"))

    def _inherits(self, what: str, key: str) -> bool:
        """Return whether the job inherits one of the defaults or variables."""
        inherit = self._body.get("inherit")
        node = inherit.get(what) if isinstance(inherit, Map) else None
        if isinstance(node, Seq):
            return any(isinstance(each, Scalar) and each.text == key for each in node.items)
        return not (isinstance(node, Scalar) and node.text in _FALSE)

    def get(self, key: str) -> Node | None:
        """Return a keyword of the job itself."""
        return self._pipeline.config.dereferenced(self._body.get(key))

    def keyword(self, key: str) -> Node | None:
        """Return a keyword of the job, else of the defaults that it inherits."""
        node = self._body.get(key)
        if is_null(node) and self._inherits("default", key):
            node = self._pipeline.default.get(key)
        return self._pipeline.config.dereferenced(node)

    def gaps(self) -> Iterator[Declaration]:
        """Yield what the job builds upon and is not at hand."""
        if not self._complete:
            known = self._pipeline.config.root.entries
            missing = [e for e in self._pipeline.config.parents(self._key) if e not in known]
            what = ", ".join(missing) or "what cannot be put together"
            yield gap(
                self._body.source.path,
                self._body.line,
                _KIND,
                f"extends {what}: not in the files at hand",
                self.name,
            )
        for key in ("image", "services"):
            node = self._body.get(key)
            if not is_null(node) and self._pipeline.config.dereferenced(node) is None:
                yield gap(
                    self._body.source.path,
                    node.line if node is not None else None,
                    _KIND,
                    f"{key} is a !reference to something that is not in the files at hand",
                    self.name,
                )

    def rows(self) -> Iterator[Declaration]:
        """Yield a row for each image, and for each value that its variables may have."""
        image = self.keyword("image")
        if image is not None:
            yield from self._images(image, DeclaredRole.JOB)
        services = self.keyword("services")
        if isinstance(services, Seq):
            for each in self._pipeline.config.listed(services):
                yield from self._images(each, DeclaredRole.SERVICE)

    def _images(self, node: Node, role: DeclaredRole) -> Iterator[Declaration]:
        policy = platform = None
        name: Node | None = node
        if isinstance(node, Map):
            name = self._pipeline.config.dereferenced(node.get("name"))
            policy = policies(self._pipeline.config.dereferenced(node.get("pull_policy")))
            docker = self._pipeline.config.dereferenced(node.get("docker"))
            platform = docker.text("platform") if isinstance(docker, Map) else None
        if not is_text(name) or not name.text.strip():
            return
        image, meant = name.text.strip(), ruby_text(name).strip()
        if len(image) > MAX_LENGTH:
            yield gap(name.source.path, name.line, _KIND, "an image of endless length", self.name)
            return
        for job, expanded, variables in self._resolved(name, meant):
            place = Place(path=name.source.path, line=name.line, kind=_KIND, name=job, role=role)
            asked = self._expand(platform, name.source, variables).text if platform else None
            yield declaration(
                place,
                image,
                expanded,
                pull_policy=policy,
                platform=asked or platform,
                note=_form(image) if expanded.text is None else None,
            )

    def _resolved(self, name: Scalar, image: str) -> Iterator[tuple[str, Expanded, _Layers]]:
        """Yield the job's name, the image and the variables of each combination that differs."""
        names = self._closure(names_in(with_inputs(image, name.source).text or image))
        for job, matrix in self._matrix(names):
            seen: dict[tuple[str | None, tuple[str, ...]], tuple[Expanded, _Layers]] = {}
            choices = product(
                _distinct(self._rules, names), _distinct(self._pipeline.workflow, names)
            )
            for rule, workflow in islice(choices, MAX_ALTERNATIVES):
                layers: _Layers = (rule, matrix, self._own, workflow)
                expanded = self._expand(image, name.source, layers)
                seen.setdefault((expanded.text, expanded.names), (expanded, layers))
            for expanded, layers in seen.values():
                if len(seen) > 1 and expanded.text is not None:
                    yield job, replace(expanded, resolution=Resolution.ALTERNATIVE), layers
                else:
                    yield job, expanded, layers

    def _matrix(self, names: set[str]) -> Iterator[tuple[str, _Layer]]:
        """Yield name and variables of each job of a matrix, where these decide the image."""
        combinations = self._combinations()
        if any(names & each.keys() for each in combinations):
            for each in combinations:
                values = ", ".join(value.text for value in each.values() if value is not None)
                yield f"{self.name}: [{values}]", each
        else:
            yield self.name, {}

    def _combinations(self) -> list[_Layer]:
        """Return the variables of each job of a matrix, in GitLab's order."""
        config = self._pipeline.config
        parallel = self.get("parallel")
        matrix = parallel.get("matrix") if isinstance(parallel, Map) else None
        found: list[_Layer] = []
        for entry in islice(maps_in(config.dereferenced(matrix)), MAX_MATRIX):
            columns = []
            for each in islice(entry.entries.values(), MAX_MATRIX):
                node = config.dereferenced(each)
                items = config.listed(node) if isinstance(node, Seq) else iter([node])
                columns.append([_value(item, raw=False) for item in islice(items, MAX_MATRIX)])
            rows = islice(product(*columns), MAX_MATRIX - len(found))
            found += (dict(zip(entry.entries, row, strict=False)) for row in rows)
        return found

    def _closure(self, names: set[str]) -> set[str]:
        """Return the names that a text depends on, also by the values of others."""
        layers = (
            *self._rules,
            *self._combinations(),
            self._own,
            *self._pipeline.workflow,
            self._pipeline.variables,
        )
        found: set[str] = set()
        waiting = set(names)
        while waiting and len(found) < MAX_NAMES:
            name = waiting.pop()
            found.add(name)
            for each in layers:
                value = each.get(name)
                if value is not None and not value.raw and len(value.text) <= MAX_LENGTH:
                    waiting |= names_in(value.text) - found
        return found

    def handed_on(self) -> dict[str, str]:
        """Return the variables that a pipeline gets which this job triggers."""
        inherited = (e for e in self._pipeline.variables if self._inherits("variables", e))
        names = islice({**dict.fromkeys(inherited), **self._own}, MAX_NAMES)
        found = (
            (each, self._expand(f"${{{each}}}", self._body.source, (self._own,))) for each in names
        )
        return {name: expanded.text for name, expanded in found if expanded.text is not None}

    def _value(self, name: str, layers: _Layers) -> Value | None:
        """Return the value of a variable, where `layers` are those of a combination."""
        facts = self._pipeline.facts
        if name in facts.settings:
            return Value(text=facts.settings[name])
        for each in layers[:-1]:
            if name in each:
                return each[name]
        if self._inherits("variables", name):
            for each in (layers[-1], self._pipeline.variables):
                if name in each:
                    return each[name]
        text = facts.predefined.get(name)
        return None if text is None else Value(text=text)

    def _expand(self, text: str, source: Source, layers: _Layers) -> Expanded:
        """Replace inputs and variables."""
        given = with_inputs(text, source)
        expanded = expand_runner(
            text if given.text is None else given.text, lambda name: self._value(name, layers)
        )
        missing = {each for part in (given, expanded) if part.text is None for each in part.names}
        if missing or expanded.text is None:
            return Expanded(
                text=None, resolution=Resolution.UNRESOLVED, names=tuple(sorted(missing))
            )
        return Expanded(
            text=expanded.text,
            resolution=weakest(given.resolution, expanded.resolution),
            names=tuple(sorted({*given.names, *expanded.names})),
        )


def _distinct(layers: Sequence[_Layer], names: set[str]) -> list[_Layer]:
    """Return the layers reduced to some names, each once."""
    found: list[_Layer] = []
    for each in layers:
        part = {key: each[key] for key in names if key in each}
        if part not in found:
            found.append(part)
    return found


def _form(image: str) -> str | None:
    """Say why a shell's default is none for the runner."""
    if re.search(r"\$\{[A-Za-z0-9_]+:?[-?+=]", image):
        return "GitLab knows no ${NAME:-default}: it takes all of it for a name"
    return None
