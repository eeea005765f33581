"""The knobs every training has, whatever its method. A method adds its own in its own file."""

import math
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveFloat, PositiveInt

from trainer.dialect import Completion
from trainer.perturb import PERTURBATIONS, Perturbation

RATE_SMALL, RATE_LARGE = (1e6, 2e-3), (1e9, 2e-5)
"""Parameters and learning rate: what served a model of 0.4 million here, and TRL's own default, chosen for models of
a billion and more. Between them a straight line on logarithmic axes."""
LORA_RATE_FACTOR = 10
"""LoRA wants about ten times the rate of full training, whatever the model (Schulman, "LoRA Without Regret", 2025)."""


FINE_RATE_FACTOR = 1 / 20
"""Of SFT's rate, for methods that move a student which can answer already: TRL's own defaults are 1e-6 for its
DistillationTrainer and DPOTrainer, and 2e-5 for SFT."""


class Lora(BaseModel):
    """Train small matrices beside the weights and merge them at the end (Hu et al. 2021, arXiv:2106.09685)."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    rank: PositiveInt = 32
    """Width of the matrices: more holds more, at more memory. What a teacher hands on is much; 32 to 64 hold it."""
    alpha: PositiveFloat = 32
    """Scale of their effect, divided by the rank: with it left alone, one learning rate fits every rank."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    target: str | list[str] = "all-linear"
    """Modules that get them. All linear layers match full training, attention alone does not."""
    base_in_4bit: bool = False
    """Hold the weights that are not trained in 4 bits, NF4 (QLoRA, Dettmers et al. 2023, arXiv:2305.14314): they
    take a quarter of the memory, at some cost of speed. Needs an NVIDIA GPU and the package bitsandbytes. The student
    is merged from the base as it was, not from its 4 bits."""


class Evaluation(BaseModel):
    """How base and student are asked the evaluation prompts."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    base: bool = True
    """Also ask the base: what the training changed is seen against it."""
    tokens_max: PositiveInt | None = None
    """For one reply. None: half as much again as the longest reply trained on."""
    temperature: PositiveFloat = 1.0
    """Of the sampled replies; greedy ones are always made too."""
    prompts_max: PositiveInt = 1000
    """Of each set, evenly spread; at 1,000 the 95 % interval is at most ± 3.1 points wide."""
    batch_size: PositiveInt | None = None
    """Prompts answered together. None: as many as the memory holds."""
    seed: NonNegativeInt = 0
    examples_max: NonNegativeInt = 20
    """Of the prompts that the student lost or won against the teacher, or forgot, kept in the report."""
    engine: Literal["auto", "vllm", "transformers"] = "auto"
    """What generates the answers; the same tokens are asked and end a reply in both. auto: vLLM where it is installed
    and a GPU is there. On a CPU vLLM takes half a minute to start for each model, and is asked for by name only."""
    samples: PositiveInt = 4
    """Sampled answers to each of `samples_prompts_max` prompts of a set, for pass@k and the calibration of votes. Four
    answers to 200 prompts are 600 more for base and student each, beside the 2,000 to 1,000 prompts; 1: no more."""
    samples_prompts_max: PositiveInt = 200
    """Of each set, evenly spread."""
    perturbations: list[Perturbation] = list(PERTURBATIONS)
    """Changes of the prompt that keep its answer; one greedy answer of the student to each of `perturbed_prompts_max`
    prompts and change. [] asks none."""
    perturbed_prompts_max: PositiveInt = 100
    """Of each set, evenly spread."""
    rows_max: NonNegativeInt = 200
    """Held-out answers of the teacher, of each source, on which perplexity and distance to the teacher are measured:
    one forward pass of each model, far less than answering takes. 0: none."""
    teacher: str | None = None
    """Folder or hub id of a teacher on this machine, with the student's vocabulary, to say what it held likely where no
    soft labels are stored; read, asked once and put away before the training and before the students are measured.
    None: the model of `teacher` in methods that have one (`on_policy`)."""
    watch_rows: NonNegativeInt = 16
    """Of the eval split, on which KL to the teacher and agreement are followed eight times during the training: there
    must be soft labels or a `teacher` on this machine. About 1 % of a training of 8,000 rows. 0: not followed."""
    retained: list[str] = []
    """Names of sets of the evaluation that hold what the base could do before: what the student forgot is listed."""
    tasks: list[str] = []
    """Tasks of lm-eval (extra `tasks`): names, or YAML files of one's own. Data must be on this machine or in the hub's
    cache where `HF_HUB_OFFLINE` is set. Each costs base and student up to `tasks_limit` documents."""
    tasks_limit: PositiveInt | None = 500
    """Documents of each task. None: all."""
    tasks_chat: bool = False
    """Put a task's texts through the student's chat template, with reasoning; for tasks that generate only."""


class Training(BaseModel):
    """Settings common to all methods; the worker passes them as JSON, a person as YAML or `--set`."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    rate_factor: ClassVar[float] = 1.0
    """What the method multiplies the rate of `learning_rate: auto` with."""

    student: str
    """Folder or hub id of the model to train: safetensors weights, no code of its own."""
    revision: str | None = None
    """Branch, tag or commit on the hub. The commit it meant is written into the report."""
    name: Annotated[str | None, Field(min_length=1, max_length=96)] = None
    """What the student is called in its card. A licence of its base or teachers may ask how it begins (Llama's do); a
    name that does not is refused. None: after base and dataset, begun as it must."""
    suffix: Annotated[str, Field(max_length=64)] = ""
    """Ends the name where `name` is None; OpenAI's word for it."""
    license: str | None = None
    """SPDX id the student may be given, as the licence check found; None: the card says that it is to be settled."""
    license_unknown: Literal["refuse", "train"] = "refuse"
    """What to do with a version of which nobody knows all licences: `train` on it all the same, as on a file that was
    uploaded for this. The card says that they are to be settled. What is forbidden stays so."""
    chat_template: Annotated[str, Field(pattern=r"\.(jinja|j2)$")] | None = None
    """Jinja file in place of the student's own template, for bases that have none or drop reasoning. It goes into the
    student, hence the suffix: no other file of this machine shall."""
    eos_token: str | None = None
    """Token that ends a reply, if the chat template ends it with another than the tokenizer's."""
    completion: Completion = "cot"
    """`cot` teaches reasoning and response, `answer_only` the response alone (the control without reasoning)."""
    epochs: PositiveFloat = 3
    """DeepSeek-R1's distilled models took two to three."""
    max_steps: PositiveInt | None = None
    """Optimizer steps; overrides `epochs`."""
    batch_size: PositiveInt = 8
    """Rows a device takes at once: what memory allows."""
    gradient_accumulation: PositiveInt = 4
    """Batches to one optimizer step; rows per step = batch_size * gradient_accumulation * devices."""
    learning_rate: PositiveFloat | Literal["auto"] = "auto"
    """auto: by size, from 2e-3 up to a million parameters down to 2e-5 from a billion on; LoRA ten times that.
    `on_policy` and `preference` take a twentieth of it."""
    learning_rate_multiplier: PositiveFloat = 1.0
    """On the learning rate, whether it was found or given; OpenAI's knob of this name."""
    schedule: Literal["cosine", "linear", "constant_with_warmup"] = "cosine"
    """How the rate falls after its warm-up: to nothing along a cosine or a line, or not at all."""
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.03
    """Share of the steps over which the rate rises from 0."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """AdamW's. Fine-tuning is short; a base that overfits may want 0.01 to 0.1."""
    max_length: PositiveInt | None = None
    """Tokens of a row. None: the longest row of the data, as far as the student's positions go."""
    on_unfit: Literal["refuse", "drop_to_rejected"] = "refuse"
    """A row that does not fit whole, or that the chat template renders wrongly, stops the run, or is set aside in
    `rejected.parquet` of the run with the reason. None is cut. `retort render` tells beforehand."""
    order: Literal["shuffled", "similar_lengths", "as_exported", "short_first", "curriculum"] = "shuffled"
    """Shuffled by the seed each epoch, or so that rows of similar length share a batch and little is padded; the last
    three keep their order in every epoch. `curriculum` begins with the prompts that the teachers mostly got right, as
    the version's verdicts tell, and of those alike with the short rows."""
    lora: Lora | None = None
    """Train adapters instead of all weights, and merge them at the end: a third of the memory or less."""
    seed: NonNegativeInt = 0
    """Of the order of rows and of whatever else is drawn."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """auto: bfloat16 where the hardware computes in it (Ampere GPUs on, CPUs with AVX512-BF16 or AMX), else fp32."""
    attn_implementation: str = "auto"
    """auto: eager on a CPU with rows up to 1,024 tokens, else what transformers picks."""
    gradient_checkpointing: bool | Literal["auto"] = "auto"
    """Recompute activations to save memory. auto: from half a billion parameters on, on a GPU."""
    save_steps: PositiveInt | None = None
    """Steps between checkpoints. None: ten over the run, at least one every 500 steps."""
    keep_checkpoints: bool = False
    """Keep them once the student is saved; each is three times the size of the model."""
    evaluation: Evaluation = Evaluation()
    """How the student is measured once it is trained."""


def pick_learning_rate(asked: float | Literal["auto"], parameters: int, *, lora: bool, factor: float = 1.0) -> float:
    """Return the learning rate, two significant digits, for a model of so many parameters."""
    if asked != "auto":
        return asked
    (small, high), (large, low) = RATE_SMALL, RATE_LARGE
    share = math.log(max(small, min(large, parameters)) / small) / math.log(large / small)
    rate = high * (low / high) ** share
    return float(f"{factor * (min(high, rate * LORA_RATE_FACTOR) if lora else rate):.1e}")
