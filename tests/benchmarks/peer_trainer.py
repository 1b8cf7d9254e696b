"""Train a job of ours with Transformers' ``Trainer``, as an expert would run it.

``python tests/benchmarks/peer_trainer.py FOLDER`` reads the folder's ``job.json`` and needs nothing
of this project: the same token ids, rows, batch size, epochs, rates, schedule and threads; bf16,
fused AdamW, batches of like length padded to their longest row, and no evaluation, logging or
saving while it trains.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
)


def rows(job: dict[str, Any]) -> Dataset:
    """The token ids, with the column that spares ``Trainer`` counting them."""
    dataset = Dataset.from_file(f"{job['tokens']}/train.arrow")
    return dataset.add_column("length", [len(ids) for ids in dataset["input_ids"]])


def arguments(job: dict[str, Any], folder: Path) -> TrainingArguments:
    """The same recipe."""
    training, optimizer = job["training"], job["training"]["optimizer"]
    return TrainingArguments(
        output_dir=str(folder / "trainer"),
        per_device_train_batch_size=training["batch_size"],
        num_train_epochs=training["epochs"],
        learning_rate=training["learning_rate"],
        lr_scheduler_type=training["lr_scheduler"]["name"],
        warmup_steps=training["lr_scheduler"]["warmup_ratio"],
        optim="adamw_torch_fused",
        weight_decay=optimizer["weight_decay"],
        adam_beta1=optimizer["betas"][0],
        adam_beta2=optimizer["betas"][1],
        adam_epsilon=optimizer["epsilon"],
        max_grad_norm=training["max_grad_norm"],
        bf16=True,
        use_cpu=not torch.cuda.is_available(),
        train_sampling_strategy="group_by_length",
        dataloader_pin_memory=torch.cuda.is_available(),
        eval_strategy="no",
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        seed=job["seed"],
    )


def main(folder: Path) -> None:
    """Train, write ``result.json``, then save the model for whoever measures it."""
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    torch.set_num_threads(job["threads"])
    model = AutoModelForSequenceClassification.from_pretrained(
        job["base"],
        num_labels=len(job["facts"]["labels"]),
        attn_implementation=json.loads((folder / "peer.json").read_text())["attention"],
        local_files_only=True,
    )
    tokenizer = AutoTokenizer.from_pretrained(job["base"], local_files_only=True)
    trainer = Trainer(
        model=model,
        args=arguments(job, folder),
        train_dataset=rows(job),
        data_collator=DataCollatorWithPadding(tokenizer),
    )
    seconds = trainer.train().metrics["train_runtime"]
    result = {"seconds": seconds, "ended": time.time()}
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
    model.save_pretrained(folder / "best")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
