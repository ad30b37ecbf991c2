"""`fervid schema`: print the JSON Schema of the timeline."""

from fervid.cli.shared.options import command
from fervid.cli.shared.output import show


@command("schema", examples="fervid schema > timeline.schema.json")
def schema() -> None:
    """Print the JSON Schema of the timeline."""
    import json

    from fervid.export.timelines.json import schema as timeline_schema

    show(json.dumps(timeline_schema(), indent=2))
