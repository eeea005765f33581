"""Teachers; the keys of those who may use this Retort, and what they did with them."""

from typing import TypedDict, Unpack

from service.acts import Act
from service.api.shapes.audit import AuditOut
from service.api.shapes.teachers import KeyMade, KeyOut, Probe, TeacherOut
from service.client.paths import Page, Span, segment
from service.connection import Connection, given


class TeacherOptions(TypedDict, total=False):
    """What else is known of a teacher, as in `TeacherIn`; a field left out, or None, keeps its default."""

    revision: str | None
    tokenizer_sha256: str | None
    api_key_env: str | None
    replicas: list[str] | None
    max_concurrency: int | None
    gpus: float | None
    gpu_hour_price: float | None


class Teachers(Connection):
    """Who answers. Registering needs a key with the scope `admin`."""

    def add_teacher(
        self, name: str, base_url: str, model: str, license: str = "", **more: Unpack[TeacherOptions]
    ) -> TeacherOut:
        """Register a teacher, or update the one of this name. `more`: the other fields of `TeacherIn`."""
        body = {"name": name, "base_url": base_url, "model": model, "license": license, **given(more)}
        return self._post(TeacherOut, "/api/teachers", json=body)

    def teachers(self) -> list[TeacherOut]:
        """Return all teachers."""
        return self._get(Page[TeacherOut], "/api/teachers").data

    def teacher(self, name: str) -> TeacherOut:
        """Return one teacher."""
        return self._get(TeacherOut, f"/api/teachers/{segment(name)}")

    def probe(self, name: str) -> Probe:
        """Ask a teacher whether it is there; `ok` is false when it is not."""
        return self._post(Probe, f"/api/teachers/{segment(name)}/probe")


class AuditQuery(Span, total=False):
    """Which acts; a field left out, or None, means any."""

    act: Act | None
    who: str | None
    subject: str | None


class Keys(Connection):
    """Who may ask, and who did what. All of it needs a key with the scope `admin`."""

    def make_key(self, name: str, scope: str = "submit") -> KeyMade:
        """Make a key of scope `read`, `submit` or `admin`; its token is in this answer and nowhere else."""
        return self._post(KeyMade, "/api/keys", json={"name": name, "scope": scope})

    def keys(self) -> list[KeyOut]:
        """Return all keys, revoked ones too."""
        return self._get(Page[KeyOut], "/api/keys").data

    def revoke_key(self, key_id: str) -> KeyOut:
        """Revoke a key; its row stays."""
        return self._send(KeyOut, "DELETE", f"/api/keys/{segment(key_id)}")

    def audit(self, **query: Unpack[AuditQuery]) -> Page[AuditOut]:
        """Return one page of who did what, the newest first."""
        return self._get(Page[AuditOut], "/api/audit", **query)
