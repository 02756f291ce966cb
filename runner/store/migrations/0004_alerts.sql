-- What somebody is to be told, one row for each channel, written in the transaction of the change that it tells of.
CREATE TABLE alerts (
    id       INTEGER PRIMARY KEY,
    key      TEXT NOT NULL,              -- what happened: the same for each try and each channel, so that a duplicate is seen as one
    channel  TEXT NOT NULL,              -- its name; 'bash': a hook of the pipeline; 'default': what the site says, worked out at sending
    event    TEXT NOT NULL,
    at       TEXT NOT NULL,
    pipeline TEXT NOT NULL DEFAULT '',
    run      TEXT NOT NULL DEFAULT '',
    step     TEXT NOT NULL DEFAULT '',
    body     TEXT NOT NULL,              -- the facts of that moment, as JSON
    state    TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting','sent','given_up')),
    tries    INTEGER NOT NULL DEFAULT 0,
    next_at  TEXT NOT NULL,              -- not tried before
    ended_at TEXT,
    reason   TEXT NOT NULL DEFAULT '',
    UNIQUE (key, channel),
    CHECK ((state = 'waiting') = (ended_at IS NULL))
);
CREATE INDEX alerts_waiting ON alerts (next_at) WHERE state = 'waiting';
CREATE INDEX alerts_by_end ON alerts (ended_at) WHERE ended_at IS NOT NULL;

-- The delivery log: one row for each try of one message, which may carry several alerts.
CREATE TABLE deliveries (
    id      INTEGER PRIMARY KEY,
    at      TEXT NOT NULL,
    channel TEXT NOT NULL,
    subject TEXT NOT NULL,
    key     TEXT NOT NULL,
    alerts  INTEGER NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('sent','failed','given_up')),
    detail  TEXT NOT NULL DEFAULT '',
    seconds REAL NOT NULL DEFAULT 0
);
CREATE INDEX deliveries_by_channel ON deliveries (channel, at);

-- When a run ('') or a step of it must be done. Each is looked at once, when its moment has come.
CREATE TABLE deadlines (
    run_id  INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    step    TEXT NOT NULL DEFAULT '',
    at      TEXT NOT NULL,
    outcome TEXT CHECK (outcome IN ('met','late')),
    PRIMARY KEY (run_id, step)
) WITHOUT ROWID;
CREATE INDEX deadlines_open ON deadlines (at) WHERE outcome IS NULL;
