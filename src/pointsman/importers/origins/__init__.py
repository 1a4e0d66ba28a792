"""The other gateways, one file each with the constant `ORIGIN`. A reader takes the parsed document of the other gateway
and fills a `Draft`. Nothing is left out in silence: a setting that no reader knows is noted too."""
