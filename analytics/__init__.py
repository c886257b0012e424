"""Exact solutions, proved bounds and static problems: formulas that judge simulations and never run them.

Every name is imported on first use; a module is loaded only when one of its names is asked for.
"""

from __future__ import annotations

import importlib
from typing import Any

# module: its public names. No public name may equal a module's name: importing the module would hide it.
_HOME = {
    "accuracy": ("AccuracyOptimum", "accuracy_optimum"),
    "calibration": ("ThreeTokens", "three_token_minimiser"),
    "capacity": ("cover_log_probability", "cover_probability", "separable_labelings"),
    "curvature": (
        "descent_rate", "hessian_norm_bound", "hessian_rank", "largest_second_moment", "squared_diameter",
        "two_token_sharpness",
    ),
    "input_noise": ("NoisyInputMinimum", "noisy_input_minimum"),
    "label_noise": ("label_noise_flow_margin", "label_noise_loss", "label_noise_margin"),
    "equalising": ("EqualMargins", "equal_margins", "equicorrelated_loss_constant"),
    "first_step": ("first_step_interference", "first_step_margins"),
    "least_distance": ("HardMargin", "hard_margin"),
    "loss_law": (
        "asymptotic_loss_constant", "binary_loss_constant", "orthonormal_loss_constant", "separable_descent_loss_bound",
        "separable_flow_loss_bound", "two_token_loss_constant",
    ),
    "minimiser": ("Minimiser", "minimise"),
    "nuclear_norm": ("NuclearMargin", "nuclear_margin"),
    "multiclass": ("multiclass_flow",),
    "multiclass_limits": (
        "asymptotic_weights", "flow_invariants", "late_margin_enclosure", "limit_direction", "projected_outputs",
        "slow_mode", "tightest_margin_factor",
    ),
    "normalised_floor": ("LossFloor", "normalised_loss_floor"),
    "one_step": ("margin_increments", "one_step_margin", "steps_to_correct"),
    "period_two": ("Stability", "TwoCycle", "minimiser_stability", "two_cycle"),
    "protocol": ("Memory",),
    "separating": ("Separability", "separability"),
    "tied_flow": ("tied_flow_margin",),
    "time_bounds": ("cumulative_error_bound", "perfect_accuracy_bound"),
    "binary_flow": ("flow_displacement", "flow_margin"),
    "descent_asymptotics": ("DescentConstant", "descent_constant", "descent_margin_asymptote"),
    "descent_loss": ("descent_loss_bound", "descent_loss_constant", "unit_constant_rate"),
    "descent_margin": ("descent_margin_bounds",),
    "descent_steps": ("steps_to_margin_bounds",),
    "descent_thresholds": (
        "LINEAR_RATE", "LOGARITHM_RATE", "descent_margin_floor", "printed_margin_bound_holds",
    ),
    "exponential_line": ("exponential_line_root",),
    "flow_correction": ("flow_correction_factor", "flow_margin_correction"),
    "minibatch_tilt": ("minibatch_tilt_spread",),
    "orthogonal_weights": ("binary_weights",),
    "stationary": ("gradient_noise_covariance", "label_noise_equilibrium", "stationary_covariance"),
    "spike_law": ("SpikeDuration", "spike_duration"),
    "spikes": (
        "first_step_loss", "first_step_loss_bounds", "first_step_threshold", "first_step_threshold_bounds",
        "imperfect_steps_bound", "largest_eigenvalue_of_inputs", "no_spike_rate", "perfect_time_lower_bound",
        "spike_height_bound", "worst_first_step",
    ),
    "two_token_descent": ("descent_mean_margin_lower", "descent_tilt_bounds", "descent_tilt_radius"),
    "two_token_flow": (
        "flow_mean_margin_bounds", "flow_tilt_bounds", "flow_tilt_envelope", "growth_constant_bounds",
    ),
    "two_token_orbit": ("flow_orbit", "orbit_slope", "uncorrelated_flow"),
    "two_tokens": (
        "alignment_constant", "alignment_exponent", "growth_constant", "growth_constant_limit", "limiting_tilt",
        "loss_constant", "margin_velocity", "margins_from_modes", "mode_velocity", "modes_from_margins",
        "turning_level",
    ),
}  # fmt: skip
_LAZY = {name: module for module, names in _HOME.items() for name in names}

__all__ = sorted(_LAZY)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        value = getattr(importlib.import_module(f".{_LAZY[name]}", __name__), name)
        globals()[name] = value
        return value
    if name in _HOME:
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
