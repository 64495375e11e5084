let targetName = "alignment"
