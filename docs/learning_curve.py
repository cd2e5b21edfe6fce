"""The released models' success against the screens they had seen, from `learning_curve.csv`.

    python docs/learning_curve.py          # draws docs/learning_curve.svg

A row is a released model, each trained on from the one before (`models/nano/README.md`), so the curve is of
everything that was done at once: more screens, other data, other prompts. Screens are steps times batch,
drawn ones and recorded pages; success is at low effort on unseen seeds, with its standard error.

Not covered: what each change alone was worth.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
import pandas as pd

SUITES = {"helpdesk": "help desk, 23 families", "protocol_a": "MiniWoB++ by protocol A, 125 tasks"}


def main() -> None:
    here = Path(__file__).parent
    runs = pd.read_csv(here / "learning_curve.csv")
    plt.rcParams["svg.hashsalt"] = "shopfloor"  # the same file each time
    figure, axes = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
    for suite, name in SUITES.items():
        axes.errorbar(
            runs["screens"] / 1000, runs[suite], runs[f"{suite}_stderr"], marker="o", capsize=3, label=name
        )
    for run in runs.itertuples():
        axes.annotate(f"run {run.run}", (run.screens / 1000, 12), ha="center", fontsize=8)
    axes.set(xlabel="screens seen in training, thousands", ylabel="success, %", ylim=(0, 100))
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left")
    figure.savefig(here / "learning_curve.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
