"""What a person sees while the arms run: one bar for all, and a line for each that is under way."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from bench.experiments.arm import Result
from bench.experiments.runner import Job


class Watching:
    """Hears of jobs. Without a terminal, a line for each that has ended is all it prints."""

    def __init__(self, console: Console, jobs: int) -> None:
        self.failed: list[Job] = []
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[said]}", style="dim"),
            console=console,
            disable=not console.is_terminal,
        )
        self._console = console
        self._all = self._progress.add_task("trainings", total=jobs, said="")
        self._lines: dict[Job, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, error: type[BaseException] | None, _value: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def hear(self, job: Job, news: str | Result | None) -> None:
        """Hear how far a job is, its result, or None where it failed."""
        name = f"{job[0]}, seed {job[1]}"
        if isinstance(news, str):
            if job not in self._lines:
                self._lines[job] = self._progress.add_task(name, total=None, said=news)
            self._progress.update(self._lines[job], said=news)
            return
        if job in self._lines:
            self._progress.remove_task(self._lines.pop(job))
        self._progress.advance(self._all)
        if news is None:
            self.failed.append(job)
            self._console.print(f"[red]{name} failed[/red]; runs/{job[0]}-{job[1]}.failed says why")
        else:
            accuracy = f"{_share(news, 'greedy')} greedy, {_share(news, 'sampled')} at T = 1"
            self._console.print(f"{name}: {accuracy}, {news.cpu_s:.0f} s of CPU", highlight=False)


def _share(result: Result, mode: str) -> str:
    right = [one for one in result.right["student"][mode] if one is not None]
    return f"{100 * sum(right) / len(right):.1f} %" if right else "nobody could judge"
