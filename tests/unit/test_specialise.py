"""What a training run is refused for before it begins."""

import pytest

from freehold.errors import TrainingError
from freehold.specialise import check_memory
from freehold.training.method import Estimate


def test_a_run_that_needs_more_memory_than_there_is_does_not_begin() -> None:
    with pytest.raises(TrainingError, match=r"expected to need 1,000,000.0 GB of memory, and the machine has .* smaller batch"):
        check_memory(Estimate(1.0, 10**15))
    check_memory(Estimate(1.0, 10**8))
