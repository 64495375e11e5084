let targetName = "object-pools"
