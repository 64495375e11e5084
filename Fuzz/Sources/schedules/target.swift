let targetName = "schedules"
