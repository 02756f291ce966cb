-- Who may look and act. As long as there is no user the page only shows, to the daemon's own user.
CREATE TABLE users (
    name        TEXT PRIMARY KEY,
    role        TEXT NOT NULL CHECK (role IN ('viewer','operator','editor','admin')),
    tags        TEXT NOT NULL DEFAULT '[]',   -- of the pipelines that they may act on, as JSON; []: of all
    password    TEXT NOT NULL DEFAULT '',     -- how it was hashed and what came out; '': signs in elsewhere, by LDAP
    made_at     TEXT NOT NULL,
    password_at TEXT,
    seen_at     TEXT,                         -- signed in last
    locked_at   TEXT
);

-- One browser that is signed in. What the browser has is not kept, only its hash.
CREATE TABLE sessions (
    hash    TEXT PRIMARY KEY,
    user    TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    form    TEXT NOT NULL,                    -- what each form that it sends must carry
    made_at TEXT NOT NULL,
    used_at TEXT NOT NULL,
    address TEXT NOT NULL DEFAULT '',
    agent   TEXT NOT NULL DEFAULT ''
);
CREATE INDEX sessions_of ON sessions (user);

-- For programs. One of a user may never do more than the user, and goes with them.
CREATE TABLE tokens (
    name     TEXT PRIMARY KEY,
    hash     TEXT NOT NULL UNIQUE,
    user     TEXT REFERENCES users (name) ON DELETE CASCADE,
    role     TEXT NOT NULL CHECK (role IN ('viewer','operator','editor','admin')),
    tags     TEXT NOT NULL DEFAULT '[]',
    made_at  TEXT NOT NULL,
    made_by  TEXT NOT NULL,
    ends_at  TEXT NOT NULL,
    used_at  TEXT
);

-- What people did, one row for each act, written in the act's own transaction.
CREATE TABLE audit (
    id       INTEGER PRIMARY KEY,
    at       TEXT NOT NULL,
    actor    TEXT NOT NULL,
    source   TEXT NOT NULL,                   -- cli, page, api, token NAME
    act      TEXT NOT NULL,
    pipeline TEXT NOT NULL DEFAULT '',
    run      TEXT NOT NULL DEFAULT '',
    reason   TEXT NOT NULL DEFAULT '',
    before   TEXT NOT NULL DEFAULT '{}',
    after    TEXT NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_of_pipeline ON audit (pipeline, id);
CREATE INDEX audit_of_actor ON audit (actor, id);
