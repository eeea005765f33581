"""What a trained stage answers to the train split's prompts: the rows that the next stage learns from.

Every reply is kept, with why it is not learnt from. Answering goes on after the last part that was written.
"""

import gc
import hashlib
import math
import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, Field, PositiveInt, model_validator

from filters.manifest import Part
from filters.sample import Sample
from filters.verdict import Outcome
from trainer import hardware
from trainer.base import find_base, load_model, load_tokenizer, stop_tokens
from trainer.config import Training
from trainer.dataset import Folder
from trainer.dialect import find_dialect
from trainer.errors import TrainerError
from trainer.generate import Asking, Reply, generate, limit_reply
from trainer.questions import default_verifier
from trainer.render import without_nulls
from trainer.supervisor import Supervisor, is_main_process

COLUMNS = ("prompt_id", "prompt", "reference", "verifier", "category")
PART_PROMPTS = 1024
"""Prompts in a part: what an interruption may cost."""
LOOK_EVERY_S = 1.0


class Answering(Training):
    """Settings of how a stage answers for the next one. Names and defaults are common to `staged` and `self`."""

    samples: PositiveInt = 1
    """Answers to each prompt. More show what else the stage holds likely."""
    temperature: Annotated[float, Field(ge=0)] = 1.0
    """At which it answers; 0 is greedy, which serves one sample only."""
    right_only: bool = True
    """Teach only what the verifier of the prompt finds right; prompts without a reference are taught as answered."""
    reply_tokens_max: PositiveInt | None = None
    """For one reply; a longer one is not taught. None: half as much again as the longest that the stage learnt."""

    @model_validator(mode="after")
    def _samples_differ(self) -> Self:
        if self.samples > 1 and self.temperature == 0:
            raise ValueError(f"`temperature: 0` gives {self.samples} times the same answer: set `samples` to 1")
        return self


class Answered(BaseModel):
    """What came of it: `answers.json` of the stage."""

    prompts: int
    answers: int
    kept: int
    reasons: dict[str, int]
    """Why the others were not: `truncated`, `no_response`, or the verdict's reason."""
    file: Part
    """The rows to learn from, its path relative to the stage's folder."""


def answer(
    config: Answering, stage: Path, number: int, folder: Folder, supervisor: Supervisor
) -> tuple[Answered, Folder]:
    """Let the student of a stage answer, and return the version with those answers in place of the teacher's.

    Raises TrainerError `no_right_answers`, and as `trainer.generate.limit_reply` does.
    """
    told = stage / "answers.json"
    if not told.exists():
        table = _prompts(folder)
        parts = math.ceil(len(table) / PART_PROMPTS)
        files = [stage / "answers" / f"part-{part:05d}.parquet" for part in range(parts)]
        _write_parts(config, stage, number, table, files, default_verifier(folder), supervisor)
        if is_main_process():
            _put_together(files, len(table), stage)
    _wait_for([told])
    answered = Answered.model_validate_json(told.read_bytes())
    if not answered.kept:
        reasons = ", ".join(f"{count} {reason}" for reason, count in answered.reasons.items())
        raise TrainerError(
            "no_right_answers",
            f"of stage {number}'s {answered.answers} answers none can be taught ({reasons}; {stage / 'answers'} has "
            "them). Train it longer, ask for more `samples`, or set `right_only` to false, in another folder",
        )
    # The eval split stays the teacher's, so that the losses of all stages are measured on the same rows.
    train = answered.file.model_copy(update={"path": str((stage / answered.file.path).resolve())})
    splits = folder.manifest.splits | {"train": [train]}
    manifest = folder.manifest.model_copy(update={"splits": splits, "sha256": train.sha256, "soft_labels": None})
    return answered, Folder(folder.path, manifest)


def _prompts(folder: Folder) -> Any:
    """Return the prompts of the train split, each once, as an Arrow table of `COLUMNS`."""
    import pyarrow as pa
    from pyarrow import parquet

    first: dict[int, int] = {}
    table = pa.concat_tables(
        parquet.ParquetFile(file, memory_map=True).read(columns=list(COLUMNS)) for file in folder.files("train")
    )
    for place, prompt_id in enumerate(table["prompt_id"].to_pylist()):
        first.setdefault(prompt_id, place)
    return table.take(list(first.values()))


def _write_parts(
    config: Answering,
    stage: Path,
    number: int,
    table: Any,
    files: list[Path],
    verifier: str,
    supervisor: Supervisor,
) -> None:
    """Write the parts that are missing; of several processes each writes its share, and all wait for all."""
    import torch
    from pyarrow import parquet

    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    mine = [(part, file) for part, file in enumerate(files) if part % world == rank and not file.exists()]
    if mine:
        ask = _asker(config, stage, table["prompt"].to_pylist())
        files[0].parent.mkdir(exist_ok=True)
        done, total = 0, sum(len(table.slice(part * PART_PROMPTS, PART_PROMPTS)) for part, _ in mine) * config.samples
        for part, file in mine:
            rows = table.slice(part * PART_PROMPTS, PART_PROMPTS)
            asked = rows.take([place for place in range(len(rows)) for _ in range(config.samples)])

            def tell(answers: int, done: int = done) -> None:
                supervisor.emit("answering", stage=number, done=done + answers, total=total)

            replies = ask(asked["prompt"].to_pylist(), config.seed + part, tell)
            done += len(replies)
            found = _judged(config, asked, replies, part, verifier)
            parquet.write_table(found, file.with_suffix(".partial"), compression="zstd")
            file.with_suffix(".partial").rename(file)
        del ask
        gc.collect()
        torch.cuda.empty_cache()
    _wait_for(files)


def _asker(config: Answering, stage: Path, prompts: list[list[dict[str, Any]]]) -> Callable[..., list[Reply]]:
    """Return what asks the stage's student: of prompts, a seed and a listener the replies, in order."""
    import torch

    from trainer.finish import Trained

    gc.collect()  # a trainer that has just ended holds its memory in reference cycles
    torch.cuda.empty_cache()
    path = stage / "student"
    tokenizer: Any = load_tokenizer(path)
    dialect = find_dialect(tokenizer, config.completion)
    texts = [dialect.render(tokenizer, list(map(without_nulls, messages)), prompt=True) for messages in prompts]
    longest = max(map(len, tokenizer(texts, add_special_tokens=False)["input_ids"]))
    trained = Trained.model_validate_json((stage / "training.json").read_bytes())
    room = find_base(str(path), None).positions_max
    tokens_max = limit_reply(config.reply_tokens_max, trained.reply_tokens_max, longest, room)
    device = torch.accelerator.current_accelerator() if hardware.has_accelerator() else "cpu"
    dtype = "bfloat16" if hardware.pick_precision(config.precision) == "bf16" else "float32"
    model = load_model(path, dtype, str(device))
    stops = stop_tokens(path, tokenizer)

    def ask(prompts: list[list[dict[str, Any]]], seed: int, tell: Callable[[int], None]) -> list[Reply]:
        asking = Asking(stops, tokens_max, config.temperature, seed, config.evaluation.batch_size)
        conversations = [list(map(without_nulls, messages)) for messages in prompts]
        return generate(model, tokenizer, dialect, conversations, asking, tell)

    return ask


def _judged(config: Answering, asked: Any, replies: list[Reply], part: int, verifier: str) -> Any:
    """Return the answers of a part as rows of a version, with `reason`: empty where they are to be learnt."""
    import pyarrow as pa

    rows = asked.select(["prompt_id", "reference", "verifier", "category"]).to_pylist()
    reasons = ["truncated" if reply.truncated else "" if reply.response else "no_response" for reply in replies]
    if config.right_only:
        whole = [place for place, reason in enumerate(reasons) if not reason]
        wrong = _wrong([(rows[place], replies[place]) for place in whole], verifier)
        for place, reason in zip(whole, wrong, strict=True):
            reasons[place] = reason
    completions = [
        [{"role": "assistant", "reasoning_content": reply.reasoning or None, "content": reply.response}]
        for reply in replies
    ]
    begin = part * PART_PROMPTS * config.samples
    message = pa.struct([(name, pa.string()) for name in ("role", "reasoning_content", "content")])
    added = {
        "id": pa.array(range(begin, begin + len(replies)), pa.int64()),
        "completion": pa.array(completions, pa.list_(message)),
        "tokens": pa.array([reply.tokens for reply in replies], pa.int64()),
        "reason": pa.array(reasons, pa.string()),
    }
    for name, values in added.items():
        asked = asked.append_column(name, values)
    return asked


def _wrong(pairs: list[tuple[dict[str, Any], Reply]], verifier: str) -> list[str]:
    """Return why each answer is wrong, empty where it is right or nobody can say."""
    from filters.verified import Verified

    samples = (
        Sample(
            id=place,
            prompt_id=row["prompt_id"],
            messages=[],
            response=reply.response,
            reasoning=reply.reasoning,
            reference=row["reference"],
            verifier=row["verifier"],
        )
        for place, (row, reply) in enumerate(pairs)
    )
    verdicts = Verified(default_verifier=verifier).judge(samples)
    return [verdict.reason if verdict.outcome is Outcome.REJECT else "" for verdict in verdicts]


def _put_together(files: list[Path], prompts: int, stage: Path) -> None:
    """Write `answers/train.parquet`, and `answers.json` last."""
    from pyarrow import compute, parquet

    reasons: Counter[str] = Counter()
    target = stage / "answers" / "train.parquet"
    with parquet.ParquetWriter(target, parquet.read_schema(files[0]), compression="zstd") as writer:
        for file in files:
            table = parquet.read_table(file)
            reasons.update(table["reason"].to_pylist())
            writer.write_table(table.filter(compute.field("reason") == ""))
    kept = reasons.pop("", 0)
    with target.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    path = str(target.relative_to(stage))
    answered = Answered(
        prompts=prompts,
        answers=kept + reasons.total(),
        kept=kept,
        reasons=dict(reasons.most_common()),
        file=Part(path=path, sha256=digest, rows=kept, bytes=target.stat().st_size),
    )
    partial = stage / "answers.json.partial"
    partial.write_text(answered.model_dump_json(indent=2), encoding="utf-8")
    partial.rename(stage / "answers.json")


def _wait_for(files: list[Path]) -> None:
    # On files rather than on a barrier, whose time runs out where one process has more to ask than another. torchrun
    # ends all of them when one fails.
    while not all(file.exists() for file in files):
        time.sleep(LOOK_EVERY_S)
