/*
** h5_chunks.c -- compressed chunks that we read and unpack ourselves, several
** at a time. The library has one lock and zlib; most of the time of reading a
** big file is inflating.
*/
#include <errno.h>
#include <omp.h>
#include <string.h>
#include <unistd.h>

#include "io/h5_filters.h"
#include "io/h5_plan_lib.h"

/* ---- numbers -------------------------------------------------------------- */

enum {
  RUN = 512 /* numbers converted at a time */
};

#define LOAD(T, R)                           \
  for (size_t i = 0; i < n; i++) {           \
    T v;                                     \
    memcpy(&v, in + i * sizeof v, sizeof v); \
    out[i] = (R)v;                           \
  }

static void load_integers(int64_t *out, const unsigned char *in,
                          dyn_h5_number from, size_t n) {
  switch (from) {
  case DYN_H5_N_I8:
    LOAD(int8_t, int64_t) return;
  case DYN_H5_N_U8:
    LOAD(uint8_t, int64_t) return;
  case DYN_H5_N_I16:
    LOAD(int16_t, int64_t) return;
  case DYN_H5_N_U16:
    LOAD(uint16_t, int64_t) return;
  case DYN_H5_N_I32:
    LOAD(int32_t, int64_t) return;
  case DYN_H5_N_U32:
    LOAD(uint32_t, int64_t) return;
  default:
    LOAD(int64_t, int64_t) return;
  }
}

static void load_floats(double *out, const unsigned char *in,
                        dyn_h5_number from, size_t n) {
  if (from == DYN_H5_N_F32) LOAD(float, double) else LOAD(double, double)
}

static int32_t narrow(int64_t v) {
  return v < INT32_MIN ? INT32_MIN : v > INT32_MAX ? INT32_MAX : (int32_t)v;
}

static void store_integers(void *out, dyn_h5_mem to, const int64_t *v,
                           size_t n) {
  for (size_t i = 0; i < n; i++) {
    if (to == DYN_H5_I32)
      ((int32_t *)out)[i] = narrow(v[i]);
    else if (to == DYN_H5_I64)
      ((int64_t *)out)[i] = v[i];
    else if (to == DYN_H5_F32)
      ((float *)out)[i] = (float)v[i];
    else
      ((double *)out)[i] = (double)v[i];
  }
}

static void store_floats(void *out, dyn_h5_mem to, const double *v, size_t n) {
  for (size_t i = 0; i < n; i++) {
    if (to == DYN_H5_F32)
      ((float *)out)[i] = (float)v[i];
    else
      ((double *)out)[i] = v[i];
  }
}

static bool same_type(dyn_h5_number from, dyn_h5_mem to) {
  return (from == DYN_H5_N_F32 && to == DYN_H5_F32) ||
         (from == DYN_H5_N_F64 && to == DYN_H5_F64) ||
         (from == DYN_H5_N_I32 && to == DYN_H5_I32) ||
         (from == DYN_H5_N_I64 && to == DYN_H5_I64);
}

static size_t width(dyn_h5_mem to) {
  return to == DYN_H5_I32 || to == DYN_H5_F32 ? 4 : 8;
}

/* n numbers of the file at 'in' to 'out'. */
static void convert(char *out, dyn_h5_mem to, const unsigned char *in,
                    dyn_h5_number from, size_t n) {
  static const size_t size[] = {1, 1, 2, 2, 4, 4, 8, 4, 8};
  int64_t whole[RUN];
  double real[RUN];
  size_t wide = width(to);
  if (same_type(from, to)) {
    memcpy(out, in, n * wide);
    return;
  }
  for (; n; out += RUN * wide, in += RUN * size[from]) {
    size_t k = n < RUN ? n : RUN;
    n -= k;
    if (from < DYN_H5_N_F32) {
      load_integers(whole, in, from, k);
      store_integers(out, to, whole, k);
    } else {
      load_floats(real, in, from, k);
      store_floats(out, to, real, k);
    }
    if (!n) return;
  }
}

/* ---- one chunk ------------------------------------------------------------ */

typedef struct job {
  const dyn_h5_plan *p;
  dyn_h5_mem to;
  size_t lo, n; /* rows that are wanted */
  char *out;
  int threads;
  void **z;            /* one inflater per thread */
  unsigned char *work; /* per thread: a raw chunk, two unpacked ones */
} job;

/* What of a chunk is wanted: rows of it, where they go, numbers in a row. */
typedef struct window {
  size_t skip, rows, cols;
  char *to;
  bool whole; /* the chunk as it is, in one piece */
} window;

static window window_of(const job *j, size_t k) {
  const dyn_h5_plan *p = j->p;
  size_t top = (p->first + k / p->across) * p->chunk[0],
         left = k % p->across * p->chunk[1];
  size_t from = top > j->lo ? top : j->lo, end = top + p->chunk[0];
  if (end > j->lo + j->n) end = j->lo + j->n;
  window w = {.skip = from - top, .rows = end - from};
  w.cols = p->dim[1] - left < p->chunk[1] ? p->dim[1] - left : p->chunk[1];
  w.to = j->out + ((from - j->lo) * p->dim[1] + left) * width(j->to);
  w.whole = w.rows == p->chunk[0] && p->chunk[1] == p->dim[1];
  return w;
}

static bool fetch(const dyn_h5_plan *p, const dyn_h5_piece *q,
                  unsigned char *to) {
  for (size_t got = 0; got < q->size;) {
    ssize_t k = pread(p->fd, to + got, q->size - got, q->at + (off_t)got);
    if (k <= 0 && !(k < 0 && errno == EINTR)) return false;
    if (k > 0) got += (size_t)k;
  }
  return true;
}

/* Undo one filter on *n bytes at 'in'; NULL if they are damaged. */
static const unsigned char *undo(const job *j, const dyn_h5_stage *s,
                                 const unsigned char *in, size_t *n,
                                 unsigned char *to, int thread) {
  if (s->id == DYN_FILTER_FLETCHER32) {
    uint32_t sum;
    if (*n < 4) return NULL;
    *n -= 4;
    memcpy(&sum, in + *n, 4);
    return sum == dyn_fletcher32(in, *n) ? in : NULL;
  }
  if (s->id == DYN_FILTER_SHUFFLE) {
    if (*n > j->p->bytes) return NULL;
    dyn_unshuffle(to, in, *n, j->p->item);
    return to;
  }
  *n = s->id == DYN_FILTER_DEFLATE
           ? dyn_inflater_run(j->z[thread], to, j->p->bytes, in, *n)
           : dyn_unpack(s->id, s->param, s->nparam, to, j->p->bytes, in, *n);
  return *n ? to : NULL;
}

/* The last filter, in the order of undoing, that makes new bytes; -1: none. */
static int last_stage(const dyn_h5_plan *p, const dyn_h5_piece *q) {
  for (int i = 0; i < p->nstages; i++)
    if (!(q->skipped >> i & 1) && p->stage[i].id != DYN_FILTER_FLETCHER32)
      return i;
  return -1;
}

/* Chunk k into place, by way of 'a', which has room for it raw and twice. */
static bool decode(const job *j, size_t k, unsigned char *a, int thread) {
  const dyn_h5_plan *p = j->p;
  const dyn_h5_piece *q = &p->piece[k];
  window w = window_of(j, k);
  size_t wide = width(j->to), n = q->size;
  if (n == 0) {
    for (size_t i = 0; i < w.rows; i++)
      memset(w.to + i * p->dim[1] * wide, 0, w.cols * wide);
    return true;
  }
  unsigned char *b = a + p->bytes, *raw = b + p->bytes;
  const unsigned char *in = raw;
  int last = w.whole && same_type(p->from, j->to) ? last_stage(p, q) : -1;
  if (!fetch(p, q, raw)) return false;
  for (int i = p->nstages - 1; in && i >= 0; i--) {
    if (q->skipped >> i & 1) continue;
    unsigned char *to = i == last ? (unsigned char *)w.to : in == a ? b : a;
    in = undo(j, &p->stage[i], in, &n, to, thread);
  }
  if (!in || n < (w.skip + w.rows) * p->chunk[1] * p->item) return false;
  if (in == (const unsigned char *)w.to) return n == p->bytes;
  if (p->chunk[1] == p->dim[1]) { /* rows follow one another */
    convert(w.to, j->to, in + w.skip * w.cols * p->item, p->from,
            w.rows * w.cols);
    return true;
  }
  for (size_t i = 0; i < w.rows; i++)
    convert(w.to + i * p->dim[1] * wide, j->to,
            in + (w.skip + i) * p->chunk[1] * p->item, p->from, w.cols);
  return true;
}

/* ---- all of them ---------------------------------------------------------- */

static size_t work_of(const dyn_h5_plan *p) {
  return (2 * p->bytes + p->room + 63) & ~(size_t)63;
}

static bool prepare(job *j) {
  j->work = dyn_alloc_raw((size_t)j->threads, work_of(j->p));
  j->z = dyn_alloc((size_t)j->threads, sizeof *j->z);
  bool ok = j->work && j->z;
  for (int i = 0; ok && i < j->threads; i++)
    ok = (j->z[i] = dyn_inflater_new()) != NULL;
  return ok;
}

static bool decode_all(const job *j) {
  const dyn_h5_plan *p = j->p;
  size_t lo = (j->lo / p->chunk[0] - p->first) * p->across,
         hi = ((j->lo + j->n + p->chunk[0] - 1) / p->chunk[0] - p->first) *
              p->across;
  int bad = 0;
  if (j->threads == 1) { /* also where OpenMP has no business */
    for (size_t k = lo; k < hi && !bad; k++) bad = !decode(j, k, j->work, 0);
    return !bad;
  }
#pragma omp parallel for schedule(dynamic, 1) num_threads(j->threads) \
    reduction(+ : bad)
  for (size_t k = lo; k < hi; k++) {
    int t = omp_get_thread_num();
    bad += !decode(j, k, j->work + (size_t)t * work_of(p), t);
  }
  return bad == 0;
}

DYN_STATUS dyn_h5_plan_read(const dyn_h5_plan *p, dyn_h5_mem type, int64_t lo,
                            int64_t n, void *out, int threads) {
  dyn_status st = DYN_ENOMEM;
  if (type == DYN_H5_I8 ||
      (p->from >= DYN_H5_N_F32 && (type == DYN_H5_I32 || type == DYN_H5_I64)))
    return DYN_EFORMAT;
  if (lo < 0 || n < 0 || (size_t)lo / p->chunk[0] < p->first ||
      (size_t)(lo + n) > p->dim[0] ||
      (size_t)(lo + n) > (p->first + p->rows) * p->chunk[0])
    return DYN_EFORMAT;
  if (n == 0) return DYN_OK;
  if ((size_t)threads > p->rows * p->across)
    threads = (int)(p->rows * p->across);
  job j = {p, type, (size_t)lo, (size_t)n, out, threads, NULL, NULL};
  if (prepare(&j)) st = decode_all(&j) ? DYN_OK : DYN_EFORMAT;
  for (int i = 0; j.z && i < threads; i++) dyn_inflater_free(j.z[i]);
  dyn_free(j.z, (size_t)threads, sizeof *j.z);
  dyn_free(j.work, (size_t)threads, work_of(p));
  return st;
}
