"""The page: what there is and how it went, for people with a browser. Served inside the daemon, by threads of its own.

`server.py` listens, `edge.py` stands before the application, `app.py` makes it, `pages.py` says which address shows what. Each
screen is one function of `views/`, from rows to plain data: the template and the JSON twin are both made of that. Pictures are
drawn by `draw/`, pure functions from data to SVG. Nothing here is imported unless the daemon is told to listen.
"""
