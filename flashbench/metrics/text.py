"""Agreement of frames with their prompt in a joint space of images and texts."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from flashbench.metrics._arrays import Floats, cosine, feature_pair, features

TIE = 1e-12  # cosines nearer than this are equal: rounding must not break a tie


def cosine_agreement(image_features: npt.ArrayLike, text: npt.ArrayLike) -> float:
    """Mean over frames of the cosine between frame and prompt (CLIPSIM, Wu et al. 2021; neither clipped nor times 100).

    Args:
        image_features: `[F, D]`, one row a frame, finite, of any length.
        text: `[D]`, the prompt's embedding.

    Returns:
        -1..1, higher agrees better. A zero vector has cosine 0.

    Raises:
        ValueError: not `[F, D]` and `[D]`, or NaN or infinity.
    """
    frames = features(image_features, "image features")
    prompt = np.asarray(text, np.float64)
    if prompt.shape != frames.shape[1:]:
        raise ValueError(f"text has shape {prompt.shape}, expected [{frames.shape[1]}]")
    if not np.isfinite(prompt).all():
        raise ValueError("text holds NaN or infinity")
    return float(cosine(frames, prompt).mean())


def retrieval_accuracy(video_features: npt.ArrayLike, text_features: npt.ArrayLike, k: int = 1) -> float:
    """Share of videos whose own text is among the `k` nearest of all texts, by cosine (recall at k).

    A text that is as near as the own one counts as nearer: an embedding that has collapsed to one point scores 0.
    Videos that share a prompt must be reduced to one beforehand.

    Args:
        video_features: `[N, D]`, row i belongs to text i.
        text_features: `[N, D]`.
        k: 1 .. N.

    Returns:
        0..1, higher is better; chance is k / N.

    Raises:
        ValueError: not `[N, D]` twice, NaN or infinity, or k out of its range.
    """
    videos, texts = feature_pair(video_features, text_features)
    if len(videos) != len(texts):
        raise ValueError(f"{len(videos)} videos, {len(texts)} texts")
    if not 1 <= k <= len(texts):
        raise ValueError(f"k is {k}, expected 1 .. {len(texts)}")
    likeness = _unit(videos) @ _unit(texts).T  # [N, N]
    nearer = (likeness >= likeness.diagonal()[:, None] - TIE).sum(axis=1) - 1  # the own one counts itself
    return float((nearer < k).mean())


def _unit(x: Floats) -> Floats:
    """Rows of `x` `[N, D]` at length 1; zero rows stay zero."""
    lengths = np.linalg.norm(x, axis=1, keepdims=True)
    out: Floats = np.divide(x, lengths, out=np.zeros_like(x), where=lengths > 0)
    return out
