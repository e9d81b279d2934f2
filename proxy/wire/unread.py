"""Ways to a teacher that are known and not read: why, and what to do instead.

They are refused like everything that nobody reads; whoever asked is told the way that is read.
"""

from collections.abc import Mapping
from types import MappingProxyType

from proxy.wire.paths import ends_with

__all__ = ["advice_for"]

_ADVICE: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "a file that is sent in parts is not read; send it whole, with `POST /v1/files`": (
            "/uploads",
            "/uploads/*",
            "/uploads/*/parts",
            "/uploads/*/complete",
            "/uploads/*/cancel",
        ),
        "its requests and results lie in a store that inbond does not see; send each request alone, or "
        "make a batch of the Gemini API": (
            "/batchPredictionJobs",
            "/batchPredictionJobs/*",
            "/batchPredictionJobs/*:cancel",
        ),
        "batches of this host are not read, so that nobody could tell whose request an answer belongs "
        "to; send each request alone": (
            "/batches",
            "/batches/*",
            "/batches/*/cancel",
        ),
        "files of this host are not read; send what the model needs in the request itself": (
            "/files",
            "/files/upload",
            "/files/*",
            "/files/*/content",
        ),
        "it trains a model at the provider, of whose data the ledger would know nothing; build a dataset "
        "and train a student of your own": (
            "/fine_tuning/jobs",
            "/fine_tuning/jobs/*",
            "/fine_tuning/jobs/*/*",
            "/fine-tunes",
            "/fine-tunes/*",
            "/tunedModels",
            "/tunedModels/*",
            "/tuningJobs",
            "/tuningJobs/*",
        ),
        "an agent asks models and tools inside of AWS, where nobody records what they are asked; call the "
        "model itself by `converse`, and give it the tools": (
            "/agents/*",
            "/agents/*/agentAliases/*/sessions/*/text",
            "/flows/*/aliases/*",
            "/knowledgebases/*/retrieve",
            "/retrieveAndGenerate",
            "/retrieveAndGenerateStream",
        ),
        "what an evaluation asks and is answered stays with the provider; send each request alone": (
            "/evals",
            "/evals/*",
            "/evals/*/runs",
            "/evals/*/runs/*",
            "/evals/*/runs/*/output_items",
        ),
    }
)
"""What to do instead, and the ends of the paths that it is said of."""


def advice_for(path: str) -> str | None:
    """What to do instead of calling a path that nobody reads; None where there is nothing to say."""
    return next(
        (
            advice
            for advice, suffixes in _ADVICE.items()
            if any(ends_with(path, suffix) for suffix in suffixes)
        ),
        None,
    )
