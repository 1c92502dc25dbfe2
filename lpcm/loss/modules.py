"""The losses as modules with open_clip's constructors and call signatures: swap the import, training goes on.

`logit_scale` arrives exponentiated, as open_clip's models give it. Refuses horovod.
"""

from __future__ import annotations

from torch import Tensor, nn

from lpcm.loss.distributed import gather
from lpcm.loss.functional import contrastive_loss, sigmoid_loss
from lpcm.loss.problem import Implementation, Precision

_SIGLIP_EXCHANGES = ("bidir", "shift", "reduce", "gather")


def _check_ranks(rank: int, world_size: int) -> None:
    if not 0 <= rank < world_size:
        raise ValueError(f"rank={rank} with world_size={world_size}: expected 0 <= rank < world_size")


class ClipLoss(nn.Module):
    """Symmetric InfoNCE over the batch of all ranks.

    Args:
        local_loss: each rank computes the loss of its own rows against all; otherwise of all rows against all.
        gather_with_grad: gradients flow through the gathering to other ranks.
        cache_labels: accepted and unused: labels are never materialised.
        rank, world_size: of torch.distributed; every rank holds the same number of rows.
        use_horovod: must be False.
        precision, impl: as in `lpcm.contrastive_loss`.
    """

    def __init__(
        self,
        local_loss: bool = False,
        gather_with_grad: bool = False,
        cache_labels: bool = False,
        rank: int = 0,
        world_size: int = 1,
        use_horovod: bool = False,
        *,
        precision: Precision = "auto",
        impl: Implementation = "auto",
    ) -> None:
        super().__init__()
        if use_horovod:
            raise ValueError("use_horovod=True: expected False, this loss gathers through torch.distributed")
        _check_ranks(rank, world_size)
        self.local_loss = local_loss
        self.gather_with_grad = gather_with_grad
        self.cache_labels = cache_labels
        self.rank = rank
        self.world_size = world_size
        self.precision: Precision = precision
        self.impl: Implementation = impl

    def forward(
        self,
        image_features: Tensor,
        text_features: Tensor,
        logit_scale: Tensor | float,
        logit_bias: Tensor | float | None = None,
        output_dict: bool = False,
    ) -> Tensor | dict[str, Tensor]:
        """The loss for (n, d) image and text features, row i of one belonging to row i of the other; 0-d.

        With `output_dict`, as ``{"contrastive_loss": loss}``. Raises as `lpcm.contrastive_loss` does.
        """
        loss = self._loss(image_features, text_features, logit_scale, logit_bias)
        return {"contrastive_loss": loss} if output_dict else loss

    def _loss(
        self, images: Tensor, texts: Tensor, logit_scale: Tensor | float, logit_bias: Tensor | float | None
    ) -> Tensor:
        if self.world_size == 1:
            return contrastive_loss(
                images, texts, logit_scale, logit_bias=logit_bias, precision=self.precision, impl=self.impl
            )
        all_images, all_texts = (
            gather(
                local,
                self.rank,
                self.world_size,
                with_gradient=self.gather_with_grad,
                keep_own_gradient=not self.local_loss,
            )
            for local in (images, texts)
        )
        if not self.local_loss:
            return contrastive_loss(
                all_images,
                all_texts,
                logit_scale,
                logit_bias=logit_bias,
                precision=self.precision,
                impl=self.impl,
            )
        offset = self.rank * images.shape[0]
        halves = [
            contrastive_loss(
                own, others, logit_scale, directions="rows", labels=offset, logit_bias=logit_bias,
                precision=self.precision, impl=self.impl,
            )
            for own, others in ((images, all_texts), (texts, all_images))
        ]  # fmt: skip
        return (halves[0] + halves[1]) / 2


class SigLipLoss(nn.Module):
    """Sigmoid loss of this rank's images with the texts of all ranks.

    Args:
        cache_labels: accepted and unused: labels are never materialised.
        rank, world_size: of torch.distributed; every rank holds the same number of rows.
        dist_impl: open_clip's way of passing texts around; all of them give this loss, which gathers once.
        precision, impl: as in `lpcm.contrastive_loss`.
    """

    def __init__(
        self,
        cache_labels: bool = False,
        rank: int = 0,
        world_size: int = 1,
        dist_impl: str | None = None,
        *,
        precision: Precision = "auto",
        impl: Implementation = "auto",
    ) -> None:
        super().__init__()
        if dist_impl is not None and dist_impl not in _SIGLIP_EXCHANGES:
            raise ValueError(f"dist_impl={dist_impl!r}: expected None or one of {_SIGLIP_EXCHANGES}")
        _check_ranks(rank, world_size)
        self.cache_labels = cache_labels
        self.rank = rank
        self.world_size = world_size
        self.dist_impl = dist_impl or "bidir"
        self.precision: Precision = precision
        self.impl: Implementation = impl

    def forward(
        self,
        image_features: Tensor,
        text_features: Tensor,
        logit_scale: Tensor | float,
        logit_bias: Tensor | float | None,
        output_dict: bool = False,
    ) -> Tensor | dict[str, Tensor]:
        """The loss for (n, d) image and text features, row i of one belonging to row i of the other; 0-d.

        With `output_dict`, as ``{"contrastive_loss": loss}``. Raises as `lpcm.sigmoid_loss` does.
        """
        offset, texts = 0, text_features
        if self.world_size > 1:
            texts = gather(
                text_features, self.rank, self.world_size, with_gradient=True, keep_own_gradient=True
            )
            offset = self.rank * image_features.shape[0]
        loss = sigmoid_loss(
            image_features,
            texts,
            logit_scale,
            logit_bias,
            labels=offset,
            precision=self.precision,
            impl=self.impl,
        )
        return {"contrastive_loss": loss} if output_dict else loss
