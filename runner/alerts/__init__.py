"""Telling people: what is to be told becomes a row with the change itself, and is sent by a process of its own.

`recorder` writes the rows, `deadlines` and `late` know what is overdue, `message` words it, `channels` is who can be told,
`grouping` decides how much goes into one message, `deliver` hands one to its channel, `sender` does all that waits, `summary`
is the mail of the morning.
"""
