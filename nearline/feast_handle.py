"""A FeatureStore that may not be there yet: Feast takes seconds to import, and a new home has no registry."""

from pathlib import Path
from typing import Any

from freshet.feature_store import RECOMMENDER_SERVICE, lighten_feast, open_store
from nearline.user_states import OnlineStoreError, online_store_errors


class FeastHandle:
    """Opened once in the background; until then every use is an OnlineStoreError, and the caller does without."""

    def __init__(self, home: Path) -> None:
        """Opens nothing and imports nothing."""
        self._home = home
        self._store: Any = None

    @property
    def is_open(self) -> bool:
        """The store can be asked."""
        return self._store is not None

    def open(self) -> None:
        """Import Feast and open the store. Raises OnlineStoreError as long as no batch has set it up."""
        if not (self._home / "feast" / "registry.db").is_file():
            raise OnlineStoreError(f"Feast has no registry in {self._home}: run `make run`, or `freshet features`")
        lighten_feast()  # before anything of Feast is imported
        with online_store_errors():
            store = open_store(self._home)
            store.get_feature_service(RECOMMENDER_SERVICE)
        self._store = store

    def get(self) -> Any:
        """The open store. Raises OnlineStoreError before ``open`` has succeeded."""
        if self._store is None:
            raise OnlineStoreError("the online store is not open yet")
        return self._store
