"""The sources of credentials whose values are fetched: a file for each. They are used by `engine.credentials` alone."""

from pointsman.domain.origin import AwsSource, EntraSource, Source
from pointsman.engine.sources import aws, entra, google
from pointsman.engine.sources.exchange import Machine, Minted


async def mint(source: Source, machine: Machine) -> Minted:
    """Fetch the value of a source. Raises `RefusedError` and `UnavailableError`."""
    if isinstance(source, EntraSource):
        return await entra.mint(source, machine)
    return await (aws.mint(source, machine) if isinstance(source, AwsSource) else google.mint(source, machine))
