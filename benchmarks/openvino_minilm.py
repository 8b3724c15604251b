"""A mean-pooling encoder through OpenVINO in bfloat16, where that is installed."""

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray


def has_openvino() -> bool:
    """Say whether OpenVINO can be imported."""
    return find_spec("openvino") is not None


def open_openvino(
    path: str, *, batch_size: int, max_tokens: int
) -> Callable[[Sequence[str]], NDArray[np.float32]]:
    """Convert a transformers folder, and give what encodes texts: sorted by length, in batches.

    Args:
        path: The folder.
        batch_size: Texts a batch.
        max_tokens: Tokens a text is cut to.

    Returns:
        Texts to vectors, shape (n, d), of length 1.
    """
    import openvino
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(path)
    model = AutoModel.from_pretrained(path).eval()

    def tokenize(texts: Sequence[str], kind: str) -> dict[str, Any]:
        options = {"padding": True, "truncation": True, "max_length": max_tokens}
        return dict(tokenizer(list(texts), return_tensors=kind, **options))

    converted = openvino.convert_model(model, example_input=tokenize(["a text"], "pt"))
    settings = {"INFERENCE_PRECISION_HINT": "bf16", "PERFORMANCE_HINT": "LATENCY"}
    compiled = openvino.compile_model(converted, "CPU", settings)

    def encode(texts: Sequence[str]) -> NDArray[np.float32]:
        order = sorted(range(len(texts)), key=lambda place: -len(texts[place]))
        vectors = np.empty((len(texts), model.config.hidden_size), np.float32)
        for start in range(0, len(order), batch_size):
            places = order[start : start + batch_size]
            inputs = tokenize([texts[place] for place in places], "np")
            states = np.asarray(compiled(inputs)[0], np.float32)
            mask = inputs["attention_mask"][:, :, None]
            means = (states * mask).sum(1) / mask.sum(1)
            vectors[places] = means / np.linalg.norm(means, axis=1, keepdims=True)
        return vectors

    return encode
