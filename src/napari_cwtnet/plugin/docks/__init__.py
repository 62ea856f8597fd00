"""The docks: each reads its widgets and shows what comes back; the work is done elsewhere."""
