"""Forms in which traces come that were made elsewhere. A new one is a file here and a line in `SOURCES`."""

from service.imports import curator, datadesigner, examples, huggingface, openai, retort
from service.imports.source import Source

SOURCES: dict[str, Source] = {
    source.name: source
    for source in (
        huggingface.SOURCE,
        retort.SOURCE,
        datadesigner.SOURCE,
        curator.SOURCE,
        openai.SOURCE,
        examples.SOURCE,
    )
}
