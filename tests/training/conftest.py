"""A tiny nano model, made once a session."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model of size `tiny` with random weights and a tokenizer of its own."""
    from training import nano
    from training.pretrain import corpus

    tokenizer = nano.train_tokenizer(corpus(0, count=200), nano.SIZES["tiny"].vocabulary)
    folder = tmp_path_factory.mktemp("tiny") / "model"
    nano.save(*nano.build("tiny", tokenizer), folder)
    return folder
