"""Reading what users write: YAML with places (`nodes`), faults with a caret (`report`), the schema and its words."""
