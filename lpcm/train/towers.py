"""Towers of encoders that are to learn. Refuses an encoder whose tower cannot, and names those whose tower can."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from lpcm.errors import UsageError
from lpcm.plugin.contracts import Encoder, StoredFeatures
from lpcm.plugin.host import PluginHost
from lpcm.plugin.records import EncoderRecord, Kind, Modality
from lpcm.plugin.trainable import Trainable, TrainableTower


def trainable_tower(name: str, encoder: Encoder, modality: Modality, host: PluginHost) -> TrainableTower:
    """A copy of one tower of an encoder.

    Args:
        name: as the user gave it.
        encoder: of that name.
        modality: which tower.
        host: whose encoders are named where this one has none.

    Raises:
        UsageError: when it cannot be trained.
    """
    if isinstance(encoder, StoredFeatures) or not isinstance(encoder, Trainable):
        flag = "--encoder" if modality is Modality.IMAGE else "--text-encoder"
        raise UsageError(
            f"the {modality.value} tower of encoder {name!r} cannot be trained",
            f"those that can: {flag} {', '.join(_those_that_can(host, modality)) or 'none is installed'}",
        )
    return encoder.trainable(modality)


def batch_statistics(towers: Mapping[str, nn.Module]) -> tuple[str, ...]:
    """Names of the towers that normalise over their batch."""
    return tuple(
        name
        for name, tower in towers.items()
        if any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in tower.modules())
    )


def _those_that_can(host: PluginHost, modality: Modality) -> list[str]:
    return [
        f"{offer.shortest_name}:{offer.record.takes}" if offer.record.takes else offer.shortest_name
        for offer in host.offers(Kind.ENCODER)
        if isinstance(offer.record, EncoderRecord) and modality in offer.record.trains
    ]
