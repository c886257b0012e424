"""Coefficients of the elementary functions, printed by tools/elementary_coefficients.py.

Ascending powers; one tuple for float64 (key 64) and one for float32 (key 32)."""

from __future__ import annotations

LOG2_HIGH = {64: 0.6931471805599453, 32: 0.6931471824645996}
"""log(2), rounded."""

LOG2_LOW = {64: 2.3190468138462996e-17, 32: -1.9046542121259336e-09}
"""What the rounding took from log(2)."""

EXPONENTIAL_TAIL = {
    64: (  # costs at most 0.099 of half a unit in the last place
        0.5000000000000011,
        0.16666666666666413,
        0.04166666666653024,
        0.008333333333494333,
        0.0013888888943604071,
        0.00019841269506805105,
        2.480149313001928e-05,
        2.755758622780302e-06,
        2.7630235982255755e-07,
        2.500008812204663e-08,
    ),
    32: (  # costs at most 0.064 of half a unit in the last place
        0.4999999403953552,
        0.1666652113199234,
        0.04166838899254799,
        0.008368710987269878,
        0.0013814604608342052,
    ),
}
"""(e^r - 1 - r) / r^2 for |r| <= log(2)/2."""

LOGARITHM_TAIL = {
    64: (  # costs at most 0.016 of half a unit in the last place
        0.6666666666666734,
        0.3999999999941464,
        0.28571428742393995,
        0.22222198572607815,
        0.18183564353239876,
        0.1531404991289494,
        0.1479595567094125,
    ),
    32: (  # costs at most 0.015 of half a unit in the last place
        0.6666677594184875,
        0.3997754156589508,
        0.2987174391746521,
    ),
}
"""(log((1 + s) / (1 - s)) - 2 s) / s^3 in z = s^2, for s = f / (2 + f) and 1 + f between 1/sqrt 2 and sqrt 2."""

LOGARITHM_TAIL_TO_TWO = {
    64: (  # costs at most 0.031 of half a unit in the last place
        0.6666666666666631,
        0.4000000000015725,
        0.285714285478534,
        0.22222223969752614,
        0.18181743924368585,
        0.15386559931892202,
        0.13300973500569216,
        0.12106086741889865,
        0.08340100041892651,
        0.1701857702140954,
    ),
    32: (  # costs at most 0.012 of half a unit in the last place
        0.6666667461395264,
        0.3999887704849243,
        0.2861688435077667,
        0.214276522397995,
        0.2430095225572586,
    ),
}
"""The same for 0 <= f <= 1."""
