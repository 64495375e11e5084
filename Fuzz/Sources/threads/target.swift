let targetName = "threads"
