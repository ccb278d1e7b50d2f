"""What a task is, its rules and its schedule. Pure: no I/O, no SQL, no words of any one API."""
