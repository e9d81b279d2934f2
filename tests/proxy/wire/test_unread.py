"""What is known and not read: whoever asks for it is told another way."""

import pytest

from proxy.wire.unread import advice_for


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/v1/uploads", "send it whole, with `POST /v1/files`"),
        ("/v1/uploads/upload_1/parts", "send it whole, with `POST /v1/files`"),
        ("/openai/v1/uploads/upload_1/complete", "send it whole, with `POST /v1/files`"),
        ("/v1/projects/p/locations/l/batchPredictionJobs", "make a batch of the Gemini API"),
        ("/v1/projects/p/locations/l/batchPredictionJobs/1:cancel", "a batch of the Gemini API"),
        ("/v1/batches", "batches of this host are not read"),
        ("/v1/batches/b1/cancel", "batches of this host are not read"),
        ("/v1/files/upload", "files of this host are not read"),
        ("/v1/files/f1/content", "files of this host are not read"),
        ("/v1/fine_tuning/jobs/j1/events", "train a student of your own"),
        ("/v1beta/tunedModels", "train a student of your own"),
        ("/agents/A1/agentAliases/B2/sessions/s/text", "call the model itself by `converse`"),
        ("/knowledgebases/K1/retrieve", "call the model itself by `converse`"),
        ("/retrieveAndGenerateStream", "call the model itself by `converse`"),
        ("/v1/evals/e1/runs/r1/output_items", "stays with the provider"),
    ],
)
def test_known_paths_name_another_way(path: str, said: str) -> None:
    """Wherever a host puts them."""
    found = advice_for(path)
    assert found is not None
    assert said in found


@pytest.mark.parametrize("path", ["/", "/v1/organization/users", "/v1/uploads/a/b/c", "/v1/files/"])
def test_of_other_paths_nothing_is_said(path: str) -> None:
    """What nobody knows has no other way either."""
    assert advice_for(path) is None
