"""Settings of an export in tests."""

from pointsman.control.inquiries.export import ExportSettings

SETTINGS = ExportSettings(
    scheme="http",
    host="127.0.0.1",
    port=4318,
    path="",
    headers={"authorization": "Bearer canary"},
    signals=("traces",),
    timeout_s=10.0,
    connect_timeout_s=1.0,
    metrics_interval_s=60.0,
    ratio=1.0,
    errors=True,
    slow_s=30.0,
    service_name="pointsman",
    attributes={"deployment.environment.name": "test"},
    types={},
)
