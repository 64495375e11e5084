let targetName = "arithmetic"
