let targetName = "buddy"
