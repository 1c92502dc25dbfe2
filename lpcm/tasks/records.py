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
)
