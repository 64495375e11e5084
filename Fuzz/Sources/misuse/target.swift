let targetName = "misuse"
