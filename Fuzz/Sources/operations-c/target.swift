let targetName = "operations-c"
