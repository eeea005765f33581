"""The runs of the library that pages are tested with: one that ended, one on its way, one that failed."""

from typing import Any

from service.models import Event, Run, RunState
from tests.service.pages.ids import ASKING, BROKEN, NOW, TRAINED, TRAINING
from tests.service.pages.report import HOSTILE, REPORT


def runs() -> list[Run]:
    common: dict[str, Any] = {"dataset": "arithmetic", "version": 1, "method": "sft"}
    step = {"event": "step", "step": 120, "total": 400, "loss": 0.71, "eta_s": 214.0, "tokens_per_s": 5120}
    return [
        Run(
            id=TRAINED,
            student="models/student-base",
            config={"learning_rate": 2e-3, "epochs": 4},
            evaluation=[ASKING],
            state=RunState.SUCCEEDED,
            report=REPORT,
            path=f"runs/{TRAINED}",
            created_at=NOW - 5000,
            started_at=NOW - 4990,
            finished_at=NOW - 4300,
            **common,
        ),
        Run(
            id=TRAINING,
            student="Qwen/Qwen3-0.6B",
            state=RunState.RUNNING,
            progress=step,
            started_at=NOW - 100,
            **common,
        ),
        Run(
            id=BROKEN,
            student=f"models/<script>{HOSTILE[0]}",
            state=RunState.FAILED,
            reason="diverged",
            detail="the loss is nan at step 40: lower the learning rate",
            created_at=NOW - 6000,
            started_at=NOW - 5990,
            finished_at=NOW - 5900,
            **common,
        ),
    ]


def events() -> list[Event]:
    found: list[dict[str, Any]] = []
    pace = {"eta_s": 214.0, "tokens_per_s": 5120}
    for run_id, last in ((TRAINED, 400), (TRAINING, 120)):
        for step in range(10, last + 1, 10):
            loss = round(2.4 * 0.5 ** (step / 90) + 0.32 + 0.05 * ((step // 10) % 3), 4)
            found.append({"event": "step", "step": step, "total": 400, "loss": loss, "subject": run_id} | pace)
            if step % 50 == 0:
                found.append({"event": "eval_loss", "step": step, "loss": round(loss + 0.11, 4), "subject": run_id})
                apart = {"kl": round(0.8 * 0.5 ** (step / 120), 4), "agreement": round(0.95 - 0.5 ** (step / 60), 4)}
                found.append({"event": "teacher_distance", "step": step, "total": 400, "subject": run_id} | apart)
    return [Event(kind="run.event", subject=event.pop("subject"), data=event) for event in found]
