"""Every decision, and nothing else: no clock, no database, no process. States and moments in, decisions out.

`queue` may a waiting run begin, `plan` what of a run starts next and when it is over, `rules` trigger rules, `retries` what an ended
attempt means, `foreach` the items of mapped steps, `weights` and `slots` who gets the next free slot.
"""
