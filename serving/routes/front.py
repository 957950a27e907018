"""The pages that we wrote, the lineage pages that dbt writes, and the books of the lake."""

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse, HTMLResponse

from ingestion.balance import accounts
from ingestion.data_page import data_page
from ingestion.lake import Lake
from serving.problems import ProblemError, shown

_PAGES = Path(__file__).parents[1] / "pages"
# Only our own script may run, and only our own API may be asked: whatever an item's text says, it stays text.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; connect-src 'self'; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'"
)

router = APIRouter(include_in_schema=False)


@router.get("/")
async def front() -> FileResponse:
    """The state of the platform, and links to everything a person may look for."""
    return _page("front.html")


@router.get("/front.js")
async def front_script() -> FileResponse:
    """What that page does."""
    return _script("front.js")


@router.get("/shop")
async def shop() -> FileResponse:
    """A page to feel it: be a user, look, click, search, and see the list change."""
    return _page("shop.html")


@router.get("/shop.js")
async def shop_script() -> FileResponse:
    """What that page does."""
    return _script("shop.js")


def _page(name: str) -> FileResponse:
    return FileResponse(_PAGES / name, headers={"content-security-policy": _POLICY})


def _script(name: str) -> FileResponse:
    return FileResponse(_PAGES / name, media_type="text/javascript")


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


def data_router(lake_dir: Path) -> APIRouter:
    """Show what landed in a lake, as it is when somebody asks."""
    pages = APIRouter(include_in_schema=False)

    @pages.get("/data")
    def books() -> HTMLResponse:
        """What `freshet data report` says."""
        return HTMLResponse(data_page(accounts(Lake(lake_dir))), headers={"content-security-policy": _POLICY})

    return pages


def _inside(folder: Path, name: str) -> Path | None:
    """The file of this name, unless it is missing or the name leads out of the folder."""
    if "\0" in name:
        return None
    path = (folder / name).resolve()
    return path if path.is_relative_to(folder.resolve()) and path.is_file() else None
