"""Fine-tune for extractive question answering with Transformers alone, as its users do.

``python tests/benchmarks/peer_questions.py FOLDER`` reads ``recipe.json``, ``train.jsonl`` and
``test.jsonl`` of the folder and needs nothing of this project: windows with overflow, ``Trainer``,
and the n-best search over start and end logits of the library's question answering example.
"""

from __future__ import annotations

import json
import re
import string
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers import (
    AutoModelForQuestionAnswering,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
)

N_BEST, LONGEST = 20, 30


def windows(tokenizer: Any, rows: list[dict[str, Any]], recipe: dict[str, Any]) -> Any:
    """Overlapping windows over the contexts."""
    return tokenizer(
        [row["question"].lstrip() for row in rows],
        [row["context"] for row in rows],
        truncation="only_second",
        max_length=recipe["max_length"],
        stride=recipe["stride"],
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )


def labelled(tokenizer: Any, rows: list[dict[str, Any]], recipe: dict[str, Any]) -> Dataset:
    """Windows with the first and last token of the answer, or the class token."""
    found = windows(tokenizer, rows, recipe)
    starts, ends = [], []
    for window, row in enumerate(found["overflow_to_sample_mapping"]):
        begin = rows[row]["answer_starts"][0]
        finish = begin + len(rows[row]["answer_texts"][0])
        offsets, parts = found["offset_mapping"][window], found.sequence_ids(window)
        inside = [token for token, part in enumerate(parts) if part == 1]
        if offsets[inside[0]][0] > begin or offsets[inside[-1]][1] < finish:
            starts.append(0)
            ends.append(0)
            continue
        starts.append(max(token for token in inside if offsets[token][0] <= begin))
        ends.append(min(token for token in inside if offsets[token][1] >= finish))
    columns = {name: found[name] for name in ("input_ids", "token_type_ids", "attention_mask")}
    return Dataset.from_dict(columns | {"start_positions": starts, "end_positions": ends})


def arguments(recipe: dict[str, Any], folder: Path) -> TrainingArguments:
    """The same recipe."""
    return TrainingArguments(
        output_dir=str(folder / "trainer"),
        per_device_train_batch_size=recipe["batch_size"],
        per_device_eval_batch_size=64,
        num_train_epochs=recipe["epochs"],
        learning_rate=recipe["learning_rate"],
        warmup_steps=recipe["warmup"],
        weight_decay=recipe["weight_decay"],
        optim="adamw_torch_fused",
        bf16=True,
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
        train_sampling_strategy="group_by_length",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        seed=recipe["seed"],
    )


def answers(rows: list[dict[str, Any]], found: Any, logits: Any) -> list[str]:
    """The best span of each row over all of its windows."""
    best: dict[int, tuple[float, str]] = defaultdict(lambda: (-np.inf, ""))
    for window, row in enumerate(found["overflow_to_sample_mapping"]):
        first, last = logits[0][window], logits[1][window]
        offsets, parts = found["offset_mapping"][window], found.sequence_ids(window)
        for start in np.argsort(first)[-1 : -N_BEST - 1 : -1]:
            for end in np.argsort(last)[-1 : -N_BEST - 1 : -1]:
                outside = max(start, end) >= len(parts) or parts[start] != 1 or parts[end] != 1
                if outside or end < start or end - start + 1 > LONGEST:
                    continue
                score = float(first[start] + last[end])
                if score > best[row][0]:
                    text = rows[row]["context"][offsets[start][0] : offsets[end][1]]
                    best[row] = (score, text)
    return [best[row][1] for row in range(len(rows))]


def normalized(text: str) -> str:
    """As the official evaluation script of SQuAD v1.1 has it."""
    kept = "".join(character for character in text.lower() if character not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", kept).split())


def f1(answer: str, gold: str) -> float:
    """Overlap of words, as in the official evaluation script."""
    ours, theirs = normalized(answer).split(), normalized(gold).split()
    shared = sum((Counter(ours) & Counter(theirs)).values())
    return 2 * shared / (len(ours) + len(theirs)) if shared else 0.0


def main(folder: Path) -> None:
    """Train, answer the test rows, and write ``result.json`` with F1 and exact match."""
    recipe = json.loads((folder / "recipe.json").read_text(encoding="utf-8"))
    train, test = (
        [json.loads(line) for line in (folder / name).read_text(encoding="utf-8").splitlines()]
        for name in ("train.jsonl", "test.jsonl")
    )
    torch.set_num_threads(recipe["threads"])
    tokenizer = AutoTokenizer.from_pretrained(recipe["base"], local_files_only=True)
    torch.manual_seed(recipe["seed"])
    model = AutoModelForQuestionAnswering.from_pretrained(recipe["base"], local_files_only=True)
    trainer = Trainer(
        model=model,
        args=arguments(recipe, folder),
        train_dataset=labelled(tokenizer, train, recipe),
        data_collator=DataCollatorWithPadding(tokenizer),
        processing_class=tokenizer,
    )
    seconds = trainer.train().metrics["train_runtime"]
    # Else it groups the test windows by length too, and predictions come in another order.
    trainer.args.train_sampling_strategy = "random"
    found = windows(tokenizer, test, recipe)
    names = ("input_ids", "token_type_ids", "attention_mask")
    logits = trainer.predict(Dataset.from_dict({name: found[name] for name in names})).predictions
    given = answers(test, found, logits)
    pairs = [(answer, row["answer_texts"]) for answer, row in zip(given, test, strict=True)]
    result = {
        "f1": 100 * np.mean([max(f1(answer, gold) for gold in golds) for answer, golds in pairs]),
        "exact_match": 100
        * np.mean([normalized(a) in {normalized(gold) for gold in golds} for a, golds in pairs]),
        "seconds": seconds,
    }
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
