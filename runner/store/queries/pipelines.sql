-- name: pipeline_row
SELECT * FROM pipelines WHERE name = :name

-- name: pipeline_rows
SELECT * FROM pipelines ORDER BY name

-- name: insert_pipeline
INSERT INTO pipelines (name, path, first_seen) VALUES (:name, :path, :at) ON CONFLICT (name) DO NOTHING

-- name: place_pipeline
UPDATE pipelines SET path = :path, problem = :problem, gone_at = NULL, definition = coalesce(:definition, definition) WHERE name = :name

-- name: lose_pipeline
UPDATE pipelines SET gone_at = :at, next_due = NULL WHERE name = :name AND gone_at IS NULL

-- name: schedule_pipeline
UPDATE pipelines SET schedule_key = :schedule_key, cursor_at = :cursor_at, next_due = :next_due, broken = :broken WHERE name = :name

-- name: pause_pipeline
UPDATE pipelines SET paused_by = :actor, paused_at = :at, pause_reason = :reason WHERE name = :name

-- name: nearest_due
SELECT min(next_due) AS next_due FROM pipelines WHERE next_due IS NOT NULL

-- name: latest_cursor
SELECT max(cursor_at) AS cursor_at FROM pipelines

-- name: due_pipelines
SELECT * FROM pipelines WHERE next_due <= :now ORDER BY next_due DESC, name LIMIT :limit

-- name: insert_hold
INSERT INTO holds (pipeline, step, actor, at, reason) VALUES (:pipeline, :step, :actor, :at, :reason)
ON CONFLICT (pipeline, step) DO NOTHING

-- name: delete_hold
DELETE FROM holds WHERE pipeline = :pipeline AND step = :step

-- name: holds
SELECT * FROM holds ORDER BY pipeline, step

-- name: next_backfill_id
SELECT coalesce(max(id), 0) + 1 AS id FROM backfills

-- name: insert_backfill
INSERT INTO backfills (id, pipeline, from_ds, to_ds, parallel, actor, created_at)
VALUES (:id, :pipeline, :from_ds, :to_ds, :parallel, :actor, :at)

-- name: backfill
SELECT * FROM backfills WHERE id = :id

-- name: backfills
SELECT * FROM backfills ORDER BY id DESC LIMIT :limit

-- name: active_of_backfill
SELECT count(*) AS n FROM runs WHERE backfill = :backfill AND state = 'running'
