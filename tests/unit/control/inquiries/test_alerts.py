"""Settings of alerts that contain secrets."""

from pointsman.control.inquiries.alerts import AlertSettings, ChannelRecipient


def test_settings_of_channels_hide_their_secrets() -> None:
    channel = ChannelRecipient(
        scheme="https",
        host="a.example",
        port=443,
        path="/xyzzy",
        headers={"authorization": "xyzzy"},
        timeout_s=1.0,
        connect_timeout_s=1.0,
        secrets=("xyzzy",),
        name="ops",
        type="webhook",
    )
    assert "xyzzy" not in repr(AlertSettings(digest="", channels=[channel]))
