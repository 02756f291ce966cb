-- Under which start of the machine an attempt was written. What was written under another and has no start file may have begun all
-- the same: a power cut takes the file, which is not on the disk yet, and leaves the row, which is.
ALTER TABLE attempts ADD COLUMN boot TEXT;
