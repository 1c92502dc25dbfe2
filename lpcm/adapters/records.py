"""What the built-in adapters are called and where they are. Imports nothing heavy."""

from __future__ import annotations

from lpcm.plugin.records import AdapterRecord, Modality, Param

# Settings that several adapters share.
_C = Param(name="C", help="inverse penalty; left out: chosen on validation", type=float)
_MAX_ITER = Param(name="max_iter", help="solver iterations at most, for each C", default=2000, type=int)
_GRID = Param(
    name="grid",
    help="what to choose from, in multiples of the largest C at which all weights are zero",
    default=(2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0),
    type=tuple,
)
_ALPHA = Param(name="alpha", help="weight of the cache; left out: chosen on validation", type=float)
_BETA = Param(name="beta", help="sharpness of the cache; left out: chosen on validation", type=float)
_SEARCH = Param(
    name="search",
    help="geometric grids and log-loss between equals, or the released 200 x 20 grid",
    default="wide",
    choices=("wide", "published"),
)
_ALPHA_END = Param(name="alpha_end", help="end of alpha in the published grid", default=3.0, type=float)
_BETA_END = Param(name="beta_end", help="end of beta in the published grid", default=7.0, type=float)
_TRAIN_ALPHA = Param(
    name="train_alpha", help="alpha while training; left out: of the lowest validation log-loss", type=float
)
_TRAIN_BETA = Param(
    name="train_beta", help="beta while training; left out: of the lowest validation log-loss", type=float
)
_LR = Param(name="lr", help="learning rate at the start", default=0.001, type=float)
_BATCH = Param(name="batch", help="rows a step", default=256, type=int)
_KEEP = Param(
    name="keep",
    help="the best epoch on validation, or the last",
    default="validation",
    choices=("validation", "last"),
)
_SHARE = Param(name="share", help="of the features kept; left out: chosen on validation", type=float)
_EPOCHS = Param(name="epochs", help="passes over the shots", default=100, type=int)
_GAMMA = Param(name="gamma", help="weight of attention to the shots; left out: chosen", type=float)
_ETA = Param(name="eta", help="weight of attention to the prompts; left out: chosen", type=float)
_K = Param(name="k", help="its components; left out: min(256, d, n // 5)", type=int)

RECORDS: tuple[AdapterRecord, ...] = (
    AdapterRecord(
        name="linear-probe",
        summary="L2 logistic regression, C chosen on validation",
        loader="lpcm.adapters.linear_probe:LinearProbe",
        params=(
            _C,
            Param(
                name="grid",
                help="the C to choose from",
                default=(1e-2, 1e-1, 1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6),
                type=tuple,
            ),
            Param(
                name="search",
                help="one pass over the grid, or a coarse sweep then bisection",
                default="grid",
                choices=("grid", "two-stage"),
            ),
            Param(
                name="scale",
                help="divide features by the root-mean-square norm of the training rows, or by nothing",
                default="rms",
                choices=("rms", "none"),
            ),
            Param(
                name="solver",
                help="certified and warm along C, the same in torch, or scikit-learn as it comes;"
                " left out: path, and torch for large problems",
                choices=("path", "torch", "sklearn"),
            ),
            _MAX_ITER,
        ),
        source="Radford et al. 2021, section 3.2",
    ),
    AdapterRecord(
        name="zero-shot",
        summary="cosine with the class prompts; nothing is learned",
        loader="lpcm.adapters.zero_shot:ZeroShot",
        needs=(Modality.IMAGE, Modality.TEXT),
        source="Radford et al. 2021, section 3.1",
    ),
    AdapterRecord(
        name="gda",
        summary="Gaussian discriminant analysis in closed form, with zero-shot where there is text",
        loader="lpcm.adapters.gda:GDA",
        params=(
            Param(
                name="alpha", help="weight of the discriminant; left out: chosen on validation", type=float
            ),
            Param(
                name="grid",
                help="the alpha to choose from",
                default=(1e-4, 1e-3, 1e-2, 1e-1, 1e0, 1e1, 1e2),
                type=tuple,
            ),
            Param(
                name="shrinkage",
                help="of the covariance, above 0 and at most 1; left out: d / (n - 1 + d), as published",
                type=float,
            ),
            Param(
                name="text",
                help="add zero-shot where the encoder reads text, or not",
                default="added",
                choices=("added", "left-out"),
            ),
        ),
        source="Wang et al. 2024 (ICLR)",
    ),
    AdapterRecord(
        name="linear-probe-l1",
        summary="L1 logistic regression, C chosen on validation: sees the axes of the features",
        loader="lpcm.adapters.sparse_probe:L1Probe",
        params=(
            _C,
            _GRID,
            Param(name="max_iter", help="solver steps at most, for each C", default=2000, type=int),
            Param(name="gap", help="relative duality gap that counts as converged", default=1e-2, type=float),
        ),
        source="Tibshirani 1996; scikit-learn's LogisticRegression",
    ),
    AdapterRecord(
        name="linear-probe-elastic",
        summary="elastic-net logistic regression, C chosen on validation: sees the axes of the features",
        loader="lpcm.adapters.sparse_probe:ElasticProbe",
        params=(
            _C,
            _GRID,
            Param(
                name="l1_ratio", help="share of the L1 term, above 0 and at most 1", default=0.5, type=float
            ),
            Param(name="max_iter", help="solver steps at most, for each C", default=2000, type=int),
            Param(name="gap", help="relative duality gap that counts as converged", default=1e-4, type=float),
        ),
        source="Zou and Hastie 2005; scikit-learn's LogisticRegression",
    ),
    AdapterRecord(
        name="ncm",
        summary="nearest class mean, by cosine or Euclidean distance",
        loader="lpcm.adapters.ncm:NearestClassMean",
        params=(
            Param(
                name="nearness",
                help="cosine of unit rows, or squared distance of rows as they are",
                default="cosine",
                choices=("cosine", "euclidean"),
            ),
        ),
        source="Mensink et al. 2013 (TPAMI), equations 1 and 2",
    ),
    AdapterRecord(
        name="tip-adapter",
        summary="zero-shot and the votes of the cached shots; nothing is trained",
        loader="lpcm.adapters.tip_adapter:TipAdapter",
        needs=(Modality.IMAGE, Modality.TEXT),
        params=(
            _ALPHA,
            _BETA,
            _SEARCH,
            _ALPHA_END,
            _BETA_END,
        ),
        source="Zhang et al. 2022 (ECCV), section 3.1",
    ),
    AdapterRecord(
        name="tip-adapter-f",
        summary="Tip-Adapter with trained keys; the epoch is chosen on validation",
        loader="lpcm.adapters.tip_adapter_f:TipAdapterF",
        needs=(Modality.IMAGE, Modality.TEXT),
        params=(
            _ALPHA,
            _BETA,
            _SEARCH,
            _ALPHA_END,
            _BETA_END,
            _TRAIN_ALPHA,
            _TRAIN_BETA,
            Param(name="epochs", help="passes over the shots", default=20, type=int),
            _LR,
            _BATCH,
            _KEEP,
        ),
        source="Zhang et al. 2022 (ECCV), section 3.2",
    ),
    AdapterRecord(
        name="cross-modal",
        summary="logistic regression on the shots and the class prompts, C chosen on validation",
        loader="lpcm.adapters.cross_modal:CrossModal",
        needs=(Modality.IMAGE, Modality.TEXT),
        params=(
            _C,
            Param(
                name="grid",
                help="the C to choose from",
                default=(1e-2, 1e-1, 1e0, 1e1, 1e2, 1e3),
                type=tuple,
            ),
            Param(
                name="copies",
                help="of each class vector; left out: as many as give both modalities half of the weight",
                type=int,
            ),
            _MAX_ITER,
            Param(
                name="gap",
                help="relative distance to the minimum that counts as converged",
                default=1e-4,
                type=float,
            ),
        ),
        source="Lin et al. 2023 (CVPR)",
    ),
    AdapterRecord(
        name="lp-plus-plus",
        summary="linear probe blended with the prompts, step sizes from the data, block chosen on validation",
        loader="lpcm.adapters.lp_plus_plus:LPPlusPlus",
        needs=(Modality.IMAGE, Modality.TEXT),
        params=(
            Param(name="blocks", help="of ten steps; the best on validation is kept", default=30, type=int),
            Param(
                name="start",
                help="factor of the first blending of the prompts; it nearly stays there",
                default=250.0,
                type=float,
            ),
        ),
        source="Huang et al. 2024 (CVPR)",
    ),
    AdapterRecord(
        name="ape",
        summary="Tip-Adapter on the features that separate the classes; nothing is trained",
        loader="lpcm.adapters.ape:APE",
        needs=(Modality.IMAGE, Modality.TEXT),
        params=(
            _ALPHA,
            _BETA,
            Param(
                name="gamma",
                help="how much a misread key counts; left out: chosen on validation",
                type=float,
            ),
            _SHARE,
            Param(name="weight", help="of the similarity between classes", default=0.7, type=float),
            Param(
                name="search",
                help="geometric grids and log-loss between equals, or the released 200 x 20 x 20 grid",
                default="wide",
                choices=("wide", "published"),
            ),
            Param(name="alpha_end", help="end of alpha in the published grid", default=7.0, type=float),
            _BETA_END,
        ),
        source="Zhu et al. 2023 (ICCV), training-free APE",
    ),
    AdapterRecord(
        name="taskres",
        summary="class vectors moved by a trained residual; the epoch is chosen on validation",
        loader="lpcm.adapters.task_residual:TaskResidual",
        needs=(Modality.IMAGE, Modality.TEXT),
        params=(
            Param(name="alpha", help="scale of the residual; left out: chosen on validation", type=float),
            Param(name="grid", help="the alpha to choose from", default=(0.1, 0.5, 1.0), type=tuple),
            _EPOCHS,
            Param(name="lr", help="learning rate at the start", default=2e-3, type=float),
            _BATCH,
            Param(name="weight_decay", help="of Adam", default=5e-4, type=float),
            _KEEP,
        ),
        source="Yu et al. 2023 (CVPR), task residual",
    ),
    AdapterRecord(
        name="clap",
        summary="linear probe held near zero-shot class by class; looks at no validation row",
        loader="lpcm.adapters.clap:CLAP",
        needs=(Modality.IMAGE, Modality.TEXT),
        params=(
            Param(name="epochs", help="passes over the shots", default=300, type=int),
            Param(name="lr", help="learning rate of SGD", default=0.1, type=float),
            _BATCH,
        ),
        source="Silva-Rodriguez et al. 2024 (CVPR)",
    ),
    AdapterRecord(
        name="coop",
        summary="the words before a class name trained as vectors through the text tower",
        loader="lpcm.adapters.coop:CoOp",
        needs=(Modality.IMAGE, Modality.TEXT),
        params=(
            Param(
                name="m", help="context vectors; left out: 16, or as many as the phrase has tokens", type=int
            ),
            Param(name="phrase", help="words that the context starts from; left out: it is drawn"),
            Param(
                name="context",
                help="the same for all classes, or each its own",
                default="unified",
                choices=("unified", "class-specific"),
            ),
            Param(
                name="position",
                help="of the class name: behind the context, or in the middle of it",
                default="end",
                choices=("end", "middle"),
            ),
            Param(name="epochs", help="passes over the shots", default=50, type=int),
            Param(name="lr", help="learning rate of SGD after the warm-up", default=1.6e-2, type=float),
            _BATCH,
            Param(name="weight_decay", help="of SGD", default=5e-4, type=float),
            _KEEP,
        ),
        source="Zhou et al. 2022 (IJCV), sections 3.2 and 4.1",
    ),
    AdapterRecord(
        name="clip-adapter",
        summary="two trained layers on the image features, blended with them",
        loader="lpcm.adapters.clip_adapter:CLIPAdapter",
        needs=(Modality.IMAGE, Modality.TEXT),
        params=(
            Param(name="ratio", help="of the blend; left out: chosen on validation", type=float),
            Param(name="grid", help="the ratio to choose from", default=(0.2, 0.4, 0.6, 0.8), type=tuple),
            Param(name="reduction", help="width of the features over the hidden width", default=4, type=int),
            _EPOCHS,
            _LR,
            _BATCH,
            Param(name="weight_decay", help="of AdamW", default=0.01, type=float),
            _KEEP,
        ),
        source="Gao et al. 2024 (IJCV), visual adapter",
    ),
    AdapterRecord(
        name="cca",
        summary="unmixed cache and cross-attention between prompts and shots; nothing is trained",
        loader="lpcm.adapters.cca:CCA",
        needs=(Modality.IMAGE, Modality.TEXT),
        params=(
            _ALPHA,
            _BETA,
            _GAMMA,
            _ETA,
            Param(
                name="unmix",
                help="what is fitted on the shots; none where the study's disentangler unmixes",
                default="whiten",
                choices=("ica", "whiten", "none"),
            ),
            _K,
        ),
        source="arXiv 2508.03102",
    ),
    AdapterRecord(
        name="ape-t",
        summary="a trained residual on the separating features of prompts and keys alike",
        loader="lpcm.adapters.ape_t:APETrained",
        needs=(Modality.IMAGE, Modality.TEXT),
        params=(
            _ALPHA,
            _BETA,
            _SHARE,
            Param(name="weight", help="of the similarity between classes", default=0.2, type=float),
            _SEARCH,
            Param(name="alpha_end", help="end of alpha in the published grid", default=7.0, type=float),
            _BETA_END,
            _TRAIN_ALPHA,
            _TRAIN_BETA,
            Param(name="epochs", help="passes over the shots", default=30, type=int),
            _LR,
            _BATCH,
            Param(name="weight_decay", help="of AdamW", default=0.1, type=float),
            _KEEP,
        ),
        source="Zhu et al. 2023 (ICCV), training-required APE-T",
    ),
    AdapterRecord(
        name="cca-ft",
        summary="CCA with class vectors and a map of the unmixed keys trained on the shots",
        loader="lpcm.adapters.cca_ft:CCAFT",
        needs=(Modality.IMAGE, Modality.TEXT),
        params=(
            _ALPHA,
            _BETA,
            _GAMMA,
            _ETA,
            Param(
                name="unmix",
                help="what is fitted on the shots; none where the study's disentangler unmixes",
                default="ica",
                choices=("ica", "whiten", "none"),
            ),
            _K,
            Param(
                name="epochs",
                help="passes over the shots; the best on validation is kept",
                default=20,
                type=int,
            ),
            Param(name="lr", help="learning rate of the keys' map", default=1e-3, type=float),
            Param(name="lr_text", help="learning rate of the class vectors", default=1e-4, type=float),
            Param(name="l1", help="penalty on the keys' map", default=1e-5, type=float),
            Param(name="batch", help="rows a step", default=128, type=int),
        ),
        source="arXiv 2508.03102",
    ),
)
