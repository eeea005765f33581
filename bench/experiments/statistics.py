"""How sure a difference is when both the prompts and the seeds are a draw from many.

The same prompts are asked of every seed's student, so that answers depend on each other in both directions. Prompts and
seeds are taken as crossed random effects, as readers and cases are in studies of diagnoses: the variance of the mean of
a table of S seeds and P prompts is estimated by

    V = (MS_seeds + max(MS_prompts - MS_rest, 0)) / (S * P)

with the mean squares of a two-way analysis of variance (Obuchowski and Rockette 1995), and the interval is that of a t
distribution with

    df = (MS_seeds + max(MS_prompts - MS_rest, 0))^2 / (MS_seeds^2 / (S - 1))

degrees of freedom (Hillis 2007, Statistics in Medicine 26, 596-619). Where seeds differ much, three of them give two
degrees of freedom and a wide interval, as it should be. Few seeds can also agree by chance, to the point where V is 0:
it is never taken to be less than the variance that the draw of the prompts alone gives,

    V >= var(means of the prompts over the seeds) / P

`coverage.py` tries it on simulated tables.
"""

from typing import Any, NamedTuple

import numpy as np


class Estimate(NamedTuple):
    """A mean with its 95 % interval."""

    mean: float
    low: float
    high: float

    @property
    def is_shown(self) -> bool:
        """Whether a difference counts as shown: its interval leaves out 0."""
        return self.low > 0 or self.high < 0


def estimate(table: Any) -> Estimate:
    """Return the mean of a table [seeds, prompts] with its interval. ValueError for less than two of either."""
    from scipy.stats import t

    table = np.asarray(table, dtype=float)
    seeds, prompts = table.shape
    if min(seeds, prompts) < 2:
        raise ValueError(f"an interval needs two seeds and two prompts, found {seeds} and {prompts}")
    mean, of_seed, of_prompt = table.mean(), table.mean(1, keepdims=True), table.mean(0, keepdims=True)
    rest = ((table - of_seed - of_prompt + mean) ** 2).sum() / ((seeds - 1) * (prompts - 1))
    ms_seeds, ms_prompts = prompts * of_seed.var(ddof=1), seeds * of_prompt.var(ddof=1)
    total = ms_seeds + max(ms_prompts - rest, 0.0)
    df = total**2 / (ms_seeds**2 / (seeds - 1)) if ms_seeds else np.inf
    half = float(t.ppf(0.975, df) * np.sqrt(total / (seeds * prompts)))
    of_prompts_alone = float(t.ppf(0.975, prompts - 1) * np.sqrt(ms_prompts / (seeds * prompts)))
    half = max(half, of_prompts_alone)
    return Estimate(float(mean), float(mean) - half, float(mean) + half)
