"""`/api/v1`: for programs what the page is for people. One file a noun; each operation stands beside the schemas of what it takes and gives.

`operation.py` is the one table of them: from it come the addresses, the checks of what is sent, and the document at
`/api/v1/openapi.json` (`document.py`). `asking.py` answers a request; `problems.py` says what went wrong; `fields.py` judges what was
sent; `limits.py` says who asks too often. What an act does is decided in `runner/acts/`, what is told in `runner/facts/`.
"""
