"""The database: one engine, two kinds of session, the same code on SQLite and Postgres."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import orjson
from sqlalchemy import Dialect, Engine, Table, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlmodel import Float, Session, text

from service.store.migrate import upgrade

log = logging.getLogger(__name__)

START_S = 60.0
"""How long a database server may take to start beside us."""
BUSY_MS = 30_000
"""How long a SQLite writer waits for another before it gives up; a bulk write takes seconds at most."""
HASTY_MS = 100
"""… and where what it would write can as well be written later."""


class Clock(FunctionElement[float]):
    """The database's time in Unix seconds. Leases are compared by this clock alone."""

    type = Float()
    inherit_cache = True


@compiles(Clock, "sqlite")
def _sqlite_clock(element: Any, compiler: Any, **kw: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(Clock, "postgresql")
def _postgres_clock(element: Any, compiler: Any, **kw: Any) -> str:
    return "extract(epoch from clock_timestamp())::float8"


class Database:
    """An engine with a session for reading and one for writing.

    A write session takes SQLite's write lock when it begins, so that read-then-write never fails half-way; on Postgres
    both are ordinary transactions.
    """

    def __init__(self, url: str) -> None:
        embedded, server = {"paramstyle": "named"}, {"pool_size": 10, "max_overflow": 20, "pool_pre_ping": True}
        options: dict[str, Any] = embedded if url.startswith("sqlite") else server
        self.engine = create_engine(
            url,
            json_serializer=lambda value: orjson.dumps(value).decode(),
            json_deserializer=orjson.loads,
            hide_parameters=True,  # prompts and answers: an error that quotes its statement ends in a log
            **options,
        )
        if self.embedded:
            _prepare_sqlite(self.engine)
        self._write = self.engine.execution_options(write=True)
        self._write_hastily = self.engine.execution_options(write=True, hasty=True)

    @property
    def embedded(self) -> bool:
        """Whether this is the embedded SQLite file."""
        return self.engine.dialect.name == "sqlite"

    @property
    def shown_url(self) -> str:
        """The URL with its password hidden, for messages."""
        return make_url(str(self.engine.url)).render_as_string(hide_password=True)

    def create(self) -> None:
        """Make the tables, or bring them up to date. Raises NewerDatabase where a later Retort made them.

        A server that does not answer yet, as after a power cut, is waited for, a minute at most.
        """
        give_up_at = time.monotonic() + (0 if self.embedded else START_S)
        while True:
            try:
                upgrade(self.engine)
                return
            except OperationalError as error:
                if time.monotonic() >= give_up_at:
                    raise
                log.warning("waiting for the database: %s", str(error.orig).partition("\n")[0])
                time.sleep(1)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Yield a session whose changes are thrown away."""
        with Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self, *, hasty: bool = False) -> Iterator[Session]:
        """Yield a session that commits on leaving, or rolls back when the block raises.

        `hasty`: on SQLite, raise OperationalError at its first statement where another writer is at work for longer
        than `HASTY_MS`.
        """
        with Session(self._write_hastily if hasty else self._write, expire_on_commit=False) as session, session.begin():
            yield session

    def now(self) -> float:
        """Return the database's clock, Unix seconds."""
        with self.read() as session:
            return float(session.connection().scalar(Clock().select()) or 0.0)

    def ping(self) -> None:
        """Raise if the database does not answer."""
        with self.engine.connect() as connection:
            connection.execute(text("select 1"))

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def on_sqlite(session: Session) -> bool:
    """Return whether the session is on the embedded SQLite file, for what the two databases have to be told apart."""
    return session.get_bind().dialect.name == "sqlite"


def storable(text: str) -> str:
    """Replace what a database's text cannot hold (NUL, lone surrogates); `raw` keeps the message as it came."""
    if "\0" in text:
        text = text.replace("\0", "\N{REPLACEMENT CHARACTER}")
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def insert_new(session: Session, table: Any, rows: Sequence[dict[str, Any]]) -> int:
    """Insert `rows` in bulk, passing over those that a unique constraint already holds; return how many were new.

    All of them have the columns of the first one.
    """
    if not rows:
        return 0
    sql, defaults, converters = _insert_sql(table.__table__, session.get_bind().dialect, tuple(rows[0]))
    converted = [defaults | row | {name: convert(row[name]) for name, convert in converters} for row in rows]
    # Without the option, psycopg's count over many rows is thrown away.
    options = {"preserve_rowcount": True}
    return int(session.connection().exec_driver_sql(sql, converted, execution_options=options).rowcount)


@lru_cache
def _insert_sql(
    table: Table, dialect: Dialect, names: Sequence[str]
) -> tuple[str, dict[str, Any], Sequence[tuple[str, Callable[[Any], Any]]]]:
    """Return the statement that inserts these columns, defaults of others, and what makes values fit for the driver.

    Given to SQLAlchemy as a statement it would be put together anew for each row, at half the price of the insert.
    """
    insert = postgresql.insert(table) if dialect.name == "postgresql" else sqlite.insert(table)
    compiled = insert.on_conflict_do_nothing().compile(dialect=dialect, column_keys=list(names))
    defaults = {column.key: column.default.arg for column in compiled.insert_prefetch if column.default}  # pyright: ignore[reportAttributeAccessIssue]
    types = ((name, table.c[name].type.dialect_impl(dialect)) for name in names)
    converters = ((name, type_.bind_processor(dialect)) for name, type_ in types)
    return str(compiled), defaults, [(name, convert) for name, convert in converters if convert]


def _prepare_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        # Python's sqlite3 would begin transactions by itself, and only at the first write.
        connection.isolation_level = None
        cursor = connection.cursor()
        # FULL: a commit that was acknowledged survives a power cut; batches of rows keep its cost small.
        for pragma in ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={BUSY_MS}", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        options = connection.get_execution_options()
        if not options.get("hasty"):
            connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("write") else "BEGIN")
            return
        connection.exec_driver_sql(f"PRAGMA busy_timeout={HASTY_MS}")
        try:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        finally:
            connection.exec_driver_sql(f"PRAGMA busy_timeout={BUSY_MS}")
