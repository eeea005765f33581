"""Forms in which a sealed version leaves: made on the way from its folder, a row group at a time; it stays as it is.

A new one is a file here and a line in `FORMATS`.
"""

from service.exports import alpaca, axolotl, jsonl, messages, openai, preference, prompt_completion, sharegpt
from service.exports.form import ExportFormat

FORMATS: dict[str, ExportFormat] = {
    form.name: form
    for form in (
        jsonl.FORMAT,
        messages.FORMAT,
        prompt_completion.FORMAT,
        preference.FORMAT,
        openai.FORMAT,
        sharegpt.FORMAT,
        alpaca.FORMAT,
        axolotl.FORMAT,
    )
}
"""Each is JSON lines of one split. Beside them stands `parquet`: the whole folder, byte for byte as it was sealed."""
PARQUET = "parquet"
