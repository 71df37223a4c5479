/* h5_plan.c -- asks the library where the chunks of a dataset are. */
#include "io/h5_plan.h"

#include <fcntl.h>
#include <omp.h>
#include <string.h>
#include <unistd.h>

#include "io/h5_filters.h"
#include "io/h5_lib.h"
#include "io/h5_plan_lib.h"

enum {
  SMALL = 1 << 15,    /* numbers below which it is not worth the trouble */
  SLAB = 1 << 20,     /* bytes of a piece of a dataset without chunks */
  LARGEST = 16 << 20, /* a chunk beyond is left to the library */
  MOST =
      50000, /* chunks: 1.10 looks for each one from the first (n^2 * 2 ns) */
};

static dyn_h5_number number_of(hid_t t) {
  const hid_t type[] = {H5T_STD_I8LE,  H5T_STD_U8LE,   H5T_STD_I16LE,
                        H5T_STD_U16LE, H5T_STD_I32LE,  H5T_STD_U32LE,
                        H5T_STD_I64LE, H5T_IEEE_F32LE, H5T_IEEE_F64LE};
  int k = 0;
  while (k < DYN_H5_N_NONE && H5Tequal(t, type[k]) <= 0) k++;
  return (dyn_h5_number)k;
}

/* The filters, if we can undo all of them, each at most once. */
static bool stages(dyn_h5_plan *p, hid_t list) {
  p->nstages = H5Pget_nfilters(list);
  if (p->nstages < 0 || p->nstages > DYN_H5_MAXFILTERS) return false;
  for (int i = 0; i < p->nstages; i++) {
    dyn_h5_stage *s = &p->stage[i];
    unsigned flags, config;
    s->nparam = DYN_H5_MAXPARAMS;
    s->id = H5Pget_filter2(list, (unsigned)i, &flags, &s->nparam, s->param, 0,
                           NULL, &config);
    if (s->nparam > DYN_H5_MAXPARAMS) s->nparam = DYN_H5_MAXPARAMS;
    if (!dyn_unpacks(s->id)) return false;
    if (s->id == DYN_FILTER_FLETCHER32 && i + 1 < p->nstages)
      return false; /* its four bytes would be in what others transform */
    for (int k = 0; k < i; k++)
      if (p->stage[k].id == s->id) return false;
  }
  return true;
}

/* Shape of the chunks; without any, slabs of rows take their place. */
static bool grid(dyn_h5_plan *p, const dyn_h5_info *o, hid_t list) {
  hsize_t chunk[2] = {1, 1};
  H5D_layout_t layout = H5Pget_layout(list);
  for (int i = 0; i < 2; i++) p->dim[i] = i < o->rank ? (size_t)o->dim[i] : 1;
  if (layout == H5D_CHUNKED) {
    if (H5Pget_chunk(list, o->rank, chunk) != o->rank) return false;
  } else if (layout == H5D_CONTIGUOUS && p->dim[1]) {
    chunk[0] = SLAB / (p->dim[1] * p->item) + 1;
    chunk[1] = p->dim[1];
  } else {
    return false;
  }
  p->bytes = p->item;
  for (int i = 0; i < 2; i++) {
    p->chunk[i] = (size_t)chunk[i];
    if (!chunk[i] || __builtin_mul_overflow(p->bytes, p->chunk[i], &p->bytes))
      return false;
  }
  return p->bytes <= LARGEST;
}

/* Chunks that were never written are zero, unless the file says otherwise. */
static bool zero_fill(hid_t list) {
  H5D_fill_value_t defined;
  double v = 1;
  return H5Pfill_value_defined(list, &defined) >= 0 &&
         (defined != H5D_FILL_VALUE_USER_DEFINED ||
          (H5Pget_fill_value(list, H5T_NATIVE_DOUBLE, &v) >= 0 && v == 0));
}

static bool find_chunks(dyn_h5_plan *p, hid_t d, bool zero) {
  size_t most = p->bytes + p->bytes / 8 + 1024;
  for (size_t k = 0; k < p->rows * p->across; k++) {
    dyn_h5_piece *q = &p->piece[k];
    hsize_t at[2] = {(p->first + k / p->across) * p->chunk[0],
                     k % p->across * p->chunk[1]},
            size = 0;
    haddr_t addr = HADDR_UNDEF;
    unsigned mask = 0;
    if (H5Dget_chunk_info_by_coord(d, at, &mask, &addr, &size) < 0 ||
        size > most || (size == 0 && !zero))
      return false;
    *q = (dyn_h5_piece){(off_t)addr, (uint32_t)size, mask};
    if (size > p->room) p->room = (size_t)size;
  }
  return true;
}

static bool find_slabs(dyn_h5_plan *p, hid_t d, bool zero) {
  haddr_t addr = H5Dget_offset(d);
  size_t row = p->dim[1] * p->item;
  if (addr == HADDR_UNDEF && !zero) return false;
  for (size_t k = 0; k < p->rows; k++) {
    size_t lo = (p->first + k) * p->chunk[0], n = p->dim[0] - lo;
    if (n > p->chunk[0]) n = p->chunk[0];
    p->piece[k].at = (off_t)(addr + lo * row);
    p->piece[k].size = addr == HADDR_UNDEF ? 0 : (uint32_t)(n * row);
  }
  p->room = p->bytes;
  return true;
}

/* The descriptor of the library, for ourselves; -1 if offsets in the file are
** not what the library says (a block of the user's before it begins). */
static int descriptor(hid_t d) {
  hid_t f = H5Iget_file_id(d), list = f < 0 ? -1 : H5Fget_create_plist(f);
  hsize_t block = 1;
  int *fd = NULL, copy = -1;
  if (list >= 0 && H5Pget_userblock(list, &block) >= 0 && block == 0 &&
      H5Fget_vfd_handle(f, H5P_DEFAULT, (void **)&fd) >= 0 && fd)
    copy = fcntl(*fd, F_DUPFD_CLOEXEC, 0);
  dyn_h5_drop(list);
  dyn_h5_drop(f);
  return copy;
}

/* Rows lo .. lo+n-1 of 'd'; false if it is nothing for us, or *out of memory. */
static bool fill(dyn_h5_plan *p, hid_t d, const dyn_h5_info *o, int64_t lo,
                 int64_t n, bool *out) {
  hid_t list = H5Dget_create_plist(d), t = H5Dget_type(d);
  bool ok = list >= 0 && t >= 0 && stages(p, list);
  p->from = ok ? number_of(t) : DYN_H5_N_NONE;
  p->item = ok ? H5Tget_size(t) : 0;
  ok = ok && p->from != DYN_H5_N_NONE && grid(p, o, list);
  if (ok) {
    p->first = (size_t)lo / p->chunk[0];
    p->rows = ((size_t)(lo + n) + p->chunk[0] - 1) / p->chunk[0] - p->first;
    p->across = (p->dim[1] + p->chunk[1] - 1) / p->chunk[1];
    /* the table is smaller than what it describes */
    ok = p->rows <= (size_t)o->count && p->across <= (size_t)o->count &&
         p->rows * p->across <= (size_t)o->count / 8 + 1024 &&
         p->rows * p->across <= MOST;
    p->piece = ok ? dyn_alloc(p->rows * p->across, sizeof *p->piece) : NULL;
    *out = ok && !p->piece;
    ok = p->piece && (H5Pget_layout(list) == H5D_CHUNKED
                          ? find_chunks
                          : find_slabs)(p, d, zero_fill(list));
  }
  dyn_h5_drop(list);
  dyn_h5_drop(t);
  return ok && (p->fd = descriptor(d)) >= 0;
}

/* *p stays NULL for what is not for us; DYN_ENOMEM. */
static DYN_STATUS plan_of(dyn_h5_plan **p, hid_t d, const dyn_h5_info *o,
                          int64_t lo, int64_t n) {
  bool out = false;
  *p = NULL;
  if (o->rank < 1 || o->rank > 2 || o->count <= 0) return DYN_OK;
  dyn_h5_plan *new = dyn_alloc(1, sizeof *new);
  if (!new) return DYN_ENOMEM;
  new->fd = -1;
  if (fill(new, d, o, lo, n, &out))
    *p = new;
  else
    dyn_h5_plan_free(new);
  return out ? DYN_ENOMEM : DYN_OK;
}

void dyn_h5_plan_free(dyn_h5_plan *p) {
  if (!p) return;
  if (p->fd >= 0) close(p->fd);
  dyn_free(p->piece, p->rows * p->across, sizeof *p->piece);
  dyn_free(p, 1, sizeof *p);
}

DYN_STATUS dyn_h5_plan_open(dyn_h5_plan **p, dyn_h5 *f, const char *path,
                            int64_t lo, int64_t n, dyn_err *e) {
  hid_t d = -1;
  dyn_h5_info o;
  dyn_status st = DYN_OK;
  *p = NULL;
  DYN_TRY(dyn_h5_stat(f, path, NULL, &o, e));
  if (o.kind != DYN_H5_DATA ||
      (o.type != DYN_H5_INTEGER && o.type != DYN_H5_FLOAT))
    return o.kind == DYN_H5_DATA && o.type == DYN_H5_BOOLEAN
               ? DYN_OK
               : dyn_h5_fail(f, e, DYN_EFORMAT, path, "numbers expected");
  if (n < 0) n = o.rank ? o.dim[0] - lo : 0;
  if (lo < 0 || n < 0 || (o.rank && n > o.dim[0] - lo))
    return dyn_h5_fail(f, e, DYN_EFORMAT, path, "size changed while reading");
  DYN_TRY(dyn_h5_locate(f, path, &d, e));
  DYN_TRY(dyn_h5_filters(f, path, d, e));
  st = plan_of(p, d, &o, lo, n);
  if (st == DYN_ENOMEM) st = dyn_h5_fail(f, e, st, path, "out of memory");
done:
  dyn_h5_drop(d);
  return st;
}

DYN_STATUS dyn_h5_unpack(hid_t d, const dyn_h5_info *info, dyn_h5_mem type,
                         int64_t lo, int64_t n, size_t items, void *out) {
  dyn_h5_plan *p;
  if (items < SMALL) return DYN_ETYPE;
  dyn_status st = plan_of(&p, d, info, lo, n);
  if (st == DYN_OK && !p) st = DYN_ETYPE;
  if (st == DYN_OK)
    st = dyn_h5_plan_read(p, type, lo, n, out, omp_get_max_threads());
  dyn_h5_plan_free(p);
  return st;
}
