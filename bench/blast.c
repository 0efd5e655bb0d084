/* Sends small UDP datagrams to ADDRESS for SECONDS, as fast as one core can, and prints how many it sent per second. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

static double now(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return at.tv_sec + at.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  if (inet_pton(AF_INET, argv[1], &to.sin_addr) != 1 || fd < 0) return 2;
  long sent = 0;
  double begin = now(), end = begin + atof(argv[2]), at = begin;
  for (; at < end; at = now())
    for (int i = 0; i < 64; i++) sent += sendto(fd, "netloom", 7, 0, (struct sockaddr *)&to, sizeof to) == 7;
  printf("%.0f\n", sent / (at - begin));
  return 0;
}
