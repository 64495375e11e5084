let targetName = "operations"
