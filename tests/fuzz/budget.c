/*
** Linked into every fuzzer: after FUZZ_CPU seconds of its own processor time
** libFuzzer is told to finish and print its counts (SIGUSR1). By the clock on
** the wall a busy machine would fuzz less and say the same.
*/
#include <signal.h>
#include <stdlib.h>
#include <time.h>

__attribute__((constructor)) static void budget(void) {
  const char *seconds = getenv("FUZZ_CPU");
  struct sigevent finish = {.sigev_notify = SIGEV_SIGNAL,
                            .sigev_signo = SIGUSR1};
  timer_t timer;
  if (!seconds) return;
  struct itimerspec when = {.it_value.tv_sec = atoi(seconds)};
  if (timer_create(CLOCK_PROCESS_CPUTIME_ID, &finish, &timer) ||
      timer_settime(timer, 0, &when, NULL))
    abort();
}
