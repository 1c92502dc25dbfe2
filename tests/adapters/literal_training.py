"""Adam and AdamW with the cosine schedule as their papers write them, in numpy: a second way for tests."""

import numpy as np


def literal_training(
    parameters, gradient, *, steps, lr, eps, weight_decay, decoupled=True, betas=(0.9, 0.999)
):
    """Loshchilov and Hutter 2019, algorithm 2, on full batches.

    Args:
        parameters: arrays, float64.
        gradient: parameters -> their gradients.
        steps: as many as the half cosine has.
        decoupled: AdamW's penalty; otherwise Adam's, added to the gradient.
    """
    parameters = [np.array(p, dtype=np.float64) for p in parameters]
    first, second = [np.zeros_like(p) for p in parameters], [np.zeros_like(p) for p in parameters]
    for t in range(1, steps + 1):
        rate = lr * (1 + np.cos(np.pi * (t - 1) / steps)) / 2
        for i, g in enumerate(gradient(parameters)):
            if decoupled:
                parameters[i] = parameters[i] * (1 - rate * weight_decay)
            else:
                g = g + weight_decay * parameters[i]
            first[i] = betas[0] * first[i] + (1 - betas[0]) * g
            second[i] = betas[1] * second[i] + (1 - betas[1]) * g**2
            m, v = first[i] / (1 - betas[0] ** t), second[i] / (1 - betas[1] ** t)
            parameters[i] = parameters[i] - rate * m / (np.sqrt(v) + eps)
    return parameters


def residual(logits, labels):
    """The gradient of the mean cross-entropy in the logits: (softmax - one-hot) / n."""
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    p[np.arange(len(labels)), labels] -= 1
    return p / len(labels)
