"""The loss on soft labels, in TRL's SFTTrainer."""

from collections import Counter
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from trl import SFTTrainer  # pyright: ignore[reportPrivateImportUsage] - trl exports lazily
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from trainer.divergence import divergence, likeliest
from trainer.render import IGNORED
from trainer.soft_rows import NO_LABEL


class SoftCollator(DataCollatorForLanguageModeling):
    """Pads soft labels along with tokens: `soft_ids` and `soft_logprobs` become (rows, tokens, k)."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        batch = super().torch_call(examples)
        rows, tokens = batch["input_ids"].shape
        replies = [sum(label != IGNORED for label in example["labels"]) for example in examples]
        k = max(len(example["soft_ids"]) // reply for example, reply in zip(examples, replies, strict=True))
        batch["soft_ids"] = torch.full((rows, tokens, k), NO_LABEL)
        batch["soft_logprobs"] = torch.zeros((rows, tokens, k))
        for row, (example, reply) in enumerate(zip(examples, replies, strict=True)):
            end = len(example["input_ids"])
            for name in ("soft_ids", "soft_logprobs"):
                batch[name][row, end - reply : end] = torch.as_tensor(example[name]).view(reply, -1)
        return batch


class SoftLabelTrainer(SFTTrainer):
    """SFTTrainer with the loss of `trainer.soft_label`. Evaluation has the plain cross-entropy, as `sft` does.

    Logs beside it `kl`, nats a token at temperature 1 over the entries kept, and `agreement`, the share of tokens for
    which student and teacher hold the same one likeliest.
    """

    def __init__(self, config: Any, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._config = config
        self._seen: dict[str, Counter[str]] = {"train": Counter(), "eval": Counter()}

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Return the loss, a mean over tokens; `outputs` with it if asked."""
        ids, logprobs = inputs.pop("soft_ids")[:, 1:], inputs.pop("soft_logprobs")[:, 1:]
        labels = inputs.pop("labels")[:, 1:]
        outputs = model(**inputs, use_cache=False)
        learnt = labels != IGNORED
        logits, chosen, ids, logprobs = (
            outputs.logits[:, :-1][learnt].float(),
            labels[learnt],
            ids[learnt],
            logprobs[learnt],
        )
        losses = cross_entropy(logits, chosen, reduction="none")
        labelled = ids[:, 0] != NO_LABEL
        mode = "train" if model.training else "eval"
        if labelled.any():
            given = logits[labelled], ids[labelled], logprobs[labelled]
            self._note(mode, *given)
            if mode == "train":
                soft = divergence(*given, self._config.temperature, self._config.tail) * self._config.temperature**2
                losses = losses.index_put(
                    (labelled,), self._config.alpha * soft + (1 - self._config.alpha) * losses[labelled]
                )
        tokens = num_items_in_batch if num_items_in_batch is not None else learnt.sum()
        loss = losses.sum() / torch.as_tensor(tokens).clamp(min=1)
        if self.args.average_tokens_across_devices and num_items_in_batch is not None:
            loss = loss * self.accelerator.num_processes  # gradients are averaged over processes, tokens summed
        return (loss, outputs) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add what was seen since the last log."""
        for mode, name in (("train", "loss"), ("eval", "eval_loss")):
            seen = self._seen[mode]
            if name in logs and seen["tokens"]:
                prefix = "eval_" if mode == "eval" else ""
                logs |= {f"{prefix}{key}": seen[key] / seen["tokens"] for key in ("kl", "agreement")}
                seen.clear()
        super().log(logs, start_time)

    @torch.no_grad()
    def _note(self, mode: str, logits: Any, ids: Any, logprobs: Any) -> None:
        self._seen[mode].update(
            tokens=len(ids),
            kl=divergence(logits, ids, logprobs, 1.0, "zero").sum().item(),
            agreement=int((logits.argmax(1) == likeliest(ids, logprobs)).sum()),
        )
