let targetName = "arenas"
