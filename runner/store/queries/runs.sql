-- name: next_run_id
SELECT coalesce(max(id), 0) + 1 AS id FROM runs

-- name: insert_definition
INSERT INTO definitions (hash, pipeline, path, text, created_at)
VALUES (:hash, :pipeline, :path, :text, :at) ON CONFLICT (hash) DO NOTHING

-- name: definition
SELECT hash, pipeline, path, text FROM definitions WHERE hash = :hash

-- name: insert_run
INSERT INTO runs (id, name, pipeline, due_at, number, logical_at, interval_start, interval_end, timezone, definition,
                  trigger_kind, params, only_steps, state, created_at)
VALUES (:id, :name, :pipeline, :due_at, :number, :logical_at, :interval_start, :interval_end, :timezone, :definition,
        :trigger_kind, :params, :only_steps, 'queued', :at)

-- name: run_by_name
SELECT * FROM runs WHERE name = :name

-- name: run_by_id
SELECT * FROM runs WHERE id = :id

-- name: runs_of_due
SELECT * FROM runs WHERE pipeline = :pipeline AND due_at = :due_at ORDER BY number

-- name: name_taken
SELECT 1 FROM runs WHERE name = :name

-- name: recent_runs
SELECT * FROM runs
WHERE (:pipeline IS NULL OR pipeline = :pipeline) AND (:state IS NULL OR state = :state)
ORDER BY created_at DESC, id DESC LIMIT :limit

-- name: last_run_each
SELECT r.* FROM runs r JOIN (SELECT pipeline, max(id) AS id FROM runs GROUP BY pipeline) l ON l.id = r.id

-- name: last_success_before
SELECT * FROM runs WHERE pipeline = :pipeline AND state = 'success' AND due_at < :due_at ORDER BY due_at DESC, number DESC LIMIT 1

-- name: active_runs_of
SELECT * FROM runs WHERE pipeline = :pipeline AND state = 'running' AND id <> :id

-- name: claim_run
UPDATE runs SET engine = :engine WHERE id = :id AND (engine IS NULL OR engine = :expected)

-- name: release_run
UPDATE runs SET engine = NULL WHERE id = :id AND engine = :engine

-- name: request_stop
UPDATE runs SET stop_requested = :actor WHERE id = :id AND ended_at IS NULL

-- name: stop_requests
SELECT id, stop_requested FROM runs WHERE engine = :engine AND stop_requested IS NOT NULL AND ended_at IS NULL

-- name: redefine_run
UPDATE runs SET definition = :definition, only_steps = :only_steps WHERE id = :id

-- name: name_like
SELECT name FROM runs WHERE pipeline = :pipeline ORDER BY created_at DESC LIMIT 200
