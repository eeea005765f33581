"""A typed Python client of the native API: one method for each route, streaming both ways.

    from service.client import Client

    with Client("http://127.0.0.1:8080") as retort:
        batch = retort.submit(Path("prompts.jsonl"), ["tiny"], n=4, sampling={"temperature": 0.7})
        print(retort.batch(batch.id).counts)

What comes back are the API's own shapes (`service.api.shapes`), so that a field renamed there is a type error here.
The OpenAI-compatible door has a client already: the `openai` SDK with `base_url=".../v1"`.
"""

from service.client.batches import Batches
from service.client.datasets import DatasetOut, Datasets, Recipes
from service.client.health import Health
from service.client.paths import Page
from service.client.runs import Runs
from service.client.sending import Prompts, key_of
from service.client.submissions import Submissions
from service.client.teachers import Keys, Teachers
from service.client.traces import Traces

__all__ = ["Client", "DatasetOut", "Page", "Prompts", "key_of"]


class Client(Submissions, Batches, Traces, Recipes, Datasets, Runs, Teachers, Keys, Health):
    """All methods, by subject. Every one raises RetortError, and nothing else, when its request fails.

    `RetortError.status` is that of HTTP: 401 without a key that is valid, 403 where the key's scope does not reach, 404
    where there is no such thing, 409 where it does not fit the present state, 413 for a body that is too large, 422 for
    bad input (`errors` says which line and field), 503 while the database is away; 0 where no answer came at all.
    """
