"""What the built-in tasks are called and where they are. Imports nothing heavy."""

from __future__ import annotations

from lpcm.plugin.records import Kind, Param, TaskRecord

RECORDS: tuple[TaskRecord, ...] = (
    TaskRecord(
        name="fewshot",
        summary="k labelled images a class, a classifier on frozen features, test accuracy",
        loader="lpcm.tasks.fewshot:FewShot",
        axes=(Kind.ENCODER, Kind.DATASET, Kind.DISENTANGLER, Kind.ADAPTER),
        params=(
            Param(name="shots", help="labelled images a class", default=(1, 2, 4, 8, 16), type=tuple),
            Param(
                name="fit_on",
                help="rows of the unmixing: train, shots or a features file; left out: as the protocol says",
            ),
            Param(
                name="protocol",
                help="clean, the paper's own with the leak it has, or each adapter's published rule",
                default="clean",
                choices=("clean", "beyond-dags", "published"),
            ),
        ),
        source="Zhou et al. 2022 (CoOp); arXiv 2402.06223, section 6",
    ),
    TaskRecord(
        name="domains",
        summary="train on source domains, select by a named rule, test on a domain that was not there",
        loader="lpcm.tasks.domains:Domains",
        axes=(Kind.ENCODER, Kind.DATASET, Kind.DISENTANGLER, Kind.ADAPTER),
        params=(
            Param(
                name="target",
                help="domains to test on; left out: every one, or with sources every other one",
                default=(),
                type=tuple,
            ),
            Param(
                name="sources",
                help="domains to train on; left out: every one but the target",
                default=(),
                type=tuple,
            ),
            Param(
                name="rule",
                help="how settings are selected: training-domain, leave-one-domain-out, oracle",
                default=("training-domain",),
                type=tuple,
            ),
            Param(
                name="shots",
                help="labelled images a class and source domain, or all but the held-out fifth",
                default=("all",),
                type=tuple,
            ),
            Param(
                name="source_splits",
                help="splits that the rows of the source domains are taken from; left out: all",
                default=(),
                type=tuple,
            ),
        ),
        source="Gulrajani and Lopez-Paz 2021 (DomainBed)",
    ),
    TaskRecord(
        name="zeroshot",
        summary="the class whose prompts are nearest: accuracy, calibration, what is confused with what",
        loader="lpcm.tasks.zeroshot:ZeroShotTask",
        axes=(Kind.ENCODER, Kind.DATASET, Kind.DISENTANGLER),
        params=(
            Param(
                name="prompts",
                help="ensemble (the dataset's templates), single, name, or a template of your own",
                default=("ensemble", "single", "name"),
                type=tuple,
            ),
            Param(
                name="similarity",
                help="of unit rows; a rotation of the components changes l1 alone",
                default="cosine",
                choices=("cosine", "l1"),
            ),
            Param(
                name="centre",
                help="mean taken off the texts before they are unmixed: that of the fit, or their own",
                default="fitted",
                choices=("fitted", "modality"),
            ),
        ),
        source="Radford et al. 2021, section 3.1.4",
    ),
    TaskRecord(
        name="retrieval",
        summary="captions of an image, images of a caption: recall at k, reciprocal rank, median rank",
        loader="lpcm.tasks.retrieval:Retrieval",
        axes=(Kind.ENCODER, Kind.DATASET, Kind.DISENTANGLER),
        params=(
            Param(name="k", help="ranks at which recall is given", default=(1, 5, 10), type=tuple),
            Param(
                name="directions",
                help="what is the query and what is searched",
                default="both",
                choices=("both", "image-to-text", "text-to-image"),
            ),
            Param(
                name="equal",
                help="another image's caption with the same features: an item like any other, or a match",
                default="other",
                choices=("other", "match"),
            ),
            Param(
                name="centre",
                help="mean taken off the texts before they are unmixed: that of the fit, or their own",
                default="fitted",
                choices=("fitted", "modality"),
            ),
        ),
        source="Karpathy and Fei-Fei 2015, section 4.2",
    ),
    TaskRecord(
        name="disentanglement",
        summary="codes against known factors: DCI, MIG, MCC and more, beside permutations and random rotations",
        loader="lpcm.tasks.disentanglement:DisentanglementTask",
        axes=(Kind.ENCODER, Kind.DATASET, Kind.DISENTANGLER, Kind.METRIC),
        params=(
            Param(
                name="metrics",
                help="what is scored where the study names no metric",
                default=(
                    "dci-d",
                    "dci-c",
                    "dci-i",
                    "mig",
                    "sap",
                    "modularity",
                    "infom",
                    "infoc",
                    "infoe",
                    "irs",
                    "mcc",
                    "r2",
                    "l1-probe",
                    "top-m",
                    "stumps",
                ),
                type=tuple,
            ),
            Param(
                name="draws", help="random halves of the test side, for the interval", default=40, type=int
            ),
            Param(
                name="nulls",
                help="permutations and rotations that chance is averaged over",
                default=4,
                type=int,
            ),
        ),
        source="Locatello et al. 2019; each metric's own",
    ),
    TaskRecord(
        name="concepts",
        summary="what each component looks like, its nearest texts, and whether refits find it again",
        loader="lpcm.tasks.concepts:Concepts",
        axes=(Kind.ENCODER, Kind.DATASET, Kind.DISENTANGLER),
        params=(
            Param(name="components", help="components with a sheet of their own", default=16, type=int),
            Param(name="images", help="images at each end of a component", default=8, type=int),
            Param(name="thumbnail", help="side of a thumbnail, 32 to 512 pixels", default=112, type=int),
            Param(name="pictures", help="whether sheets are drawn", default=True, type=bool),
            Param(name="words", help="a text file of more words to name components with, one a line"),
            Param(
                name="template",
                help="what words that are no classes are put into",
                default="a photo of a {}.",
            ),
            Param(
                name="certificate",
                help="how much is refitted: quick is 7 fits of half or all rows, full 14",
                default="quick",
                choices=("quick", "full"),
            ),
        ),
        source="Zeiler and Fergus 2014, section 4; arXiv 2402.06223, section 6",
    ),
    TaskRecord(
        name="identifiability",
        summary="latents that are known, recovered by contrastive learning: R^2 or MCC beside floors and ceilings",
        loader="lpcm.tasks.identifiability:Identifiability",
        axes=(Kind.GEOMETRY, Kind.METRIC),
        params=(
            Param(
                name="preset",
                help="quick (seconds), full, or paper (the recipe of cl-ica; days on a CPU)",
                default="full",
                choices=("quick", "full", "paper"),
            ),
            Param(name="dim", help="width of the coupled latents", default=10, type=int),
            Param(name="m", help="width of the latents of one side only", default=5, type=int),
            Param(
                name="codes",
                help="widths of what the encoders give; 0 is that of the latents",
                default=0,
                type=tuple,
            ),
            Param(
                name="temperature",
                help="learned, or factors on the scale that the theory asks for",
                default="learned",
                type=tuple,
            ),
            Param(
                name="misaligned",
                help="shares of pairs whose text belongs to another image",
                default=0.0,
                type=tuple,
            ),
            Param(
                name="dependence",
                help="correlations of the latents' normal copula",
                default=0.0,
                type=tuple,
            ),
            Param(
                name="head",
                help="space confines codes to the geometry, free lets them be anywhere",
                default="space",
                choices=("space", "free"),
            ),
            Param(name="condition", help="of each layer of the mixings", default=3.0, type=float),
            Param(name="layers", help="of the mixings; 1 is a linear one", default=3, type=int),
            Param(name="steps", help="instead of the preset's", type=int),
            Param(name="batch", help="instead of the preset's", type=int),
            Param(
                name="baselines",
                help="whether an encoder is trained on the latents too, for a ceiling",
                default=True,
                type=bool,
            ),
        ),
        source="arXiv 2402.06223, section 5.1; Zimmermann et al. 2021",
    ),
    TaskRecord(
        name="asymptotics",
        summary="the loss of ever more pairs against the limit of theorem 3.1, with the latents as codes",
        loader="lpcm.tasks.asymptotics:Asymptotics",
        axes=(Kind.GEOMETRY,),
        params=(
            Param(
                name="preset",
                help="full goes to 2^17 pairs, quick to 2^10",
                default="full",
                choices=("quick", "full"),
            ),
            Param(name="dim", help="width of the latents", default=10, type=int),
            Param(
                name="temperature",
                help="a factor on the scale that the theory asks for",
                default=1.0,
                type=float,
            ),
            Param(name="largest", help="power of 2 of the most pairs, instead of the preset's", type=int),
        ),
        source="arXiv 2402.06223, theorem 3.1; Wang and Isola 2020",
    ),
    TaskRecord(
        name="geometry",
        summary="what features are like: norms, spread, dimension, axes, modality gap; and which pipeline fits",
        loader="lpcm.tasks.geometry:GeometryTask",
        axes=(Kind.ENCODER, Kind.DATASET),
        params=(
            Param(
                name="components",
                help="k of the ICA that kurtosis is measured on; 0 takes min(64, d, n / 10)",
                default=0,
                type=int,
            ),
        ),
        source="Wang and Isola 2020; Liang et al. 2022; Facco et al. 2017; arXiv 2402.06223, section 5",
    ),
)
