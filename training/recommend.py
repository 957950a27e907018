"""Recommend to a file of questions, with the marts and a registered model alone: no server, no online store."""

import os
from dataclasses import dataclass
from pathlib import Path

from freshet.settings import Settings
from training import registry
from training.bundle import Bundle, load_bundle, text_space
from training.catalogue import Catalogue
from training.dataset import read_marts
from training.lists import World, answer, write_lists
from training.llm_recommender import LLMRecommender
from training.new_items import extended
from training.questions import read_questions
from training.registry import ModelVersion, RegistryError
from training.text_tower import encode_texts


@dataclass(frozen=True)
class Summary:
    """What was made, for people."""

    version: ModelVersion
    newest_version: int
    n_questions: int
    n_strangers: int
    """Questions about users of whom nothing was known."""
    n_new_items: int
    """Items recommended by their text, as they came after the training."""
    n_rows: int
    n_short: int
    """Lists shorter than asked for, as there was nothing more to recommend."""
    shortest: int


def recommend(
    settings: Settings, queries: Path, out: Path, n: int, *, repeats: bool = False, version: int | None = None
) -> Summary:
    """Answer the questions of a file with the champion, else the newest version, or the one that is named.

    ``out`` gets ``query_id, item_id, rank, score``, in the order of the questions; it appears whole or not at all.
    Raises QuestionsError, RegistryError, BundleError, DatasetError or BackboneError.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if out.is_dir():
        raise IsADirectoryError(f"{out} is a folder: name the file to write")
    questions = read_questions(queries)
    chosen, newest = choose_version(settings, version)
    bundle = load_bundle(registry.download(chosen, settings.models_dir))
    world = World.of(read_marts(settings.features_dir), bundle.recommender.item_ids)
    recommender = grown(bundle, world.catalogue, settings)
    lists = answer(recommender, world, questions, n, repeats=repeats)
    n_rows = write_lists(out, questions, world.catalogue, lists)
    is_short = lists.lengths < n
    return Summary(
        version=chosen,
        newest_version=newest,
        n_questions=len(questions),
        n_strangers=int(lists.is_stranger.sum()),
        n_new_items=len(world.catalogue.row_of) - world.catalogue.n_known,
        n_rows=n_rows,
        n_short=int(is_short.sum()),
        shortest=int(lists.lengths.min(initial=n)),
    )


def choose_version(settings: Settings, version: int | None) -> tuple[ModelVersion, int]:
    """The version that is named, else the champion, else the newest; and the number of the newest."""
    versions = registry.versions(settings.tracking_uri)
    if not versions:
        raise RegistryError(f"no model is registered in {settings.home}: run `freshet train` first")
    if version is not None:
        return registry.get_version(settings.tracking_uri, version), versions[0].version
    return registry.champion(settings.tracking_uri) or versions[0], versions[0].version


def grown(bundle: Bundle, catalogue: Catalogue, settings: Settings) -> LLMRecommender:
    """The bundle's model over the whole catalogue: what it has not met is read now, by the model that read the rest."""
    recommender = bundle.recommender
    new_ids = catalogue.item_ids[catalogue.n_known :]
    if not new_ids:
        return recommender
    backbone, whitening = text_space(bundle)
    raw = encode_texts(catalogue.texts, backbone=backbone, cache_dir=settings.models_dir / "vectors")
    return extended(recommender, new_ids, whitening.apply(raw))
