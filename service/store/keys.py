"""API keys in the database."""

import hashlib
import secrets
import time
from collections.abc import Sequence

from sqlmodel import Session, col, select

from service.errors import NotFound
from service.models import ApiKey
from service.scopes import Scope


def token_hash(token: str) -> str:
    """Return what is stored of a token. It has 256 random bits, so a plain hash cannot be turned back by guessing."""
    return hashlib.sha256(token.encode()).hexdigest()


def make(session: Session, name: str, scope: Scope) -> tuple[ApiKey, str]:
    """Add a key; return it with its token, which nobody can read again."""
    token = f"rt-{secrets.token_urlsafe(32)}"
    key = ApiKey(name=name, scope=scope, token_sha256=token_hash(token))
    session.add(key)
    return key, token


def valid(session: Session, token_sha256: str) -> ApiKey | None:
    """Return the key whose token has this hash, None when there is no such key or it was revoked."""
    query = select(ApiKey).where(ApiKey.token_sha256 == token_sha256, col(ApiKey.revoked_at).is_(None))
    return session.exec(query).first()


def every(session: Session) -> Sequence[ApiKey]:
    """Return all keys, the newest first."""
    return session.exec(select(ApiKey).order_by(col(ApiKey.created_at).desc())).all()


def revoke(session: Session, key_id: str) -> tuple[ApiKey, bool]:
    """End a key; it opens nothing from now on. Return it and whether it was valid until now."""
    key = session.get(ApiKey, key_id)
    if key is None:
        raise NotFound(f"no key has the id '{key_id}'")
    valid_until_now = key.revoked_at is None
    if valid_until_now:
        key.revoked_at = time.time()
        session.add(key)
    return key, valid_until_now
