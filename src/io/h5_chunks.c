/*
** h5_chunks.c -- filters: decoders that we give to the library, and compressed
** chunks that we unpack ourselves, several at a time. The library has one lock
** and zlib; most of the time of reading a big file is inflating.
*/
#include <omp.h>
#include <string.h>

#include "io/h5_filters.h"
#include "io/h5_lib.h"

/* ---- filters -------------------------------------------------------------- */

/* Bytes of a chunk of the dataset being read: what a decoder may produce. The
** library calls it back without a place for our own data. */
static size_t chunk_limit;

static size_t decode(unsigned flags, size_t n, size_t *cap, void **buf,
                     size_t (*fn)(void *, size_t, const void *, size_t)) {
  if (!(flags & H5Z_FLAG_REVERSE) || chunk_limit == 0) return 0;
  void *out = H5allocate_memory(chunk_limit, 1);
  if (!out) return 0;
  size_t got = fn(out, chunk_limit, *buf, n);
  if (got == 0) {
    H5free_memory(out);
    return 0;
  }
  H5free_memory(*buf);
  *buf = out;
  *cap = chunk_limit;
  return got;
}

static size_t lzf(void *out, size_t room, const void *in, size_t n) {
  return dyn_lzf(out, room, in, n);
}
static size_t lzf_filter(unsigned flags, size_t ncd, const unsigned cd[],
                         size_t n, size_t *cap, void **buf) {
  (void)ncd;
  (void)cd;
  return decode(flags, n, cap, buf, lzf);
}
static size_t zstd_filter(unsigned flags, size_t ncd, const unsigned cd[],
                          size_t n, size_t *cap, void **buf) {
  (void)ncd;
  (void)cd;
  return decode(flags, n, cap, buf, dyn_unzstd);
}

void dyn_h5_setup(void) {
  static const H5Z_class2_t own[] = {
      {H5Z_CLASS_T_VERS, 32000, 0, 1, "lzf", NULL, NULL, lzf_filter},
      {H5Z_CLASS_T_VERS, 32015, 0, 1, "zstd", NULL, NULL, zstd_filter},
  };
  static bool ready;
  /* at exit the library would close a file whose disk was full, and crash */
  if (!ready) H5dont_atexit();
  H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
  if (ready) return;
  ready = H5Zregister(&own[0]) >= 0 && H5Zregister(&own[1]) >= 0;
  H5PLset_loading_state(0);
}

static const struct {
  H5Z_filter_t id;
  bool plugin; /* one that Debian has, and that we let the library load */
  const char *name, *hint;
} foreign[] = {
    {32001, true, "blosc", "apt-get install hdf5-filter-plugin-blosc-serial"},
    {32004, true, "lz4", "apt-get install hdf5-filter-plugin"},
    {307, true, "bzip2", "apt-get install hdf5-filter-plugin"},
    {32008, true, "bitshuffle", "apt-get install bitshuffle"},
    {32026, false, "blosc2", "re-save with compression=\"gzip\""},
};

static bool available(H5Z_filter_t id, size_t known) {
  if (H5Zfilter_avail(id) > 0) return true;
  if (known >= sizeof foreign / sizeof *foreign || !foreign[known].plugin)
    return false;
  H5PLset_loading_state(H5PL_FILTER_PLUGIN);
  bool there = H5Zfilter_avail(id) > 0;
  H5PLset_loading_state(0);
  return there;
}

static DYN_STATUS filters(dyn_h5 *f, const char *member, hid_t plist,
                          dyn_err *e) {
  int n = H5Pget_nfilters(plist);
  for (int i = 0; i < n; i++) {
    unsigned flags, config;
    size_t ncd = 0, k = 0;
    H5Z_filter_t id = H5Pget_filter2(plist, (unsigned)i, &flags, &ncd, NULL, 0,
                                     NULL, &config);
    while (k < sizeof foreign / sizeof *foreign && foreign[k].id != id) k++;
    if (id < 0) return dyn_h5_broken(f, e, member);
    if (available(id, k)) continue;
    bool known = k < sizeof foreign / sizeof *foreign;
    return dyn_h5_fail(
        f, e, DYN_EFORMAT, member,
        "HDF5 filter %d%s%s%s is not available (try: %s)", (int)id,
        known ? " (" : "", known ? foreign[k].name : "", known ? ")" : "",
        known ? foreign[k].hint : "re-save with compression=\"gzip\"");
  }
  return n < 0 ? dyn_h5_broken(f, e, member) : DYN_OK;
}

DYN_STATUS dyn_h5_filters(dyn_h5 *f, const char *member, hid_t d, dyn_err *e) {
  hsize_t c[H5S_MAX_RANK];
  hid_t p = H5Dget_create_plist(d), t = H5Dget_type(d);
  dyn_status st = DYN_OK;
  double bytes = t >= 0 ? (double)H5Tget_size(t) : 0;
  if (p < 0 || t < 0) {
    st = dyn_h5_broken(f, e, member);
    goto done;
  }
  int rank =
      H5Pget_layout(p) == H5D_CHUNKED ? H5Pget_chunk(p, H5S_MAX_RANK, c) : 0;
  for (int i = 0; i < rank; i++) bytes *= (double)c[i];
  if (bytes > (double)f->limit) {
    st = dyn_h5_fail(f, e, DYN_EFORMAT, member, "chunk of %.0f bytes", bytes);
    goto done;
  }
  /* a string takes twice the place in the file; + a later checksum */
  chunk_limit = rank > 0 ? 2 * (size_t)bytes + 4 : 0;
  st = filters(f, member, p, e);
done:
  dyn_h5_drop(p);
  dyn_h5_drop(t);
  return st;
}

/* ---- unpacking chunks ourselves ------------------------------------------- */

enum {
  BATCH = 16 << 20, /* bytes of chunks fetched between two parallel loops */
  SMALL = 1 << 18,  /* bytes below which it is not worth the trouble */
  RUN = 512         /* numbers converted at a time */
};

/* Numbers in the file: those that H5Dread gives the same way. */
typedef enum number {
  I8,
  U8,
  I16,
  U16,
  I32,
  U32,
  I64,
  F32,
  F64,
  NONE
} number;

static number number_of(hid_t t) {
  const hid_t type[] = {H5T_STD_I8LE,  H5T_STD_U8LE,   H5T_STD_I16LE,
                        H5T_STD_U16LE, H5T_STD_I32LE,  H5T_STD_U32LE,
                        H5T_STD_I64LE, H5T_IEEE_F32LE, H5T_IEEE_F64LE};
  int k = 0;
  while (k < NONE && H5Tequal(t, type[k]) <= 0) k++;
  return (number)k;
}

#define LOAD(T, R)                           \
  for (size_t i = 0; i < n; i++) {           \
    T v;                                     \
    memcpy(&v, in + i * sizeof v, sizeof v); \
    out[i] = (R)v;                           \
  }

static void load_integers(int64_t *out, const unsigned char *in, number from,
                          size_t n) {
  switch (from) {
  case I8:
    LOAD(int8_t, int64_t) return;
  case U8:
    LOAD(uint8_t, int64_t) return;
  case I16:
    LOAD(int16_t, int64_t) return;
  case U16:
    LOAD(uint16_t, int64_t) return;
  case I32:
    LOAD(int32_t, int64_t) return;
  case U32:
    LOAD(uint32_t, int64_t) return;
  default:
    LOAD(int64_t, int64_t) return;
  }
}

static void load_floats(double *out, const unsigned char *in, number from,
                        size_t n) {
  if (from == F32) LOAD(float, double) else LOAD(double, double)
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

/* n numbers of the file at 'in' to item 'at' of 'out'. */
static void convert(char *out, dyn_h5_mem to, const unsigned char *in,
                    number from, size_t n) {
  static const size_t size[] = {1, 1, 2, 2, 4, 4, 8, 4, 8};
  int64_t whole[RUN];
  double real[RUN];
  size_t wide = to == DYN_H5_I32 || to == DYN_H5_F32 ? 4 : 8;
  if ((from == F32 && to == DYN_H5_F32) || (from == F64 && to == DYN_H5_F64) ||
      (from == I32 && to == DYN_H5_I32) || (from == I64 && to == DYN_H5_I64)) {
    memcpy(out, in, n * wide);
    return;
  }
  for (; n; out += RUN * wide, in += RUN * size[from]) {
    size_t k = n < RUN ? n : RUN;
    n -= k;
    if (from < F32) {
      load_integers(whole, in, from, k);
      store_integers(out, to, whole, k);
    } else {
      load_floats(real, in, from, k);
      store_floats(out, to, real, k);
    }
    if (!n) return;
  }
}

typedef struct raw {
  hsize_t at[2]; /* first row and column */
  size_t size;
  uint32_t skipped; /* filters that were not applied */
  unsigned char *bytes;
} raw;

typedef struct job {
  hid_t data;
  int rank, nfilters;
  H5Z_filter_t filter[3];
  size_t dim[2], chunk[2]; /* a vector has one column */
  size_t item, bytes;      /* of a number, of a chunk */
  number from;
  dyn_h5_mem to;
  char *out;
  size_t room; /* for one raw chunk */
  raw *batch;
  unsigned char *raw_bytes; /* 'most' times 'room' */
  int nbatch, most;
  int threads;
  void **z;            /* one inflater per thread */
  unsigned char *work; /* two chunks per thread */
} job;

/* Undo the filters of a chunk; NULL if anything is odd. */
static const unsigned char *decoded(const job *j, const raw *r, int thread) {
  unsigned char *a = j->work + (size_t)thread * 2 * j->bytes, *b = a + j->bytes;
  const unsigned char *p = r->bytes;
  size_t n = r->size;
  for (int i = j->nfilters - 1; i >= 0; i--) {
    if (r->skipped >> i & 1) continue;
    unsigned char *to = p == a ? b : a;
    if (j->filter[i] == H5Z_FILTER_FLETCHER32) {
      uint32_t sum;
      if (n < 4) return NULL;
      n -= 4;
      memcpy(&sum, p + n, 4);
      if (sum != dyn_fletcher32(p, n)) return NULL;
    } else if (j->filter[i] == H5Z_FILTER_DEFLATE) {
      n = dyn_inflater_run(j->z[thread], to, j->bytes, p, n);
      p = to;
    } else {
      if (n > j->bytes) return NULL;
      dyn_unshuffle(to, p, n, j->item);
      p = to;
    }
  }
  return n == j->bytes ? p : NULL;
}

/* What of a chunk is inside the dataset, into place. */
static void place(const job *j, const raw *r, const unsigned char *p) {
  size_t wide = j->to == DYN_H5_I32 || j->to == DYN_H5_F32 ? 4 : 8;
  size_t rows = j->dim[0] - (size_t)r->at[0],
         cols = j->dim[1] - (size_t)r->at[1];
  if (rows > j->chunk[0]) rows = j->chunk[0];
  if (cols > j->chunk[1]) cols = j->chunk[1];
  if (j->dim[1] == 1 && j->chunk[1] == 1) { /* a vector is one long row */
    cols = rows;
    rows = 1;
  }
  for (size_t i = 0; i < rows; i++)
    convert(j->out +
                (((size_t)r->at[0] + i) * j->dim[1] + (size_t)r->at[1]) * wide,
            j->to, p + i * j->chunk[1] * j->item, j->from, cols);
}

static bool decode_batch(job *j) {
  int bad = 0;
#pragma omp parallel for schedule(dynamic, 1) num_threads(j->threads) reduction(+ : bad)
  for (int k = 0; k < j->nbatch; k++) {
    const unsigned char *p = decoded(j, &j->batch[k], omp_get_thread_num());
    if (p)
      place(j, &j->batch[k], p);
    else
      bad++;
  }
  j->nbatch = 0;
  return bad == 0;
}

/* Fetch one chunk as it is; decode when the batch is full. */
static bool fetch(job *j, hsize_t row, hsize_t col) {
  raw *r = &j->batch[j->nbatch];
  hsize_t size = 0;
  r->at[0] = row;
  r->at[1] = col;
  if (H5Dget_chunk_storage_size(j->data, r->at, &size) < 0 || size == 0 ||
      size > j->room)
    return false; /* one that was never written, or is too big to be true */
  r->size = (size_t)size;
  if (H5Dread_chunk(j->data, H5P_DEFAULT, r->at, &r->skipped, r->bytes) < 0)
    return false;
  j->nbatch++;
  return j->nbatch < j->most || decode_batch(j);
}

static bool fetch_all(job *j) {
  for (size_t i = 0; i < j->dim[0]; i += j->chunk[0])
    for (size_t k = 0; k < j->dim[1]; k += j->chunk[1])
      if (!fetch(j, i, k)) return false;
  return decode_batch(j);
}

/* Only deflate, shuffle and checksums, each at most once. */
static bool common_filters(job *j, hid_t plist) {
  bool deflated = false;
  j->nfilters = H5Pget_nfilters(plist);
  if (j->nfilters < 1 || j->nfilters > 3) return false;
  for (int i = 0; i < j->nfilters; i++) {
    unsigned flags, config;
    size_t ncd = 0;
    j->filter[i] = H5Pget_filter2(plist, (unsigned)i, &flags, &ncd, NULL, 0,
                                  NULL, &config);
    if (j->filter[i] != H5Z_FILTER_DEFLATE &&
        j->filter[i] != H5Z_FILTER_SHUFFLE &&
        j->filter[i] != H5Z_FILTER_FLETCHER32)
      return false;
    for (int k = 0; k < i; k++)
      if (j->filter[k] == j->filter[i]) return false;
    deflated = deflated || j->filter[i] == H5Z_FILTER_DEFLATE;
  }
  return deflated;
}

static bool suitable(job *j, const dyn_h5_info *o) {
  hsize_t chunk[2] = {1, 1};
  hid_t p = H5Dget_create_plist(j->data), t = H5Dget_type(j->data);
  bool ok = p >= 0 && t >= 0 && H5Pget_layout(p) == H5D_CHUNKED &&
            H5Pget_chunk(p, j->rank, chunk) == j->rank && common_filters(j, p);
  j->from = ok ? number_of(t) : NONE;
  j->item = t >= 0 ? H5Tget_size(t) : 0;
  dyn_h5_drop(p);
  dyn_h5_drop(t);
  if (!ok || j->from == NONE || j->to == DYN_H5_I8) return false;
  if (j->from >= F32 && (j->to == DYN_H5_I32 || j->to == DYN_H5_I64))
    return false;
  j->bytes = j->item;
  for (int i = 0; i < 2; i++) {
    j->dim[i] = i < j->rank ? (size_t)o->dim[i] : 1;
    j->chunk[i] = (size_t)chunk[i];
    if (!chunk[i] || __builtin_mul_overflow(j->bytes, j->chunk[i], &j->bytes))
      return false;
  }
  return j->bytes <= (size_t)16 << 20;
}

/* Memory for everything that the loop needs; false if there is none. */
static bool prepare(job *j) {
  j->threads = omp_get_max_threads();
  j->room = j->bytes + j->bytes / 8 + 1024;
  size_t most = BATCH / j->room < 4096 ? BATCH / j->room : 4096;
  j->most = (int)most > j->threads ? (int)most : j->threads;
  j->batch = dyn_alloc((size_t)j->most, sizeof *j->batch);
  j->raw_bytes = dyn_alloc((size_t)j->most, j->room);
  j->work = dyn_alloc((size_t)j->threads * 2, j->bytes);
  j->z = dyn_alloc((size_t)j->threads, sizeof *j->z);
  bool ok = j->work && j->z && j->batch && j->raw_bytes;
  for (int i = 0; ok && i < j->threads; i++)
    ok = (j->z[i] = dyn_inflater_new()) != NULL;
  for (int k = 0; ok && k < j->most; k++)
    j->batch[k].bytes = j->raw_bytes + (size_t)k * j->room;
  return ok;
}

bool dyn_h5_unpack(hid_t d, const dyn_h5_info *info, dyn_h5_mem type,
                   void *out) {
  if (info->rank < 1 || info->rank > 2 || info->count < SMALL / 8) return false;
  job *j = dyn_alloc(1, sizeof *j);
  if (!j) return false;
  j->data = d;
  j->rank = info->rank;
  j->to = type;
  j->out = out;
  bool ok = suitable(j, info) && prepare(j) && fetch_all(j);
  dyn_free(j->batch, (size_t)j->most, sizeof *j->batch);
  dyn_free(j->raw_bytes, (size_t)j->most, j->room);
  for (int i = 0; j->z && i < j->threads; i++) dyn_inflater_free(j->z[i]);
  dyn_free(j->z, (size_t)j->threads, sizeof *j->z);
  dyn_free(j->work, (size_t)j->threads * 2, j->bytes);
  dyn_free(j, 1, sizeof *j);
  return ok;
}
