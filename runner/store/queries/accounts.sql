-- name: any_user
SELECT 1 FROM users LIMIT 1

-- name: users
SELECT * FROM users ORDER BY name

-- name: user
SELECT * FROM users WHERE name = :name

-- name: insert_user
INSERT INTO users (name, role, tags, password, made_at, password_at) VALUES (:name, :role, :tags, :password, :at, :at)

-- name: set_user_password
UPDATE users SET password = :password, password_at = :at WHERE name = :name

-- name: set_user_role
UPDATE users SET role = :role, tags = :tags WHERE name = :name

-- name: set_user_locked
UPDATE users SET locked_at = :at WHERE name = :name

-- name: see_user
UPDATE users SET seen_at = :at WHERE name = :name

-- name: delete_user
DELETE FROM users WHERE name = :name

-- name: insert_session
INSERT INTO sessions (hash, user, form, made_at, used_at, address, agent) VALUES (:hash, :user, :form, :at, :at, :address, :agent)

-- name: session
SELECT sessions.*, users.role AS role, users.tags AS tags FROM sessions JOIN users ON users.name = sessions.user
WHERE hash = :hash AND locked_at IS NULL AND sessions.made_at > :longest AND used_at > :idle

-- name: sessions_of
SELECT * FROM sessions WHERE user = :user ORDER BY used_at DESC

-- name: use_session
UPDATE sessions SET used_at = :at WHERE hash = :hash

-- name: delete_session
DELETE FROM sessions WHERE hash = :hash

-- name: delete_sessions_of
DELETE FROM sessions WHERE user = :user AND hash <> :but

-- name: delete_old_sessions
DELETE FROM sessions WHERE made_at <= :longest OR used_at <= :idle

-- name: tokens
SELECT * FROM tokens ORDER BY name

-- name: token_by_name
SELECT * FROM tokens WHERE name = :name

-- name: insert_token
INSERT INTO tokens (name, hash, user, role, tags, made_at, made_by, ends_at) VALUES (:name, :hash, :user, :role, :tags, :at, :made_by, :ends_at)

-- name: token
SELECT tokens.*, users.role AS user_role, users.tags AS user_tags, users.locked_at AS locked_at
FROM tokens LEFT JOIN users ON users.name = tokens.user WHERE hash = :hash

-- name: use_token
UPDATE tokens SET used_at = :at WHERE name = :name

-- name: delete_token
DELETE FROM tokens WHERE name = :name
