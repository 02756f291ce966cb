-- name: runs_page
SELECT * FROM runs WHERE id < :before AND (:state IS NULL OR state = :state) AND (:begin IS NULL OR due_at >= :begin) AND (:end IS NULL OR due_at < :end)
ORDER BY id DESC LIMIT :limit

-- name: runs_page_of
SELECT * FROM runs WHERE pipeline = :pipeline AND id < :before AND (:state IS NULL OR state = :state)
  AND (:begin IS NULL OR due_at >= :begin) AND (:end IS NULL OR due_at < :end)
ORDER BY id DESC LIMIT :limit

-- name: backfills_page
SELECT * FROM backfills WHERE id < :before AND (:pipeline IS NULL OR pipeline = :pipeline) ORDER BY id DESC LIMIT :limit

-- name: deliveries_page
SELECT * FROM deliveries WHERE id < :before AND (:channel IS NULL OR channel = :channel) ORDER BY id DESC LIMIT :limit

-- name: kept_answer
SELECT asked, status, body, location FROM answers WHERE who = :who AND key = :key

-- name: keep_answer
INSERT INTO answers (who, key, asked, status, body, location, at) VALUES (:who, :key, :asked, :status, :body, :location, :at)

-- name: prune_answers
DELETE FROM answers WHERE at < :before

-- name: counted
SELECT * FROM counted ORDER BY id

-- name: oldest_waiting
SELECT min(due_at) AS due_at FROM runs WHERE state = 'queued' AND engine IS NULL AND due_at <= :now
