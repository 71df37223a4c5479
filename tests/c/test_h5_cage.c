/* A child in the cage computes and reads; it does not write, start or eat up. */
#include "io/h5_cage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base.h"
#include "test.h"

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

enum {
  MIB = 1 << 20,
  NO_FILTER = 1 << 6
};

/* How 'body' ends in a child with 256 MiB and one second. */
static int in_cage(int (*body)(void)) {
  int status = 0;
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    bool filter = dyn_cage((size_t)256 * MIB, 1);
    _exit(filter ? body() : NO_FILTER);
  }
  if (pid < 0 || waitpid(pid, &status, 0) != pid) return -1;
  return status;
}

static bool refused(int rc) { return rc < 0 && errno == EPERM; }

/* One bit for everything that went wrong. */
static int nothing_leaves(void) {
  int bad = 0;
  bad |= refused(open("/dev/null", O_WRONLY)) ? 0 : 1;
  bad |= refused(open("/tmp/dyn_cage_new", O_RDONLY | O_CREAT, 0600)) ? 0 : 2;
  bad |= refused(socket(AF_UNIX, SOCK_STREAM, 0)) ? 0 : 4;
  bad |= refused(fork()) ? 0 : 8;
  bad |= refused(unlink("/tmp/dyn_cage_none")) ? 0 : 16;
  bad |= refused((int)write(1, "x", 1)) ? 0 : 32;
  return bad;
}

static int reading_works(void) {
  char c;
  int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  return fd >= 0 && read(fd, &c, 1) == 1 && close(fd) == 0 ? 0 : 1;
}

static bool there(size_t mib) {
  void *volatile p = malloc(mib * MIB);
  free(p);
  return p != NULL;
}

static int memory_is_bounded(void) {
  dyn_cage_memory((size_t)64 * MIB);
  int bad = there(32) && !there(128) ? 0 : 1;
  dyn_cage_memory(SIZE_MAX); /* up to what was locked */
  return bad | (there(128) && !there(512) ? 0 : 2);
}

static int for_ever(void) {
  volatile long i = 0;
  while (i >= 0) i = (i + 1) % MIB;
  return 0;
}

int main(void) {
  int st = in_cage(reading_works);
  if (WIFEXITED(st) && WEXITSTATUS(st) == NO_FILTER) {
    printf("# skip the filter of system calls: this kernel has none\n");
    return done_testing();
  }
  OK(WIFEXITED(st) && WEXITSTATUS(st) == 0);
  st = in_cage(nothing_leaves);
  OK(WIFEXITED(st) && WEXITSTATUS(st) == 0);
  if (SANITIZED) {
    printf("# skip the limit of memory: the sanitizer has its own\n");
  } else {
    st = in_cage(memory_is_bounded);
    OK(WIFEXITED(st) && WEXITSTATUS(st) == 0);
  }
  st = in_cage(for_ever);
  OK(WIFSIGNALED(st));
  return done_testing();
}
