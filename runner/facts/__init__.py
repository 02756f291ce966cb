"""What is known of a run, a log, a pipeline, the site, as plain data: one shape for `--json`, for `/api/v1` and for `--server`.

`app` is what a command line or a page has: `config`, `clock`, and `site()`. Moments are in the zone of what they tell of.
"""
