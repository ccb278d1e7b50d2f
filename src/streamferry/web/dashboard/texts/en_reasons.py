"""What the service says is wrong, for people: where the APIs name their own fields, a page names what it shows."""

# As in ``zh_reasons``: ``{}`` stands for a value. What is not here stays as it is.
REASONS = {
    "must be later than start_at": "must be after Start",
    "must be at most 7 days after start_at": "must be at most 7 days after Start",
    "must be later than now": "must be in the future",
    "is an address as lists show it, with *** for its secrets: give the whole address": "Type the whole address, with "
    "the stream key or password that *** stands for",
    "is not in a folder from which files may be read: {} (setting files)": "Only files in {} can be played "
    "(setting files)",
    "no files may be read: no folder is set for them (setting files)": "No files of this machine can be played: no "
    "folder is set for them (setting files)",
}
