"""What unfinished runs leave behind goes with an erasure, and what is under way stays."""

from pathlib import Path

import numpy as np

from freehold.training.run import Run, alone, forget_unfinished, run_folder


def test_what_unfinished_runs_kept_is_forgotten_but_for_those_under_way(tmp_path: Path) -> None:
    for digest in ("a" * 64, "b" * 64):
        Run(run_folder(tmp_path, digest), digest).keep({"at": np.ones(3)}, {})
    Run(run_folder(tmp_path, "c" * 64), "c" * 64).keep({}, {"job": "ftjob-1"})
    with alone(tmp_path, "a" * 64):
        assert forget_unfinished(tmp_path) == (1, 1)
    assert Run(run_folder(tmp_path, "b" * 64), "b" * 64).kept() is None
    kept = Run(run_folder(tmp_path, "a" * 64), "a" * 64).kept()
    assert kept is not None and kept.arrays["at"].sum() == 3
    assert forget_unfinished(tmp_path) == (1, 0)
    assert forget_unfinished(tmp_path) == (0, 0) and not [*tmp_path.glob(".train-*")]
    elsewhere = Run(run_folder(tmp_path, "c" * 64), "c" * 64).kept()
    assert elsewhere is not None and elsewhere.about == {"job": "ftjob-1"}  # somebody bills for it
