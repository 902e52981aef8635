"""Which part of a data set an item belongs to: training, calibration or test. Decided by a hash, never by a draw."""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from freehold.errors import CallerError

Floats: TypeAlias = NDArray[np.float64]
TRAIN, CALIBRATE, TEST = 0, 1, 2
PARTS = ("train", "calibrate", "test")


class Fractions(NamedTuple):
    """The share of groups in each part; what is left over from 1 is the test part."""

    train: float = 0.4
    calibrate: float = 0.4

    @property
    def test(self) -> float:
        """The rest."""
        return max(0.0, 1.0 - self.train - self.calibrate)


def checked(fractions: Fractions) -> Fractions:
    """The same fractions. Raises CallerError where they leave no training or calibration part, or are more than everything."""
    if not (fractions.train > 0 and fractions.calibrate > 0 and fractions.train + fractions.calibrate <= 1):  # NaN fails too
        raise CallerError(
            f"--train {fractions.train:g} and --calibrate {fractions.calibrate:g} have to be above 0 and sum to at most 1; "
            "what is left over is the test part."
        )
    return fractions


def place(name: str, group: str) -> float:
    """Where a group lies in [0, 1) within the data set of this name. The same group of the same data set is always in the same place."""
    digest = hashlib.blake2b(f"{name}\x00{group}".encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


def split(name: str, groups: Sequence[str], at_N: NDArray[np.int64] | None, fractions: Fractions) -> NDArray[np.int8]:
    """The part of each item, shape N. A group never straddles.

    Training and calibration are parted by the group's place. Where the time of every item is known (`at_N`, any unit), the test part is
    the latest groups by their last item, so that it shows what a policy meets next; otherwise the places above the other two.
    """
    checked(fractions)
    names, code = np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)
    where_G = np.array([place(name, group) for group in names])
    if at_N is None:
        part_G = np.where(where_G < fractions.train, TRAIN, np.where(where_G < fractions.train + fractions.calibrate, CALIBRATE, TEST))
    else:
        last_G = np.full(len(names), np.iinfo(np.int64).min)
        np.maximum.at(last_G, code, at_N)
        by_time = np.lexsort((where_G, last_G))
        n_test = round(fractions.test * len(names))
        earlier = fractions.train + fractions.calibrate
        part_G = np.where(where_G * earlier < fractions.train, TRAIN, CALIBRATE)
        part_G[by_time[len(names) - n_test :]] = TEST
    return part_G[code].astype(np.int8)


def stratified(place_G: Floats, stratum_G: NDArray[np.int64], fractions: Fractions) -> NDArray[np.int8]:
    """The part of each group, so that every stratum has its share in every part: its groups in the order of their places, cut.

    A group near a cut may change its part when its stratum grows; `split` never lets it, and keeps the shares on average only.
    """
    order = np.lexsort((place_G, stratum_G))
    first = np.searchsorted(stratum_G[order], stratum_G[order], side="left")
    size = np.searchsorted(stratum_G[order], stratum_G[order], side="right") - first
    position = (np.arange(len(order)) - first + 0.5) / size
    part_G = np.empty(len(order), dtype=np.int8)
    part_G[order] = by_place(position, fractions)
    return part_G


def by_place(place_G: Floats, fractions: Fractions) -> NDArray[np.int8]:
    """The part of each group by its place alone."""
    rest = np.where(place_G < fractions.train + fractions.calibrate, CALIBRATE, TEST)
    return np.where(place_G < fractions.train, TRAIN, rest).astype(np.int8)


def connected(item_N: NDArray[np.uint64], group_N: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The group of each row where rows of one item depend on each other as well: the least key of all groups that hang together."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    items, item_code = np.unique(item_N, return_inverse=True)
    groups, group_code = np.unique(group_N, return_inverse=True)
    size = len(items) + len(groups)
    edges = coo_array((np.ones(len(item_code), dtype=np.int8), (item_code, len(items) + group_code)), shape=(size, size))
    _, component = connected_components(edges, directed=False)
    least = np.full(int(component.max(initial=-1)) + 1, np.iinfo(np.uint64).max, dtype=np.uint64)
    np.minimum.at(least, component[len(items) :], groups)
    found: NDArray[np.uint64] = least[component[item_code]]
    return found
