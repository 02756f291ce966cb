-- name: next_run_id
SELECT coalesce(max(id), 0) + 1 AS id FROM runs

-- name: insert_definition
INSERT INTO definitions (hash, pipeline, path, text, created_at)
VALUES (:hash, :pipeline, :path, :text, :at) ON CONFLICT (hash) DO NOTHING

-- name: definition
SELECT hash, pipeline, path, text FROM definitions WHERE hash = :hash

-- name: insert_run
INSERT INTO runs (id, name, pipeline, due_at, number, logical_at, interval_start, interval_end, timezone, definition,
                  trigger_kind, params, only_steps, state, reason, created_at, ended_at, engine, lane, place, backfill, parent)
VALUES (:id, :name, :pipeline, :due_at, :number, :logical_at, :interval_start, :interval_end, :timezone, :definition,
        :trigger_kind, :params, :only_steps, :state, :reason, :at, :ended_at, :engine, :lane, :place, :backfill, :parent)

-- name: run_by_name
SELECT * FROM runs WHERE name = :name

-- name: run_by_id
SELECT * FROM runs WHERE id = :id

-- name: runs_of_due
SELECT * FROM runs WHERE pipeline = :pipeline AND due_at = :due_at ORDER BY number

-- name: runs_between
SELECT * FROM runs WHERE pipeline = :pipeline AND due_at >= :begin AND due_at < :end ORDER BY due_at, number

-- name: name_taken
SELECT 1 FROM runs WHERE name = :name

-- name: recent_runs
SELECT * FROM runs ORDER BY id DESC LIMIT :limit

-- name: recent_runs_of
SELECT * FROM runs WHERE pipeline = :pipeline ORDER BY id DESC LIMIT :limit

-- name: recent_runs_in
SELECT * FROM runs WHERE state = :state ORDER BY id DESC LIMIT :limit

-- name: recent_runs_of_in
SELECT * FROM runs WHERE pipeline = :pipeline AND state = :state ORDER BY id DESC LIMIT :limit

-- name: newest_begun
SELECT * FROM runs WHERE started_at IS NOT NULL AND (:pipeline IS NULL OR pipeline = :pipeline) ORDER BY id DESC LIMIT 1

-- name: last_run_of
SELECT * FROM runs WHERE id = (
  SELECT id FROM (SELECT id, coalesce(started_at, created_at) AS at FROM runs WHERE pipeline = :pipeline AND (started_at IS NOT NULL OR state NOT IN ('queued', 'killed')) ORDER BY id DESC LIMIT 20)
  ORDER BY at DESC, id DESC LIMIT 1)

-- name: waiting_counts
SELECT pipeline, count(*) AS n FROM runs WHERE state = 'queued' GROUP BY pipeline

-- name: last_success_before
SELECT * FROM runs WHERE pipeline = :pipeline AND state = 'success' AND due_at < :due_at ORDER BY due_at DESC, number DESC LIMIT 1

-- name: run_before
SELECT * FROM runs WHERE pipeline = :pipeline AND state <> 'missed' AND due_at < :due_at ORDER BY due_at DESC, number DESC LIMIT 1

-- name: begun_before
SELECT * FROM runs AS found WHERE pipeline = :pipeline AND state NOT IN ('missed', 'queued') AND due_at < :due_at
AND NOT EXISTS (SELECT 1 FROM runs AS later WHERE later.pipeline = found.pipeline AND later.due_at = found.due_at AND later.number > found.number
                AND later.state <> 'missed')
ORDER BY due_at DESC, number DESC LIMIT 1

-- name: first_waiting_before
SELECT * FROM runs WHERE pipeline = :pipeline AND state = 'queued' AND due_at > :after AND due_at < :due_at ORDER BY due_at, number DESC LIMIT 1

-- name: active_runs_of
SELECT * FROM runs WHERE pipeline = :pipeline AND state = 'running' AND id <> :id

-- name: waiting_pipelines
SELECT DISTINCT pipeline FROM runs WHERE state = 'queued'

-- name: waiting_runs_of
SELECT * FROM runs WHERE pipeline = :pipeline AND state = 'queued' AND engine IS NULL AND due_at <= :now
ORDER BY lane, place, due_at LIMIT :limit

-- name: next_future_run
SELECT min(due_at) AS due_at FROM runs WHERE state = 'queued' AND due_at > :now

-- name: unfinished_of_others
SELECT id, engine, state FROM runs WHERE ended_at IS NULL AND (state = 'running' OR engine IS NOT NULL) AND (engine IS NULL OR engine <> :engine)

-- name: count_states
SELECT state, count(*) AS n FROM runs WHERE ended_at IS NULL GROUP BY state

-- name: runs_of_backfill
SELECT * FROM runs WHERE backfill = :backfill ORDER BY due_at

-- name: backfill_counts
SELECT state, count(*) AS n FROM runs WHERE backfill = :backfill GROUP BY state

-- name: queued_of_backfill
SELECT id FROM runs WHERE backfill = :backfill AND ended_at IS NULL

-- name: claim_run
UPDATE runs SET engine = :engine WHERE id = :id AND (engine IS NULL OR engine = :expected)

-- name: release_run
UPDATE runs SET engine = NULL WHERE id = :id AND engine = :engine

-- name: request_stop
UPDATE runs SET stop_requested = :actor WHERE id = :id AND ended_at IS NULL

-- name: stop_requests
SELECT id, stop_requested FROM runs WHERE engine = :engine AND stop_requested IS NOT NULL AND ended_at IS NULL

-- name: set_params
UPDATE runs SET params = :params WHERE id = :id

-- name: redefine_run
UPDATE runs SET definition = :definition, only_steps = :only_steps WHERE id = :id

-- name: name_like
SELECT name FROM runs WHERE pipeline = :pipeline ORDER BY id DESC LIMIT 200

-- name: delete_unbegun
DELETE FROM runs WHERE id = :id AND state = 'queued' AND engine = :engine AND NOT EXISTS (SELECT 1 FROM attempts WHERE run_id = :id)

-- name: join_backfill
UPDATE runs SET backfill = :backfill, place = :place, lane = 1 WHERE id = :id
