from typing import Any
def read_report(report: Any) -> Any:
    return None
