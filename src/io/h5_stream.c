#include "io/h5_stream.h"

#include <omp.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "io/h5_plan.h"
#include "io/h5ad_lib.h"

enum {
  AHEAD = 2, /* shards that are ready or being made */
  MEMORY = 256 << 20
};

/* A shard that is ready, or why it is not. */
typedef struct slot {
  bool full;
  dyn_matrix m;
  int64_t first;
  dyn_status st;
  dyn_err e;
} slot;

struct dyn_h5_stream {
  char *file; /* its name, dyn_alloc(strlen + 1) */
  char path[DYN_H5_PATH];
  bool sparse;
  dyn_h5_plan *data, *indices; /* dense: 'data' alone */
  int64_t *start;              /* sparse: (rows + 1) */
  int64_t rows, cols, shard;

  int64_t *order, norder; /* of the pass */
  int threads;
  bool running, stop, failed;
  int64_t taken; /* shards given out */
  slot slot[AHEAD];
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  dyn_stream_cost cost;
};

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- one shard ------------------------------------------------------------ */

static DYN_STATUS damaged(const dyn_h5_stream *s, const char *what,
                          int64_t first, dyn_err *e) {
  return dyn_fail(e, DYN_EFORMAT, "%.160s: %.120s: %s (cells from %lld)",
                  s->file, s->path, what, (long long)first + 1);
}

static DYN_STATUS unread(const dyn_h5_stream *s, dyn_status st, int64_t first,
                         dyn_err *e) {
  if (st == DYN_ENOMEM) return dyn_fail(e, st, "stream: out of memory");
  return damaged(s, "damaged or unreadable", first, e);
}

static DYN_STATUS read_sparse(const dyn_h5_stream *s, int64_t lo, int64_t n,
                              dyn_matrix *m, dyn_err *e) {
  int64_t from = s->start[lo], nnz = s->start[lo + n] - from;
  dyn_status st = dyn_csr_new(&m->csr, n, s->cols, nnz, true, e);
  if (st != DYN_OK) return st;
  m->sparse = true;
  for (int64_t i = 0; i <= n; i++) m->csr.start[i] = s->start[lo + i] - from;
  if (nnz == 0) return DYN_OK;
  st = dyn_h5_plan_read(s->indices, DYN_H5_I32, from, nnz, m->csr.col,
                        s->threads);
  if (st == DYN_OK)
    st = dyn_h5_plan_read(s->data, DYN_H5_F32, from, nnz, m->csr.val,
                          s->threads);
  if (st != DYN_OK) return unread(s, st, lo, e);
  dyn_order order = dyn_csr_order(&m->csr);
  if (order.outside) return damaged(s, "an index is no gene", lo, e);
  if (order.falls || order.repeats)
    return damaged(s, "genes of a cell out of order: not for streaming", lo, e);
  return DYN_OK;
}

static DYN_STATUS read_dense(const dyn_h5_stream *s, int64_t lo, int64_t n,
                             dyn_matrix *m, dyn_err *e) {
  ptrdiff_t size[2] = {(ptrdiff_t)n, (ptrdiff_t)s->cols};
  dyn_status st = dyn_tensor_new(&m->dense, DYN_F32, 2, size, e);
  if (st != DYN_OK) return st;
  st = dyn_h5_plan_read(s->data, DYN_H5_F32, lo, n, dyn_f32(&m->dense),
                        s->threads);
  return st == DYN_OK ? st : unread(s, st, lo, e);
}

static void read_shard(const dyn_h5_stream *s, int64_t k, slot *to) {
  int64_t lo = k * s->shard,
          n = s->rows - lo < s->shard ? s->rows - lo : s->shard;
  to->m = (dyn_matrix){0};
  to->first = lo;
  to->st = (s->sparse ? read_sparse : read_dense)(s, lo, n, &to->m, &to->e);
  if (to->st == DYN_OK)
    dyn_matrix_summarise(&to->m);
  else
    dyn_matrix_free(&to->m);
}

/* ---- the thread ----------------------------------------------------------- */

/* Wait until slot k is as wanted; false if the pass was given up. */
static bool wait_for(dyn_h5_stream *s, int k, bool full) {
  while (!s->stop && s->slot[k].full != full)
    pthread_cond_wait(&s->changed, &s->lock);
  return !s->stop;
}

static void *reader(void *ud) {
  dyn_h5_stream *s = ud;
  slot made;
  bool go = true;
  omp_set_num_threads(s->threads); /* of this thread alone */
  for (int64_t i = 0; i < s->norder && go; i++) {
    double begin = now();
    read_shard(s, s->order[i], &made);
    double took = now() - begin;
    pthread_mutex_lock(&s->lock);
    s->cost.busy += took;
    go = wait_for(s, (int)(i % AHEAD), false);
    if (go) {
      s->slot[i % AHEAD] = made;
      s->slot[i % AHEAD].full = true;
      pthread_cond_broadcast(&s->changed);
      go = made.st == DYN_OK;
    } else {
      dyn_matrix_free(&made.m);
    }
    pthread_mutex_unlock(&s->lock);
  }
  return NULL;
}

/* Give up the pass: no thread, no shards. */
static void halt(dyn_h5_stream *s) {
  if (s->running) {
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
  }
  for (int k = 0; k < AHEAD; k++) {
    if (s->slot[k].full) dyn_matrix_free(&s->slot[k].m);
    s->slot[k].full = false;
  }
  dyn_free(s->order, (size_t)s->norder, sizeof *s->order);
  s->order = NULL;
  s->norder = s->taken = 0;
  s->running = s->stop = s->failed = false;
}

DYN_STATUS dyn_h5_stream_start(dyn_h5_stream *s, const int64_t *order,
                               int64_t n, int threads, dyn_err *e) {
  int64_t all = dyn_h5_stream_shards(s);
  halt(s);
  if (!order) n = all;
  for (int64_t i = 0; order && i < n; i++)
    if (order[i] < 0 || order[i] >= all)
      return dyn_fail(e, DYN_EVALUE, "%.160s: shard %lld outside 1..%lld",
                      s->file, (long long)order[i] + 1, (long long)all);
  s->order = dyn_alloc((size_t)n, sizeof *s->order);
  if (!s->order) return dyn_fail(e, DYN_ENOMEM, "stream: out of memory");
  s->norder = n;
  for (int64_t i = 0; i < n; i++) s->order[i] = order ? order[i] : i;
  s->threads = threads;
  int rc = pthread_create(&s->thread, NULL, reader, s);
  s->running = rc == 0;
  if (rc == 0) return DYN_OK;
  halt(s);
  return dyn_fail(e, DYN_EIO, "%.160s: no thread: %s", s->file, strerror(rc));
}

DYN_STATUS dyn_h5_stream_next(dyn_h5_stream *s, dyn_matrix *m, int64_t *first,
                              dyn_err *e) {
  *m = (dyn_matrix){0};
  *first = -1;
  if (s->failed || s->taken >= s->norder) return DYN_OK;
  slot *from = &s->slot[s->taken % AHEAD];
  double begin = now();
  pthread_mutex_lock(&s->lock);
  (void)wait_for(s, (int)(s->taken % AHEAD), true);
  s->cost.waited += now() - begin;
  *m = from->m;
  *first = from->first;
  dyn_status st = from->st;
  if (st != DYN_OK && e) *e = from->e;
  from->full = false;
  s->taken++;
  s->cost.shards++;
  s->cost.entries += m->sparse ? dyn_csr_nnz(&m->csr) : 0;
  s->failed = st != DYN_OK;
  pthread_cond_broadcast(&s->changed);
  pthread_mutex_unlock(&s->lock);
  if (st != DYN_OK) *first = -1;
  return st;
}

/* ---- opening -------------------------------------------------------------- */

static DYN_STATUS unsuited(dyn_h5_stream *s, const char *why, dyn_err *e) {
  return dyn_fail(e, DYN_EFORMAT,
                  "%.160s: %.120s: %s, which cannot be streamed", s->file,
                  s->path, why);
}

/* The largest of the shards of 'rows' cells, in bytes. */
static double largest(const dyn_h5_stream *s, int64_t rows) {
  double most = 0;
  for (int64_t lo = 0; lo < s->rows; lo += rows) {
    int64_t hi = lo + rows < s->rows ? lo + rows : s->rows;
    double bytes = s->sparse ? 8 * (double)(s->start[hi] - s->start[lo]) +
                                   8 * (double)(hi - lo)
                             : 4 * (double)(hi - lo) * (double)s->cols;
    if (bytes > most) most = bytes;
  }
  return most;
}

/* As many cells in a shard as 'memory' allows, halving from all of them. */
static DYN_STATUS choose_shard(dyn_h5_stream *s, size_t memory, dyn_err *e) {
  double room = (double)(memory ? memory : MEMORY) / (AHEAD + 2);
  s->shard = s->rows ? s->rows : 1;
  while (s->shard > 1 && largest(s, s->shard) > room)
    s->shard = (s->shard + 1) / 2;
  return largest(s, s->shard) <= room
             ? DYN_OK
             : dyn_fail(e, DYN_EFORMAT,
                        "%.160s: %.120s: one cell needs more than the memory "
                        "of the stream",
                        s->file, s->path);
}

static DYN_STATUS open_parts(dyn_h5_stream *s, dyn_h5ad *a,
                             const dyn_h5ad_layout *l, dyn_err *e) {
  char path[DYN_H5_PATH];
  dyn_status st = DYN_OK;
  if (!l->sparse) {
    DYN_TRY(dyn_h5_plan_open(&s->data, a->h5, s->path, 0, -1, e));
    return s->data ? DYN_OK : unsuited(s, "a type or filter of HDF5", e);
  }
  if (l->columns) return unsuited(s, "stored by genes (CSC)", e);
  s->start = dyn_alloc((size_t)s->rows + 1, sizeof *s->start);
  if (!s->start) return dyn_fail(e, DYN_ENOMEM, "stream: out of memory");
  DYN_TRY(dyn_h5ad_offsets(a, l, s->start, e));
  if (l->nnz == 0) return DYN_OK;
  DYN_TRY(dyn_h5_join(a->h5, path, s->path, "data", e));
  DYN_TRY(dyn_h5_plan_open(&s->data, a->h5, path, 0, -1, e));
  DYN_TRY(dyn_h5_join(a->h5, path, s->path, "indices", e));
  DYN_TRY(dyn_h5_plan_open(&s->indices, a->h5, path, 0, -1, e));
  if (!s->data || !s->indices) st = unsuited(s, "a type or filter of HDF5", e);
done:
  return st;
}

DYN_STATUS dyn_h5_stream_open(dyn_h5_stream **out, dyn_h5ad *a,
                              const char *name, size_t memory, dyn_err *e) {
  dyn_h5ad_layout l;
  const char *file = dyn_h5_name(a->h5);
  dyn_status st = DYN_OK;
  *out = NULL;
  dyn_h5_stream *s = dyn_alloc(1, sizeof *s);
  if (!s) return dyn_fail(e, DYN_ENOMEM, "stream: out of memory");
  pthread_mutex_init(&s->lock, NULL);
  pthread_cond_init(&s->changed, NULL);
  s->file = dyn_alloc(strlen(file) + 1, 1);
  if (!s->file) {
    st = dyn_fail(e, DYN_ENOMEM, "stream: out of memory");
    goto done;
  }
  strcpy(s->file, file);
  DYN_TRY(dyn_h5ad_layout_of(a, name, &l, e));
  s->sparse = l.sparse;
  s->rows = l.rows;
  s->cols = l.cols;
  memcpy(s->path, l.path, sizeof s->path);
  DYN_TRY(open_parts(s, a, &l, e));
  DYN_TRY(choose_shard(s, memory, e));
  *out = s;
  s = NULL;
done:
  dyn_h5_stream_close(s);
  return st;
}

void dyn_h5_stream_close(dyn_h5_stream *s) {
  if (!s) return;
  halt(s);
  dyn_h5_plan_free(s->data);
  dyn_h5_plan_free(s->indices);
  dyn_free(s->start, (size_t)s->rows + 1, sizeof *s->start);
  if (s->file) dyn_free(s->file, strlen(s->file) + 1, 1);
  pthread_mutex_destroy(&s->lock);
  pthread_cond_destroy(&s->changed);
  dyn_free(s, 1, sizeof *s);
}

int64_t dyn_h5_stream_size(const dyn_h5_stream *s, int axis) {
  return axis == 0 ? s->rows : s->cols;
}
int64_t dyn_h5_stream_shard(const dyn_h5_stream *s) { return s->shard; }
int64_t dyn_h5_stream_shards(const dyn_h5_stream *s) {
  return (s->rows + s->shard - 1) / s->shard;
}
dyn_stream_cost dyn_h5_stream_cost(const dyn_h5_stream *s) { return s->cost; }
