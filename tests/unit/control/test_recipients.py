"""Servers that admin sends to, as control describes them."""

from fakes.recipients import WEBHOOK
from pointsman.config.servers import GUARDED
from pointsman.config.settings import WebhookTarget
from pointsman.control.recipients import webhook_recipient
from pointsman.domain.network import Network
from pointsman.domain.origin import Origin, Secret

NETWORK = Network(
    proxy=Origin("http", "p", 1), proxy_authorization=Secret("a"), ca_file="ca", is_public_only=True, max_connections=1
)


def test_recipient_has_the_network_and_the_secrets_of_its_server() -> None:
    target = WebhookTarget(
        origin=Origin("https", "h", 443),
        path="/x",
        headers=(("a", Secret("b")),),
        network=NETWORK,
        timeout_s=3.0,
        secrets=(Secret("c"),),
    )
    found = webhook_recipient(target)
    assert (found.origin, found.network, found.path, found.timeout_s) == (target.origin, NETWORK, "/x", 3.0)
    assert (found.headers, found.secrets) == ({"a": "b"}, ("c",))


def test_texts_of_recipients_show_no_secrets() -> None:
    assert repr(WEBHOOK) == "WebhookRecipient(http://127.0.0.1:1)"
    assert WEBHOOK.network.is_public_only == GUARDED.is_public_only
