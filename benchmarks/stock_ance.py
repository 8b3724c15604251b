"""RoBERTa-base with ANCE's head and random weights, as Pyserini's hub repositories hold it."""

import json
from collections.abc import Sequence
from pathlib import Path


def write_ance(folder: Path, texts: Sequence[str]) -> None:
    """Write the encoder, which Pyserini's classes load and ours too.

    Args:
        folder: To be made.
        texts: What its byte-level vocabulary, of RoBERTa's size at most, is made from.
    """
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import RobertaConfig, RobertaModel

    folder.mkdir()
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    core.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=50_265,
            special_tokens=special,
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        ),
    )
    core.model.save(str(folder))
    settings = {"tokenizer_class": "RobertaTokenizer", "model_max_length": 512}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    torch.manual_seed(0)
    config = RobertaConfig(vocab_size=50_265, max_position_embeddings=514, type_vocab_size=1)
    parts = {
        "roberta": RobertaModel(config),
        "embeddingHead": torch.nn.Linear(config.hidden_size, 768),
        "norm": torch.nn.LayerNorm(768),
    }
    content = {**config.to_dict(), "model_type": "roberta", "architectures": ["AnceEncoder"]}
    (folder / "config.json").write_text(json.dumps(content))
    weights = {f"{n}.{k}": v for n, part in parts.items() for k, v in part.state_dict().items()}
    torch.save(weights, folder / "pytorch_model.bin")
