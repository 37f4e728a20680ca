"""From logits to answers: calibration, prior, what is no speech, names. Pure: needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from ser_agent.classifiers.metadata import check_complete
from ser_agent.errors import ClassificationError, ModelError
from ser_agent.ports import NON_SPEECH

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ser_agent.classifiers.metadata import Metadata
    from ser_agent.ports import Answer

Prior: TypeAlias = 'Literal["trained", "home"] | Mapping[str, float]'
"""How often each emotion is to be expected: as in training, as in homes, or by the model's own label."""


@dataclass(frozen=True, slots=True)
class Readout:
    """What is done with a model's logits.

    Attributes:
        temperature: divides the logits.
        power: bends them then; see ``bent``.
        offsets: added to these, shape ``(outputs,)``: the calibration's bias and the logarithm of the priors'
            ratio.
        speech: which outputs are emotions, shape ``(outputs,)``; the others mean that nobody spoke.
        names: of the outputs that are emotions, in their order; those that share one are summed.
    """

    temperature: float
    power: float
    offsets: NDArray[np.float64]
    speech: NDArray[np.bool_]
    names: tuple[str, ...]

    def scores(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Calibrate, and correct to the prior: a softmax over these is what the model makes of an utterance.

        Args:
            logits: shape ``(utterances, outputs)``; so is what is returned.
        """
        scores = logits / self.temperature
        scores[:, self.speech] = bent(scores[:, self.speech], self.power)
        return np.asarray(scores + self.offsets)

    def answers(self, logits: NDArray[np.float64]) -> list[Answer]:
        """Give each row a distribution over the names, or ``NON_SPEECH`` where its best label means that.

        Args:
            logits: shape ``(utterances, outputs)``.

        Raises:
            ClassificationError: a row holds what is no number.
        """
        with np.errstate(over="ignore", invalid="ignore"):  # the check below tells
            scores = self.scores(logits)
            emotions = scores[:, self.speech]
            best = emotions.max(axis=1)
            nobody = scores[:, ~self.speech].max(axis=1, initial=-np.inf) > best
            # A softmax over the emotions alone is one over all outputs with the others taken out, renormalised.
            shares = np.exp(emotions - best[:, None])
            probabilities = shares / shares.sum(axis=1, keepdims=True)
        if not np.isfinite(scores.max(axis=1)).all():
            raise ClassificationError("the model's answer is not a number")
        return [NON_SPEECH if none else self._named(row) for none, row in zip(nobody, probabilities, strict=True)]

    def _named(self, row: NDArray[np.float64]) -> Mapping[str, float]:
        distribution: dict[str, float] = {}
        for name, value in zip(self.names, row, strict=True):
            distribution[name] = distribution.get(name, 0.0) + float(value)
        return distribution


def bent(scores: NDArray[np.float64], power: float) -> NDArray[np.float64]:
    """Bend the curve of certainty: raise to a power how far the best label stands above the mean of all.

    The other labels keep their distances to the best one in proportion, so the order of labels stays; the best
    one's score stays as well, and so does how it compares with what is no speech. Below 1 the power makes spreads
    above 1 smaller and those below 1 larger. Where all labels are alike there is nothing to bend.

    Args:
        scores: of the labels of speech, shape ``(utterances, labels)``; so is what is returned.
        power: above 0; 1 changes nothing.
    """
    if power == 1.0:
        return scores
    best = scores.max(axis=1, keepdims=True)
    below = scores - best
    finite = np.isfinite(below)
    spread = -np.where(finite, below, 0.0).sum(axis=1, keepdims=True) / finite.sum(axis=1, keepdims=True)
    factor = np.power(spread, power - 1.0, out=np.ones_like(spread), where=spread > 0.0)
    return np.asarray(best + below * factor)


def make_readout(
    name: str, metadata: Metadata, labels: Sequence[str], names: Sequence[str], prior: Prior | None
) -> Readout:
    """Join what a checkpoint's author tells and what the user wants.

    Args:
        name: how messages call the model.
        metadata: what the author tells.
        labels: the model's own, in the order of its outputs.
        names: for each label, what it is called in events.
        prior: the user's; None: that of homes where the author tells one, else that of the training.

    Raises:
        ModelError: the user's prior has other labels than the model, or homes' is wanted and there is none.
    """
    spoken = metadata.spoken(labels)
    wanted = _wanted(name, metadata, spoken, prior)
    shifts = _shifts(wanted, metadata.prior.trained or dict.fromkeys(spoken, 1.0)) if wanted else {}
    bias = metadata.calibration.bias
    return Readout(
        temperature=metadata.calibration.temperature,
        power=metadata.calibration.power,
        offsets=np.array([bias.get(label, 0.0) + shifts.get(label, 0.0) for label in labels]),
        speech=np.array([label in spoken for label in labels]),
        names=tuple(called for label, called in zip(labels, names, strict=True) if label in spoken),
    )


def _wanted(
    name: str, metadata: Metadata, spoken: Sequence[str], prior: Prior | None
) -> Mapping[str, float] | None:
    """The prior to correct to; None for that of the training."""
    if prior is None:
        return metadata.prior.home
    if prior == "trained":
        return None
    where = f"model {name}: the configuration's classifier.prior"
    if prior == "home":
        if metadata.prior.home is None:
            raise ModelError(
                f"{where} is `home`, but the model's config.json tells no ser_agent.prior.home: "
                "take `trained`, or give each label's probability"
            )
        return metadata.prior.home
    check_complete(where, prior, spoken)
    return prior


def _shifts(wanted: Mapping[str, float], trained: Mapping[str, float]) -> Mapping[str, float]:
    """What a change of the prior adds to each logit: by Bayes' rule, the logarithm of the priors' ratio.

    After Saerens, Latinne and Decaestecker, 2002. Both are normalised over the labels of speech, so that how often
    nobody speaks stays as it was.
    """
    one, other = np.log(list(wanted.values())), np.log([trained[label] for label in wanted])
    ratios = (one - np.logaddexp.reduce(one)) - (other - np.logaddexp.reduce(other))
    return dict(zip(wanted, ratios.tolist(), strict=True))
