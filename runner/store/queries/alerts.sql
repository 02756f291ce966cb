-- name: insert_alert
INSERT INTO alerts (key, channel, event, at, pipeline, run, step, body, next_at)
VALUES (:key, :channel, :event, :at, :pipeline, :run, :step, :body, :at) ON CONFLICT (key, channel) DO NOTHING

-- name: alert_known
SELECT 1 FROM alerts WHERE key = :key LIMIT 1

-- name: alert_channels_due
SELECT channel, count(*) AS n, min(next_at) AS next_at FROM alerts WHERE state = 'waiting' AND next_at <= :now GROUP BY channel ORDER BY next_at

-- name: alerts_due
SELECT * FROM alerts WHERE state = 'waiting' AND channel = :channel AND next_at <= :now ORDER BY at, id LIMIT :limit

-- name: next_alert
SELECT min(next_at) AS next_at FROM alerts WHERE state = 'waiting'

-- name: put_alert_off
UPDATE alerts SET next_at = :next_at, tries = tries + :tries, reason = :reason WHERE id = :id AND state = 'waiting'

-- name: end_alert
UPDATE alerts SET state = :state, ended_at = :at, tries = tries + :tries, reason = :reason WHERE id = :id AND state = 'waiting'

-- name: alerts_waiting
SELECT channel, count(*) AS n, min(at) AS since FROM alerts WHERE state = 'waiting' GROUP BY channel

-- name: alerts_given_up
SELECT channel, count(*) AS n FROM alerts WHERE state = 'given_up' AND ended_at > :since GROUP BY channel

-- name: insert_delivery
INSERT INTO deliveries (at, channel, subject, key, alerts, outcome, detail, seconds)
VALUES (:at, :channel, :subject, :key, :alerts, :outcome, :detail, :seconds)

-- name: deliveries
SELECT * FROM deliveries ORDER BY id DESC LIMIT :limit

-- name: deliveries_of
SELECT * FROM deliveries WHERE channel = :channel ORDER BY id DESC LIMIT :limit

-- name: last_deliveries
SELECT * FROM deliveries WHERE id IN (SELECT max(id) FROM deliveries GROUP BY channel)

-- name: delivered_since
SELECT count(*) AS n, min(at) AS first FROM deliveries WHERE channel = :channel AND at > :since AND outcome = 'sent'

-- name: prune_alerts
DELETE FROM alerts WHERE id IN (SELECT id FROM alerts WHERE ended_at < :before LIMIT :limit)

-- name: prune_deliveries
DELETE FROM deliveries WHERE id IN (SELECT id FROM deliveries WHERE at < :before ORDER BY id LIMIT :limit)

-- name: insert_deadline
INSERT INTO deadlines (run_id, step, at) VALUES (:run_id, :step, :at) ON CONFLICT (run_id, step) DO NOTHING

-- name: passed_deadlines
SELECT * FROM deadlines WHERE outcome IS NULL AND at <= :now ORDER BY at LIMIT :limit

-- name: next_deadline
SELECT min(at) AS at FROM deadlines WHERE outcome IS NULL

-- name: close_deadline
UPDATE deadlines SET outcome = :outcome WHERE run_id = :run_id AND step = :step

-- name: runs_ended_since
SELECT * FROM runs WHERE ended_at > :since AND ended_at <= :until ORDER BY ended_at

-- name: late_runs
SELECT DISTINCT runs.name AS run, deadlines.step AS step, deadlines.at AS at FROM deadlines JOIN runs ON runs.id = deadlines.run_id
WHERE deadlines.outcome = 'late' AND deadlines.at > :since ORDER BY deadlines.at

-- name: durations_of
SELECT started_at, ended_at FROM runs WHERE pipeline = :pipeline AND state = 'success' AND started_at IS NOT NULL ORDER BY id DESC LIMIT :limit
