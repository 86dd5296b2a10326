/* Loaded before a program under test (LD_PRELOAD): writes down every address it connects to, lets it
 * reach none but loopback, and moves its wall clock. The monotonic clock stays as it is.
 *
 * EVENTRELAY_TEST_CONNECTS=file   one address per line
 * EVENTRELAY_TEST_CLOCK=file      8 bytes, nanoseconds that are added; may change at any time
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int file = -1;
static volatile int64_t *offset;

__attribute__((constructor)) static void begin(void) {
  const char *name = getenv("EVENTRELAY_TEST_CONNECTS");
  if (name) file = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  name = getenv("EVENTRELAY_TEST_CLOCK");
  if (!name) return;
  int clock = open(name, O_RDONLY | O_CLOEXEC);
  if (clock < 0) return;
  void *place = mmap(NULL, sizeof *offset, PROT_READ, MAP_SHARED, clock, 0);
  if (place != MAP_FAILED) offset = place;
  close(clock);
}

int connect(int fd, const struct sockaddr *to, socklen_t size) {
  static int (*real)(int, const struct sockaddr *, socklen_t);
  if (!real) *(void **)&real = dlsym(RTLD_NEXT, "connect");
  if (file >= 0 && to) {
    char line[INET6_ADDRSTRLEN + 1] = "";
    int near = 1;
    if (to->sa_family == AF_INET) {
      const struct in_addr *at = &((const struct sockaddr_in *)to)->sin_addr;
      inet_ntop(AF_INET, at, line, INET6_ADDRSTRLEN);
      near = ntohl(at->s_addr) >> 24 == 127;
    }
    if (to->sa_family == AF_INET6) {
      const struct in6_addr *at = &((const struct sockaddr_in6 *)to)->sin6_addr;
      inet_ntop(AF_INET6, at, line, INET6_ADDRSTRLEN);
      near = IN6_IS_ADDR_LOOPBACK(at);
    }
    if (line[0]) {
      strcat(line, "\n");
      if (write(file, line, strlen(line)) < 0) _exit(99);
    }
    if (!near) {
      errno = ENETUNREACH;
      return -1;
    }
  }
  return real(fd, to, size);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  const long failed = syscall(SYS_clock_gettime, clock, now);
  if (failed == 0 && clock == CLOCK_REALTIME && offset) {
    const int64_t at = (int64_t)now->tv_sec * 1000000000 + now->tv_nsec + *offset;
    now->tv_sec = at / 1000000000;
    now->tv_nsec = at % 1000000000;
  }
  return (int)failed;
}

time_t time(time_t *out) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (out) *out = now.tv_sec;
  return now.tv_sec;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  struct timespec exact;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &exact);
  now->tv_sec = exact.tv_sec;
  now->tv_usec = exact.tv_nsec / 1000;
  return 0;
}
