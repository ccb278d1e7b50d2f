"""The dashboard: what the actions and the read models offer, as pages. Holds no rule and no SQL of its own.

``mount`` puts it on the application, ``session_gate`` lets nobody in without a session, ``frame`` is what all pages
share; then one module for each page. Everything a page does goes through ``page_actions``, which is where a reader is
told apart from a writer.
"""
