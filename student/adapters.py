"""Low-rank adapters (LoRA): few weights that learn beside a base that stays, kept apart or merged.

`peft` puts them into the model; it comes with the extra `lora` and is imported when one is asked
for. What is written is plain: `adapter_model.safetensors` and `adapter_config.json`, as `peft` reads
them, with the digests of the base beside them.
"""

import json
import shutil
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor
from transformers import PreTrainedModel

from student import digest
from student.config import Config
from student.errors import ConfigError, ModelError

__all__ = ["add_adapter", "merged", "save_adapter"]

_ADAPTER = ".default"
"""The name that peft gives an adapter, inside the names of its weights."""
_BASE = ".base_layer"
_DOWN, _UP = ".lora_A", ".lora_B"
_OUTER = "base_model.model."
"""What peft's own wrapper puts before every name."""
_WEIGHTS = "adapter_model.safetensors"
_SETTINGS = "adapter_config.json"
_ORIGIN = "inbond-adapter.json"


def add_adapter(model: PreTrainedModel, config: Config) -> None:
    """Put an adapter beside the matrices of a model and let nothing else learn.

    At first it changes nothing: its second matrix is zero. The first comes from torch's random
    state. With `config.lora_rank` 0 nothing is done, and all weights learn.

    Raises:
        ConfigError: `peft` is not installed.
        ModelError: the model has no matrices of the names asked for.
    """
    if not config.lora_rank:
        return
    if find_spec("peft") is None:
        raise ConfigError(
            "`lora_rank` is given and `peft` is not installed",
            help="install the extra: `uv sync --extra student --extra lora`",
            where="lora_rank",
            code="no-peft",
        )
    from peft import LoraConfig, inject_adapter_in_model  # noqa: PLC0415 - an extra, only when asked for

    targets = config.lora_targets
    alpha: Any = config.lora_alpha  # its types know whole numbers only
    settings = LoraConfig(
        r=config.lora_rank,
        lora_alpha=alpha,
        lora_dropout=config.lora_dropout,
        target_modules=targets if targets == "all-linear" else targets.split(","),
        task_type="CAUSAL_LM",
    )
    make: Any = inject_adapter_in_model  # it takes any module, whatever its types say
    try:
        make(settings, model)
    except ValueError as error:
        raise ModelError(
            f"no adapter fits this model: {str(error).partition(chr(10))[0]}",
            help="give names of its linear layers as `lora_targets`, or `all-linear`",
            where=type(model).__name__,
            code="lora-targets",
        ) from error


def merged(weights: Mapping[str, Tensor], config: Config) -> dict[str, Tensor]:
    """Whole weights by name with the adapter added to the matrices beside it.

    `weights` are named as in a model with an adapter; without one they come back as they are.
    """
    scale = config.lora_alpha / config.lora_rank if config.lora_rank else 0.0
    result = {}
    for name, value in weights.items():
        if _DOWN in name or _UP in name:
            continue
        plain = name.replace(_BASE, "")
        stem = plain.removesuffix(".weight")
        down, up = (weights.get(f"{stem}{part}{_ADAPTER}.weight") for part in (_DOWN, _UP))
        result[plain] = value
        if name.endswith(f"{_BASE}.weight") and down is not None and up is not None:
            result[plain] = value + scale * (up @ down)
    return result


def save_adapter(
    weights: Mapping[str, Tensor], config: Config, base: Mapping[str, Any], folder: Path
) -> dict[str, str]:
    """Write the adapter alone, all or nothing; the files' sha256 (hex) by name.

    `base` says which weights it belongs to: on others it means nothing.
    """
    own = {
        f"{_OUTER}{name.replace(_ADAPTER, '')}": value.contiguous()
        for name, value in weights.items()
        if _DOWN in name or _UP in name
    }
    temporary = folder.parent / f".{folder.name}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    save_file(own, temporary / _WEIGHTS, metadata={"format": "pt"})
    targets = sorted(
        {name.removeprefix(_OUTER).partition(_DOWN)[0] for name in own if _DOWN in name}
    )
    settings = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base["spec"],
        "r": config.lora_rank,
        "lora_alpha": config.lora_alpha,
        "lora_dropout": config.lora_dropout,
        "target_modules": targets,
        "inference_mode": True,
    }
    for name, values in ((_SETTINGS, settings), (_ORIGIN, {"v": 1, "base": dict(base)})):
        (temporary / name).write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n")
    shutil.rmtree(folder, ignore_errors=True)  # one that a kill left behind before it was recorded
    temporary.rename(folder)
    return {path.name: digest.of_file(path) for path in sorted(folder.iterdir())}
