/*
** h5_probe.c -- let libhdf5 see a file in a child process first, to learn
** whether it survives it. The library trusts some sizes in a file (its heap of
** strings, for one); a file that makes it crash shall not take the program with
** it. Large matrices are looked up, not read: their chunks are unpacked by our
** own decoders, which take nothing on trust (h5_plan.h).
*/
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <omp.h>

#include "io/h5_cage.h"
#include "io/h5_plan.h"
#include "io/h5ad_lib.h"

/* What the child tells; in memory that both see. */
typedef struct report {
  char member[DYN_H5_PATH]; /* being read */
  bool done;
  dyn_status st;
  dyn_err e;
} report;

static DYN_STATUS read_axis(dyn_h5ad *a, dyn_h5ad_axis axis, bool names,
                            dyn_err *e) {
  dyn_textlist t = {0};
  dyn_status st = names ? dyn_h5ad_names(a, axis, &t, e) : DYN_OK;
  dyn_textlist_free(&t);
  if (st == DYN_OK) st = dyn_h5ad_columns(a, axis, &t, e);
  for (int64_t i = 0; st == DYN_OK && i < t.n; i++) {
    dyn_column c = {0};
    st = dyn_h5ad_column(a, axis, dyn_textlist_get(&t, i), &c, e);
    dyn_column_free(&c);
    if (st == DYN_EFORMAT) st = DYN_OK; /* whoever wants it will be told */
  }
  dyn_textlist_free(&t);
  return st;
}

enum {
  SMALL = 1 << 18,  /* numbers that the library may read later on, not we */
  ROOM = 512 << 20, /* bytes of memory for whatever is not a matrix ... */
  NAME = 256        /* ... and for each cell and gene */
};

/* Whether the library has looked for the last chunk of n rows, by way of all
** others, and we can read them. */
static bool last_chunk(dyn_h5ad *a, const char *path, int64_t n) {
  dyn_h5_plan *p = NULL;
  bool ok = dyn_h5_plan_open(&p, a->h5, path, n - 1, 1, NULL) == DYN_OK && p;
  dyn_h5_plan_free(p);
  return ok;
}

static bool last_entry(dyn_h5ad *a, const dyn_h5ad_layout *l,
                       const char *part) {
  char path[DYN_H5_PATH];
  return dyn_h5_join(a->h5, path, l->path, part, NULL) == DYN_OK &&
         last_chunk(a, path, l->nnz);
}

/* All that the library does for a large matrix; false: it must be read. */
static bool looked_up(dyn_h5ad *a, const char *name) {
  dyn_h5ad_layout l;
  if (dyn_h5ad_layout_of(a, name, &l, NULL) != DYN_OK || l.columns)
    return false;
  if (!l.sparse)
    return l.rows * l.cols >= SMALL && last_chunk(a, l.path, l.rows);
  int64_t *start = l.nnz >= SMALL ? dyn_alloc((size_t)l.rows + 1, 8) : NULL;
  bool ok = start && dyn_h5ad_offsets(a, &l, start, NULL) == DYN_OK &&
            last_entry(a, &l, "data") && last_entry(a, &l, "indices");
  dyn_free(start, (size_t)l.rows + 1, 8);
  return ok;
}

/* A matrix that may be absent or strange: only crashes count. */
static DYN_STATUS read_matrix(dyn_h5ad *a, const char *name, dyn_err *e) {
  dyn_matrix m = {0};
  if (looked_up(a, name)) return DYN_OK;
  dyn_cage_memory(SIZE_MAX); /* as much as the parent would have */
  dyn_status st = dyn_h5ad_matrix(a, name, &m, e);
  dyn_matrix_free(&m);
  return st == DYN_EFORMAT ? DYN_OK : st;
}

static size_t room_of(const dyn_h5ad *a) {
  size_t n = 0;
  for (int axis = 0; axis < DYN_AXES; axis++)
    if (dyn_h5ad_size(a, (dyn_h5ad_axis)axis) > 0)
      n += (size_t)dyn_h5ad_size(a, (dyn_h5ad_axis)axis);
  return ROOM + n * NAME;
}

static DYN_STATUS read_all(const char *path, const dyn_h5ad_probing *o,
                           char *member, dyn_err *e) {
  dyn_h5ad *a = NULL;
  dyn_textlist t = {0}, u = {0};
  dyn_status st = DYN_OK;
  DYN_TRY(dyn_h5ad_open(&a, path, NULL, o->memory, e));
  dyn_h5_progress(dyn_h5ad_file(a), member);
  dyn_cage_memory(room_of(a));
  for (int axis = 0; axis < DYN_AXES; axis++)
    DYN_TRY(read_axis(a, (dyn_h5ad_axis)axis,
                      axis != DYN_AXIS_OBS || !o->no_cell_names, e));
  DYN_TRY(read_matrix(a, NULL, e));
  DYN_TRY(read_matrix(a, "raw", e));
  DYN_TRY(dyn_h5ad_list(a, "layers", &t, e));
  for (int64_t i = 0; i < t.n; i++)
    DYN_TRY(read_matrix(a, dyn_textlist_get(&t, i), e));
  dyn_textlist_free(&t);
  st = dyn_h5ad_describe(a, 100000, &t, &u, e);
done:
  dyn_textlist_free(&t);
  dyn_textlist_free(&u);
  dyn_h5ad_close(a);
  return st;
}

static void child(report *r, const char *path, const dyn_h5ad_probing *o) {
  static const int crash[] = {SIGSEGV, SIGBUS, SIGFPE, SIGABRT, SIGILL};
  for (size_t i = 0; i < sizeof crash / sizeof *crash; i++)
    signal(crash[i], SIG_DFL);
  omp_set_num_threads(1); /* the parent's threads are not here */
  (void)dyn_cage(o->memory, o->seconds);
  dyn_cage_memory(ROOM);
  r->st = read_all(path, o, r->member, &r->e);
  r->done = true;
  syscall(SYS_exit_group, 0); /* nothing of the parent's is run or flushed */
}

static DYN_STATUS verdict(const report *r, const char *path, int status,
                          int seconds, dyn_err *e) {
  char shown[120];
  bool some = r->member[0] != '\0';
  dyn_escape(shown, sizeof shown, some ? r->member : "it");
  if (r->done)
    return r->st == DYN_OK ? DYN_OK : dyn_fail(e, r->st, "%s", r->e.msg);
  if (WIFSIGNALED(status) &&
      (WTERMSIG(status) == SIGXCPU || WTERMSIG(status) == SIGKILL))
    return dyn_fail(e, DYN_EFORMAT,
                    "%.160s: reading %s was stopped after %d s or for its "
                    "memory; the file is damaged",
                    path, shown, seconds);
  return dyn_fail(e, DYN_EFORMAT,
                  "%.160s: HDF5 crashed while reading %s; the file is damaged",
                  path, shown);
}

DYN_STATUS dyn_h5ad_probe(const char *path, const dyn_h5ad_probing *o,
                          dyn_err *e) {
  int status = 0;
  dyn_h5ad_probing p = o ? *o : (dyn_h5ad_probing){0};
  if (p.memory == 0) p.memory = dyn_h5_usual_limit();
  if (p.seconds <= 0) p.seconds = 600;
  report *r = mmap(NULL, sizeof *r, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (r == MAP_FAILED)
    return dyn_fail(e, DYN_ENOMEM, "%.160s: out of memory", path);
  dyn_status st = DYN_OK;
  pid_t pid = fork();
  if (pid == 0) child(r, path, &p);
  if (pid < 0) {
    st = dyn_fail(e, DYN_EIO, "%.160s: no child process: %s", path,
                  strerror(errno));
  } else {
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
    st = verdict(r, path, status, p.seconds, e);
  }
  munmap(r, sizeof *r);
  return st;
}
