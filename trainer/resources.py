"""What a training uses of its machine: memory and processor of its process, memory and load of its GPU."""

from typing import Any

import psutil


class Resources:
    """Looks at this process; the processor's share is that since the last look."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._process.cpu_percent()

    def used(self) -> dict[str, Any]:
        """Return `rss_bytes`, `cpu_percent` (100 is one core) and, where there is one, what is used of the GPU."""
        with self._process.oneshot():
            used = {"rss_bytes": self._process.memory_info().rss, "cpu_percent": round(self._process.cpu_percent())}
        return used | _gpu()


def _gpu() -> dict[str, Any]:
    """Return `gpu_bytes`, `gpu_bytes_max` (the card's) and `gpu_percent`, the latter where NVML is installed."""
    import torch

    if not torch.cuda.is_available():
        return {}
    free, total = torch.cuda.mem_get_info()
    used = {"gpu_bytes": total - free, "gpu_bytes_max": total}
    try:
        return used | {"gpu_percent": torch.cuda.utilization()}
    except (ImportError, RuntimeError):  # no NVML for Python, or a driver that does not tell
        return used
