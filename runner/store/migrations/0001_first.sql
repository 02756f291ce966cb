-- Moments are UTC text of fixed width (clock.to_text), so that text order is time order and an operator can read them.
CREATE TABLE definitions (
    hash        TEXT PRIMARY KEY,
    pipeline    TEXT NOT NULL,
    path        TEXT NOT NULL,
    text        TEXT NOT NULL,
    created_at  TEXT NOT NULL
);

CREATE TABLE runs (
    id             INTEGER PRIMARY KEY,
    name           TEXT NOT NULL UNIQUE,
    pipeline       TEXT NOT NULL,
    due_at         TEXT NOT NULL,
    number         INTEGER NOT NULL,
    logical_at     TEXT NOT NULL,
    interval_start TEXT NOT NULL,
    interval_end   TEXT NOT NULL,
    timezone       TEXT NOT NULL,
    definition     TEXT NOT NULL REFERENCES definitions (hash),
    trigger_kind   TEXT NOT NULL,
    params         TEXT NOT NULL,
    only_steps     TEXT,
    state          TEXT NOT NULL CHECK (state IN ('queued','running','success','failed','killed','missed')),
    reason         TEXT NOT NULL DEFAULT '',
    created_at     TEXT NOT NULL,
    started_at     TEXT,
    ended_at       TEXT,
    engine         TEXT,
    stop_requested TEXT,
    UNIQUE (pipeline, due_at, number),
    CHECK ((state IN ('success','failed','killed','missed')) = (ended_at IS NOT NULL))
);
CREATE INDEX runs_by_time ON runs (created_at);
CREATE INDEX runs_alive ON runs (engine) WHERE ended_at IS NULL;

CREATE TABLE step_runs (
    run_id     INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    step       TEXT NOT NULL,
    position   INTEGER NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('pending','running','retry_wait','success','failed','skipped','upstream_failed','killed')),
    reason     TEXT NOT NULL DEFAULT '',
    tries      INTEGER NOT NULL DEFAULT 0,
    retry_at   TEXT,
    outputs    TEXT,
    started_at TEXT,
    ended_at   TEXT,
    PRIMARY KEY (run_id, step),
    CHECK ((state = 'retry_wait') = (retry_at IS NOT NULL)),
    CHECK ((state IN ('success','failed','skipped','upstream_failed','killed')) = (ended_at IS NOT NULL))
) WITHOUT ROWID;

CREATE TABLE attempts (
    run_id      INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    step        TEXT NOT NULL,
    number      INTEGER NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('running','success','failed','skipped','killed','lost')),
    reason      TEXT NOT NULL DEFAULT '',
    exit_code   INTEGER,
    folder      TEXT NOT NULL,
    deadline_at TEXT,
    kill_at     TEXT,
    started_at  TEXT NOT NULL,
    ended_at    TEXT,
    PRIMARY KEY (run_id, step, number),
    CHECK ((state = 'running') = (ended_at IS NULL))
) WITHOUT ROWID;

-- The journal: one row for every change of a state, written in the same transaction, never replayed.
CREATE TABLE transitions (
    id         INTEGER PRIMARY KEY,
    at         TEXT NOT NULL,
    kind       TEXT NOT NULL CHECK (kind IN ('run','step','attempt')),
    run_id     INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    step       TEXT,
    number     INTEGER,
    from_state TEXT,
    to_state   TEXT NOT NULL,
    reason     TEXT NOT NULL DEFAULT '',
    actor      TEXT NOT NULL
);
CREATE INDEX transitions_by_run ON transitions (run_id);
