"""Train a cross-encoder with mined negatives: the BERT of BM25+BERT.

A step's topics, negatives and dropout are functions of the seed and the step, so that a resumed
run ends with the weights of an undisturbed one, bit for bit (on a device whose sums are in one
order, such as a CPU). While it trains, everything is in a hidden folder ``.OUTPUT.training``.
"""

import json
import logging
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ance_plugin import artifacts
from ance_plugin.disk import require_absent
from ance_plugin.encode.device import choose_device, choose_precision, torch_dtype
from ance_plugin.errors import ArtifactError, LeakError
from ance_plugin.measures import check_measures, means
from ance_plugin.progress import count
from ance_plugin.records import Document
from ance_plugin.rerank.classifier import (
    Classifier,
    autocast_body,
    choose_length,
    start_classifier,
)
from ance_plugin.rerank.cross_encoder import TEMPLATE, TEMPLATE_KEY, CrossEncoder
from ance_plugin.rerank.reranker import rerank_run
from ance_plugin.rerank.settings import RerankSettings
from ance_plugin.train.cross_encoder_files import (
    best_path,
    load_state,
    save_model,
    save_state,
    training_path,
)
from ance_plugin.train.cross_encoder_identity import KIND, describe_training, require_finished
from ance_plugin.train.cross_encoder_settings import CrossEncoderSettings, Dev
from ance_plugin.train.group_step import GroupStep
from ance_plugin.train.groups import Group, GroupSampler
from ance_plugin.train.optimizers import new_optimizer

logger = logging.getLogger(__name__)

_SECONDS_BETWEEN_LINES = 20.0


def train_cross_encoder(
    groups: Sequence[Group],
    documents: Mapping[str, Document],
    output: Path,
    *,
    init: str,
    settings: CrossEncoderSettings,
    dev: Dev | None = None,
    device: str | None = None,
    is_resumed: bool = False,
) -> None:
    """Train, and write a folder that transformers, sentence-transformers and our rerank load.

    Args:
        groups: What to learn from.
        documents: Those of the groups.
        output: The folder to make; it must not exist.
        init: A classifier of one output, or a body; see ``start_classifier``.
        settings: How.
        dev: By what to choose the best weights; None takes the last ones.
        device: Where to compute; None takes the best there is.
        is_resumed: Go on with the training that was killed; one that was not begun is begun.

    Raises:
        ArtifactError: The output exists and is not what a resumed training made, or an unfinished
            training stands there and ``is_resumed`` is off.
        LeakError: Dev topics are among those of the groups.
        MismatchError: A training there, unfinished or not, has other settings or data.
        ValueError: A length or the precision cannot be used here.
    """
    work = training_path(output)
    if is_resumed and output.exists():
        require_finished(output, describe_training(groups, documents, settings, dev), init=init)
        _remove_work(work)
        logger.info("%s: was finished already", output)
        return
    require_absent(output)
    if dev is not None:
        check_measures([dev.measure])
        shared = sorted({group.qid for group in groups} & dev.run.keys())
        if shared:
            raise LeakError(
                f"{len(shared)} dev topics are trained on, {shared[0]} for one; choose weights by "
                "others"
            )
    if work.exists() and not is_resumed:
        raise ArtifactError(
            f"{work}: an unfinished training stands there; give --resume to go on with it, or "
            "remove it"
        )
    with artifacts.claim(work):
        trainer = CrossEncoderTrainer(
            groups, documents, work, init=init, settings=settings, dev=dev, device=device
        )
        trainer.run()
        trainer.publish(output)
    shutil.rmtree(work)


def _remove_work(work: Path) -> None:
    """Remove what a training left that was killed after it had published."""
    if work.is_dir():
        with artifacts.claim(work):
            shutil.rmtree(work)


class CrossEncoderTrainer:
    """One training, from its start or from the state in its folder.

    Args:
        groups: What to learn from.
        documents: Those of the groups.
        work: The folder of states; made where it is not there.
        init: A classifier of one output, or a body.
        settings: How.
        dev: By what to choose the best weights; None takes the last ones.
        device: Where to compute; None takes the best there is.

    Raises:
        MismatchError: The state in the folder is of other settings or data.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        documents: Mapping[str, Document],
        work: Path,
        *,
        init: str,
        settings: CrossEncoderSettings,
        dev: Dev | None,
        device: str | None,
    ) -> None:
        self._settings = settings
        self._work = work
        self._dev = dev
        self._device = choose_device(device)
        self._precision = choose_precision(settings.precision, self._device)
        self._classifier = _start(init, settings)
        self._scorer = CrossEncoder(
            self._classifier,
            device=str(self._device),
            precision="fp32",  # of the weights; the body computes in its own
            max_length=settings.max_length,
            template=settings.template,
        )
        self._model: Any = self._classifier.model
        autocast_body(self._model, self._device, torch_dtype(self._precision))
        self._optimizer = new_optimizer(
            self._model, "adamw", lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self._sampler = GroupSampler(
            list(groups),
            batch_size=settings.batch_size,
            negatives_per_topic=settings.negatives_per_topic,
            seed=settings.seed,
        )
        self._steps = GroupStep(self._model, self._optimizer, self._scorer, documents, settings)
        self._described = {
            "init": {"name": init, "weights_sha256": self._scorer.identify()["weights_sha256"]},
            "precision": self._precision,
            **describe_training(groups, documents, settings, dev),
        }
        self._step = 0
        self._losses: list[float] = []
        self._measured: dict[int, float] = {}
        self._restore()

    def run(self) -> None:
        """Take the steps that are left, saving states and measuring dev topics between them."""
        settings = self._settings
        started = shown = time.monotonic()
        first = self._step
        with count(what="train", total=settings.num_steps) as advance:
            advance(first)
            while self._step < settings.num_steps:
                self._losses.append(self._steps.run(self._sampler.draw(self._step), self._step))
                self._step += 1
                advance(1)
                is_last = self._step == settings.num_steps
                if is_last or self._step % settings.steps_between_states == 0:
                    self._measure()
                    self._save()
                if time.monotonic() - shown > _SECONDS_BETWEEN_LINES:
                    shown = time.monotonic()
                    speed = (self._step - first) / (shown - started)
                    loss = np.mean(self._losses[-50:])
                    logger.info(
                        "step %d of %d: loss %.4f  (%.2f steps/s)",
                        *(self._step, settings.num_steps, loss, speed),
                    )

    def publish(self, output: Path) -> None:
        """Write the best weights, or the last ones where there are no dev topics."""
        best = self._best
        with artifacts.new_directory(output) as staging:
            if best is None:
                save_model(self._classifier, staging)
            else:
                shutil.copytree(best_path(self._work), staging, dirs_exist_ok=True)
            measured = {str(step): value for step, value in self._measured.items()}
            lines = (json.dumps({"step": n, "loss": x}) for n, x in enumerate(self._losses))
            (staging / "log.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
            step = self._settings.num_steps if best is None else best
            artifacts.seal(
                staging, KIND, {**self._described, "step": step, "dev_measured": measured}
            )
        logger.info("cross-encoder of step %d: %s", step, output)

    @property
    def _best(self) -> int | None:
        return max(self._measured, key=lambda step: (self._measured[step], -step), default=None)

    def _measure(self) -> None:
        """Rerank the dev run with the weights as they are; keep them if none were better."""
        if self._dev is None:
            return
        dev = self._dev
        self._model.eval()
        settings = RerankSettings(depth=dev.depth)
        run = rerank_run(dev.run, dev.queries, dev.documents, self._scorer, settings)
        value = means(run, dev.qrels, [dev.measure])[dev.measure]
        self._measured[self._step] = value
        logger.info("step %d: %s %.4f on dev topics", self._step, dev.measure, value)
        if self._best == self._step:
            with artifacts.new_directory(best_path(self._work), overwrite=True) as staging:
                save_model(self._classifier, staging)
                artifacts.seal(staging, KIND, {"step": self._step})

    def _save(self) -> None:
        measured = {str(step): value for step, value in self._measured.items()}
        progress = {"step": self._step, "losses": self._losses, "measured": measured}
        content = {"training": self._described, "progress": progress}
        save_state(self._work, content, self._model, self._optimizer)

    def _restore(self) -> None:
        progress = load_state(self._work, self._described, self._model, self._optimizer)
        if progress is None:
            return
        self._step, self._losses = progress["step"], progress["losses"]
        self._measured = {int(step): value for step, value in progress["measured"].items()}
        logger.info("cross-encoder: goes on at step %d", self._step)


def _start(init: str, settings: CrossEncoderSettings) -> Classifier:
    classifier = start_classifier(init, seed=settings.seed)
    classifier.tokenizer.model_max_length = choose_length(classifier, settings.max_length)
    if settings.template != TEMPLATE:
        setattr(classifier.model.config, TEMPLATE_KEY, settings.template)
    return classifier
