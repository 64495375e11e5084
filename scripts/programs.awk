# The tables of `scripts/real-programs --table`, from lines of "program;library;seconds user system KiB" or
# "program;library;failed".
BEGIN { count = split("Time in seconds|Processor time in seconds|Peak memory in MiB", titles, "|") }
{
  if (!($1 in program)) { program[$1]; programs[++rows] = $1 }
  if (!($2 in library)) { library[$2]; libraries[++columns] = $2 }
  if ($3 == "failed") { failed[$1, $2] = 1; next }
  split($3, figure, " ")
  n = ++rounds[$1, $2]
  value[1, $1, $2, n] = figure[1]
  value[2, $1, $2, n] = figure[2] + figure[3]
  value[3, $1, $2, n] = figure[4] / 1024
}
# Leaves the least, the median and the greatest in low, middle and high.
function summarize(title, name, label,    n, i, j, v, sorted) {
  n = rounds[name, label]
  for (i = 1; i <= n; i++) {
    v = value[title, name, label, i]
    for (j = i; j > 1 && sorted[j - 1] > v; j--) sorted[j] = sorted[j - 1]
    sorted[j] = v
  }
  low = sorted[1]; high = sorted[n]
  middle = (sorted[int((n + 1) / 2)] + sorted[int(n / 2) + 1]) / 2
}
END {
  for (title = 1; title <= count; title++) {
    printf "%s%s\n\n| program |", (title > 1 ? "\n" : ""), titles[title]
    for (column = 1; column <= columns; column++) printf " %s |", libraries[column]
    printf "\n|---|"
    for (column = 1; column <= columns; column++) printf "---|"
    printf "\n"
    form = title == 3 ? "%.1f" : "%.2f"
    for (row = 1; row <= rows; row++) {
      printf "| %s |", programs[row]
      base = 0
      for (column = 1; column <= columns; column++) {
        if ((programs[row], libraries[column]) in failed) { printf " failed |"; continue }
        summarize(title, programs[row], libraries[column])
        if (column == 1) base = middle
        printf " " form " (" form "–" form ")", middle, low, high
        if (column > 1 && base > 0) printf ", × %.2f", middle / base
        printf " |"
      }
      printf "\n"
    }
  }
}
