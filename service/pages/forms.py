"""What forms ask for, as the API would have been asked."""

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from service.errors import Problem

Body = TypeVar("Body", bound=BaseModel)


def read(body: type[Body], values: dict[str, Any]) -> Body:
    """Return the request body that a form describes. Raises a Problem whose errors name its fields."""
    try:
        return body.model_validate(values)
    except ValidationError as error:
        wrong = [{"field": ".".join(map(str, each["loc"])), "message": each["msg"]} for each in error.errors()]
        raise Problem("the order cannot be read", wrong) from error
