"""The datasets that Freshet knows by name: one file here, and one line in this registry."""

from collections.abc import Callable, Mapping
from pathlib import Path

from ingestion.datasets import amazon_reviews, demo, files, goodbooks, movielens, online_retail
from ingestion.datasets.adapter import DatasetAdapter, DatasetContext, DatasetError

DATASETS: Mapping[str, Callable[[DatasetContext], DatasetAdapter]] = {
    demo.NAME: demo.open_dataset,
    movielens.SMALL_NAME: movielens.open_small,
    movielens.NAME: movielens.open_dataset,
    goodbooks.NAME: goodbooks.open_dataset,
    online_retail.NAME: online_retail.open_dataset,
    amazon_reviews.NAME: amazon_reviews.open_dataset,
}


def open_dataset(name: str, context: DatasetContext) -> DatasetAdapter:
    """The dataset of that name, or the files at that path. Raises DatasetError when there is neither."""
    if name in DATASETS:
        return DATASETS[name](context)
    path = Path(name).expanduser()
    if not path.exists():
        raise DatasetError(
            f"there is no dataset {name!r} and no such path: known names are {', '.join(sorted(DATASETS))}; "
            "or give the path of a folder or file with your own events"
        )
    return files.open_folder(path, context.lake_dir)
