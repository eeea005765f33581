"""What a job is called in logs and traces."""

from service.models import Job, JobKind

_SUBJECT = {JobKind.CURATE: "version", JobKind.TRAIN: "run", JobKind.INTAKE: "run", JobKind.RENDER: "render"}


def ids_of(job: Job) -> dict[str, object]:
    """Return its ids: the job's own, and that of the batch, version, run or rendering that it works for."""
    ids: dict[str, object] = {"job": job.id, "kind": job.kind, _SUBJECT.get(job.kind, "batch"): job.subject}
    return ids | ({"teacher": job.teacher} if job.teacher else {})
