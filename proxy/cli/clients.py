"""The clients that `inbond env` and `inbond doctor` know: what each reads to find a proxy.

The reference's table of clients is made of this list (`docs/reference/clients.md`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["BASE_URLS", "CLIENTS", "SDK_KEYS", "Client", "named"]

_EITHER_CASE = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy")
_LOWER_CASE = ("https_proxy", "no_proxy")

BASE_URLS: Mapping[str, str] = MappingProxyType(
    {
        "OPENAI_BASE_URL": "/openai/v1",
        "ANTHROPIC_BASE_URL": "/anthropic",
        "GOOGLE_GEMINI_BASE_URL": "/google-gemini-api",
        "CO_API_URL": "/cohere",
        "GROQ_BASE_URL": "/groq",
        "TOGETHER_BASE_URL": "/together/v1",
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "/aws-bedrock",
    }
)
"""Each variable that an SDK takes its base URL from, and the path at the proxy: the prefix of the
registry's entry, and what the SDK wants behind it."""

SDK_KEYS = (
    "OPENAI_API_KEY",
    "ANTHROPIC_API_KEY",
    "GOOGLE_API_KEY",
    "CO_API_KEY",
    "GROQ_API_KEY",
    "TOGETHER_API_KEY",
)
"""Where the same SDKs find their key; Google's reads this one first. Amazon's is a signature's id, which
is of all its services: a program gives ours itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """One client: the variables that it reads, and what to do where variables do not reach."""

    name: str
    runtime: str
    proxies: tuple[str, ...] = _EITHER_CASE
    trust: tuple[str, ...] = ("SSL_CERT_FILE",)
    base_url: str = ""
    """The variable of its base URL, if it has one."""
    key: str = ""
    """The variable of its key in base-URL mode."""
    instead: str = ""
    """What a program has to say itself, in one sentence without a full stop."""

    def reads(self) -> set[str]:
        """Every variable that matters to it, in both modes."""
        return {*self.proxies, *self.trust, self.base_url, self.key} - {""}


def _python(name: str, base_url: str = "", key: str = "", instead: str = "") -> Client:
    return Client(name=name, runtime="python", base_url=base_url, key=key, instead=instead)


def _node(name: str, base_url: str = "", key: str = "", instead: str = "") -> Client:
    return Client(
        name=name,
        runtime="node",
        proxies=(*_EITHER_CASE, "NODE_USE_ENV_PROXY"),
        trust=("NODE_EXTRA_CA_CERTS",),
        base_url=base_url,
        key=key,
        instead=instead,
    )


_OPENAI = ("OPENAI_BASE_URL", "OPENAI_API_KEY")
_ANTHROPIC = ("ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY")
_GOOGLE = ("GOOGLE_GEMINI_BASE_URL", "GOOGLE_API_KEY")
_OLD_NODE = (
    "a Node that does not know `NODE_USE_ENV_PROXY`, such as 20, reads no variable: set "
    "`EnvHttpProxyAgent` of undici as the global dispatcher, or use a base URL"
)

CLIENTS = (
    _python("openai", *_OPENAI),
    _python("anthropic", *_ANTHROPIC),
    _python("google-genai", *_GOOGLE),
    _python("mistralai", instead="a base URL is given as `server_url=` only"),
    _python("cohere", "CO_API_URL", "CO_API_KEY"),
    _python("groq", "GROQ_BASE_URL", "GROQ_API_KEY"),
    _python(
        "together",
        "TOGETHER_BASE_URL",
        "TOGETHER_API_KEY",
        instead="before version 3 the asynchronous client reads no proxy variable: use a base URL",
    ),
    _python("litellm", *_OPENAI),
    _python("langchain-openai", *_OPENAI),
    _python("instructor", *_OPENAI),
    _python("llm", instead="a base URL is `api_base` of a model in `extra-openai-models.yaml`"),
    _python("pydantic-ai", *_OPENAI),
    _python("distilabel", *_OPENAI),
    Client(
        name="boto3",
        runtime="python",
        trust=("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"),
        base_url="AWS_ENDPOINT_URL_BEDROCK_RUNTIME",
        instead="by base URL, name your region's host under `endpoints` in inbond.yaml, and give the "
        "client key as `aws_access_key_id` with any word as the secret",
    ),
    Client(
        name="xai-sdk",
        runtime="python",
        proxies=_LOWER_CASE,
        trust=("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",),
        instead="only the lower-case names are read by gRPC, and there is no base URL: use proxy mode",
    ),
    _python("aiohttp", instead="a session reads proxy variables only with `trust_env=True`"),
    Client(name="requests", runtime="python", trust=("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")),
    _node("npm:openai", *_OPENAI, _OLD_NODE),
    _node("npm:@anthropic-ai/sdk", *_ANTHROPIC, _OLD_NODE),
    _node("npm:@google/genai", *_GOOGLE, _OLD_NODE),
    _node("npm:ai", *_OPENAI, _OLD_NODE),
    Client(name="curl", runtime="curl", trust=("SSL_CERT_FILE", "CURL_CA_BUNDLE")),
    Client(
        name="java",
        runtime="java",
        proxies=(),
        trust=(),
        instead="give the JVM `-Dhttps.proxyHost= -Dhttps.proxyPort=`, import keys/ca.pem with "
        "`keytool -importcert` into a store that `-Djavax.net.ssl.trustStore=` names, and send the "
        "client key in the header `x-inbond-key`",
    ),
)
"""Every client, in the order of the reference."""


def named(name: str) -> Client | None:
    """The client of a name."""
    return next((client for client in CLIENTS if client.name == name), None)
