"""API v4 over the company's repositories, as far as an inventory uses it.

Facts about paths, bodies and refusals are those of GitLab's documentation: the tree is paged by an
opaque token, an empty repository has no tree, the lint endpoint says 200 also where it finds the
configuration invalid, and the search for files is not there on every server.
"""

from __future__ import annotations

import hashlib
import posixpath
from typing import TYPE_CHECKING, Any

from logminer.simulator.answer import Answer, as_json
from logminer.simulator.refusal import RefusedError
from logminer.simulator.repository import BRANCH, is_closed, lint_forbidden

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aiohttp import web

    from logminer.simulator.company import Company
    from logminer.simulator.gate import Gate
    from logminer.simulator.organisation import Project
    from logminer.simulator.repository import Repository

_MOST = 100
_NO_CONFIGURATION = "Please provide content of .gitlab-ci.yml"
_ARCHIVES = "application/octet-stream"


class RepositoryApi:
    """The handlers of repositories: one method for each endpoint."""

    def __init__(
        self, company: Company, gate: Gate, find: Callable[[web.Request], Project]
    ) -> None:
        """Serve this company; `find` gives the project that a request names."""
        self._company = company
        self._gate = gate
        self._find = find

    async def branch(self, request: web.Request) -> Answer:
        """`GET /projects/:id/repository/branches/:branch`."""
        project, found = self._repository(request, "404 Branch Not Found")
        if request.match_info["branch"] != BRANCH:
            raise RefusedError("404 Branch Not Found", status=404)
        return as_json(
            {
                "name": BRANCH,
                "default": True,
                "protected": True,
                "merged": False,
                "commit": {"id": found.commit, "short_id": found.commit[:8], "title": "Improve."},
                "web_url": f"{request.scheme}://{request.host}/{project.path}/-/tree/{BRANCH}",
            }
        )

    async def lint(self, request: web.Request) -> Answer:
        """`GET /projects/:id/ci/lint`: the configuration merged; 200 also where it is invalid."""
        project = self._find(request)
        if lint_forbidden(project) or is_closed(project):
            raise RefusedError("403 Forbidden", status=403)
        found = self._company.repository(project.id)
        merged: str | None = None
        errors: tuple[str, ...] = (_NO_CONFIGURATION,)
        if found is not None and ".gitlab-ci.yml" in found.files:
            merged, errors = found.configuration.merged, found.configuration.errors
        return as_json(
            {
                "valid": not errors,
                "merged_yaml": merged,
                "errors": list(errors),
                "warnings": [],
                "includes": [],
            }
        )

    async def archive(self, request: web.Request) -> Answer:
        """`GET /projects/:id/repository/archive.tar.gz`."""
        project, found = self._repository(request, "404 File Not Found")
        self._at(request, found, "sha")
        if self._gate.behaviour.archive_refused:
            raise RefusedError("406 Not Acceptable", status=406)
        name = posixpath.basename(project.path)
        body = self._company.packed.get(project.id) or found.archive(name)
        disposition = f'attachment; filename="{name}-{found.commit}.tar.gz"'
        return Answer(
            body=body, kind=_ARCHIVES, headers={"Content-Disposition": disposition}, chunked=True
        )

    async def tree(self, request: web.Request) -> Answer:
        """`GET /projects/:id/repository/tree`: keyset pages, also of everything at once."""
        _, found = self._repository(request, "404 Tree Not Found")
        query = request.query
        self._at(request, found, "ref")
        entries = list(_entries(found, recursive=query.get("recursive", "").lower() == "true"))
        size = min(_MOST, int(query.get("per_page", "20")))
        keyset = query.get("pagination") == "keyset"
        token = query.get("page_token", "")
        first = int(token, 36) if keyset and token else (int(query.get("page", "1")) - 1) * size
        headers = {}
        if first + size < len(entries):
            following = dict(query) | (
                {"page_token": f"{_base36(first + size)}"}
                if keyset
                else {"page": str(first // size + 2)}
            )
            url = request.url.with_query(following)
            headers["Link"] = f'<{url}>; rel="next"'
        return as_json(entries[first : first + size], headers=headers)

    async def file(self, request: web.Request) -> Answer:
        """`GET /projects/:id/repository/files/:path/raw`."""
        _, found = self._repository(request, "404 File Not Found")
        self._at(request, found, "ref")
        content = found.files.get(request.match_info["path"])
        if content is None:
            raise RefusedError("404 File Not Found", status=404)
        return Answer(body=content, kind="text/plain")

    async def search(self, request: web.Request) -> Answer:
        """`GET /projects/:id/search?scope=blobs`: the files that hold a text, in any case."""
        if not self._gate.behaviour.blob_search:
            raise RefusedError("Scope not supported without advanced search!", status=400)
        _, found = self._repository(request, "404 Not Found")
        query = request.query
        wanted = query.get("search", "").casefold()
        hits = [
            {
                "basename": path.rpartition(".")[0],
                "data": wanted,
                "path": path,
                "filename": path,
                "id": None,
                "ref": found.commit,
                "startline": 1,
                "project_id": request.match_info["project"],
            }
            for path, content in sorted(found.files.items())
            if wanted in content.decode("utf-8", "replace").casefold()
        ]
        size, page = min(_MOST, int(query.get("per_page", "20"))), int(query.get("page", "1"))
        headers = {}
        if page * size < len(hits):
            url = request.url.update_query({"page": str(page + 1)})
            headers["Link"] = f'<{url}>; rel="next"'
        return as_json(hits[(page - 1) * size : page * size], headers=headers)

    def _repository(self, request: web.Request, missing: str) -> tuple[Project, Repository]:
        """Return the project and its repository, if the token's user may read it."""
        project = self._find(request)
        if is_closed(project):
            raise RefusedError("403 Forbidden", status=403)
        found = self._company.repository(project.id)
        if found is None:
            raise RefusedError(missing, status=404)
        return project, found

    @staticmethod
    def _at(request: web.Request, found: Repository, name: str) -> None:
        """Refuse any commit but the newest: no other is kept."""
        if request.query.get(name, BRANCH) not in {BRANCH, "HEAD", found.commit}:
            raise RefusedError("404 Commit Not Found", status=404)


def _entries(found: Repository, *, recursive: bool) -> Iterator[dict[str, Any]]:
    """Yield the rows of the tree, directories among them."""
    seen: set[str] = set()
    for path, content in sorted(found.files.items()):
        parts = path.split("/")
        for depth in range(1, len(parts) if recursive else min(len(parts), 2)):
            above = "/".join(parts[:depth])
            if above not in seen:
                seen.add(above)
                yield _entry(above, "tree", "040000", above.encode())
        if recursive or len(parts) == 1:
            yield _entry(path, "blob", "100644", content)


def _entry(path: str, kind: str, mode: str, content: bytes) -> dict[str, Any]:
    blob = hashlib.sha1(content, usedforsecurity=False).hexdigest()
    return {
        "id": blob, "name": posixpath.basename(path), "type": kind, "path": path, "mode": mode,
    }  # fmt: skip


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, rest = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[rest] + digits
    return digits or "0"
