"""One call under way, as the hooks know it."""

from mitmproxy.connection import Client, Server
from mitmproxy.http import HTTPFlow

from proxy.engine_call import EngineCall, is_gone
from tests.proxy.gatekeeper import RecordedPassage, RecordingGate
from tests.proxy.test_engine_messages import ARRIVAL


def _flow() -> HTTPFlow:
    client = Client(peername=("127.0.0.1", 1), sockname=("127.0.0.1", 2), timestamp_start=0)
    return HTTPFlow(client, Server(address=None))


def test_a_call_begins_with_nothing_decided() -> None:
    """Nothing may be dialled for a call, and it has not ended, before its gate says so."""
    passage = RecordedPassage(gate=RecordingGate(), arrival=ARRIVAL, exchange="x")
    call = EngineCall(passage=passage, flow=_flow())
    assert (call.forward, call.outcome, call.streamed, call.timer) == (None, None, None, None)
    assert not call.is_ended


def test_a_client_is_gone_when_its_connection_ended() -> None:
    """The end of the client's connection is what counts, not that of the flow."""
    flow = _flow()
    assert not is_gone(flow)
    flow.client_conn.timestamp_end = 1.0
    assert is_gone(flow)
