"""The dataset card: `README.md` of an export, with the YAML head that Hugging Face reads."""

from typing import Any

import orjson
import pyarrow as pa
import yaml

from filters.manifest import BatchEntry, FilterCount, Manifest, SourceEntry, Split, TeacherEntry
from workers.rows import COLUMNS, KEPT

SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
)
HUGE = "10M<n<100M"

BY_TEXT = "A prompt's split follows from its text alone: equal prompts, in whichever batch or version, share a split."
BY_NEAR = """\
A prompt's split follows from its text, or from that of the first prompt to which a chain of near-duplicates connects
it: prompts that are nearly the same share a split. In another version, with other batches, the chain may be another."""
NEAR_FOUND = "\n\nFound were {found}."
TEXT_LIMIT = "- Splits keep equal prompts together, not similar ones: a paraphrase of a test prompt may be in `train`."
NEAR_LIMIT = "- Splits keep prompts of nearly the same words together; a test prompt said otherwise may be in `train`."
APART_LIMIT = (
    "- {prompts:,} prompts, in groups of near-duplicates too large for one split, were split by text: of those in the\n"
    "  other splits some are nearly the same as one in `train`."
)
BODY = """\
# {name}

{kept:,} answers of {teachers} to {prompts:,} prompts, kept out of {input:,} by the recipe below: a dataset for
training a smaller student on what larger teachers wrote. Everything in `completion` is machine-generated.

## Splits

{splits}

{split_by}

## What was filtered

{funnel}

{input:,} came in, {rejected:,} were rejected, {kept:,} kept. Every rejected row is in `rejected.parquet` with the
filter that decided, its reason and its evidence.

![How long the kept and the rejected answers are](charts/lengths.png)

![How many of the answers to each prompt passed](charts/pass_rates.png)

## Teachers

{teacher_table}

## Where it is from

{lineage}

{sources}

## Licence

Intended use: **{use}**. Decision: **{decision}**.

{terms}

This is what the stated licences say as Retort reads them, not legal advice.

## Columns

{columns}

{soft_labels}## How to load it

```python
from datasets import load_dataset

dataset = load_dataset("path/to/this/folder")
```

```bash
trl sft --dataset_name path/to/this/folder --model_name_or_path STUDENT --max_length 8192
```

TRL's own `max_length` of 1024 cuts long reasoning off: set it to what the student can hold.

## Known limits

- The text is as its teachers wrote it. A kept answer passed the filters above and nothing more; without a verifying
  filter nobody compared it with a right answer.
- Licences are as the submitters of prompts and teachers stated them.
{split_limit}
- Only the text of messages is exported; other parts of a prompt, such as images, are not.

## How to rebuild it

`manifest.json` holds the recipe with the version of each filter. The same recipe over the same batches gives the same
rows (`retort curate`, with the split shares {split}); where it was made, `retort rebuild {label}` writes
this folder anew from the ledger of verdicts. Their SHA-256, each row as canonical JSON on a line, is

    {sha256}
"""


SOFT_LABELS = """\
## Soft labels

For {rows:,} of the rows `soft_labels/` holds what else the teacher might have said: for each token of its answer up to
{k} tokens with their log-probabilities. `id` is the row's; `token_ids` and `logprobs` are flat lists of tokens * `k`
entries, the first of each `k` being the token that was chosen, the others the likeliest of the rest. The ids are those
of the teacher's tokenizer{tokenizers}. Load them with `load_dataset("path/to/this/folder", "soft_labels")`.

"""


def card(manifest: Manifest, prompts: dict[Split, int], licences: list[str]) -> str:
    """Return the card of a version. `prompts` counts them by split; `licences` are all that apply to the rows."""
    head = yaml.safe_dump(_head(manifest, licences), sort_keys=False, allow_unicode=True, width=120)
    rejected = sum(line.rejected for line in manifest.funnel)
    split_by, split_limit = _split_words(manifest)
    body = BODY.format(
        name=f"{manifest.dataset}, version {manifest.version}",
        kept=manifest.kept,
        input=manifest.input,
        rejected=rejected,
        prompts=sum(prompts.values()),
        teachers=", ".join(f"`{teacher.model}`" for teacher in manifest.teachers) or "no teacher",
        splits=_splits(manifest, prompts),
        funnel=_funnel(manifest.funnel),
        teacher_table=_teachers(manifest.teachers),
        use=manifest.licence.intended_use,
        decision=manifest.licence.decision.replace("_", " "),
        terms=_terms(manifest),
        soft_labels=_soft_labels(manifest),
        columns=_table(("column", "holds"), [(f"`{name}`", text) for name, text in COLUMNS.items()]),
        sha256=manifest.sha256,
        lineage=_lineage(manifest.lineage),
        sources=_sources(manifest.sources),
        label=f"{manifest.dataset}@{manifest.version}",
        split=orjson.dumps(manifest.split).decode(),
        split_by=split_by,
        split_limit=split_limit,
    )
    return f"---\n{head}---\n\n{body}"


def _split_words(manifest: Manifest) -> tuple[str, str]:
    """Return what shares a split, and what that leaves open."""
    near = manifest.near_prompts
    if near is None:
        # Where nothing was held back, nobody looked either, and the words are those of the wish.
        return (BY_NEAR, NEAR_LIMIT) if manifest.split.get("group") == "near" else (BY_TEXT, TEXT_LIMIT)
    found = NEAR_FOUND.format(found=near.in_words())
    if not near.apart:
        return BY_NEAR + found, NEAR_LIMIT
    return BY_NEAR + found, NEAR_LIMIT + "\n" + APART_LIMIT.format(prompts=near.apart_prompts)


def _head(manifest: Manifest, licences: list[str]) -> dict[str, Any]:
    several = {"license": "other", "license_name": "several", "license_link": "README.md"}
    head = ({"license": licences[0] or "unknown"} if len(licences) == 1 else several) | {
        "pretty_name": f"{manifest.dataset} v{manifest.version}",
        "tags": ["synthetic", "retort", "distillation"],
        "annotations_creators": ["machine-generated"],
        "language_creators": ["machine-generated"],
        "source_datasets": ["original"],
        "size_categories": [next((name for limit, name in SIZES if manifest.kept < limit), HUGE)],
        "task_categories": ["text-generation"],
    }
    if not manifest.splits:
        return head
    files = [{"split": split, "path": f"data/{split}-*.parquet"} for split in manifest.splits]
    configs = [{"config_name": "default", "data_files": files}]
    if manifest.soft_labels:
        labels = [{"split": split, "path": parts[0].path} for split, parts in manifest.soft_labels.splits.items()]
        configs.append({"config_name": "soft_labels", "data_files": labels})
    return head | {
        "configs": configs,
        "dataset_info": {"config_name": "default", "features": _features(KEPT), "splits": _split_info(manifest)},
    }


def _split_info(manifest: Manifest) -> list[dict[str, Any]]:
    return [
        {
            "name": split,
            "num_bytes": sum(part.bytes for part in parts),
            "num_examples": sum(part.rows for part in parts),
        }
        for split, parts in manifest.splits.items()
    ]


def _features(fields: Any) -> list[dict[str, Any]]:
    """Return Arrow fields in the notation of `dataset_info`."""
    found = []
    for field in fields:
        if pa.types.is_list(field.type):
            inner = field.type.value_type
            found.append({"name": field.name, "list": _features([inner.field(i) for i in range(inner.num_fields)])})
        else:
            found.append({"name": field.name, "dtype": str(field.type)})
    return found


def _splits(manifest: Manifest, prompts: dict[Split, int]) -> str:
    rows = [
        (f"`{split}`", f"{sum(part.rows for part in parts):,}", f"{prompts.get(split, 0):,}")
        for split, parts in manifest.splits.items()
    ]
    return _table(("split", "rows", "prompts"), rows) if rows else "Nothing was kept, so there is no split."


def _funnel(funnel: list[FilterCount]) -> str:
    rows = []
    for line in funnel:
        reasons = ", ".join(
            f"{reason} {count:,}"
            for said in (line.reasons, line.notes)
            for reason, count in sorted(said.items(), key=lambda item: -item[1])
        )
        knobs = f"`{orjson.dumps(line.knobs).decode()}`" if line.knobs else ""
        counts = (f"{line.input:,}", f"{line.rejected:,}", f"{line.abstained:,}")
        rows.append((f"{line.kind} (v{line.version})", *counts, reasons, knobs))
    return (
        _table(("filter", "in", "rejected", "abstained", "reasons", "knobs"), rows)
        if rows
        else "Nothing: no filter ran."
    )


def _teachers(teachers: list[TeacherEntry]) -> str:
    rows = []
    for teacher in teachers:
        sampling = "<br>".join(f"`{orjson.dumps(asked).decode()}`" for asked in teacher.sampling)
        rows.append(
            (teacher.name, f"`{teacher.model}`", teacher.revision or "", teacher.license or "unknown", sampling)
        )
    return _table(("teacher", "model", "revision", "licence", "sampling"), rows)


def _lineage(batches: list[BatchEntry]) -> str:
    rows = []
    for batch in batches:
        asked = f"up to {batch.n}, until {batch.accept_k} are right" if batch.accept_k else str(batch.n)
        made = "asked"
        if batch.rewrite:
            source = batch.rewrite.get("version") or ", ".join(batch.rewrite["batches"])
            made = f"rewritten ({batch.rewrite['kind']}) from {source}"
        elif batch.imported:
            made = f"imported from {batch.imported.get('file') or batch.imported.get('format')}"
        sampling = f"`{orjson.dumps(batch.sampling).decode()}`"
        rows.append((f"`{batch.id}`", made, ", ".join(batch.teachers), f"{batch.prompts:,}", asked, sampling))
    return _table(("batch", "made", "teachers", "prompts", "answers each", "sampling"), rows)


def _sources(sources: list[SourceEntry]) -> str:
    """Return the list of those to name: some licences ask for it."""
    rows = [(each.source or "not stated", each.license or "unknown", f"{each.prompts:,}") for each in sources]
    return "Prompts of kept rows are from:\n\n" + _table(("source", "licence", "prompts"), rows) if rows else ""


def _soft_labels(manifest: Manifest) -> str:
    if manifest.soft_labels is None:
        return ""
    rows = sum(part.rows for parts in manifest.soft_labels.splits.values() for part in parts)
    known = {name: sha256 for name, sha256 in sorted(manifest.soft_labels.tokenizer_sha256.items()) if sha256}
    named = ", ".join(f"`{name}`: `{sha256}`" for name, sha256 in known.items())
    return SOFT_LABELS.format(
        rows=rows, k=manifest.soft_labels.k, tokenizers=f" (SHA-256 of its `tokenizer.json`; {named})" if named else ""
    )


def _terms(manifest: Manifest) -> str:
    licence = manifest.licence
    lines = [f"- Duty: {duty}" for duty in licence.duties] + [f"- {clause}" for clause in licence.clauses]
    for override in licence.overrides:
        name = override.get("licence") or "none stated"
        lines.append(f"- Cleared by {override.get('author')}: {name}, because {override.get('reason')}")
    return "\n".join(lines) or "No duty follows from it."


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Return a Markdown table; a `|` in a value would end its cell, a line break the table."""
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join(
        "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in line) + " |" for line in lines
    )
