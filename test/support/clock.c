/*
 * For LD_PRELOAD: shifts the time of day that a program sees by the number of seconds in the file CLOCK_SHIFT. A change
 * takes effect at once, as when an administrator or NTP sets the clock. The machine has a single such clock, which a
 * test must leave alone. Monotonic clocks are untouched, as they are when a clock is set.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static time_t shift(void) {
  long long seconds = 0;
  FILE *file = fopen(getenv("CLOCK_SHIFT"), "r");
  if (file == NULL) return 0;
  if (fscanf(file, "%lld", &seconds) != 1) seconds = 0;
  fclose(file);
  return (time_t)seconds;
}

int clock_gettime(clockid_t id, struct timespec *result) {
  static int (*original)(clockid_t, struct timespec *);
  if (original == NULL) original = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  int status = original(id, result);
  if (status == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) result->tv_sec += shift();
  return status;
}

int gettimeofday(struct timeval *restrict result, void *restrict zone) {
  (void)zone;
  struct timespec now;
  int status = clock_gettime(CLOCK_REALTIME, &now);
  result->tv_sec = now.tv_sec;
  result->tv_usec = now.tv_nsec / 1000;
  return status;
}

time_t time(time_t *result) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (result != NULL) *result = now.tv_sec;
  return now.tv_sec;
}
