"""The axis of ω: bins that are even in u = log(2/ω − 1)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sorlearn.tuning.bins import BINS, WIDTH, bin_of, omega_of, u_of


def test_omega_1_is_the_origin_and_omegas_that_mirror_it_have_opposite_places():
    assert u_of(1.0) == 0.0
    assert u_of(1.5) == pytest.approx(-u_of(0.5))


@given(st.integers(0, BINS - 1))
def test_the_middle_of_a_bin_is_in_it(index):
    assert bin_of(omega_of(index)) == index


@given(st.floats(0.4, 1.99))
def test_an_omega_is_at_most_half_a_bin_from_the_middle_of_its_own(omega):
    assert abs(u_of(omega) - u_of(omega_of(bin_of(omega)))) <= 0.5 * WIDTH + 1e-9


@given(st.floats(1e-9, 2.0, exclude_max=True), st.floats(1e-9, 2.0, exclude_max=True))
def test_every_omega_has_a_bin_and_larger_ones_no_earlier_one(one, two):
    low, high = sorted((one, two))
    assert 0 <= bin_of(low) <= bin_of(high) < BINS
