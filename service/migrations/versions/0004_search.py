"""The words of prompts, responses and reasonings are found by an index.

On an existing database this reads every trace once: about seven minutes for a million of 2 KB each, told as it goes on.
"""

import logging
from typing import Any

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels = None
depends_on = None

log = logging.getLogger(__name__)

SPAN = 20_000
"""Trace ids indexed by one statement; a line is logged after each."""

SQLITE = (
    # `place` narrows a search to a batch, teacher or category inside the index; the word `all` stands in every row.
    # Of the prompt, the text of its messages: a content that is no text, or a part without one, adds nothing.
    """create view trace_words as
    select trace.id as id, 'all ' || trace.batch_id || ' ' || trace.teacher || ' ' || prompt.category as place, (
        select group_concat(case json_type(message.value, '$.content')
            when 'array' then (select group_concat(json_extract(part.value, '$.text'), ' ')
                               from json_each(message.value, '$.content') part where part.type = 'object')
            else json_extract(message.value, '$.content') end, ' ')
        from json_each(prompt.messages) message where message.type = 'object'
    ) as prompt, trace.response as response, trace.reasoning as reasoning
    from trace join prompt on prompt.id = trace.prompt_id""",
    # The texts are kept once, in their own tables. Accents count: Postgres has no dictionary of its own without them.
    """create virtual table trace_search using fts5(
        place, prompt, response, reasoning,
        content = 'trace_words', content_rowid = 'id', tokenize = 'unicode61 remove_diacritics 0')""",
    # Fewer merges while answers come in, a little more to read while somebody searches: 0.32 ms for 2 KB, not 0.40.
    "insert into trace_search(trace_search, rank) values ('automerge', 16)",
    """create trigger trace_search_insert after insert on trace begin
        insert into trace_search(rowid, place, prompt, response, reasoning)
        select id, place, prompt, response, reasoning from trace_words where id = new.id;
    end""",
    # Before: afterwards the view no longer knows what stands in the index.
    """create trigger trace_search_delete before delete on trace begin
        insert into trace_search(trace_search, rowid, place, prompt, response, reasoning)
        select 'delete', id, place, prompt, response, reasoning from trace_words where id = old.id;
    end""",
)
FILL_SQLITE = """insert into trace_search(rowid, place, prompt, response, reasoning)
    select id, place, prompt, response, reasoning from trace_words where id > :after and id <= :last"""

POSTGRES = (
    # Everything but letters and digits, so that `a/b`, `3.14` and `foo-bar` are the same words in both databases.
    r"""create function retort_words(given text) returns text language sql immutable parallel safe as $$
        select regexp_replace(given, '[!-/:-@\[-`\{-\u00a9\u00ab-\u00b1\u00b4\u00b6-\u00b8\u00bb\u00bf\u00d7\u00f7'
            || '\u2000-\u206f\u2190-\u2bff\u3000-\u3004\u3008-\u3020\uff01-\uff0f\uff1a-\uff20\ufffd]+', ' ', 'g')
    $$""",
    r"""create function retort_prompt_text(messages json) returns text language sql immutable parallel safe as $$
        select string_agg(case json_typeof(message -> 'content')
            when 'array' then (select string_agg(part ->> 'text', ' ')
                               from json_array_elements(message -> 'content') part where json_typeof(part) = 'object')
            else message ->> 'content' end, ' ')
        from json_array_elements(messages) message where json_typeof(message) = 'object'
    $$""",
    # A text search vector holds one megabyte, at most four bytes for each of these characters: what is longer is
    # searched up to there, and never an error. The bar is a word that no one can ask for: phrases do not cross it.
    """create function retort_vector(messages json, response text, reasoning text) returns tsvector
        language sql immutable parallel safe as $$
        select to_tsvector('simple', retort_words(left(coalesce(retort_prompt_text(messages), ''), 40000)))
            || '''|'':1'::tsvector || to_tsvector('simple', retort_words(left(response, 80000)))
            || '''|'':1'::tsvector || to_tsvector('simple', retort_words(left(reasoning, 120000)))
    $$""",
    """create table trace_search (
        trace_id bigint primary key references trace (id) on delete cascade, words tsvector not null)""",
    """create function retort_trace_search() returns trigger language plpgsql as $$ begin
        insert into trace_search (trace_id, words)
        select new.id, retort_vector(messages, new.response, new.reasoning) from prompt where id = new.prompt_id;
        return null;
    end $$""",
)
FILL_POSTGRES = """insert into trace_search (trace_id, words)
    select trace.id, retort_vector(messages, response, reasoning)
    from trace join prompt on prompt.id = trace.prompt_id where trace.id > :after and trace.id <= :last"""
POSTGRES_AFTER = (
    # Filled before the index is built: one sort is cheaper than a million insertions.
    "create index trace_search_words on trace_search using gin (words)",
    """create trigger trace_search_insert after insert on trace
        for each row execute function retort_trace_search()""",
)


def upgrade() -> None:
    """Bring the tables from the revision before to this one."""
    postgres = op.get_bind().dialect.name == "postgresql"
    for statement in POSTGRES if postgres else SQLITE:
        op.get_bind().exec_driver_sql(statement)
    _fill(op.get_bind(), FILL_POSTGRES if postgres else FILL_SQLITE)
    for statement in POSTGRES_AFTER if postgres else ():
        op.get_bind().exec_driver_sql(statement)


def _fill(connection: Any, statement: str) -> None:
    newest = connection.scalar(sa.text("select max(id) from trace")) or 0
    for after in range(0, newest, SPAN):
        connection.execute(sa.text(statement), {"after": after, "last": after + SPAN})
        log.warning("indexing the words of traces: %s of %s", f"{min(after + SPAN, newest):,}", f"{newest:,}")


def downgrade() -> None:
    """Take the tables back to the revision before."""
    if op.get_bind().dialect.name == "postgresql":
        made = ["trigger trace_search_insert on trace", "table trace_search", "function retort_trace_search()"]
        made += ["function retort_vector(json, text, text)", "function retort_prompt_text(json)"]
        made += ["function retort_words(text)"]
    else:
        made = ["trigger trace_search_insert", "trigger trace_search_delete", "table trace_search", "view trace_words"]
    for what in made:
        op.get_bind().exec_driver_sql(f"drop {what}")
