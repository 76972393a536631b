"""The page that is taught: a small server for one's own browser, and the page that it serves.

What is taught stays in the page; the server answers, and forgets but for a bounded number of what it was taught last.
"""
