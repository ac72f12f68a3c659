"""Tables: read from files, parsed once, split into folds and mapped by all workers."""
