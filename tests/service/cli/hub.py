"""A hub that speaks the calls by which a dataset is pushed, over real HTTP: LFS objects, commits, hashes."""

import base64
import hashlib
import json
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

REPO = "/api/datasets/{org}/{name}"


class Hub:
    """One repository. `files` is what its newest commit holds; `puts` counts the large files that were sent."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.large: dict[str, bytes] = {}
        self.puts: list[str] = []
        self.commits: list[str] = []
        self.tokens: set[str | None] = set()
        self.refuse_puts_after: int | None = None
        self.app = Starlette(
            routes=[
                Route("/api/repos/create", self.create, methods=["POST"]),
                Route("/api/validate-yaml", self.fine, methods=["POST"]),
                Route(REPO, self.info),
                Route(REPO + "/revision/{revision}", self.info),
                Route(REPO + "/tree/{revision}", self.tree),
                Route(REPO + "/preupload/{revision}", self.preupload, methods=["POST"]),
                Route(REPO + "/paths-info/{revision}", self.paths, methods=["POST"]),
                Route(REPO + "/commit/{revision}", self.commit, methods=["POST"]),
                Route("/datasets/{org}/{name}.git/info/lfs/objects/batch", self.lfs, methods=["POST"]),
                Route("/lfs/{oid}", self.put, methods=["PUT"]),
            ]
        )

    async def create(self, request: Request) -> Response:
        self.tokens.add(request.headers.get("authorization"))
        return JSONResponse({"url": str(request.base_url) + "datasets/ann/sums"})

    async def fine(self, request: Request) -> Response:
        return JSONResponse({"errors": [], "warnings": []})

    async def info(self, request: Request) -> Response:
        return JSONResponse({"id": "ann/sums", "sha": self._head(), "tags": []})

    async def preupload(self, request: Request) -> Response:
        asked = (await request.json())["files"]
        modes = {True: "lfs", False: "regular"}
        return JSONResponse(
            {
                "files": [
                    {"path": file["path"], "uploadMode": modes[is_large(file["path"])], "shouldIgnore": False}
                    for file in asked
                ]
            }
        )

    async def lfs(self, request: Request) -> Response:
        objects: list[dict[str, Any]] = []
        for wanted in (await request.json())["objects"]:
            upload = {"upload": {"href": f"{request.base_url}lfs/{wanted['oid']}"}}
            objects.append(wanted | ({} if wanted["oid"] in self.large else {"actions": upload}))
        return JSONResponse({"transfer": "basic", "objects": objects})

    async def put(self, request: Request) -> Response:
        body = await request.body()
        # Behind the last wait: files come two at a time, and both would else pass before either is counted.
        if self.refuse_puts_after is not None and len(self.puts) >= self.refuse_puts_after:
            return Response(status_code=400)
        assert hashlib.sha256(body).hexdigest() == request.path_params["oid"]
        self.large[request.path_params["oid"]] = body
        self.puts.append(request.path_params["oid"])
        return Response()

    async def commit(self, request: Request) -> Response:
        for line in (await request.body()).splitlines():
            said = json.loads(line)
            value = said["value"]
            if said["key"] == "header":
                self.commits.append(value["summary"])
            elif said["key"] == "file":
                self.files[value["path"]] = base64.b64decode(value["content"])
            elif said["key"] == "lfsFile":
                self.files[value["path"]] = self.large[value["oid"]]
            else:
                del self.files[value["path"]]
        url = f"{request.base_url}datasets/ann/sums/commit/{self._head()}"
        return JSONResponse({"commitOid": self._head(), "commitUrl": url})

    async def tree(self, request: Request) -> Response:
        return JSONResponse([self._entry(path) for path in self.files])

    async def paths(self, request: Request) -> Response:
        asked = [str(path) for path in (await request.form()).getlist("paths")]
        return JSONResponse([self._entry(path) for path in asked if path in self.files])

    def _entry(self, path: str) -> dict[str, Any]:
        data = self.files[path]
        blob = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
        lfs = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 1}
        return {"type": "file", "path": path, "size": len(data), "oid": blob} | ({"lfs": lfs} if is_large(path) else {})

    def _head(self) -> str:
        return hashlib.sha1(str(len(self.commits)).encode(), usedforsecurity=False).hexdigest()


def is_large(path: str) -> bool:
    """Whether a hub keeps a file as an LFS object."""
    return path.endswith((".parquet", ".png"))
