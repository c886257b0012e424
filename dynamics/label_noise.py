"""Noisy labels as tokens: each pair of a token and a label that it may show is a token of an ordinary memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .numbers import real

if TYPE_CHECKING:
    from .associative_memory import AssociativeMemory


def with_label_noise(memory: AssociativeMemory, share: float) -> AssociativeMemory:
    r"""Return the memory whose labels are wrong with probability rho, every wrong class alike.

    A token x shows its class f(x) with probability 1 - rho and each other class with rho/(M-1). The result has N M
    tokens, the pairs (x, y), with the embedding e_x, the class y and the frequency of the pair: first the N pairs
    (x, f(x)) in the order of the tokens, then those of the class f(x)+1 (mod M), and so on. So

    * its loss is the cross entropy against the soft labels, :math:`\sum_x p(x) \sum_y q(y|x) \ell(W; x, y)`,
    * a batch drawn from it draws a label with every token, and its gradients have the noise of such a batch,
    * everything else that takes a memory (flows, sweeps, minimisers, curvature) takes it.

    The columns ``[:N]`` of ``margin`` are those of the true labels. All of them are positive if and only if
    ``accuracy`` is 1 - rho (up to rounding), which is the most that it can be for rho < 1/2.

    Arguments:
        memory: N tokens, M classes; at rho = 0 it is returned as it is.
        share: rho in [0, 1).

    Raises: InputError. Cost: memory and time of N M tokens, so M times those of the memory without noise.

    >>> from traindyn.dynamics import AssociativeMemory
    >>> noisy = with_label_noise(AssociativeMemory.two_tokens(), 0.1)
    >>> noisy.targets, noisy.frequencies.round(3)
    (array([0, 1, 1, 0]), array([0.675, 0.225, 0.075, 0.025]))
    """
    rho = real("share", share, least=0.0, below=1.0, cure="pass the probability of a wrong label")
    if rho == 0.0:
        return memory
    n_tokens, n_classes = memory.n_tokens, memory.n_classes
    token = np.tile(np.arange(n_tokens), n_classes)
    turn = np.repeat(np.arange(n_classes), n_tokens)
    odds = np.where(turn == 0, 1.0 - rho, rho / (n_classes - 1))
    return type(memory)(
        memory.inputs[token],
        memory.outputs,
        (memory.targets[token] + turn) % n_classes,
        memory.frequencies[token] * odds,
    )
