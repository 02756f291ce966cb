-- name: past_runs
SELECT id, name, pipeline, state, due_at, number, ended_at FROM runs

-- name: at_rest
SELECT 1 FROM runs WHERE id = :id AND ended_at = :ended_at
  AND NOT EXISTS (SELECT 1 FROM attempts WHERE run_id = :id AND attempts.ended_at IS NULL)

-- name: thin_journal
DELETE FROM transitions WHERE id IN (SELECT id FROM transitions WHERE run_id = :id LIMIT :limit)

-- name: thin_attempts
DELETE FROM attempts WHERE run_id = :id AND (step, number) IN (SELECT step, number FROM attempts WHERE run_id = :id LIMIT :limit)

-- name: delete_run
DELETE FROM runs WHERE id = :id

-- name: unused_definitions
SELECT hash FROM definitions WHERE created_at < :before
EXCEPT SELECT definition FROM runs EXCEPT SELECT definition FROM pipelines

-- name: delete_definition
DELETE FROM definitions WHERE hash = :hash
  AND NOT EXISTS (SELECT 1 FROM runs WHERE definition = :hash) AND NOT EXISTS (SELECT 1 FROM pipelines WHERE definition = :hash)

-- name: delete_empty_backfills
DELETE FROM backfills WHERE created_at < :before AND id < (SELECT max(id) FROM backfills)
  AND NOT EXISTS (SELECT 1 FROM runs WHERE backfill = backfills.id)

-- name: auto_vacuum
PRAGMA auto_vacuum

-- name: free_pages
PRAGMA freelist_count

-- name: page_size
PRAGMA page_size

-- name: give_back
PRAGMA incremental_vacuum(1)

-- name: checkpoint
PRAGMA wal_checkpoint(PASSIVE)
