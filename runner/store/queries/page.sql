-- name: last_runs_of_each
SELECT r.id, r.name, r.pipeline, r.state, r.reason, r.engine, r.due_at, r.created_at, r.started_at, r.ended_at, r.timezone
FROM pipelines JOIN runs AS r ON r.id IN (SELECT id FROM runs WHERE pipeline = pipelines.name ORDER BY id DESC LIMIT :limit)
ORDER BY r.pipeline, r.id

-- name: runs_within
SELECT id, name, pipeline, state, reason, engine, due_at, created_at, started_at, ended_at, timezone FROM runs WHERE ended_at IS NULL
UNION ALL
SELECT id, name, pipeline, state, reason, engine, due_at, created_at, started_at, ended_at, timezone FROM runs WHERE ended_at >= :since
LIMIT :limit

-- name: states_of_runs
SELECT s.run_id, s.step, s.state FROM step_runs AS s WHERE s.run_id IN (SELECT id FROM runs WHERE pipeline = :pipeline ORDER BY due_at DESC, number DESC LIMIT :limit)
  AND s.item IS NULL

-- name: newest_runs_of
SELECT id, name, pipeline, state, reason, engine, due_at, created_at, started_at, ended_at, timezone FROM runs
WHERE pipeline = :pipeline ORDER BY due_at DESC, number DESC LIMIT :limit

-- name: definitions_of
SELECT d.hash, d.created_at, count(r.id) AS runs, max(r.due_at) AS last_due FROM definitions AS d LEFT JOIN runs AS r ON r.definition = d.hash
WHERE d.pipeline = :pipeline GROUP BY d.hash ORDER BY d.created_at DESC LIMIT :limit

-- name: alerts_of_run
SELECT channel, event, at, step, state, tries, reason FROM alerts WHERE run = :run ORDER BY at, id LIMIT 200

-- name: deadlines_of_run
SELECT step, at, outcome FROM deadlines WHERE run_id = :run_id ORDER BY step

-- name: open_deadlines
SELECT d.run_id, d.step, d.at, d.outcome, r.name AS run, r.pipeline FROM deadlines AS d JOIN runs AS r ON r.id = d.run_id
WHERE d.at > :since AND d.at < :until ORDER BY d.at LIMIT :limit

-- name: results_between
SELECT id, name, logical_at, state, engine FROM runs
WHERE pipeline = :pipeline AND due_at >= :since AND due_at < :horizon AND logical_at >= :since AND logical_at < :until ORDER BY logical_at, number LIMIT :limit

-- name: deadlines_of_pipeline
SELECT r.id, d.at, d.outcome FROM runs AS r JOIN deadlines AS d ON d.run_id = r.id AND d.step = ''
WHERE r.id IN (SELECT id FROM runs WHERE pipeline = :pipeline ORDER BY due_at DESC, number DESC LIMIT :limit)
