"""Many processes as one trainer: who leads, who holds which part of the weights, and what adds up.

`torchrun` starts one process for each device and says in the environment which of how many each is.
All of them take the same steps; the rows of a batch, the weights, their gradients and the optimiser
are shared out. The *leader*, process 0, alone writes the record and speaks. A process on its own is
a team of one, and nothing here costs it anything.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    set_model_state_dict,
)
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from transformers import PreTrainedModel

from student.errors import ConfigError, ModelError, StudentError

__all__ = ["Team", "Whole", "consolidated", "join_team", "share_out", "spread"]

_PATIENCE = timedelta(hours=12)
"""How long others wait for one that verifies or tokenises; of one that fails, `torchrun` ends all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """The processes of one run, seen from one of them."""

    rank: int = 0
    size: int = 1
    local: int = 0
    """The rank among the processes of this machine."""
    device: str = "cpu"
    """The device of this process, as torch names it."""

    @property
    def is_leader(self) -> bool:
        """Whether this process writes and speaks for all."""
        return self.rank == 0

    def lead[T](self, work: Callable[[], T]) -> T | None:
        """What the leader's work gives, on the leader; the others wait for it and get None.

        Raises:
            StudentError: of the work, on the leader.
            SystemExit: there, on the others: what the leader says is said once.
        """
        return self.together(work if self.is_leader else lambda: None)

    def together[T](self, work: Callable[[], T]) -> T:
        """What each process's own work gives, after all of them have done theirs.

        Raises:
            StudentError: of the first process whose work failed, on the leader.
            SystemExit: there, on the others.
        """
        if self.size == 1:
            return work()
        found, problem = _attempt(work)
        problems = [each for each in self.gather(problem) if each is not None]
        if not problems:
            assert found is not None  # noqa: S101 - without a problem there is a result
            return found.value
        if self.is_leader:
            raise problems[0] from problem
        raise SystemExit(problems[0].exit_status)

    def first_here[T](self, work: Callable[[], T]) -> T:
        """As `together`, on each machine the first process before the others: they find its caches."""
        first = self.together(lambda: _Found(work()) if self.local == 0 else None)
        rest = self.together(lambda: first or _Found(work()))
        return rest.value

    def gather[T](self, value: T) -> list[T]:
        """The value of each process, by rank; plain values only."""
        if self.size == 1:
            return [value]
        values: list[T | None] = [None] * self.size
        dist.all_gather_object(values, value)
        return values  # type: ignore[return-value]  # each place has been filled

    def tell[T](self, value: T | None) -> T:
        """The leader's value, on all; plain values only."""
        told: T = self.gather(value)[0]  # type: ignore[assignment]  # the leader gives one
        return told

    def add_up(self, values: Tensor) -> Tensor:
        """The sum over all processes, element by element; the tensor itself is overwritten."""
        if self.size > 1:
            dist.all_reduce(values)
        return values


@dataclass(frozen=True, slots=True)
class _Found[T]:
    value: T


def _attempt[T](work: Callable[[], T]) -> tuple[_Found[T] | None, StudentError | None]:
    try:
        return _Found(work()), None
    except StudentError as error:
        return None, error


@contextmanager
def join_team(device: str, environ: Mapping[str, str] = os.environ) -> Iterator[Team]:
    """The team that `torchrun` started, on `cpu` or `cuda`; without `torchrun`, a team of one.

    Raises:
        ConfigError: this machine has fewer GPUs than processes.
    """
    size = int(environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Team(device=device)
        return
    local = int(environ.get("LOCAL_RANK", "0"))
    if device == "cuda":
        _claim_gpu(local)
    # objects go from host to host, tensors from device to device
    backend = "cpu:gloo,cuda:nccl" if device == "cuda" else "gloo"
    dist.init_process_group(backend, timeout=_PATIENCE)
    try:
        yield Team(
            rank=dist.get_rank(),
            size=size,
            local=local,
            device=f"cuda:{local}" if device == "cuda" else device,
        )
    finally:
        dist.destroy_process_group()


def _claim_gpu(local: int) -> None:
    there = torch.cuda.device_count()
    if local >= there:
        raise ConfigError(
            f"process {local + 1} of this machine has no GPU of its own: there are {there}",
            help=f"give `torchrun` at most `--nproc-per-node {there}`",
            where="LOCAL_RANK",
        )
    torch.cuda.set_device(local)


def share_out[T](rows: Sequence[T], team: Team, empty: T) -> list[T]:
    """The rows of one process: each row goes to one, and all get as many, for the empty one fills up.

    Sharded weights are gathered by all processes at once, so each must take as many forward passes.
    """
    passes = -(-len(rows) // team.size)
    mine = list(rows[team.rank :: team.size])
    return mine + [empty] * (passes - len(mine))


class Whole(nn.Module):
    """Work on a model during which each weight is whole when it is needed, however it is sharded.

    Whatever reads a weight, the output head above all, must run inside.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward[T](self, work: Callable[[PreTrainedModel], T]) -> T:
        """What the work gives; every process must do as many forward passes in it."""
        return work(self.model)


def spread(model: PreTrainedModel, team: Team) -> Whole:
    """The model on the team's devices: block by block, each process keeps its part of every weight.

    The leader's model has the weights; those of the others may be on the meta device. Weights are
    gathered as they are, fp32, so that what is computed is what one process computes, in bf16 too.
    Gradients are summed, not averaged: the loss is divided by what the whole batch holds already.

    Raises:
        ModelError: the model has no list of blocks.
    """
    whole = Whole(model)
    if team.size == 1:
        nn.Module.to(model, torch.device(team.device))
        return whole
    blocks = _blocks(model)
    mesh = init_device_mesh(team.device.partition(":")[0], (team.size,))
    weights = model.state_dict() if team.is_leader else {}
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    for block in blocks:
        fully_shard(block, mesh=mesh)
    fully_shard(whole, mesh=mesh, reshard_after_forward=True)
    for module in whole.modules():
        if isinstance(module, FSDPModule):
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(enable=True)  # gloo cannot scale while it sums
    if not team.is_leader:
        model.to_empty(device=torch.device(team.device))
    _hand_out(model, weights, buffers, team)
    return whole


def consolidated(model: PreTrainedModel, team: Team) -> dict[str, Tensor]:
    """The whole weights by name, on the leader's host; tied weights once, and nothing on the others."""
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    state: dict[str, Any] = (
        model.state_dict() if team.size == 1 else get_model_state_dict(model, options=options)
    )
    own = {name for name, _ in (*model.named_parameters(), *model.named_buffers())}
    return {name: value for name, value in state.items() if name in own}


def _blocks(model: PreTrainedModel) -> list[nn.Module]:
    """The blocks that follow one another: the outermost list of modules."""
    lists = (module for module in model.modules() if isinstance(module, nn.ModuleList))
    blocks = next(lists, None)
    if blocks is None:
        raise ModelError(
            "the model has no list of blocks, so its weights cannot be shared out",
            help="train it in one process, without `torchrun`",
            where=type(model).__name__,
            code="no-blocks",
        )
    return list(blocks)


def _hand_out(
    model: PreTrainedModel, weights: dict[str, Any], buffers: Mapping[str, Tensor], team: Team
) -> None:
    """Give every process its part of the leader's weights, and all of the leader's buffers."""
    options = StateDictOptions(full_state_dict=True, broadcast_from_rank0=True)
    set_model_state_dict(model, weights, options=options)
    for name, buffer in model.named_buffers():
        if team.is_leader:
            buffer.copy_(buffers[name])
        dist.broadcast(buffer, src=0)
