-- What a program was answered that sent an Idempotency-Key: it gets the same again, and nothing happens a second time.
CREATE TABLE answers (
    who      TEXT NOT NULL,
    key      TEXT NOT NULL,
    asked    TEXT NOT NULL,                   -- hash of the request
    status   INTEGER NOT NULL,
    body     TEXT NOT NULL,
    location TEXT NOT NULL,
    at       TEXT NOT NULL,
    PRIMARY KEY (who, key)
) WITHOUT ROWID;
CREATE INDEX answers_by_time ON answers (at);

-- How runs began and ended, for /metrics: counts that only grow, also when the runs themselves were removed by age.
CREATE TABLE counted (
    id            INTEGER PRIMARY KEY,        -- in the order in which they ran first
    pipeline      TEXT NOT NULL UNIQUE,
    success       INTEGER NOT NULL DEFAULT 0,
    failed        INTEGER NOT NULL DEFAULT 0,
    killed        INTEGER NOT NULL DEFAULT 0,
    missed        INTEGER NOT NULL DEFAULT 0,
    ended         INTEGER NOT NULL DEFAULT 0, -- runs that began and ended, and how long they took together
    ended_seconds REAL NOT NULL DEFAULT 0,
    begun         INTEGER NOT NULL DEFAULT 0, -- runs of the schedule that began, and how late they were together
    late_seconds  REAL NOT NULL DEFAULT 0,
    deadlines     INTEGER NOT NULL DEFAULT 0, -- that were missed
    success_at    TEXT
);

CREATE TRIGGER count_made AFTER INSERT ON runs
BEGIN
    INSERT INTO counted (pipeline, missed) VALUES (NEW.pipeline, NEW.state = 'missed')
    ON CONFLICT (pipeline) DO UPDATE SET missed = missed + excluded.missed;
END;

CREATE TRIGGER count_begun AFTER UPDATE OF state ON runs
WHEN NEW.state = 'running' AND OLD.state = 'queued' AND OLD.started_at IS NULL AND NEW.trigger_kind = 'schedule'
BEGIN
    UPDATE counted SET begun = begun + 1, late_seconds = late_seconds + max(0, coalesce((julianday(NEW.started_at) - julianday(NEW.due_at)) * 86400, 0))
    WHERE pipeline = NEW.pipeline;
END;

CREATE TRIGGER count_ended AFTER UPDATE OF state ON runs
WHEN OLD.state IN ('queued', 'running') AND NEW.state IN ('success', 'failed', 'killed', 'missed')
BEGIN
    UPDATE counted SET
        success = success + (NEW.state = 'success'), failed = failed + (NEW.state = 'failed'), killed = killed + (NEW.state = 'killed'),
        missed = missed + (NEW.state = 'missed'), ended = ended + (OLD.state = 'running'),
        ended_seconds = ended_seconds + CASE WHEN OLD.state = 'running' THEN max(0, coalesce((julianday(NEW.ended_at) - julianday(NEW.started_at)) * 86400, 0)) ELSE 0 END,
        success_at = CASE WHEN NEW.state = 'success' THEN NEW.ended_at ELSE success_at END
    WHERE pipeline = NEW.pipeline;
END;

CREATE TRIGGER count_late AFTER UPDATE OF outcome ON deadlines WHEN NEW.outcome = 'late' AND OLD.outcome IS NULL
BEGIN
    UPDATE counted SET deadlines = deadlines + 1 WHERE pipeline = (SELECT pipeline FROM runs WHERE id = NEW.run_id);
END;

INSERT INTO counted (pipeline, success, failed, killed, missed, ended, ended_seconds, begun, late_seconds, success_at)
SELECT pipeline, sum(state = 'success'), sum(state = 'failed'), sum(state = 'killed'), sum(state = 'missed'), sum(started_at IS NOT NULL AND ended_at IS NOT NULL),
       coalesce(sum(CASE WHEN ended_at IS NOT NULL THEN max(0, (julianday(ended_at) - julianday(started_at)) * 86400) END), 0),
       sum(started_at IS NOT NULL AND trigger_kind = 'schedule'),
       coalesce(sum(CASE WHEN trigger_kind = 'schedule' THEN max(0, (julianday(started_at) - julianday(due_at)) * 86400) END), 0),
       max(CASE WHEN state = 'success' THEN ended_at END)
FROM runs GROUP BY pipeline ORDER BY min(id);
