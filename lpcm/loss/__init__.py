"""The fused contrastive loss: functions, open_clip's modules, and the plain reference.

`problem` says what is asked, `reference` and `operator` give the statistics, `objective` makes losses of them.
"""

from lpcm.loss.functional import contrastive_loss, sigmoid_loss
from lpcm.loss.modules import ClipLoss, SigLipLoss
from lpcm.loss.objective import LogSumExp

__all__ = ["ClipLoss", "LogSumExp", "SigLipLoss", "contrastive_loss", "sigmoid_loss"]
