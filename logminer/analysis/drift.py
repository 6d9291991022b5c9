"""What is declared held against what was pulled, project by project.

Every verb takes a store, or frames of `Store.images()` and `Store.declared()` as a pair, and the
moments of `When`. What a project declares is what its newest snapshot up to the end of the asked
time says; where its first inventory is younger, that one.

Words, beside those of the package:

* declared: some file of the project names the image, and its variables are known;
* pulled: a job of the project had the image, whether the registry was asked (`pulls` counts those)
  or it was there already: outcome pulled, present or used;
* the same image: the same `reference`; both sides are compared within one project.

`file_url` and `log_url` lead to one line that is evidence: of the first declaration by address, and
of the newest use. They are null where GitLab gave no address.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeAlias, Unpack

from logminer.analysis.source import Comparison, verb

if TYPE_CHECKING:
    from logminer.analysis.source import Anywhere, Asked, Frames
    from logminer.analysis.when import When

Both: TypeAlias = "Anywhere | Frames"

_HAD: Final = """
    , had AS (
        SELECT *, job_url || '#L' || line AS log_url,
            regexp_replace(job_name, ' [0-9]+/[0-9]+$', '') AS job
        FROM rows
        WHERE outcome IN ('pulled', 'present', 'used') AND reference IS NOT NULL
    )
    , named_images AS (
        SELECT instance, project_id, reference, count(*) AS declarations,
            list(DISTINCT kind) AS kinds, min(file_url) AS file_url
        FROM declared
        WHERE reference IS NOT NULL
        GROUP BY ALL
    )
    , used AS (
        SELECT instance, project_id, reference, count(DISTINCT job_id) AS jobs, count(*) AS uses,
            count(*) FILTER (outcome = 'pulled') AS pulls, max(moment) AS last,
            max_by(log_url, (moment, job_id, ordinal)) AS log_url
        FROM had
        GROUP BY ALL
    )
"""
"""`had`: uses that got their image; `named_images`, `used`: a row for each image of a project."""

_UNKNOWN: Final = r"""
    , unknown AS (
        SELECT *, regexp_replace(
            regexp_escape(image),
            '\\\$(?:\\\{.*?\\\}|[A-Za-z_][A-Za-z0-9_]*)',
            '[^ ]*',
            'g'
        ) AS pattern
        FROM declared
        WHERE resolution = 'unresolved'
    )
    , became AS (
        SELECT unknown.*, had.image AS pulled, had.reference AS pulled_reference, had.job_id,
            had.ordinal, had.moment, had.log_url, had.outcome
        FROM unknown
        LEFT JOIN had
            ON had.instance = unknown.instance AND had.project_id = unknown.project_id
            AND had.role = unknown.role
            AND (had.job = unknown.name OR unknown.role = 'build')
            AND regexp_full_match(had.image, unknown.pattern)
    )
"""
"""`became`: unresolved declarations with the uses that fit the job, the role and the text."""

_IMAGES: Final = (
    *("instance", "project_id", "job_id", "job_name", "job_url", "pipeline_source", "ordinal"),
    *("role", "outcome", "image", "registry", "repository", "tag", "digest", "reference", "via"),
    *("upstream_registry", "upstream_repository", "line"),
)
_DECLARED: Final = (
    *("kind", "name", "role", "image", "resolution", "registry", "repository", "tag", "digest"),
    *("reference", "via", "upstream_registry", "upstream_repository", "file_url"),
)


def _comparison(sql: str) -> Comparison:
    return Comparison(images=_IMAGES, declared=_DECLARED, sql=sql)


_COVERAGE: Final = _comparison(
    """
    , known AS (SELECT DISTINCT instance, project_id FROM declared)
    SELECT
        (SELECT count(*) FROM known) AS projects,
        (
            SELECT count(*)
            FROM (SELECT DISTINCT instance, project_id FROM rows) ANTI JOIN known
            USING (instance, project_id)
        ) AS without_inventory,
        (SELECT count(*) FROM declared WHERE image IS NOT NULL) AS declarations,
        (SELECT count(*) FROM declared WHERE image IS NOT NULL AND reference IS NULL)
            AS unresolved,
        (SELECT count(*) FROM declared WHERE resolution = 'unread') AS gaps
    """
)

_PULLED: Final = _comparison(
    f"""
    {_HAD}
    SELECT reference, count(*) AS projects, sum(jobs)::BIGINT AS jobs, sum(uses)::BIGINT AS uses,
        sum(pulls)::BIGINT AS pulls, sum(declarations)::BIGINT AS declarations,
        min(file_url) AS file_url, max_by(used.log_url, (last, used.log_url)) AS log_url
    FROM named_images JOIN used USING (instance, project_id, reference)
    GROUP BY reference
    ORDER BY pulls DESC, uses DESC, reference
    LIMIT $limit
    """  # noqa: S608 -- only constants of this module
)

_NEVER_PULLED: Final = _comparison(
    f"""
    {_HAD}
    , refused AS (
        SELECT instance, project_id, reference, count(DISTINCT job_id) AS jobs,
            max(moment) AS last,
            max_by(job_url || '#L' || line, (moment, job_id, ordinal)) AS log_url
        FROM rows
        WHERE outcome IN ('failed', 'rejected')
        GROUP BY ALL
    )
    , elsewhere AS (SELECT reference, count(*) AS projects FROM used GROUP BY reference)
    SELECT
        reference, array_to_string(list_sort(list_distinct(flatten(list(kinds)))), ' ') AS kinds,
        count(*) AS projects,
        coalesce(sum(refused.jobs), 0)::BIGINT AS jobs,
        sum(declarations)::BIGINT AS declarations,
        coalesce(any_value(elsewhere.projects), 0) AS elsewhere,
        min(file_url) AS file_url, max_by(refused.log_url, (last, refused.log_url)) AS log_url
    FROM named_images
    ANTI JOIN used USING (instance, project_id, reference)
    LEFT JOIN refused USING (instance, project_id, reference)
    LEFT JOIN elsewhere USING (reference)
    GROUP BY reference
    ORDER BY projects DESC, declarations DESC, reference
    LIMIT $limit
    """  # noqa: S608 -- only constants of this module
)

_NEVER_DECLARED: Final = _comparison(
    f"""
    {_HAD}
    {_UNKNOWN}
    , known AS (
        SELECT instance, project_id,
            min(file_url) FILTER (resolution = 'unread' AND kind = 'ci') AS gap_url,
            bool_or(resolution = 'unread' AND kind = 'ci') AS has_gap
        FROM declared
        GROUP BY ALL
    )
    , named AS (
        SELECT instance, project_id, name AS job, min(file_url) AS job_url
        FROM declared
        WHERE kind = 'ci' AND image IS NOT NULL
        GROUP BY ALL
    )
    , explained AS (
        SELECT instance, job_id, ordinal, min(file_url) AS explained_url
        FROM became
        WHERE pulled IS NOT NULL
        GROUP BY ALL
    )
    , undeclared AS (
        SELECT had.* EXCLUDE (job_url), CASE
            WHEN explained.job_id IS NOT NULL THEN 'variable'
            WHEN role = 'helper' THEN 'runner'
            WHEN role IN ('script', 'build') THEN 'script'
            WHEN named.job IS NOT NULL THEN 'commit'
            WHEN has_gap OR pipeline_source = 'parent_pipeline' OR role = 'service' THEN 'template'
            ELSE 'runner'
        END AS cause,
        CASE cause
            WHEN 'variable' THEN explained_url
            WHEN 'commit' THEN named.job_url
            WHEN 'template' THEN gap_url
        END AS file_url
        FROM had
        JOIN known USING (instance, project_id)
        ANTI JOIN named_images USING (instance, project_id, reference)
        LEFT JOIN named USING (instance, project_id, job)
        LEFT JOIN explained USING (instance, job_id, ordinal)
    )
    SELECT reference, cause, count(DISTINCT (instance, project_id)) AS projects,
        count(DISTINCT (instance, job_id)) AS jobs, count(*) AS uses,
        count(*) FILTER (outcome = 'pulled') AS pulls, min(file_url) AS file_url,
        max_by(log_url, (moment, job_id, ordinal)) AS log_url
    FROM undeclared
    GROUP BY reference, cause
    ORDER BY pulls DESC, uses DESC, reference, cause
    LIMIT $limit
    """  # noqa: S608 -- only constants of this module
)

_MOVING_TAGS: Final = _comparison(
    f"""
    {_HAD}
    SELECT reference, count(DISTINCT digest) AS digests,
        min_by(digest, (moment, job_id, ordinal)) AS first_digest,
        max_by(digest, (moment, job_id, ordinal)) AS last_digest,
        count(DISTINCT (instance, project_id)) AS projects,
        count(DISTINCT (instance, job_id)) AS jobs,
        count(*) AS uses, count(*) FILTER (outcome = 'pulled') AS pulls,
        min(file_url) AS file_url, max_by(log_url, (moment, job_id, ordinal)) AS log_url
    FROM had JOIN named_images USING (instance, project_id, reference)
    WHERE digest IS NOT NULL AND NOT contains(reference, '@')
    GROUP BY reference
    HAVING count(DISTINCT digest) > 1
    ORDER BY digests DESC, uses DESC, reference
    LIMIT $limit
    """  # noqa: S608 -- only constants of this module
)

_SOURCE: Final = """
        coalesce(upstream_registry, registry) || '/' || coalesce(upstream_repository, repository)
        || CASE WHEN contains(reference, '@') THEN '@' || digest
           ELSE ':' || coalesce(tag, 'latest') END AS source
"""
"""The image as its own registry knows it, whichever way it is asked for."""

_DETOURS: Final = _comparison(
    f"""
    {_HAD}
    , meant AS (
        SELECT instance, project_id, via AS declared_via, min(file_url) AS file_url, {_SOURCE}
        FROM declared
        WHERE reference IS NOT NULL
        GROUP BY ALL
    )
    , got AS (
        SELECT *, {_SOURCE} FROM had ANTI JOIN named_images USING (instance, project_id, reference)
    )
    SELECT source, coalesce(declared_via, 'directly') AS declared_via,
        coalesce(via, 'directly') AS pulled_via,
        count(DISTINCT (instance, project_id)) AS projects,
        count(DISTINCT (instance, job_id)) AS jobs, count(*) AS uses,
        count(*) FILTER (outcome = 'pulled') AS pulls, min(meant.file_url) AS file_url,
        max_by(log_url, (moment, job_id, ordinal)) AS log_url
    FROM got JOIN meant USING (instance, project_id, source)
    WHERE declared_via IS DISTINCT FROM via
    GROUP BY ALL
    ORDER BY pulls DESC, uses DESC, source, 2, 3
    LIMIT $limit
    """  # noqa: S608 -- only constants of this module
)

_BECAME: Final = _comparison(
    f"""
    {_HAD}
    {_UNKNOWN}
    SELECT image, pulled, pulled_reference AS reference,
        count(DISTINCT (instance, project_id)) AS projects,
        count(DISTINCT (instance, job_id)) FILTER (pulled IS NOT NULL) AS jobs,
        count(pulled) AS uses, count(*) FILTER (outcome = 'pulled') AS pulls,
        min(file_url) AS file_url, max_by(log_url, (moment, job_id, ordinal)) AS log_url
    FROM became
    GROUP BY ALL
    ORDER BY uses DESC, image, pulled
    LIMIT $limit
    """  # noqa: S608 -- only constants of this module
)


@verb
def coverage(source: Both, **when: Unpack[When]) -> Asked:
    """Return one row, all int64, that says for how much the comparison speaks.

    `projects` with an inventory, those `without_inventory` whose jobs are in the asked time;
    `declarations`, how many of them are `unresolved`, and `gaps` where files were not read.
    """
    return _COVERAGE.ask(source, when)


@verb
def pulled_as_declared(source: Both, *, limit: int | None = None, **when: Unpack[When]) -> Asked:
    """Return one row for each image that is declared and was pulled, most pulled first.

    `reference`; `projects`, `jobs`, `uses`, `pulls`, `declarations` (int64); `file_url`, `log_url`.
    """
    return _PULLED.ask(source, when, limit=limit)


@verb
def never_pulled(source: Both, *, limit: int | None = None, **when: Unpack[When]) -> Asked:
    """Return one row for each image that is declared and that no job of the project had.

    `reference`; `kinds` of the files; `projects`, `jobs` that asked for it in vain,
    `declarations`, `elsewhere` (other projects that had it), all int64; `file_url`, and `log_url`
    of a try in vain.
    """
    return _NEVER_PULLED.ask(source, when, limit=limit)


@verb
def never_declared(source: Both, *, limit: int | None = None, **when: Unpack[When]) -> Asked:
    """Return one row for each image and cause that was pulled and that its project never declares.

    `reference`; `projects`, `jobs`, `uses`, `pulls` (int64); `file_url` of what explains it, if
    anything does; `log_url`; and `cause`, where it came from:

    * `variable`: a declaration of the job with an unknown variable fits it (see `became`);
    * `script`: the job's script pulled it or built from it;
    * `runner`: the runner's helper, or what a runner takes for a job that names no image;
    * `template`: a job that the inventory does not know: of a child pipeline, or included from
      where the inventory could not read;
    * `commit`: the job is known and declares another image: it ran for another branch, or earlier.

    Projects without an inventory are left out: see `coverage`.
    """
    return _NEVER_DECLARED.ask(source, when, limit=limit)


@verb
def moving_tags(source: Both, *, limit: int | None = None, **when: Unpack[When]) -> Asked:
    """Return one row for each declared tag under which several digests were pulled.

    `reference`; `digests` (int64); `first_digest` and `last_digest` in the asked time; `projects`,
    `jobs`, `uses`, `pulls` (int64); `file_url`, `log_url`.
    """
    return _MOVING_TAGS.ask(source, when, limit=limit)


@verb
def detours(source: Both, *, limit: int | None = None, **when: Unpack[When]) -> Asked:
    """Return one row for each image that came another way than it is declared.

    `source`, as its own registry knows it; `declared_via` and `pulled_via`: the proxy or cache, or
    `directly`; `projects`, `jobs`, `uses`, `pulls` (int64); `file_url`, `log_url`.
    """
    return _DETOURS.ask(source, when, limit=limit)


@verb
def became(source: Both, *, limit: int | None = None, **when: Unpack[When]) -> Asked:
    """Return one row for each unresolved image and each that jobs had in its place.

    `image` as written; `pulled` as the log names it and its `reference`, both null where no log
    shows any; `variables`: the value that each variable of it had (`NAME=value`, separated by
    blanks), `NAME=?` where more than one would fit; `projects`, `jobs`, `uses`, `pulls` (int64);
    `file_url`, `log_url`.

    A use fits a declaration of the same job and role (of any job, for a build) whose written text
    it matches.
    """
    asked = _BECAME.ask(source, when, limit=limit)
    return replace(
        asked, added=(3, "variables", lambda row: values_of(row["image"], row["pulled"]))
    )


_VARIABLE: Final = re.compile(r"\$(?:\{(?P<braced>[A-Za-z_]\w*)[^}]*\}|(?P<plain>[A-Za-z_]\w*))")


_MOST_VARIABLES: Final = 5
_LONGEST: Final = 300
"""Bounds of what is taken apart: the time that it takes grows with the length, once for each."""


def values_of(image: str, pulled: str | None) -> str | None:
    """Return what the variables of a written image were, where it became `pulled`.

    None where nothing is known to have become of it.
    """
    if not isinstance(pulled, str):
        return None
    found = list(_VARIABLE.finditer(image))
    names = [each["braced"] or each["plain"] for each in found]
    if len(names) > _MOST_VARIABLES or len(pulled) > _LONGEST:
        return " ".join(f"{name}=?" for name in dict.fromkeys(names))
    ends = [0, *(each.end() for each in found)]
    begins = [*(each.start() for each in found), len(image)]
    texts = [re.escape(image[end:begin]) for end, begin in zip(ends, begins, strict=True)]
    longest, shortest = (re.fullmatch(f"([^ ]{take})".join(texts), pulled) for take in ("*", "*?"))
    if longest is None or shortest is None:
        return None
    values: dict[str, set[str]] = {}
    for name, most, least in zip(names, longest.groups(), shortest.groups(), strict=True):
        values.setdefault(name, set()).update({most, least})
    return " ".join(
        f"{name}={each.pop() if len(each) == 1 else '?'}" for name, each in values.items()
    )
