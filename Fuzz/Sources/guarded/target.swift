let targetName = "guarded"
