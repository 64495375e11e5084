let targetName = "system-faults"
