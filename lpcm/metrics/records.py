"""What the built-in metrics are called and where they are. Imports nothing heavy."""

from __future__ import annotations

from math import inf

from lpcm.plugin.records import MetricRecord, Param

_IMPORTANCE = Param(
    name="importance",
    help="what predicts a factor from the components",
    default="lasso",
    choices=("lasso", "forest", "boosting"),
)
_HISTOGRAM = (
    Param(name="bins", help="of a component", default=20, type=int),
    Param(
        name="binning",
        help="equally wide or equally full bins",
        default="width",
        choices=("width", "quantile"),
    ),
)
_NEIGHBOURS = (
    Param(name="neighbours", help="of the estimate of information", default=10, type=int),
    Param(
        name="prune",
        help="a component is active when its range is more than the largest divided by this",
        default=20.0,
        type=float,
    ),
)

RECORDS: tuple[MetricRecord, ...] = (
    MetricRecord(
        name="accuracy",
        summary="share of predictions that are right",
        loader="lpcm.metrics.accuracy:Accuracy",
        source="standard",
    ),
    MetricRecord(
        name="balanced-accuracy",
        summary="mean over classes of the share of their samples that is right",
        loader="lpcm.metrics.accuracy:BalancedAccuracy",
        source="Brodersen et al. 2010",
    ),
    MetricRecord(
        name="dci-d",
        summary="DCI disentanglement: is a component important for one factor only",
        loader="lpcm.metrics.dci:Disentanglement",
        params=(_IMPORTANCE,),
        source="Eastwood and Williams 2018",
    ),
    MetricRecord(
        name="dci-c",
        summary="DCI completeness: is one component alone important for a factor",
        loader="lpcm.metrics.dci:Completeness",
        params=(_IMPORTANCE,),
        source="Eastwood and Williams 2018",
    ),
    MetricRecord(
        name="dci-i",
        summary="DCI informativeness: held-out skill of predicting the factors",
        loader="lpcm.metrics.dci:Informativeness",
        params=(_IMPORTANCE,),
        source="Eastwood and Williams 2018",
    ),
    MetricRecord(
        name="mig",
        summary="mutual information gap between the two best components of a factor",
        loader="lpcm.metrics.mig:MIG",
        params=_HISTOGRAM,
        source="Chen et al. 2018",
    ),
    MetricRecord(
        name="sap",
        summary="separated attribute predictability: gap between the two best single components",
        loader="lpcm.metrics.sap:SAP",
        source="Kumar et al. 2018",
    ),
    MetricRecord(
        name="modularity",
        summary="is what a component knows about one factor only, by histograms",
        loader="lpcm.metrics.modularity:Modularity",
        params=_HISTOGRAM,
        source="Ridgeway and Mozer 2018",
    ),
    MetricRecord(
        name="explicitness",
        summary="held-out area under the ROC curve of logistic probes, rescaled; blind to rotations",
        loader="lpcm.metrics.explicitness:Explicitness",
        range=(-1.0, 1.0),
        source="Ridgeway and Mozer 2018",
    ),
    MetricRecord(
        name="infom",
        summary="InfoModularity: is what a component knows about one factor only, by neighbours",
        loader="lpcm.metrics.infomec:InfoM",
        params=_NEIGHBOURS,
        source="Hsu et al. 2023",
    ),
    MetricRecord(
        name="infoc",
        summary="InfoCompactness: is a factor known to one component only, by neighbours",
        loader="lpcm.metrics.infomec:InfoC",
        params=_NEIGHBOURS,
        source="Hsu et al. 2023",
    ),
    MetricRecord(
        name="infoe",
        summary="InfoExplicitness: held-out information of logistic probes; blind to rotations",
        loader="lpcm.metrics.infomec:InfoE",
        source="Hsu et al. 2023",
    ),
    MetricRecord(
        name="irs",
        summary="interventional robustness: does a component rest while its factor does",
        loader="lpcm.metrics.irs:IRS",
        params=(Param(name="quantile", help="of the deviations in a group", default=0.99, type=float),),
        source="Suter et al. 2019",
    ),
    MetricRecord(
        name="mcc",
        summary="mean correlation of factors with components matched one to one",
        loader="lpcm.metrics.mcc:MCC",
        source="Hyvarinen and Morioka 2016",
    ),
    MetricRecord(
        name="mcc-spearman",
        summary="mean rank correlation of factors with components matched one to one",
        loader="lpcm.metrics.mcc:SpearmanMCC",
        source="Hyvarinen and Morioka 2016",
    ),
    MetricRecord(
        name="r2",
        summary="held-out R^2 of a linear map from codes to factors; blind to rotations",
        loader="lpcm.metrics.r2:R2",
        range=(-inf, 1.0),
        source="Zimmermann et al. 2021",
    ),
    MetricRecord(
        name="r2-adjusted",
        summary="R^2 of a linear map, adjusted for the number of components; blind to rotations",
        loader="lpcm.metrics.r2:AdjustedR2",
        range=(-inf, 1.0),
        source="Ezekiel 1930",
    ),
    MetricRecord(
        name="l1-probe",
        summary="skill of a linear probe, discounted by the components that an L1 path needs for it",
        loader="lpcm.metrics.l1_probe:L1Probe",
        params=(Param(name="share", help="of the full skill to be reached", default=0.9, type=float),),
        source="Tibshirani 1996; the number is lpcm's own",
    ),
    MetricRecord(
        name="top-m",
        summary="held-out skill of linear probes on the m best components of a factor",
        loader="lpcm.metrics.top_m:TopM",
        params=(Param(name="m", help="numbers of components", default=(1, 2, 4), type=tuple),),
        source="Guyon and Elisseeff 2003",
    ),
    MetricRecord(
        name="stumps",
        summary="held-out accuracy of one threshold on one component",
        loader="lpcm.metrics.stumps:Stumps",
        source="Iba and Langley 1992",
    ),
)
