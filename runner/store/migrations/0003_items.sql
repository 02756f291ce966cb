-- A step with `foreach` has one row for each item, beside its own: step `load[0]` with the item as JSON.
ALTER TABLE step_runs ADD COLUMN item TEXT;

-- The run whose step made this one (`pipeline:`).
ALTER TABLE runs ADD COLUMN parent INTEGER;
