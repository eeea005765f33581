"""How often the intervals of `statistics.py` hold the truth, in simulated tables: python -m bench.experiments.coverage.

Two arms of equal accuracy answer the same prompts, some of which suit the one and some the other; every training is a
few points better or worse than its arm. A bootstrap over seeds and prompts (Owen 2007) stands beside.
"""

import numpy as np

from bench.experiments.statistics import estimate

TABLES, PROMPTS, DRAWS = 400, 360, 300


def main() -> None:
    print("| seeds | spread of seeds | holds the truth | half its width | bootstrap | half its width |")
    print("|---|---|---|---|---|---|")
    for seeds in (3, 5):
        for spread in (0.0, 0.01, 0.03, 0.06):
            dice = np.random.default_rng(0)
            bounds = []
            for _ in range(TABLES):
                table = _table(dice, seeds, spread)
                found = estimate(table)
                bounds.append([found.low, found.high, *_bootstrap(dice, table)])
            low, high, low_boot, high_boot = np.array(bounds).T
            ours, theirs = (low <= 0) & (high >= 0), (low_boot <= 0) & (high_boot >= 0)
            widths = (100 * (high - low).mean() / 2, 100 * (high_boot - low_boot).mean() / 2)
            print(
                f"| {seeds} | {100 * spread:g} | {ours.mean():.1%} | {widths[0]:.1f} "
                f"| {theirs.mean():.1%} | {widths[1]:.1f} |"
            )


def _table(dice: np.random.Generator, seeds: int, spread: float) -> np.ndarray:
    """Return differences between two arms [seeds, prompts], whose mean is 0 in truth."""
    known = dice.beta(1, 1, PROMPTS)
    suits = dice.normal(0, 0.15, PROMPTS) * known * (1 - known)
    chances = [known + sign * suits / 2 + dice.normal(0, spread, (seeds, 1)) for sign in (1, -1)]
    first, second = (dice.random((seeds, PROMPTS)) < chance for chance in chances)
    return first.astype(float) - second


def _bootstrap(dice: np.random.Generator, table: np.ndarray) -> tuple[float, float]:
    seeds, prompts = table.shape
    means = [
        table[np.ix_(dice.integers(seeds, size=seeds), dice.integers(prompts, size=prompts))].mean()
        for _ in range(DRAWS)
    ]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


if __name__ == "__main__":
    main()
