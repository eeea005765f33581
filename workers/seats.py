"""Teachers as this worker asks them: one client with one connection pool for each, and one gate before it."""

import asyncio
from dataclasses import dataclass

from service.models import Teacher
from service.probe import probe
from service.settings import Settings
from service.store import teachers
from service.teachers.protocol import Teacher as Client
from service.teachers.protocol import TeacherRefused
from workers.database import AsyncDatabase
from workers.gate import Gate
from workers.teachers import TEACHERS


@dataclass(slots=True)
class Seat:
    """One teacher's client and gate."""

    client: Client
    gate: Gate
    address: str


class Seats:
    """The seats by teacher. `change` is set whenever there may be room at one of them."""

    def __init__(self, settings: Settings, database: AsyncDatabase, change: asyncio.Event) -> None:
        self._settings, self._database, self._change = settings, database, change
        self._seats: dict[str, tuple[tuple[object, ...], Seat]] = {}
        self._clients: list[Client] = []
        """Also those of seats since replaced: a shard may still talk through one."""

    def of(self, name: str) -> Seat | None:
        """Return a teacher's seat if this worker has asked it before."""
        known = self._seats.get(name)
        return known[1] if known else None

    async def take(self, teacher: Teacher | None) -> Seat:
        """Return a teacher's seat, a new one if it was registered anew. Raises TeacherRefused if it cannot be asked."""
        if teacher is None:
            raise TeacherRefused("unknown_teacher", "no teacher of that name is registered any more")
        if teacher.backend not in TEACHERS:
            raise TeacherRefused("unknown_backend", f"this worker knows no backend '{teacher.backend}'")
        if self._is_strange(teacher):
            teacher = await self._look_at(teacher)
        # Only vLLM and its kin tell `max_model_len` when probed, and know the field that counts each answer's tokens.
        token_ids = bool((teacher.health or {}).get("max_model_len"))
        asked = (teacher.backend, teacher.base_url, teacher.model, teacher.api_key_env, token_ids)
        known = self._seats.get(teacher.name)
        if known is None or known[0] != asked:
            client = self._client(teacher, token_ids)
            gate = known[1].gate if known else Gate(teacher.max_concurrency, self._change)
            known = self._seats[teacher.name] = (asked, Seat(client, gate, teacher.base_url))
        known[1].gate.ceiling = teacher.max_concurrency
        return known[1]

    async def close(self) -> None:
        """Close all connections."""
        for client in self._clients:
            await client.close()

    def _is_strange(self, teacher: Teacher) -> bool:
        """Whether nobody found the teacher well so far, and this worker has not talked to it since it was last down."""
        known = self.of(teacher.name)
        return not (teacher.health or {}).get("ok") and (known is None or known.gate.is_down)

    async def _look_at(self, teacher: Teacher) -> Teacher:
        """Probe a teacher: what it can do decides how it is asked."""
        health = await asyncio.to_thread(probe, teacher.name, teacher.base_url, teacher.model, teacher.api_key_env)
        return await self._database.write(teachers.note_health, teacher.name, health)

    def _client(self, teacher: Teacher, token_ids: bool) -> Client:
        try:
            client = TEACHERS[teacher.backend](
                teacher.base_url,
                teacher.model,
                api_key_env=teacher.api_key_env,
                timeout_s=self._settings.request_timeout_s,
                token_ids=token_ids,
            )
        except ValueError as error:
            raise TeacherRefused("bad_address", str(error)) from error
        self._clients.append(client)
        return client
