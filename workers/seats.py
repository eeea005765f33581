"""Teachers as this worker asks them: one client with one connection pool for each server, one gate before them."""

import asyncio
from dataclasses import dataclass
from typing import Any

from service.counting import IN_FLIGHT, LIMIT
from service.models import Teacher
from service.probe import probe
from service.settings import Settings
from service.store import teachers
from service.teachers.protocol import NOBODY_THERE, TeacherBusy, TeacherRefused
from service.teachers.protocol import Teacher as Client
from workers.database import AsyncDatabase
from workers.gate import Gate, Lane
from workers.teachers import TEACHERS


@dataclass(slots=True)
class Seat:
    """One teacher: a client for each of its servers by address, and the gate before them."""

    clients: dict[str, Client]
    gate: Gate

    @property
    def address(self) -> str:
        """Where it is, for messages."""
        return " and ".join(self.clients)


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
        """Return a teacher's seat, a new one if it was registered anew.

        Raises TeacherRefused if it cannot be asked, TeacherBusy if nobody is there: a seat taken then would ask without
        knowing what the server can do, and get no count of the tokens of each answer.
        """
        if teacher is None:
            raise TeacherRefused("unknown_teacher", "no teacher of that name is registered any more")
        if teacher.backend not in TEACHERS:
            raise TeacherRefused("unknown_backend", f"this worker knows no backend '{teacher.backend}'")
        away = None
        if self._is_strange(teacher):
            teacher = await self._look_at(teacher)
            away = _nobody_there(teacher.health or {})
        # Only vLLM and its kin tell `max_model_len` when probed, and know the field that counts each answer's tokens.
        token_ids = bool((teacher.health or {}).get("max_model_len"))
        addresses = tuple(dict.fromkeys([teacher.base_url, *teacher.replicas]))
        asked = (teacher.backend, addresses, teacher.model, teacher.api_key_env, token_ids)
        known = self._seats.get(teacher.name)
        if known is None or known[0] != asked:
            clients = {address: self._client(teacher, address, token_ids) for address in addresses}
            seat = Seat(clients, known[1].gate if known else Gate(self._change))
            # What is known of a server outlives a change of the others.
            lanes = {lane.address: lane for lane in seat.gate.lanes}
            seat.gate.lanes = [lanes.get(each) or Lane(each, teacher.max_concurrency) for each in addresses]
            known = self._seats[teacher.name] = (asked, seat)
        for lane in known[1].gate.lanes:
            lane.ceiling = teacher.max_concurrency
            if away:
                lane.down()
        if away:
            raise away
        return known[1]

    def measure(self) -> None:
        """Set the gauges of how full each teacher's gate is."""
        for name, (_, seat) in self._seats.items():
            IN_FLIGHT.labels(name).set(sum(lane.held for lane in seat.gate.lanes))
            LIMIT.labels(name).set(sum(lane.limit for lane in seat.gate.lanes))

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
        health = await asyncio.to_thread(probe, teacher)
        return await self._database.write(teachers.note_health, teacher.name, health)

    def _client(self, teacher: Teacher, address: str, token_ids: bool) -> Client:
        try:
            client = TEACHERS[teacher.backend](
                address,
                teacher.model,
                api_key_env=teacher.api_key_env,
                timeout_s=self._settings.request_timeout_s,
                token_ids=token_ids,
                networks=self._settings.networks(),
                name=teacher.name,
            )
        except ValueError as error:
            raise TeacherRefused("bad_address", str(error)) from error
        self._clients.append(client)
        return client


def _nobody_there(health: dict[str, Any]) -> TeacherBusy | None:
    reason = str(health.get("reason", ""))
    return TeacherBusy(reason, str(health.get("detail", ""))) if reason in NOBODY_THERE else None
