/*
 * Measures a path between two sandboxes with one TCP connection.
 *   wire serve PORT             serves rtt and stream until its input ends; prints a line when it listens
 *   wire rtt ADDRESS PORT N     round trips of one byte: the median in nanoseconds
 *   wire stream ADDRESS PORT MS sends for so many milliseconds: the bytes per second that arrived
 *
 * Options before the verb:
 *   -c CPU  runs on that processor, with priority over everything else there
 *   -b      busy: polls instead of waiting, so that the processor never sleeps and need not be woken
 *
 * The congestion control is reno, which every kernel has. The machine's own may be bbr, which paces itself by what it
 * estimates of the path, and there is nothing to estimate on a path without a cable: one stream then reaches 16 Gbit/s
 * and the next 42, while reno and cubic reach 43 each time.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define CONGESTION_CONTROL "reno"

static char buffer[256 * 1024];
static int busy;

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}

/* By system call: musl lacks these functions, because a thread is not a process. */
static void own(int cpu) {
  cpu_set_t set;
  struct sched_param first = {.sched_priority = 1};
  CPU_ZERO(&set);
  CPU_SET((size_t)cpu, &set);
  if (sched_setaffinity(0, sizeof set, &set) < 0) fail("sched_setaffinity");
  if (syscall(SYS_sched_setscheduler, 0, SCHED_FIFO, &first) < 0) fail("sched_setscheduler");
}

static int opened(int fd) {
  int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, CONGESTION_CONTROL, sizeof CONGESTION_CONTROL - 1) < 0) fail("reno");
  return fd;
}

/* NB: by poll(), which does not take the socket's lock. Repeated reads would keep packets from it. */
static void await(int fd, short what) {
  struct pollfd event = {.fd = fd, .events = what};
  while (busy && poll(&event, 1, 0) == 0) continue;
}

static ssize_t get(int fd, void *to, size_t size) {
  await(fd, POLLIN);
  return read(fd, to, size);
}

/* Writes all of it. */
static ssize_t put(int fd, const char *from, size_t size) {
  for (size_t done = 0; done < size;) {
    ssize_t n = send(fd, from + done, size - done, busy ? MSG_DONTWAIT : 0);
    if (n >= 0) done += (size_t)n;
    else if (errno == EAGAIN) await(fd, POLLOUT);
    else return -1;
  }
  return (ssize_t)size;
}

/*
 * The first byte is the client's request: for 'r' each byte is sent back; for 's' the bytes are counted until the
 * client has no more.
 */
static void *answer(void *arg) {
  int fd = opened((int)(intptr_t)arg);
  char kind, *sink = malloc(sizeof buffer);
  ssize_t got;
  uint64_t total = 0;
  if (get(fd, &kind, 1) == 1) {
    if (kind == 'r')
      while ((got = get(fd, sink, 1)) == 1 && put(fd, sink, 1) == 1) continue;
    else {
      while ((got = get(fd, sink, sizeof buffer)) > 0) total += (uint64_t)got;
      if (put(fd, (char *)&total, sizeof total) < 0) perror("write");
    }
  }
  free(sink);
  close(fd);
  return NULL;
}

static int serve(uint16_t port) {
  int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0 || listen(fd, 8) < 0) fail("listen");
  puts("listening");
  fflush(stdout);
  for (;;) {
    struct pollfd events[] = {{.fd = 0, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    if (poll(events, 2, -1) < 0) fail("poll");
    if (events[0].revents) return 0;
    int client = accept(fd, NULL, NULL);
    pthread_t thread;
    if (client >= 0 && pthread_create(&thread, NULL, answer, (void *)(intptr_t)client) == 0) pthread_detach(thread);
  }
}

static int dial(const char *address, uint16_t port) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (inet_pton(AF_INET, address, &to.sin_addr) != 1) fail("address");
  if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0) fail("connect");
  return opened(fd);
}

static int ascending(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return x < y ? -1 : x > y;
}

static int rtt(int fd, size_t n) {
  uint64_t *times = calloc(n, sizeof *times);
  char byte = 'r';
  if (times == NULL || put(fd, &byte, 1) != 1) fail("write");
  for (size_t i = 0; i < n; i++) {
    uint64_t begin = now();
    if (put(fd, &byte, 1) != 1 || get(fd, &byte, 1) != 1) fail("round trip");
    times[i] = now() - begin;
  }
  qsort(times, n, sizeof *times, ascending);
  printf("%llu\n", (unsigned long long)times[n / 2]);
  return 0;
}

static int stream(int fd, uint64_t ms) {
  uint64_t total = 0, begin = now();
  if (put(fd, "s", 1) != 1) fail("write");
  while (now() - begin < ms * 1000000u)
    if (put(fd, buffer, sizeof buffer) < 0) fail("write");
  shutdown(fd, SHUT_WR);
  if (get(fd, &total, sizeof total) != sizeof total) fail("read");
  printf("%.0f\n", (double)total * 1e9 / (double)(now() - begin));
  return 0;
}

int main(int argc, char **argv) {
  for (int option; (option = getopt(argc, argv, "+c:b")) != -1;) {
    if (option == 'c') own(atoi(optarg));
    else if (option == 'b') busy = 1;
    else return 2;
  }
  argc -= optind - 1;
  argv += optind - 1;
  if (argc == 3 && strcmp(argv[1], "serve") == 0) return serve((uint16_t)atoi(argv[2]));
  if (argc == 5 && strcmp(argv[1], "rtt") == 0) return rtt(dial(argv[2], (uint16_t)atoi(argv[3])), (size_t)atoi(argv[4]));
  if (argc == 5 && strcmp(argv[1], "stream") == 0) return stream(dial(argv[2], (uint16_t)atoi(argv[3])), (uint64_t)atoi(argv[4]));
  fputs("wire [-c CPU] [-b] serve PORT | rtt ADDRESS PORT N | stream ADDRESS PORT MS\n", stderr);
  return 2;
}
