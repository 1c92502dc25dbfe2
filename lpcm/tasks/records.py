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
                help="clean, or the paper's own with the leak it has",
                default="clean",
                choices=("clean", "beyond-dags"),
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
)
