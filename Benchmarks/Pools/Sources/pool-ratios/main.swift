// pool-ratios [ROUNDS]: every comparison, interleaved. pool-ratios --only NAME COUNT: one workload, for a tool that counts
// instructions (docs/pools.md).

let arguments = CommandLine.arguments
if arguments.count == 4, arguments[1] == "--only" {
  runOne(arguments[2], Int(arguments[3]) ?? 1)
} else {
  let rounds = arguments.count > 1 ? Int(arguments[1]) ?? 15 : 15
  objectContests().forEach { $0.run(rounds: rounds) }
  for threads in [1, 2, 4] { arenaContest(threads: threads).run(rounds: rounds) }
  printCacheMisses()
}
