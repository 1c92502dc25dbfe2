"""The text tower of CLIP given word vectors says what it says of the words; and lets a gradient reach them alone."""

from copy import deepcopy

import numpy as np
import open_clip
import pytest
import torch

from lpcm.adapters.coop import CoOp
from lpcm.encoders.clip_tuner import ClipPromptTuner
from lpcm.encoders.open_clip import pair
from lpcm.encoders.towers import private_init
from lpcm.errors import DataError, UsageError
from lpcm.keys import Key
from lpcm.plugin.contracts import TextPrompts

NAMES = ("cat", "grand piano", "Faces easy", "st. bernard", "2012 Audi S5")
TEMPLATE = "a photo of a {}."

# The tower itself is float32; what is cut off behind the end token changes the order of sums at most.
CLOSE = {"rtol": 0, "atol": 1e-5}


@pytest.fixture(scope="module")
def tiny(tiny_clip):
    from lpcm.plugin.contracts import EncoderOptions
    from lpcm.store.files import FileDigests

    return pair(
        EncoderOptions(
            argument="lpcm-tiny", weights=tiny_clip.checkpoint, offline=True, files=FileDigests(None)
        )
    )


@pytest.fixture(scope="module")
def tuner(tiny):
    return tiny.prompt_tuner()


def unit(rows):
    return torch.nn.functional.normalize(rows, dim=1)


def drawn(*shape):
    return 0.5 * torch.randn(*shape, generator=Key.of(0).fold("context", *shape).torch_generator())


def spelt(tiny, prompts):
    """Features of prompts with vectors among their words, through the model's own encode_text.

    The vectors replace the embeddings of tokens that no name has, in a copy of the model.
    """
    model, tokenizer = deepcopy(tiny._model), tiny._tokenizer
    ids = torch.zeros(len(prompts), 77, dtype=torch.int64)
    free = 40_000
    for row, prompt in enumerate(prompts):
        tokens = [tokenizer.sot_token_id]
        for part in prompt:
            if isinstance(part, str):
                tokens += tokenizer.encode(part)
                continue
            for vector in part:
                model.token_embedding.weight[free] = vector
                tokens.append(free)
                free += 1
        tokens.append(tokenizer.eot_token_id)
        ids[row, : len(tokens)] = torch.tensor(tokens)
    with torch.no_grad():
        return unit(model.encode_text(ids).float())


def test_a_context_of_words_is_zero_shot_with_that_template(tiny, tuner):
    told = tuner.encode(tuner.context_of("a photo of a"), NAMES)
    torch.testing.assert_close(told, unit(tiny.encode_texts([TEMPLATE.format(n) for n in NAMES])), **CLOSE)


def test_a_class_name_in_the_middle_is_read_there(tiny, tuner):
    told = tuner.encode(tuner.context_of("a blurry photo of"), NAMES, before=2)
    torch.testing.assert_close(
        told, unit(tiny.encode_texts([f"a blurry {n} photo of." for n in NAMES])), **CLOSE
    )


@pytest.mark.parametrize("before", [0, 1, 5])
@pytest.mark.parametrize("own", [False, True])
def test_vectors_are_read_as_the_tower_reads_words(tiny, tuner, before, own):
    context = drawn(len(NAMES), 5, 32) if own else drawn(5, 32)
    each = context if own else [context] * len(NAMES)
    literal = [(c[:before], n, c[before:], ".") for c, n in zip(each, NAMES, strict=True)]
    torch.testing.assert_close(tuner.encode(context, NAMES, before=before), spelt(tiny, literal), **CLOSE)


def test_a_gradient_reaches_the_context_and_nothing_else(tiny, tuner):
    context = drawn(5, 32).requires_grad_()
    tuner.encode(context, NAMES)[:, 0].sum().backward()
    assert context.grad.abs().min() > 0
    assert all(p.grad is None and not p.requires_grad for p in tiny._model.parameters())


def test_a_gradient_is_that_of_finite_differences(tuner):
    context, direction = drawn(3, 32).requires_grad_(), drawn(3, 32)
    weights = drawn(len(NAMES), 24)
    (tuner.encode(context, NAMES) * weights).sum().backward()
    with torch.no_grad():
        ahead, behind = (
            float((tuner.encode(context + s * direction, NAMES).double() * weights).sum())
            for s in (1e-2, -1e-2)
        )
    # Differences over steps of 0.01 in float32: 1e-6 of rounding and 1e-4 of curvature, over 0.02.
    assert float((context.grad * direction).sum()) == pytest.approx(
        (ahead - behind) / 2e-2, abs=2e-3, rel=2e-2
    )


def test_it_does_not_matter_that_features_were_asked_for_first(tiny_clip, options):
    # The encoder loads its weights at the first call, inside inference mode.
    encoder = pair(options(argument="lpcm-tiny", weights=tiny_clip.checkpoint))
    encoder.encode_texts(["a cat"])
    context = drawn(2, 32).requires_grad_()
    encoder.prompt_tuner().encode(context, NAMES).sum().backward()
    assert context.grad is not None


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_tower_of_fewer_bits_can_be_tuned(tiny_clip, options, tuner, precision):
    from lpcm.plugin.contracts import Precision

    encoder = pair(
        options(argument="lpcm-tiny", weights=tiny_clip.checkpoint, precision=Precision(precision))
    )
    context = drawn(4, 32).requires_grad_()
    told = encoder.prompt_tuner().encode(context, NAMES)
    told[:, 0].sum().backward()
    assert told.dtype == context.grad.dtype == torch.float32
    # 8 bits of mantissa through two layers of weights as large as trained ones.
    assert float((told.detach() * tuner.encode(context.detach(), NAMES)).sum(1).min()) > 0.98


def test_a_two_tower_layout_is_the_same_tower(tiny, tuner):
    with private_init():
        model = open_clip.create_model(
            "lpcm-tiny", pretrained=None, load_weights=False, force_custom_text=True
        )
    for name, value in tiny._model.state_dict().items():
        if f"text.{name}" in model.state_dict():
            model.state_dict()[f"text.{name}"].copy_(value)
    custom = ClipPromptTuner(model.eval().requires_grad_(False), tiny._tokenizer, "custom")
    context = drawn(3, 32)
    torch.testing.assert_close(custom.encode(context, NAMES), tuner.encode(context, NAMES), **CLOSE)


def test_coop_learns_through_it(tiny, tuner):
    names = NAMES[:3]
    centres = unit(tiny.encode_texts([TEMPLATE.format(n) for n in names])).numpy()
    generator = Key.of(0).fold("rows").generator()
    labels = np.arange(15) % 3
    rows = (centres[labels] + 0.15 * generator.standard_normal((15, 24))).astype(np.float32)
    text = TextPrompts(centres, names, tiny.prompt_tuner)

    def fitted(**settings):
        made = CoOp(**{"m": 2, "keep": "last", "epochs": 30, "lr": 2e-4} | settings)
        return made.fit(rows, labels, classes=3, key=Key.of(0), text=text)

    made = fitted()
    np.testing.assert_array_equal(made.logits(rows), fitted().logits(rows))
    assert made.report()["train_loss"] < fitted(lr=1e-9).report()["train_loss"] - 0.05


def test_what_cannot_be_tuned_says_why(tiny_clip, options):
    hf = pair(options(argument="lpcm-tiny-hf", weights=tiny_clip.checkpoint))
    with pytest.raises(UsageError, match="reads the tokens of nobody/nothing, and is not CLIP's own"):
        hf.prompt_tuner()
    tokenizer = open_clip.SimpleTokenizer()
    for settings, said in (
        ({"no_causal_mask": True, "pool_type": "last"}, "look in both directions"),
        ({"pool_type": "last"}, "pools by 'last'"),
        ({"embed_cls": True}, "a token that it adds itself"),
    ):
        with private_init():
            tower = open_clip.transformer.TextTransformer(
                width=32, heads=2, layers=1, output_dim=24, **settings
            )
        model = type("Model", (), {"text": tower})
        with pytest.raises(UsageError, match=f"text tower of 'odd' cannot be tuned: .*{said}"):
            ClipPromptTuner(model, tokenizer, "odd")
    with pytest.raises(UsageError, match="it is transformers' Linear"):
        ClipPromptTuner(type("Model", (), {"text": torch.nn.Linear(1, 1)}), tokenizer, "odd")


def test_a_prompt_that_the_tower_would_cut_is_refused_by_its_name(tuner):
    with pytest.raises(
        DataError, match=r"74 context vectors and 'grand piano' make a prompt of 79 tokens: .* 77"
    ):
        tuner.encode(drawn(74, 32), ("cat", "grand piano"))
    with pytest.raises(DataError, match="before is 3: expected 0 to 2"):
        tuner.encode(drawn(2, 32), NAMES, before=3)
