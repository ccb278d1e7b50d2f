"""The engine over the store: actions on tasks, the scheduler, callbacks, the library and previews."""
