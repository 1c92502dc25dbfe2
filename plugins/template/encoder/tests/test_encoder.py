"""What this encoder, and not any encoder, should do."""

import torch
from lpcm.plugin import EncoderOptions
from lpcm.store.files import FileDigests

from {{module}}.encoder import HistogramEncoder


def test_a_turned_edge_is_told_from_the_edge():
    encoder = HistogramEncoder(EncoderOptions(files=FileDigests(None)))
    image = torch.zeros(1, 3, 32, 32)
    image[..., 16:] = 1
    both = encoder.encode_images(torch.cat([image, image.transpose(2, 3)]))
    # Unit vectors: 1 would be the same direction.
    assert float(both[0] @ both[1]) < 0.95
