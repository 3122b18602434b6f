"""Statistics: from per-prompt arrays to numbers. Each function answers one question.

Axis 0 is what was sampled (prompt, pair, resample); everything after it is *cells* (layers,
heads, neurons, metrics), handled independently and returned in its own shape. Not-a-number
and infinity are refused, with the cell's index, because a dropped cell would change a family; only
in `bootstrap_of_means` does not-a-number say that a unit has no value there.

| question | function |
|---|---|
| do two groups of prompts differ (published) | `mann_whitney`, `mann_whitney_floor`, `auc` |
| by how much (published) | `cohens_d` |
| what is the difference within each pair | `pair_contrast`, `rank_contrast` |
| which cells have the same value everywhere | `constant_cells` |
| do pairs differ, over a whole family of cells | `sign_flip_max` |
| the same, where each has units of its own | `sign_flip_min_p` |
| what would other labels give | `random_signs`, `permuted_within` |
| the same, alike wherever a name occurs | `signs_by_name`, `permuted_by_name` |
| do relations agree, over a family of components | `moderated_max`, `variance_prior` |
| is it more than one relation | `leave_one_out_sign` |
| is it more than questions of one process give | `beyond_same_process` |
| is a requirement held, failed or undecided | `decided`, `all_decided` |
| how sure is a mean | `bootstrap_mean` |
| how sure is anything computed from means | `bootstrap_of_means` |
| how sure is a mean over relations and entities, or a share | `bootstrap_over_relations` |
| how sure is anything else over them, such as a Jaccard | `bootstrap_statistic` |
| what does each pair contribute to it | `pseudo_values` |
| does an edit lose more answers than it gains | `mcnemar` |
| is it larger than in matched random sets | `exceedance` |
| do two measures order the items alike | `rank_correlation` |
| how much do several selections share | `mean_pairwise_jaccard` |
| do two sets share members beyond chance in their layers | `overlap_by_layer` |
| what survives correction over the claims of a run | `holm_over_primaries` |
| how many false supports does a run risk | `expected_false_supports` |
| what survives correction | `bonferroni`, `holm`, `benjamini_hochberg` |
| does it hold over folds | `grouped_folds`, `modal_share`, `jaccard` |
| would the words alone tell the tasks apart | `surface_auc` |
| the same, learnt from other groups | `transfer_auc` |
| does it find what is known to matter | `recovery` |
| is the instrument calibrated | `uniformity`, `binomial_interval`, `jeffreys_interval` |
| what is a published count in a smaller model | `scaled_count` |
"""

from harness.stats.answers import PairedTest, mcnemar
from harness.stats.calibration import (
    Uniformity,
    binomial_interval,
    jeffreys_interval,
    scaled_count,
    uniformity,
)
from harness.stats.cells import constant_cells
from harness.stats.consistency import (
    grouped_folds,
    jaccard,
    leave_one_out_sign,
    mean_pairwise_jaccard,
    modal_share,
)
from harness.stats.corrections import benjamini_hochberg, bonferroni, holm
from harness.stats.correlation import RankCorrelation, rank_correlation
from harness.stats.effects import cohens_d, pair_contrast
from harness.stats.exceedance import Exceedance, exceedance
from harness.stats.exchange import permuted_by_name, permuted_within, random_signs, signs_by_name
from harness.stats.families import sign_flip_min_p
from harness.stats.hierarchical import bootstrap_over_relations, bootstrap_statistic
from harness.stats.intervals import Estimate, student_quantile
from harness.stats.means import bootstrap_mean, bootstrap_of_means, pseudo_values
from harness.stats.moderated import ModeratedTest, moderated_max
from harness.stats.overlap import Overlap, overlap_by_layer
from harness.stats.permutation import MaxTest, sign_flip_max
from harness.stats.primaries import expected_false_supports, holm_over_primaries
from harness.stats.ranks import (
    RankTest,
    auc,
    mann_whitney,
    mann_whitney_floor,
    rank_contrast,
    ranks_in_rows,
)
from harness.stats.recovery import Recovery, auroc_interval, recovery
from harness.stats.requirements import Decision, all_decided, decided
from harness.stats.same_process import BeyondSameProcess, beyond_same_process
from harness.stats.shrinkage import VariancePrior, variance_prior
from harness.stats.surface import TooFewGroups, Transfer, surface_auc, transfer_auc

__all__ = [
    "BeyondSameProcess",
    "Decision",
    "Estimate",
    "Exceedance",
    "MaxTest",
    "ModeratedTest",
    "Overlap",
    "PairedTest",
    "RankCorrelation",
    "RankTest",
    "Recovery",
    "TooFewGroups",
    "Transfer",
    "Uniformity",
    "VariancePrior",
    "all_decided",
    "auc",
    "auroc_interval",
    "benjamini_hochberg",
    "beyond_same_process",
    "binomial_interval",
    "bonferroni",
    "bootstrap_mean",
    "bootstrap_of_means",
    "bootstrap_over_relations",
    "bootstrap_statistic",
    "cohens_d",
    "constant_cells",
    "decided",
    "exceedance",
    "expected_false_supports",
    "grouped_folds",
    "holm",
    "holm_over_primaries",
    "jaccard",
    "jeffreys_interval",
    "leave_one_out_sign",
    "mann_whitney",
    "mann_whitney_floor",
    "mcnemar",
    "mean_pairwise_jaccard",
    "modal_share",
    "moderated_max",
    "overlap_by_layer",
    "pair_contrast",
    "permuted_by_name",
    "permuted_within",
    "pseudo_values",
    "random_signs",
    "rank_contrast",
    "rank_correlation",
    "ranks_in_rows",
    "recovery",
    "scaled_count",
    "sign_flip_max",
    "sign_flip_min_p",
    "signs_by_name",
    "student_quantile",
    "surface_auc",
    "transfer_auc",
    "uniformity",
    "variance_prior",
]
