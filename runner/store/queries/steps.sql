-- name: insert_step_run
INSERT INTO step_runs (run_id, step, position, state) VALUES (:run_id, :step, :position, 'pending')

-- name: step_runs
SELECT * FROM step_runs WHERE run_id = :run_id ORDER BY position, length(step), step

-- name: insert_mapped
INSERT INTO step_runs (run_id, step, position, state, item)
SELECT :run_id, :step, position, 'pending', :item FROM step_runs WHERE run_id = :run_id AND step = :parent

-- name: delete_mapped
DELETE FROM step_runs WHERE run_id = :run_id AND item IS NOT NULL AND substr(step, 1, length(:parent) + 1) = :parent || '['

-- name: note_step
UPDATE step_runs SET reason = :reason WHERE run_id = :run_id AND step = :step AND state = 'running'

-- name: note_attempt
UPDATE attempts SET reason = :reason WHERE run_id = :run_id AND step = :step AND number = :number AND ended_at IS NULL

-- name: step_counts
SELECT state, count(*) AS n FROM step_runs WHERE run_id = :run_id GROUP BY state

-- name: delete_step_run
DELETE FROM step_runs WHERE run_id = :run_id AND step = :step

-- name: place_step_run
UPDATE step_runs SET position = :position WHERE run_id = :run_id AND step = :step

-- name: insert_attempt
INSERT INTO attempts (run_id, step, number, state, folder, deadline_at, started_at, boot)
VALUES (:run_id, :step, :number, 'running', :folder, :deadline_at, :at, :boot)

-- name: attempts_of_step
SELECT * FROM attempts WHERE run_id = :run_id AND step = :step ORDER BY number

-- name: attempts
SELECT * FROM attempts WHERE run_id = :run_id ORDER BY started_at, step, number

-- name: live_attempts
SELECT * FROM attempts WHERE run_id = :run_id AND ended_at IS NULL ORDER BY started_at, step, number

-- name: running_steps
SELECT runs.name, runs.definition, attempts.step FROM runs JOIN attempts ON attempts.run_id = runs.id
WHERE runs.state = 'running' AND attempts.ended_at IS NULL ORDER BY attempts.started_at

-- name: attempt_numbers
SELECT step, max(number) AS number FROM attempts WHERE run_id = :run_id GROUP BY step

-- name: set_kill
UPDATE attempts SET kill_at = :kill_at, reason = :reason WHERE run_id = :run_id AND step = :step AND number = :number AND ended_at IS NULL

-- name: insert_transition
INSERT INTO transitions (at, kind, run_id, step, number, from_state, to_state, reason, actor)
VALUES (:at, :kind, :run_id, :step, :number, :frm, :to, :reason, :actor)

-- name: transitions
SELECT * FROM transitions WHERE run_id = :run_id ORDER BY id
