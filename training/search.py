"""A search for the sequence head's settings, trial by trial, in a study that many processes and days can share.

Only that head is searched: every training chooses the others' settings anew, in seconds. A trial trains it on what was
known at validation's cut and judges it alone on the validation events that trainings choose by; the first trial has the
usual settings. The winner replaces them only where it is better by a bootstrap over users, and whether it makes the
whole model better is for the next training, and its gate, to say.

Everything lies under ``models/search/<key>``, where the key stands for configuration and data: a trial that was killed
goes on from its last epoch, and another search on the same data goes on with the same study.
"""

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from freshet.settings import Settings
from training import metrics
from training.bundle import git_commit
from training.config import TrainConfig
from training.dataset import read_marts
from training.evaluate import Each, evaluate
from training.hyperparameters import Found
from training.sequence_network import SequenceConfig
from training.sequence_training import train_sequence
from training.stages import SequenceOnly, Stage, prepare_stage, validation_of
from training.tracking import training_run

if TYPE_CHECKING:
    import optuna

logger = logging.getLogger(__name__)

EXPERIMENT = "freshet-search"
USUAL = 0
"""The slot of the trial with the usual settings."""
_STUDY = "sequence-head"
_SLOT = "slot"
_RANDOM_TRIALS = 5
"""Trials before the sampler goes by what it has seen."""
_RESAMPLES = 2_000


class SearchError(RuntimeError):
    """There is nothing to conclude from, or no sequence head to search for."""


@dataclass(frozen=True)
class Search:
    """One search: where its trials lie, and what they have in common."""

    settings: Settings
    config: TrainConfig
    folder: Path
    content_hash: str

    @classmethod
    def of(cls, settings: Settings, config: TrainConfig) -> "Search":
        """The search on the marts as they are. Raises SearchError where the sequence head is left out, DatasetError."""
        if config.epochs == 0:
            raise SearchError("epochs is 0, which leaves the sequence head out: there is nothing to search for")
        config = replace(config, sequence=SequenceConfig(), update_of=None, budget_minutes=None, debias=0.0)
        content_hash = read_marts(settings.features_dir, config.as_of).content_hash
        folder = settings.models_dir / "search" / config.key(content_hash)
        folder.mkdir(parents=True, exist_ok=True)
        return cls(settings, config, folder, content_hash)

    def study(self, slot: int = USUAL) -> "optuna.Study":
        """The study, made by whoever comes first; each slot's sampler draws its own chance."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.TPESampler(
            seed=self.config.seed + slot, n_startup_trials=_RANDOM_TRIALS, constant_liar=True
        )
        return optuna.create_study(
            storage=f"sqlite:///{self.folder / 'study.db'}",
            study_name=_STUDY,
            direction="maximize",
            sampler=sampler,
            load_if_exists=True,
        )

    def slot_folder(self, slot: int) -> Path:
        """Where a trial keeps its epochs and its result."""
        return self.folder / f"trial_{slot:03d}"

    def run_trial(self, slot: int) -> float:
        """NDCG@10 on validation of the trial of this number, which goes on from where it was; once done it is kept."""
        from optuna.trial import TrialState, create_trial

        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch comes: see training/train.py
        study = self.study(slot)
        trial = self._trial_of(study, slot, (TrialState.COMPLETE,))
        if trial is not None:
            return float(trial.value)
        if slot == USUAL:
            params = usual_params()
            value = self._judged(slot, params)
            study.add_trial(
                create_trial(params=params, distributions=distributions(), value=value, user_attrs={_SLOT: slot})
            )
            return value
        trial = self._trial_of(study, slot, (TrialState.RUNNING,))
        if trial is None:
            study.ask(distributions()).set_user_attr(_SLOT, slot)
            trial = self._trial_of(study, slot, (TrialState.RUNNING,))
        value = self._judged(slot, trial.params)
        study.tell(trial.number, value)
        return value

    def _trial_of(self, study: "optuna.Study", slot: int, states: tuple[Any, ...]) -> Any:
        """The slot's trial in one of these states, None where there is none."""
        found = (trial for trial in study.get_trials(states=states) if trial.user_attrs.get(_SLOT) == slot)
        return next(found, None)

    def _judged(self, slot: int, params: Mapping[str, Any]) -> float:
        """Train and judge; the values by event are kept for the comparison at the end."""
        stage, targets = self._stage()
        folder, seed = self.slot_folder(slot), self.config.seed
        trained = train_sequence(
            stage.snapshot.training,
            stage.vectors,
            settings_of(params),
            epochs=self.config.epochs,
            seed=seed,
            folder=folder,
            validate=validation_of(stage, targets, seed),
            title=f"trial {slot}",
        )
        found = evaluate(Each({"it": SequenceOnly(trained.scorer())}), stage.snapshot, targets, seed, title="judging")
        value = float(found.ndcg("it").mean())
        np.savez(folder / "ndcg.npz", allow_pickle=False, ndcg=found.ndcg("it"), user=found.users())
        logger.info("tried", extra={_SLOT: slot, **params, "ndcg_at_10": value})
        return value

    def _stage(self) -> tuple[Stage, Any]:
        marts = read_marts(self.settings.features_dir, self.config.as_of)
        cut, until = marts.cuts()
        snapshot = marts.snapshot(cut, self.config.seed, until)
        stage = prepare_stage("stage", snapshot, self.folder, self.config, self.settings.models_dir / "vectors")
        return stage, snapshot.targets().sample(self.config.tuning_events, self.config.seed)

    def conclude(self) -> Found:
        """Compare the best trial with the usual settings, log the search, and write what trainings read from now on.

        Concluding again without further trials changes nothing. Raises SearchError without a single finished trial.
        """
        import optuna

        done = self.study().get_trials(states=[optuna.trial.TrialState.COMPLETE])
        if not any(trial.user_attrs[_SLOT] == USUAL for trial in done):
            raise SearchError("the trial of the usual settings has not come to its end, so nothing can be compared")
        best = max(done, key=lambda trial: (trial.value, -trial.user_attrs[_SLOT]))
        difference = self._difference(int(best.user_attrs[_SLOT]))
        is_better = difference[0] > 0
        reason = (
            f"of {len(done)} trials, {'the best' if is_better else 'none'} is better than the usual settings: "
            f"NDCG@10 of the sequence head on validation {best.value:.4f}, difference [{difference[0]:+.4f}, "
            f"{difference[1]:+.4f}]"
        )
        sequence = settings_of(best.params) if is_better else SequenceConfig()
        path = self.folder / f"concluded_{len(done)}.txt"
        if not path.exists():
            path.write_text(self._logged(done, best, difference, reason))
        found = Found(sequence, reason, path.read_text())
        found.save(self.settings.models_dir)
        return found

    def _difference(self, slot: int) -> tuple[float, float]:
        """95 % interval of a trial's NDCG@10 less that of the usual settings, over users."""
        both = []
        for each in (slot, USUAL):
            with np.load(self.slot_folder(each) / "ndcg.npz", allow_pickle=False) as kept:
                both.append(kept["ndcg"])
                user = kept["user"]
        difference = (both[0] - both[1])[:, None]
        return metrics.interval(metrics.bootstrap_means(difference, user, _RESAMPLES, self.config.seed)[:, 0])

    def _logged(self, done: list[Any], best: Any, difference: tuple[float, float], reason: str) -> str:
        """The search as an MLflow run: the winner's settings, and every trial; returns the run's id."""
        import mlflow

        tags = {"git_commit": git_commit(), "data.content_hash": self.content_hash, "reason": reason}
        with training_run(self.settings.tracking_uri, f"search of {len(done)} trials", tags, EXPERIMENT) as run:
            mlflow.log_params(best.params)
            for trial in done:
                mlflow.log_metric("ndcg_at_10", trial.value, step=int(trial.user_attrs[_SLOT]))
            mlflow.log_metrics(
                {"best_ndcg_at_10": best.value, "difference_lower": difference[0], "difference_upper": difference[1]}
            )
            trials = [{_SLOT: trial.user_attrs[_SLOT], "ndcg_at_10": trial.value, **trial.params} for trial in done]
            mlflow.log_text(json.dumps(trials, indent=1), "trials.json")
            mlflow.log_dict(self.config.as_dict(), "config.json")
            return str(run.info.run_id)


def distributions() -> "dict[str, optuna.distributions.BaseDistribution]":
    """What is searched; depth and length of history stay as they are, since they decide what an answer costs."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    return {
        "embedding_size": CategoricalDistribution([32, 64, 128]),
        "learning_rate": FloatDistribution(5e-4, 2e-2, log=True),
        "dropout": FloatDistribution(0.0, 0.4),
        "item_dropout": FloatDistribution(0.0, 0.4),
        "fade_in": FloatDistribution(1.0, 100.0, log=True),
    }


def usual_params() -> dict[str, Any]:
    """What a training takes where nothing was searched."""
    return {name: getattr(SequenceConfig(), name) for name in distributions()}


def settings_of(params: Mapping[str, Any]) -> SequenceConfig:
    """The sequence head's settings with those of a trial put in."""
    return replace(SequenceConfig(), **params)
