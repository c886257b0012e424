"""Separable or not by Newton's method: certificates checked from the raw arrays and against the linear program."""

from types import SimpleNamespace

import numpy as np
import pytest

from traindyn import analytics
from traindyn.analytics import separating
from traindyn.analytics.deciding import decide
from traindyn.analytics.pairs import coordinates


def problem(n_tokens, n_classes, dim, seed, scale=1.0):
    rng = np.random.default_rng([n_tokens, n_classes, dim, seed])
    return SimpleNamespace(
        inputs=scale * rng.normal(size=(n_tokens, dim)),
        outputs=rng.normal(size=(n_classes, dim)) + 3.0,
        targets=np.arange(n_tokens) % n_classes,
        frequencies=np.full(n_tokens, 1.0 / n_tokens),
    )


def pairs(memory):
    """Return (u_f - u_y) e_x^T of all pairs, (N, M, d, d); zero at the target."""
    gaps = memory.outputs[memory.targets][:, None] - memory.outputs[None]
    return gaps[..., :, None] * memory.inputs[:, None, None, :]


@pytest.mark.parametrize("shape", [(10, 2, 5), (21, 2, 9), (20, 20, 7), (16, 5, 4), (12, 3, 12)])
def test_decisions_carry_certificates_and_agree_with_the_linear_program(shape):
    answers = []
    for seed in range(8):
        memory = problem(*shape, seed)
        space = coordinates(memory)
        found = decide(space)
        program = separating._separate(space, *space.all_pairs())
        # a pair of classes that cannot be told apart spoils a problem of few classes in part only
        assert (found is None) == (program.weak and not program.strict)
        answers.append(program.strict)
        if found is None:
            continue
        rows = pairs(memory)
        wrong = np.arange(shape[1])[None, :] != memory.targets[:, None]
        if found.weights is not None:
            assert found.multipliers is None
            margins = np.einsum("xmij,ij->xm", rows, space.lift(found.weights))
            assert margins[wrong].min() > 0.0
        else:
            assert found.multipliers[wrong].min() > 0.0
            assert np.all(found.multipliers[~wrong] == 0.0)
            assert found.multipliers.sum() == pytest.approx(1.0)
            total = np.einsum("xm,xmij->ij", found.multipliers, rows)
            assert np.abs(total).max() < 1e-13 * np.abs(rows).max()
        assert program.strict == (found.weights is not None)
    assert shape in {(12, 3, 12), (16, 5, 4)} or len(set(answers)) == 2  # the other cases lie at the transition


def test_the_answer_does_not_depend_on_scale():
    for seed in range(6):
        answers = {analytics.separability(problem(20, 20, 7, seed, scale)).strict for scale in (1e-3, 1.0, 300.0)}
        assert len(answers) == 1


def test_weakly_separable_problems_have_neither_certificate():
    # tokens 0 and 1 are one vector with two labels: no margin of theirs can be positive; token 2 can be stored
    memory = SimpleNamespace(
        inputs=np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), outputs=np.eye(2), targets=np.array([0, 1, 0]),
        frequencies=np.full(3, 1 / 3),
    )  # fmt: skip
    assert decide(coordinates(memory)) is None
    verdict = analytics.separability(memory)
    assert (verdict.strict, verdict.weak) == (False, True)


def test_a_tiny_margin_is_found():
    # two tokens of correlation 1 - 5e-9: the largest margin is 7e-5 of what one token alone would have
    angle = 1e-4
    memory = SimpleNamespace(
        inputs=np.array([[1.0, 0.0], [np.cos(angle), np.sin(angle)]]), outputs=np.eye(2), targets=np.array([0, 1]),
        frequencies=np.full(2, 0.5),
    )  # fmt: skip
    assert analytics.separability(memory).strict


def test_minimise_needs_no_program_where_newton_decides(monkeypatch):
    from traindyn.analytics import minimiser

    memory = problem(20, 20, 5, 0)
    expected = analytics.minimise(memory)
    for name in ("_hard_margin", "_separate"):
        monkeypatch.setattr(minimiser, name, None)
    assert analytics.minimise(memory).loss == expected.loss
    assert not expected.separable
