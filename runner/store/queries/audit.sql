-- name: insert_audit
INSERT INTO audit (at, actor, source, act, pipeline, run, reason, before, after)
VALUES (:at, :actor, :source, :act, :pipeline, :run, :reason, :before, :after)

-- name: audit_rows
SELECT * FROM audit WHERE (:before IS NULL OR id < :before) AND (:pipeline IS NULL OR pipeline = :pipeline) AND (:actor IS NULL OR actor = :actor)
ORDER BY id DESC LIMIT :limit

-- name: prune_audit
DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < :before ORDER BY id LIMIT :limit)
