"""A model card names weights, teachers and datasets of a run."""

from proxy.audit.formats.material import Material
from proxy.audit.formats.model_card import model_cards
from tests.proxy.audit.formats.conftest import DATASET, RUN, WEIGHTS


def test_each_run_has_a_card(material: Material, nothing: Material) -> None:
    """What teachers are called is shown as text, whatever it is."""
    card = model_cards(material)[f"model/{RUN}/README.md"].decode()
    assert WEIGHTS in card
    assert DATASET in card
    assert "| acme | &lt;script&gt;\\| \\`x\\` \\# y | not recorded |" in card
    assert model_cards(nothing) == {}
