-- What the daemon knows of each pipeline. A row outlives its file, so that history keeps a name.
CREATE TABLE pipelines (
    name         TEXT PRIMARY KEY,
    path         TEXT NOT NULL,
    definition   TEXT REFERENCES definitions (hash),  -- the last good text; NULL when there never was one
    problem      TEXT NOT NULL DEFAULT '',            -- the first fault of the file as it is now
    schedule_key TEXT NOT NULL DEFAULT '',            -- a change of it starts the cursor anew
    first_seen   TEXT NOT NULL,
    cursor_at    TEXT,                                -- due times up to here have been dealt with
    next_due     TEXT,
    broken       TEXT NOT NULL DEFAULT '',            -- why its schedule cannot be worked out
    paused_by    TEXT,
    paused_at    TEXT,
    pause_reason TEXT NOT NULL DEFAULT '',
    gone_at      TEXT                                 -- when its file went away
);
CREATE INDEX pipelines_by_due ON pipelines (next_due) WHERE next_due IS NOT NULL;

-- Nothing new of a held pipeline begins, nor of a held step ('' is the whole pipeline).
CREATE TABLE holds (
    pipeline TEXT NOT NULL,
    step     TEXT NOT NULL DEFAULT '',
    actor    TEXT NOT NULL,
    at       TEXT NOT NULL,
    reason   TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (pipeline, step)
) WITHOUT ROWID;

CREATE TABLE backfills (
    id         INTEGER PRIMARY KEY,
    pipeline   TEXT NOT NULL,
    from_ds    TEXT NOT NULL,
    to_ds      TEXT NOT NULL,
    parallel   INTEGER NOT NULL,
    actor      TEXT NOT NULL,
    created_at TEXT NOT NULL
);

ALTER TABLE runs ADD COLUMN lane INTEGER NOT NULL DEFAULT 0;   -- 1: a backfill, which gives way to the others
ALTER TABLE runs ADD COLUMN place INTEGER NOT NULL DEFAULT 0;  -- order among waiting runs of one pipeline and lane
ALTER TABLE runs ADD COLUMN backfill INTEGER REFERENCES backfills (id);

CREATE INDEX runs_waiting ON runs (pipeline, lane, place, due_at) WHERE state = 'queued';
CREATE INDEX runs_open ON runs (pipeline) WHERE state = 'running';
CREATE INDEX runs_of_pipeline ON runs (pipeline, id);
CREATE INDEX runs_of_backfill ON runs (backfill) WHERE backfill IS NOT NULL;
CREATE INDEX runs_by_end ON runs (ended_at) WHERE ended_at IS NOT NULL;
