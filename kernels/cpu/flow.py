"""Gradient flow of softmax regression in log time, by an explicit Runge-Kutta method with error control.

With s = log(1 + t / scale) the flow of coordinates z (a, b) is

    dz/ds = T left_adjoint F(D) right_adjoint,        T = scale + t,

where D (N, q) are the score differences "target minus other" that the coordinates move,

    D = start + moved(left z right),    F = frequencies * (onehot - softmax).

q = 1 for two classes (D is the margin, and F the probability of the other class); else q = M, D is zero at the
target and moved(S)[x, y] = S[x, f(x)] - S[x, y]. With ``dual`` the adjoints are identities and are left out.
T multiplies each probability before anything can underflow, and the target's part is the sum of the others:
no difference of nearly equal numbers is formed.

A *chain* is the sequence of accepted steps from the start; it never looks at the times that are asked for. The state
at a time is one further step of the same method from the last chain point before it. So results depend neither on
which times were asked for nor on where a run was cut.
"""

from __future__ import annotations

import math

import numpy as np

from ..arrays import Labels, Matrix, Vector
from ..compile import compiled
from .flow_tableau import COUPLING, NODES, RESULTS, STAGES

# entries of the vector that goes with a chain point
POSITION, STEP, STIFF, NEXT_TEST, LENGTH = 0, 1, 2, 3, 4

# why `walk` returned
REACHED, PAUSED, CANDIDATE, TURNED_STIFF, STUCK = 0, 1, 2, 3, 4

_STABILITY_LIMIT = 3.0  # h * rate at which a step counts as limited by stability (the region ends near 6)
_STIFF_STEPS = 50.0
_QUIET = 1e-3  # movement per unit of log time, relative to max(1, |D|), below which stationarity is tested
_EPSILON = 2.0**-52
_LOOPS_BELOW = 4096


@compiled()
def product(first: Matrix, second: Matrix, out: Matrix) -> None:
    """Set out = first @ second; by loops where a call of BLAS would cost more than it brings."""
    rows, inner = first.shape
    columns = second.shape[1]
    if rows * inner * columns > _LOOPS_BELOW:
        np.dot(first, second, out)
        return
    for i in range(rows):
        for j in range(columns):
            total = 0.0
            for k in range(inner):
                total += first[i, k] * second[k, j]
            out[i, j] = total


@compiled()
def differences(
    state: Matrix, start: Matrix, targets: Labels, left: Matrix, right: Matrix, half: Matrix, out: Matrix
) -> None:
    """Set `out` (N, q) to D(state); `half` is (N, b) work space."""
    product(left, state, half)
    product(half, right, out)
    if out.shape[1] == 1:
        for x in range(out.shape[0]):
            out[x, 0] += start[x, 0]
        return
    for x in range(out.shape[0]):
        own = out[x, targets[x]]
        for y in range(out.shape[1]):
            out[x, y] = start[x, y] + (own - out[x, y])


@compiled()
def forces(difference: Matrix, log_factor: float, targets: Labels, frequencies: Vector, out: Matrix) -> None:
    """Set `out` (N, q) to e^log_factor * frequencies * (onehot - softmax), from score differences.

    Binary: p / (1 + e^D). Cost: one exponential an entry.
    """
    factor = math.exp(log_factor)
    rows, columns = difference.shape
    if columns == 1:
        for x in range(rows):
            margin = difference[x, 0]
            if margin > 690.0:
                out[x, 0] = frequencies[x] * math.exp(log_factor - margin)
            elif margin > 0.0:
                weight = math.exp(-margin)
                out[x, 0] = frequencies[x] * factor * (weight / (1.0 + weight))
            else:
                out[x, 0] = frequencies[x] * factor / (1.0 + math.exp(margin))
        return
    for x in range(rows):
        shift = 0.0
        for y in range(columns):
            if y != targets[x] and -difference[x, y] > shift:
                shift = -difference[x, y]
        total = math.exp(-shift)
        for y in range(columns):
            if y != targets[x]:
                exponent = -difference[x, y] - shift
                weight = math.exp(exponent)
                total += weight
                out[x, y] = weight * factor if exponent > -690.0 else math.exp(exponent + log_factor)
        scale = frequencies[x] / total
        own = 0.0
        for y in range(columns):
            if y != targets[x]:
                out[x, y] *= -scale
                own -= out[x, y]
        out[x, targets[x]] = own


@compiled()
def velocity(
    state: Matrix,
    log_factor: float,
    start: Matrix,
    targets: Labels,
    frequencies: Vector,
    left: Matrix,
    right: Matrix,
    left_adjoint: Matrix,
    right_adjoint: Matrix,
    dual: bool,
    half: Matrix,
    half_adjoint: Matrix,
    difference: Matrix,
    force: Matrix,
    out: Matrix,
) -> None:
    """Set `out` (a, b) to dz/ds; D(state) and the forces are left in `difference` and `force`."""
    differences(state, start, targets, left, right, half, difference)
    if dual:
        forces(difference, log_factor, targets, frequencies, out)
        return
    forces(difference, log_factor, targets, frequencies, force)
    product(force, right_adjoint, half_adjoint)
    product(left_adjoint, half_adjoint, out)


@compiled()
def combine(weights: Vector, stages: Matrix, count: int, step: float, base: Matrix, out: Matrix) -> None:
    """Set out = base + step * sum_(i < count) weights[i] stages[i]."""
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            total = 0.0
            for k in range(count):
                if weights[k] != 0.0:
                    total += weights[k] * stages[k, i, j]
            out[i, j] = base[i, j] + step * total


@compiled()
def one_step(
    state: Matrix,
    position: float,
    step: float,
    log_scale: float,
    start: Matrix,
    targets: Labels,
    frequencies: Vector,
    left: Matrix,
    right: Matrix,
    left_adjoint: Matrix,
    right_adjoint: Matrix,
    dual: bool,
    half: Matrix,
    half_adjoint: Matrix,
    difference: Matrix,
    force: Matrix,
    stages: Matrix,
    trial: Matrix,
    out: Matrix,
) -> None:
    """Set `out` to the state after one step of order 8; stages[0] must hold dz/ds at `state`."""
    for i in range(1, STAGES):
        combine(COUPLING[i], stages, i, step, state, trial)
        velocity(
            trial, log_scale + position + NODES[i] * step, start, targets, frequencies, left, right, left_adjoint,
            right_adjoint, dual, half, half_adjoint, difference, force, stages[i],
        )  # fmt: skip
    combine(RESULTS[0], stages, STAGES, step, state, out)


@compiled()
def walk(
    target: float,
    attempts: int,
    tolerance: float,
    stiff_below: float,
    largest_step: float,
    log_scale: float,
    near: Vector,
    near_state: Matrix,
    near_reach: Matrix,
    far: Vector,
    far_state: Matrix,
    far_reach: Matrix,
    result: Matrix,
    start: Matrix,
    targets: Labels,
    frequencies: Vector,
    left: Matrix,
    right: Matrix,
    left_adjoint: Matrix,
    right_adjoint: Matrix,
    dual: bool,
) -> int:
    """Go along the chain until it has passed `target` (log time), then set `result` to the state there.

    Arguments:
        target: log time to reach, at least near[POSITION].
        attempts: steps tried after which the call returns PAUSED, at a chain point.
        tolerance: local error of a step, relative to the larger of |D| and the reach.
        stiff_below: step size under which a step limited by stability counts towards TURNED_STIFF.
        largest_step: in log time.
        log_scale: log of the time scale.
        near, near_state, near_reach: the last chain point not after `target`; updated. The reach (N, q) is the
            largest |D - start| so far: D itself passes through zero.
        far, far_state, far_reach: the chain point after `near`; far[POSITION] <= near[POSITION] says that it is
            not known yet. Updated.
        the rest: see the head of the file.

    Returns: REACHED; PAUSED; CANDIDATE (little movement: test for stationarity at `near`, then raise
    near[NEXT_TEST]); TURNED_STIFF; or STUCK (a step of rounding size is refused: a number is not finite).

    Cost: a try takes 12 evaluations, each two matrix products and N q exponentials, twice with dual=False.
    """
    rows, columns = start.shape
    first, second = near_state.shape
    half = np.empty((rows, second))
    half_adjoint = np.empty((rows, second))
    difference = np.empty((rows, columns))
    force = np.empty((rows, columns))
    before = np.empty((rows, columns))
    error = np.empty((rows, columns))
    trial = np.empty((first, second))
    derivative = np.empty((first, second))
    zero = np.zeros((first, second))
    nothing = np.zeros((rows, columns))
    stages = np.empty((STAGES, first, second))
    absolute_left, absolute_right = np.abs(left), np.abs(right)

    velocity(
        near_state, log_scale + near[POSITION], start, targets, frequencies, left, right, left_adjoint, right_adjoint,
        dual, half, half_adjoint, difference, force, derivative,
    )  # fmt: skip
    before[:] = difference
    stages[0] = derivative
    tries = 0
    while True:
        if far[POSITION] > near[POSITION]:
            if far[POSITION] > target:
                break
            near[:] = far
            near_state[:] = far_state
            near_reach[:] = far_reach
            velocity(
                near_state, log_scale + near[POSITION], start, targets, frequencies, left, right, left_adjoint,
                right_adjoint, dual, half, half_adjoint, difference, force, derivative,
            )  # fmt: skip
            before[:] = difference
            stages[0] = derivative
        movement = 0.0
        if near[POSITION] >= near[NEXT_TEST]:
            # dz/ds, mapped to the differences: what the flow does in one e-fold of time
            differences(derivative, nothing, targets, left, right, half, error)
            for x in range(rows):
                for y in range(columns):
                    movement = max(movement, abs(error[x, y]) / max(1.0, abs(before[x, y])))
            if movement < _QUIET:
                return CANDIDATE
        if near[STIFF] >= _STIFF_STEPS:
            return TURNED_STIFF
        if near[POSITION] == target:
            break

        if tries >= attempts:  # between steps only: a pause must not change the step control
            return PAUSED
        step = near[STEP]
        refused = False
        while True:
            tries += 1
            one_step(
                near_state, near[POSITION], step, log_scale, start, targets, frequencies, left, right, left_adjoint,
                right_adjoint, dual, half, half_adjoint, difference, force, stages, trial, far_state,
            )  # fmt: skip
            differences(far_state, start, targets, left, right, half, difference)
            # what rounding alone does to D: |left| |z| |right|
            for i in range(first):
                for j in range(second):
                    derivative[i, j] = abs(far_state[i, j])
            product(absolute_left, derivative, half)
            product(half, absolute_right, far_reach)
            errors = np.zeros(2)
            for order in range(2):
                combine(RESULTS[1 + order], stages, STAGES, step, zero, derivative)
                differences(derivative, nothing, targets, left, right, half, error)
                for x in range(rows):
                    for y in range(columns):
                        size = abs(error[x, y])
                        if size == 0.0:
                            continue
                        scale = max(abs(difference[x, y]), abs(before[x, y]), near_reach[x, y])
                        scale = max(scale, 16.0 * _EPSILON / tolerance * far_reach[x, y])
                        ratio = size / (tolerance * scale)
                        if not ratio <= errors[order]:
                            errors[order] = ratio
            fifth, third = errors[0], errors[1]
            norm = 0.0
            if fifth > 0.0:
                norm = fifth * (fifth / math.hypot(fifth, 0.1 * third))
            if norm <= 1.0:
                break
            refused = True
            step *= max(0.2, 0.9 * norm ** (-0.125)) if norm < 1e30 else 0.1
            if not near[POSITION] + 1e-3 * step > near[POSITION]:
                return STUCK
        growth = 5.0 if norm < 1e-6 else 0.9 * norm ** (-0.125)
        growth = min(max(growth, 0.2), 1.0 if refused else 5.0)

        far[POSITION] = near[POSITION] + step
        far[STEP] = min(step * growth, largest_step)
        far[NEXT_TEST] = near[NEXT_TEST]
        for x in range(rows):
            for y in range(columns):
                far_reach[x, y] = max(near_reach[x, y], abs(difference[x, y] - start[x, y]))
        # rate of the fastest mode, from the last stage (which also ends at the new point) and the new derivative
        velocity(
            far_state, log_scale + far[POSITION], start, targets, frequencies, left, right, left_adjoint,
            right_adjoint, dual, half, half_adjoint, difference, force, derivative,
        )  # fmt: skip
        above, below = 0.0, 0.0
        for i in range(first):
            for j in range(second):
                above += (derivative[i, j] - stages[STAGES - 1, i, j]) ** 2
                below += (far_state[i, j] - trial[i, j]) ** 2
        limited = below > 0.0 and step * step * above > _STABILITY_LIMIT**2 * below
        far[STIFF] = near[STIFF] + 1.0 if limited and step < stiff_below else max(near[STIFF] - 1.0, 0.0)

    if target == near[POSITION]:
        result[:] = near_state
    else:
        # `stages` may belong to the step near -> far: begin again from the derivative at near
        velocity(
            near_state, log_scale + near[POSITION], start, targets, frequencies, left, right, left_adjoint,
            right_adjoint, dual, half, half_adjoint, difference, force, stages[0],
        )  # fmt: skip
        one_step(
            near_state, near[POSITION], target - near[POSITION], log_scale, start, targets, frequencies, left, right,
            left_adjoint, right_adjoint, dual, half, half_adjoint, difference, force, stages, trial, result,
        )  # fmt: skip
    return REACHED
