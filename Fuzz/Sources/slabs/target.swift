let targetName = "slabs"
