import Foundation

/// This program's file, to start it again.
var ownProgram: URL { URL(filePath: "/proc/self/exe").resolvingSymlinksInPath() }
