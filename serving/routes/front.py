"""The front door, and the lineage pages that dbt writes."""

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse, HTMLResponse

from serving.problems import ProblemError, shown

_FRONT = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Freshet</title>
<style>body{font:16px/1.6 system-ui;max-width:40rem;margin:4rem auto;padding:0 1rem}</style>
<h1>Freshet</h1>
<p>Recommendations that know what happened a moment ago.</p>
<ul>
<li><a href="/shop">/shop</a>: be a user, click, search, and see the list change
<li><a href="/docs">/docs</a>: every route with examples (<a href="/openapi.json">OpenAPI</a>)
<li><a href="/lineage/">/lineage/</a>: from a raw event to the model, as dbt draws it
<li><a href="/readyz">/readyz</a>: can it answer in full, and if not, why
<li><a href="/metrics">/metrics</a>: figures for Prometheus
</ul>
<p>Try <a href="/v1/users/1/recommendations">/v1/users/1/recommendations</a>.</p>
</html>
"""

_PAGES = Path(__file__).parents[1] / "pages"
# Only our own script may run, and only our own API may be asked: whatever an item's text says, it stays text.
_SHOP_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; connect-src 'self'; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'"
)

router = APIRouter(include_in_schema=False)


@router.get("/", response_class=HTMLResponse)
async def front() -> str:
    """Links to everything a person may look for."""
    return _FRONT


@router.get("/shop")
async def shop() -> FileResponse:
    """A page to feel it: be a user, look, click, search, and see the list change."""
    return FileResponse(_PAGES / "shop.html", headers={"content-security-policy": _SHOP_POLICY})


@router.get("/shop.js")
async def shop_script() -> FileResponse:
    """What that page does."""
    return FileResponse(_PAGES / "shop.js", media_type="text/javascript")


def lineage_router(target: Path) -> APIRouter:
    """Serve dbt's documentation from its target folder, which appears, and is written anew, while we run."""
    pages = APIRouter(include_in_schema=False)

    @pages.get("/lineage/{name:path}")
    def lineage(name: str) -> FileResponse:
        """The documentation, or one of the files it reads."""
        candidates = [name] if name else ["static_index.html", "index.html"]
        for candidate in candidates:
            path = _inside(target, candidate)
            if path is not None:
                return FileResponse(path)
        if name:
            raise ProblemError(404, f"dbt has written no {shown(name)}: /lineage/ shows what there is")
        raise ProblemError(404, "dbt has written no documentation yet: run `freshet transform`")

    return pages


def _inside(folder: Path, name: str) -> Path | None:
    """The file of this name, unless it is missing or the name leads out of the folder."""
    if "\0" in name:
        return None
    path = (folder / name).resolve()
    return path if path.is_relative_to(folder.resolve()) and path.is_file() else None
