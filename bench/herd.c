/*
 * Executes a plugin for many containers at once, and writes how long each call took, from the moment at which all may
 * begin to the end of its process.
 *
 *   herd PROGRAM STDIN COUNT CONTAINER NETNS
 *
 * Container i of COUNT gets CONTAINERi as CNI_CONTAINERID, NETNSi as CNI_NETNS, and the file STDIN as its stdin. The
 * rest of the environment is ours. It writes one line per call to descriptor 3: nanoseconds, exit status. The children
 * are forked before the clock starts, and wait at a pipe, so the times exclude the forks.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void run(char **argv, int number, int gate) {
  char name[256], byte;
  snprintf(name, sizeof name, "%s%d", argv[4], number);
  setenv("CNI_CONTAINERID", name, 1);
  snprintf(name, sizeof name, "%s%d", argv[5], number);
  setenv("CNI_NETNS", name, 1);
  int input = open(argv[2], O_RDONLY), nothing = open("/dev/null", O_WRONLY);
  if (input < 0 || nothing < 0 || dup2(input, 0) < 0 || dup2(nothing, 1) < 0) _exit(126);
  if (read(gate, &byte, 1) < 0) _exit(126); /* end of file: all may begin */
  execl(argv[1], argv[1], (char *)NULL);
  _exit(127);
}

int main(int argc, char **argv) {
  int gate[2], status;
  if (argc != 6 || pipe2(gate, O_CLOEXEC) < 0) return 2;
  fcntl(3, F_SETFD, FD_CLOEXEC);
  int count = atoi(argv[3]);
  for (int i = 0; i < count; i++) {
    pid_t pid = fork();
    if (pid < 0) return 2;
    if (pid == 0) {
      close(gate[1]);
      run(argv, i, gate[0]);
    }
  }
  usleep(2000 + 200 * count); /* until all of them wait at the pipe */
  long long begin = now();
  close(gate[1]);
  for (int i = 0; i < count; i++) {
    if (wait(&status) < 0) return 2;
    dprintf(3, "%lld %d\n", now() - begin, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  }
  return 0;
}
