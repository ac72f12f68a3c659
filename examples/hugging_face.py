"""A Hugging Face Trainer on a tiny model with random weights: no download, works offline.

journal-launcher run --objective examples/hugging_face.py:objective --pruner median --n-trials 10
"""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
import torch
from torch.utils.data import Dataset
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

WORDS, LENGTH = 16, 8


class Sentences(Dataset[dict[str, torch.Tensor]]):
    """Random words, of which the first says what kind of sentence it is."""

    def __init__(self, count: int, seed: int) -> None:
        random = torch.Generator().manual_seed(seed)
        self.words = torch.randint(2, WORDS, (count, LENGTH), generator=random)
        self.labels = torch.randint(2, (count,), generator=random)
        self.words[:, 0] = self.labels

    def __len__(self) -> int:
        return len(self.words)

    def __getitem__(self, row: int) -> dict[str, torch.Tensor]:
        return {"input_ids": self.words[row], "labels": self.labels[row]}


class Pruning(TrainerCallback):
    """Report the validation loss to Optuna after each evaluation."""

    def __init__(self, trial: optuna.Trial) -> None:
        self.trial = trial

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: Mapping[str, float], **more: Any
    ) -> None:
        self.trial.report(metrics["eval_loss"], state.global_step)
        if self.trial.should_prune():
            raise optuna.TrialPruned


def fit(params: Mapping[str, Any], callbacks: Sequence[TrainerCallback], folder: str) -> Trainer:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=WORDS,
        hidden_size=params["hidden_size"],
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=LENGTH,
    )
    arguments = TrainingArguments(
        output_dir=folder,
        learning_rate=params["learning_rate"],
        num_train_epochs=3,
        per_device_train_batch_size=32,
        eval_strategy="epoch",
        save_strategy="no",  # trials keep nothing; save_best does
        report_to=[],
        disable_tqdm=True,
        seed=0,
    )
    trainer = Trainer(
        BertForSequenceClassification(config),
        arguments,
        train_dataset=Sentences(512, seed=1),
        eval_dataset=Sentences(256, seed=2),
        callbacks=list(callbacks),
    )
    trainer.train()
    return trainer


def objective(trial: optuna.Trial) -> float:
    params = {
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True),
        "hidden_size": trial.suggest_categorical("hidden_size", [16, 32]),
    }
    with tempfile.TemporaryDirectory() as folder:
        return float(fit(params, [Pruning(trial)], folder).evaluate()["eval_loss"])


def save_best(study: optuna.Study, directory: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        fit(study.best_params, [], folder).save_model(str(directory))
