let targetName = "layouts"
