#include "io/h5_cage.h"

#include <stddef.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#ifdef __linux__
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

/* ---- limits --------------------------------------------------------------- */

static rlim_t before; /* bytes of address space when the cage was closed */

/* Bytes of address space of this process; 0 where /proc is not. */
static rlim_t mapped(void) {
  unsigned long pages = 0;
  FILE *f = fopen("/proc/self/statm", "r");
  if (!f) return 0;
  if (fscanf(f, "%lu", &pages) != 1) pages = 0;
  fclose(f);
  return (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE);
}

void dyn_cage_memory(size_t now) {
  struct rlimit r;
  if (!before || getrlimit(RLIMIT_AS, &r) != 0) return;
  rlim_t want = now > RLIM_INFINITY - before ? RLIM_INFINITY : before + now;
  r.rlim_cur = want < r.rlim_max ? want : r.rlim_max;
  setrlimit(RLIMIT_AS, &r);
}

static void at_most(int what, rlim_t n) {
  struct rlimit r;
  if (getrlimit(what, &r) != 0) return;
  if (r.rlim_max == RLIM_INFINITY || n < r.rlim_max) r.rlim_max = n;
  r.rlim_cur = r.rlim_max;
  setrlimit(what, &r);
}

/* ---- system calls --------------------------------------------------------- */

#if defined __linux__ && defined __x86_64__
#define ARCH AUDIT_ARCH_X86_64
#elif defined __linux__ && defined __aarch64__ && \
    __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define ARCH AUDIT_ARCH_AARCH64
#endif

#ifdef ARCH
enum {
  BEYOND = 1000 /* descriptors that this program does not reach */
};

#define WORD(field) \
  BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define EQUAL(k, yes, no) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, k, yes, no)
#define RETURN(k)         BPF_STMT(BPF_RET | BPF_K, k)
#define ALLOW(n)          EQUAL(SYS_##n, 0, 1), RETURN(SECCOMP_RET_ALLOW)

static bool filter(void) {
  struct sock_filter rule[] = {
      WORD(arch),
      EQUAL(ARCH, 1, 0),
      RETURN(SECCOMP_RET_ERRNO | EPERM),
      WORD(nr),
      ALLOW(read),
      ALLOW(pread64),
      ALLOW(lseek),
      ALLOW(close),
      ALLOW(fstat),
      ALLOW(newfstatat),
      ALLOW(statx),
      ALLOW(getdents64), /* folders of plugins */
      ALLOW(getcwd),
      ALLOW(fcntl),
      ALLOW(flock),
      ALLOW(mmap),
      ALLOW(munmap),
      ALLOW(mremap),
      ALLOW(mprotect),
      ALLOW(madvise),
      ALLOW(brk),
      ALLOW(futex),
      ALLOW(sched_yield),
      ALLOW(sysinfo),
      ALLOW(getpid),
      ALLOW(gettid),
      ALLOW(getrandom),
      ALLOW(clock_gettime),
      ALLOW(rt_sigaction),
      ALLOW(rt_sigprocmask),
      ALLOW(rt_sigreturn),
      ALLOW(sigaltstack), /* a sanitizer asks, before every _exit */
      ALLOW(exit),
      ALLOW(exit_group),
      EQUAL(SYS_openat, 0, 2),
      WORD(args[2]), /* its flags; the low half has all of them */
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_ACCMODE | O_CREAT | O_TRUNC, 6, 7),
      EQUAL(SYS_prlimit64, 0, 2), /* dyn_cage_memory */
      WORD(args[0]),              /* of this process alone */
      EQUAL(0, 4, 3),
      EQUAL(SYS_write, 0, 2), /* what valgrind, if there, tells itself */
      WORD(args[0]),
      BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, BEYOND, 1, 0),
      RETURN(SECCOMP_RET_ERRNO | EPERM),
      RETURN(SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {sizeof rule / sizeof *rule, rule};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}
#else
static bool filter(void) { return false; }
#endif

bool dyn_cage(size_t most, int seconds) {
  before = mapped();
  if (before) at_most(RLIMIT_AS, before + most);
  at_most(RLIMIT_CPU, (rlim_t)seconds);
  at_most(RLIMIT_CORE, 0);
  at_most(RLIMIT_FSIZE, 0);
  return filter();
}
