"""Weights as whole numbers: a finished student in 8 or 4 bits a weight, activations as they are (W8A16, W4A16).

Each weight becomes the nearest of 2^bits steps, equally wide within a group of neighbours that share a scale:

    w ~ s * round(w / s),    s = max |w| of the group / (2^(bits - 1) - 1/2)

No data is needed for that, so nothing is learnt a second time; what it costs is measured. Embeddings, norms and the
head stay as they were. The folder is in the form `pack-quantized` of the package compressed-tensors, which
transformers and vLLM read.
"""

import shutil
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, PositiveInt

from trainer.base import load_model, load_tokenizer
from trainer.errors import TrainerError
from trainer.finish import share_weights

Bits = Literal[4, 8]
KEPT_BESIDE = ("generation_config.json", "chat_template.jinja")
HEAD = "lm_head"


class Compression(BaseModel):
    """How a student is made smaller."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    bits: Bits = 8
    """Of a weight. 8 rarely costs an answer; 4 halves it once more, and costs some."""
    group_size: PositiveInt | None = None
    """Neighbouring weights that share a scale; it must divide the width of every layer. None: a whole row of the
    matrix at 8 bits, 128 weights at 4, as far as that divides."""

    @property
    def name(self) -> str:
        """How files are called after it: `int8` or `int4`."""
        return f"int{self.bits}"


def compress(student: Path, target: Path, wish: Compression) -> int | None:
    """Write the student with weights of few bits into `target`, a new folder; return the group size, None for rows.

    Raises TrainerError `group_size` where that does not divide the layers.
    """
    import torch
    from compressed_tensors.compressors import ModelCompressor
    from compressed_tensors.quantization import QuantizationConfig, apply_quantization_config

    tokenizer = load_tokenizer(student)
    model: Any = load_model(student, _stored_dtype(student), "cpu")
    linear = {name: module for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    linear = {name: module for name, module in linear.items() if name.rpartition(".")[2] != HEAD}
    size = _group_size(wish, {module.in_features for module in linear.values()})
    weights = {"num_bits": wish.bits, "type": "int", "symmetric": True, "strategy": "group" if size else "channel"}
    weights |= {"group_size": size} if size else {}
    scheme = {"targets": ["Linear"], "weights": weights, "format": "pack-quantized"}
    config = QuantizationConfig.model_validate(
        {"config_groups": {"group_0": scheme}, "ignore": [HEAD], "format": "pack-quantized"}
    )
    apply_quantization_config(model, config)
    for module in linear.values():
        _scale(module, size)
    compressor = ModelCompressor(quantization_config=config)
    compressor.compress_model(model)
    compressor.remove_decompression_hook(model)
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    model.save_pretrained(partial)
    compressor.update_config(str(partial))
    tokenizer.save_pretrained(partial)
    share_weights(partial)
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)
    return size


def _stored_dtype(student: Path) -> str:
    from transformers import AutoConfig

    found = AutoConfig.from_pretrained(student, trust_remote_code=False).dtype
    return str(found or "float32").removeprefix("torch.")


def _group_size(wish: Compression, widths: set[int]) -> int | None:
    """Return a group size that divides every layer's width."""
    if wish.group_size is None and wish.bits == 8:
        return None
    size = wish.group_size or 128
    if wish.group_size is None:
        while size > 1 and any(width % size for width in widths):
            size //= 2
    if any(width % size for width in widths):
        told = ", ".join(f"{width:,}" for width in sorted(widths))
        raise TrainerError("group_size", f"group_size {size} must divide the width of every layer: {told}")
    return size


def _scale(module: Any, size: int | None) -> None:
    """Give a layer the scales that its weights need."""
    import torch
    from compressed_tensors.quantization.utils import calculate_qparams

    weight = module.weight.data.float()
    grouped = weight.unflatten(-1, (-1, size)) if size else weight.unsqueeze(1)
    scale, _ = calculate_qparams(grouped.amin(-1), grouped.amax(-1), module.quantization_scheme.weights)
    with torch.no_grad():
        module.weight_scale.copy_(scale.to(module.weight_scale.dtype))
