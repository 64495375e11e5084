let targetName = "size-classes"
