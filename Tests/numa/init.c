// The first process of the virtual machine of scripts/numa: mounts what the checks read, runs the program that the kernel's
// command line names after "--", prints how it ended, and turns the machine off.
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
  (void)argc;
  mkdir("/proc", 0755);
  mkdir("/sys", 0755);
  mkdir("/tmp", 01777);
  mount("proc", "/proc", "proc", 0, NULL);
  mount("sysfs", "/sys", "sysfs", 0, NULL);
  // Through a pipe: what it prints is for a file.
  int ends[2];
  if (pipe(ends) != 0) perror("pipe");
  pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], 1);
    dup2(ends[1], 2);
    close(ends[0]);
    setenv("SWIFT_BACKTRACE", "enable=no", 1);
    execv(argv[1], argv + 1);
    perror(argv[1]);
    _exit(127);
  }
  close(ends[1]);
  char text[4096];
  for (ssize_t count; (count = read(ends[0], text, sizeof text)) > 0;) fwrite(text, 1, (size_t)count, stdout);
  int status = -1;
  waitpid(child, &status, 0);
  printf("\nended with %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  fflush(stdout);
  sync();
  reboot(RB_POWER_OFF);
}
