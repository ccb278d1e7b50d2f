"""The dashboard: the actions and the reads as pages. It has no rules and no SQL of its own.

``mount`` puts it on the application, ``session_gate`` lets nobody in without a session, ``frame`` is what all pages
share; then one module for each page. Everything a page does goes through ``page_actions``, which checks whether the
visitor may write.
"""
