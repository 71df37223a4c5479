/*
** h5_write.c -- a file that is complete or not there: temporary name, write,
** close, sync, read back, rename. One failed call of the library and the file
** is lost, whatever later calls say.
*/
#include <errno.h>
#include <fcntl.h>
#include <libdeflate.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "io/h5_lib.h"

/* "... error message = 'No space left on device', ..." of a failed write. */
static herr_t of_the_system(unsigned n, const H5E_error2_t *err, void *ud) {
  static const char before[] = "error message = '";
  const char *p = err->desc ? strstr(err->desc, before) : NULL;
  (void)n;
  if (!p) return 0;
  p += sizeof before - 1;
  snprintf(ud, 100, "%.*s", (int)strcspn(p, "'"), p);
  return 1;
}

/*
** Why the last call of the library failed: "(No space left on device)", else
** what the library says, or "". The next call forgets it.
*/
static void reason(const dyn_h5 *f, char why[300]) {
  char text[100] = "";
  dyn_err lib;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, of_the_system, text);
  dyn_status st = dyn_h5_broken(f, &lib, NULL);
  const char *from = st == DYN_OK ? NULL : strchr(lib.msg, '(');
  if (*text)
    snprintf(why, 300, "(%s)", text);
  else
    snprintf(why, 300, "%s", from ? from : "");
}

static DYN_STATUS poisoned(dyn_h5 *f, const char *member, const char *why,
                           dyn_err *e) {
  f->poisoned = true;
  return dyn_h5_fail(f, e, DYN_EIO, member, "cannot be written%s%s",
                     *why ? " " : "", why);
}

static DYN_STATUS poison(dyn_h5 *f, const char *member, dyn_err *e) {
  char why[300];
  reason(f, why);
  return poisoned(f, member, why, e);
}

static DYN_STATUS writable(const dyn_h5 *f, const char *member, dyn_err *e) {
  if (f->temp && f->file >= 0 && !f->poisoned) return DYN_OK;
  return dyn_h5_fail(f, e, DYN_EIO, member, "not open for writing");
}

/* ---- creating ------------------------------------------------------------- */

/* An empty file of our own beside 'path'. */
static DYN_STATUS reserve(dyn_h5 *f, dyn_err *e) {
  size_t room = strlen(f->path) + 40;
  char *name = dyn_alloc(room, 1);
  int fd = -1;
  if (!name) return dyn_h5_fail(f, e, DYN_ENOMEM, NULL, "out of memory");
  for (int k = 0; k < 1000 && fd < 0; k++) {
    snprintf(name, room, "%s.tmp%ld-%d", f->path, (long)getpid(), k);
    fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0 && errno != EEXIST) break;
  }
  dyn_status st = DYN_OK;
  if (fd < 0) {
    st = dyn_h5_fail(f, e, DYN_EIO, NULL, "%s", strerror(errno));
  } else {
    size_t n = strlen(name) + 1;
    f->temp = dyn_alloc(n, 1);
    if (f->temp)
      memcpy(f->temp, name, n);
    else
      st = dyn_h5_fail(f, e, DYN_ENOMEM, NULL, "out of memory");
    close(fd);
    if (st != DYN_OK) unlink(name);
  }
  dyn_free(name, room, 1);
  return st;
}

DYN_STATUS dyn_h5_create(dyn_h5 **f, const char *path, size_t block,
                         dyn_err *e) {
  dyn_h5 *h = NULL;
  hid_t access = -1, create = -1;
  dyn_status st = DYN_OK;
  *f = NULL;
  dyn_h5_setup();
  DYN_TRY(dyn_h5_handle(&h, path, e));
  h->block = block;
  DYN_TRY(reserve(h, e));
  access = dyn_h5_access();
  create = H5Pcreate(H5P_FILE_CREATE);
  if (access < 0 || create < 0 || H5Pset_userblock(create, block) < 0 ||
      H5Pset_obj_track_times(create, false) < 0 ||
      (h->file = H5Fcreate(h->temp, H5F_ACC_TRUNC, create, access)) < 0) {
    st = poison(h, NULL, e);
    goto done;
  }
  *f = h;
  h = NULL;
done:
  dyn_h5_drop(access);
  dyn_h5_drop(create);
  dyn_h5_close(h);
  return st;
}

/* ---- members -------------------------------------------------------------- */

DYN_STATUS dyn_h5_group(dyn_h5 *f, const char *path, dyn_err *e) {
  dyn_status st = writable(f, path, e);
  if (st != DYN_OK) return st;
  hid_t g = -1, p = H5Pcreate(H5P_GROUP_CREATE);
  if (p >= 0 && H5Pset_obj_track_times(p, false) >= 0)
    g = H5Gcreate2(f->file, path, H5P_DEFAULT, p, H5P_DEFAULT);
  if (g < 0) st = poison(f, path, e);
  dyn_h5_drop(g);
  dyn_h5_drop(p);
  return st;
}

static const struct {
  size_t size;
} mem_type[] = {[DYN_H5_I8] = {1},
                [DYN_H5_I32] = {4},
                [DYN_H5_I64] = {8},
                [DYN_H5_F32] = {4},
                [DYN_H5_F64] = {8}};

static hid_t boolean(hid_t base) {
  hid_t b = H5Tenum_create(base);
  int8_t no = 0, yes = 1;
  if (b >= 0 && (H5Tenum_insert(b, "FALSE", &no) < 0 ||
                 H5Tenum_insert(b, "TRUE", &yes) < 0)) {
    dyn_h5_drop(b);
    return -1;
  }
  return b;
}

/* Types in the file and in memory; both are ours to drop. */
static void types(dyn_h5_mem m, bool is_boolean, hid_t *file, hid_t *mem) {
  switch (m) {
  case DYN_H5_I8:
    *file = is_boolean ? boolean(H5T_STD_I8LE) : H5Tcopy(H5T_STD_I8LE);
    *mem = is_boolean ? boolean(H5T_NATIVE_INT8) : H5Tcopy(H5T_NATIVE_INT8);
    return;
  case DYN_H5_I32:
    *file = H5Tcopy(H5T_STD_I32LE);
    *mem = H5Tcopy(H5T_NATIVE_INT32);
    return;
  case DYN_H5_I64:
    *file = H5Tcopy(H5T_STD_I64LE);
    *mem = H5Tcopy(H5T_NATIVE_INT64);
    return;
  case DYN_H5_F32:
    *file = H5Tcopy(H5T_IEEE_F32LE);
    *mem = H5Tcopy(H5T_NATIVE_FLOAT);
    return;
  default:
    *file = H5Tcopy(H5T_IEEE_F64LE);
    *mem = H5Tcopy(H5T_NATIVE_DOUBLE);
  }
}

/* Whole rows of about 256 KiB, compressed, where there is enough of them; else
** chunk[0] is 0. That size is where inflating and packing are fastest. */
static bool storage(hid_t p, int rank, const int64_t *dim, size_t size,
                    int64_t chunk[DYN_H5_MAXRANK]) {
  hsize_t c[DYN_H5_MAXRANK];
  double bytes = (double)size;
  chunk[0] = 0;
  size_t want = (size_t)256 << 10, row = size;
  if (H5Pset_obj_track_times(p, false) < 0) return false;
  for (int i = 0; i < rank; i++) bytes *= (double)dim[i];
  if (rank == 0 || bytes < 4096) return true;
  for (int i = rank - 1; i > 0; i--) { /* a long row is cut, too */
    size_t most = want / row ? want / row : 1;
    chunk[i] = (size_t)dim[i] < most ? dim[i] : (int64_t)most;
    row *= (size_t)chunk[i];
  }
  size_t rows = want / row ? want / row : 1;
  chunk[0] = (size_t)dim[0] < rows ? dim[0] : (int64_t)rows;
  for (int i = 0; i < rank; i++) c[i] = (hsize_t)chunk[i];
  return H5Pset_chunk(p, rank, c) >= 0 && H5Pset_shuffle(p) >= 0 &&
         H5Pset_deflate(p, 4) >= 0 && H5Pset_fletcher32(p) >= 0;
}

/* What dyn_h5_commit will look for. */
static DYN_STATUS remember(dyn_h5 *f, const char *path, int mem, int64_t rows,
                           size_t items, uint32_t crc, dyn_err *e) {
  if (f->nchecks == f->room) {
    size_t room = f->room ? 2 * f->room : 16;
    dyn_h5_check *c = dyn_alloc(room, sizeof *c);
    if (!c) return dyn_h5_fail(f, e, DYN_ENOMEM, path, "out of memory");
    if (f->nchecks) memcpy(c, f->check, f->nchecks * sizeof *c);
    dyn_free(f->check, f->room, sizeof *c);
    f->check = c;
    f->room = room;
  }
  dyn_h5_check *c = &f->check[f->nchecks++];
  *c = (dyn_h5_check){.mem = mem, .rows = rows, .items = items, .crc = crc};
  snprintf(c->path, sizeof c->path, "%s", path);
  return DYN_OK;
}

static bool write_all(hid_t d, hid_t mem, int rank, const int64_t *dim,
                      const int64_t *chunk, size_t size, const void *data) {
  dyn_h5_packing done = chunk[0] ? dyn_h5_pack(d, rank, dim, chunk, size, data)
                                 : DYN_H5_NOT_PACKED;
  if (done != DYN_H5_NOT_PACKED) return done == DYN_H5_PACKED;
  return H5Dwrite(d, mem, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0;
}

DYN_STATUS dyn_h5_put(dyn_h5 *f, const char *path, dyn_h5_mem type,
                      bool is_boolean, int rank, const int64_t *dim,
                      const void *data, dyn_err *e) {
  hsize_t size[DYN_H5_MAXRANK];
  int64_t chunk[DYN_H5_MAXRANK];
  size_t items = 1;
  hid_t ft = -1, mt = -1, space = -1, p = -1, d = -1;
  dyn_status st = DYN_OK;
  DYN_TRY(writable(f, path, e));
  for (int i = 0; i < rank; i++) {
    size[i] = (hsize_t)dim[i];
    items *= (size_t)dim[i];
  }
  types(type, is_boolean, &ft, &mt);
  space = rank ? H5Screate_simple(rank, size, NULL) : H5Screate(H5S_SCALAR);
  p = H5Pcreate(H5P_DATASET_CREATE);
  if (ft >= 0 && p >= 0 && storage(p, rank, dim, mem_type[type].size, chunk))
    d = H5Dcreate2(f->file, path, ft, space, H5P_DEFAULT, p, H5P_DEFAULT);
  if (d < 0 || (items && !write_all(d, mt, rank, dim, chunk,
                                    mem_type[type].size, data))) {
    st = poison(f, path, e);
    goto done;
  }
  st = remember(f, path, type, rank ? dim[0] : 1, items,
                libdeflate_crc32(0, data, items * mem_type[type].size), e);
done:
  dyn_h5_drop(d);
  dyn_h5_drop(p);
  dyn_h5_drop(space);
  dyn_h5_drop(ft);
  dyn_h5_drop(mt);
  return st;
}

static hid_t string_type(void) {
  hid_t t = H5Tcopy(H5T_C_S1);
  if (t >= 0 &&
      (H5Tset_size(t, H5T_VARIABLE) < 0 || H5Tset_cset(t, H5T_CSET_UTF8) < 0)) {
    dyn_h5_drop(t);
    return -1;
  }
  return t;
}

static uint32_t texts_crc(const dyn_textlist *v) {
  uint32_t crc = 0;
  for (int64_t i = 0; i < v->n; i++) {
    const char *s = dyn_textlist_get(v, i);
    crc = libdeflate_crc32(crc, s, strlen(s) + 1);
  }
  return crc;
}

/* Pointers to the strings of 'v', as the library wants them. */
static const char **pointers(const dyn_textlist *v) {
  const char **p = dyn_alloc((size_t)v->n, sizeof *p);
  for (int64_t i = 0; p && i < v->n; i++) p[i] = dyn_textlist_get(v, i);
  return p;
}

DYN_STATUS dyn_h5_put_texts(dyn_h5 *f, const char *path, int64_t n,
                            const dyn_textlist *v, dyn_err *e) {
  hsize_t size = n < 0 ? 1 : (hsize_t)n;
  const char **s = NULL;
  hid_t t = -1, space = -1, p = -1, d = -1;
  dyn_status st = DYN_OK;
  DYN_TRY(writable(f, path, e));
  s = pointers(v);
  if (!s) {
    st = dyn_h5_fail(f, e, DYN_ENOMEM, path, "out of memory");
    goto done;
  }
  t = string_type();
  space = n < 0 ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, &size, NULL);
  p = H5Pcreate(H5P_DATASET_CREATE);
  if (t >= 0 && p >= 0 && H5Pset_obj_track_times(p, false) >= 0)
    d = H5Dcreate2(f->file, path, t, space, H5P_DEFAULT, p, H5P_DEFAULT);
  if (d < 0 || (size && H5Dwrite(d, t, H5S_ALL, H5S_ALL, H5P_DEFAULT, s) < 0)) {
    st = poison(f, path, e);
    goto done;
  }
  st = remember(f, path, -1, (int64_t)size, (size_t)size, texts_crc(v), e);
done:
  dyn_h5_drop(d);
  dyn_h5_drop(p);
  dyn_h5_drop(space);
  dyn_h5_drop(t);
  if (s) dyn_free(s, (size_t)v->n, sizeof *s);
  return st;
}

/* ---- attributes ----------------------------------------------------------- */

/* Takes over 'type' and 'space'. */
static DYN_STATUS put_attr(dyn_h5 *f, const char *path, const char *name,
                           hid_t type, hid_t space, const void *v, dyn_err *e) {
  hid_t o = -1, a = -1;
  dyn_status st = writable(f, path, e);
  if (st == DYN_OK) {
    o = H5Oopen(f->file, *path ? path : "/", H5P_DEFAULT);
    if (o >= 0 && type >= 0 && space >= 0)
      a = H5Acreate2(o, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    if (a < 0 ||
        (H5Sget_simple_extent_npoints(space) > 0 && H5Awrite(a, type, v) < 0))
      st = poison(f, path, e);
  }
  dyn_h5_drop(a);
  dyn_h5_drop(o);
  dyn_h5_drop(type);
  dyn_h5_drop(space);
  return st;
}

DYN_STATUS dyn_h5_put_attr_text(dyn_h5 *f, const char *path, const char *name,
                                const char *v, dyn_err *e) {
  return put_attr(f, path, name, string_type(), H5Screate(H5S_SCALAR), &v, e);
}

DYN_STATUS dyn_h5_put_attr_texts(dyn_h5 *f, const char *path, const char *name,
                                 const dyn_textlist *v, dyn_err *e) {
  hsize_t n = (hsize_t)v->n;
  const char **s = pointers(v);
  if (!s) return dyn_h5_fail(f, e, DYN_ENOMEM, path, "out of memory");
  dyn_status st = put_attr(f, path, name, string_type(),
                           H5Screate_simple(1, &n, NULL), s, e);
  dyn_free(s, (size_t)v->n, sizeof *s);
  return st;
}

DYN_STATUS dyn_h5_put_attr_ints(dyn_h5 *f, const char *path, const char *name,
                                const int64_t *v, int n, dyn_err *e) {
  hsize_t size = (hsize_t)n;
  return put_attr(f, path, name, H5Tcopy(H5T_STD_I64LE),
                  H5Screate_simple(1, &size, NULL), v, e);
}

DYN_STATUS dyn_h5_put_attr_bool(dyn_h5 *f, const char *path, const char *name,
                                bool v, dyn_err *e) {
  int8_t b = v;
  return put_attr(f, path, name, boolean(H5T_STD_I8LE), H5Screate(H5S_SCALAR),
                  &b, e);
}

/* ---- finishing ------------------------------------------------------------ */

DYN_STATUS dyn_h5_seal(dyn_h5 *f, dyn_err *e) {
  dyn_status st = writable(f, NULL, e);
  if (st != DYN_OK) return st;
  char why[300] = "";
  bool flushed = H5Fflush(f->file, H5F_SCOPE_GLOBAL) >= 0;
  if (!flushed) reason(f, why);
  bool closed = H5Fclose(f->file) >= 0;
  if (flushed && !closed) reason(f, why);
  f->file = -1;
  return flushed && closed ? DYN_OK : poisoned(f, NULL, why, e);
}

static DYN_STATUS trouble(dyn_h5 *f, int why, dyn_err *e) {
  f->poisoned = true;
  return dyn_h5_fail(f, e, DYN_EIO, NULL, "%s", strerror(why));
}

/* Write all n bytes at the start, or sync if there are none. */
static DYN_STATUS touch(dyn_h5 *f, const char *p, size_t n, dyn_err *e) {
  int why = 0, fd = open(f->temp, O_RDWR | O_CLOEXEC);
  size_t at = 0;
  if (fd < 0) return trouble(f, errno, e);
  while (at < n && !why) {
    ssize_t k = pwrite(fd, p + at, n - at, (off_t)at);
    if (k > 0)
      at += (size_t)k;
    else if (k == 0 || errno != EINTR)
      why = k == 0 ? ENOSPC : errno;
  }
  if (!n && fsync(fd) < 0) why = errno;
  if (close(fd) < 0 && !why) why = errno;
  return why ? trouble(f, why, e) : DYN_OK;
}

DYN_STATUS dyn_h5_stamp(dyn_h5 *f, const void *p, size_t n, dyn_err *e) {
  if (f->file >= 0 || !f->temp || f->poisoned || n > f->block)
    return dyn_h5_fail(f, e, DYN_EIO, NULL, "not ready for its first block");
  return n ? touch(f, p, n, e) : DYN_OK;
}

/* Read one member back and compare. */
static DYN_STATUS same(dyn_h5 *f, const dyn_h5_check *c, dyn_err *e) {
  dyn_status st = DYN_OK;
  dyn_textlist t = {0};
  uint32_t crc = 0;
  size_t bytes = 0;
  void *p = NULL;
  if (c->mem < 0) {
    DYN_TRY(dyn_h5_texts(f, c->path, NULL, f->limit, &t, e));
    crc = texts_crc(&t);
  } else {
    bytes = c->items * mem_type[c->mem].size;
    p = dyn_alloc(bytes, 1);
    if (!p) {
      st = dyn_h5_fail(f, e, DYN_ENOMEM, c->path, "out of memory");
      goto done;
    }
    DYN_TRY(dyn_h5_read(f, c->path, NULL, (dyn_h5_mem)c->mem, 0, c->rows,
                        c->items, p, e));
    crc = libdeflate_crc32(0, p, bytes);
  }
  if (crc != c->crc)
    st = dyn_h5_fail(f, e, DYN_EIO, c->path, "reads back differently");
done:
  dyn_textlist_free(&t);
  dyn_free(p, bytes, 1);
  return st;
}

static DYN_STATUS verify(dyn_h5 *f, dyn_err *e) {
  hid_t a = dyn_h5_access();
  f->file = a < 0 ? -1 : H5Fopen(f->temp, H5F_ACC_RDONLY, a);
  dyn_h5_drop(a);
  if (f->file < 0) return poison(f, NULL, e);
  dyn_status st = DYN_OK;
  for (size_t i = 0; i < f->nchecks && st == DYN_OK; i++)
    st = same(f, &f->check[i], e);
  H5Fclose(f->file);
  f->file = -1;
  /* what is damaged in a file that we have just written is no format error */
  return st == DYN_EFORMAT ? DYN_EIO : st;
}

/* A rename lasts when its folder is on the disk. */
static void sync_folder(const char *path) {
  char dir[4096];
  const char *slash = strrchr(path, '/');
  int n = slash ? (int)(slash - path) + 1 : 0;
  snprintf(dir, sizeof dir, "%.*s", n ? n : 1, n ? path : ".");
  int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  (void)!fsync(fd);
  close(fd);
}

DYN_STATUS dyn_h5_commit(dyn_h5 *f, dyn_err *e) {
  dyn_status st = DYN_OK;
  if (f->file >= 0 || !f->temp || f->poisoned)
    return dyn_h5_fail(f, e, DYN_EIO, NULL, "not ready to be kept");
  DYN_TRY(touch(f, NULL, 0, e));
  DYN_TRY(verify(f, e));
  if (rename(f->temp, f->path) < 0) return trouble(f, errno, e);
  sync_folder(f->path);
  dyn_free(f->temp, strlen(f->temp) + 1, 1);
  f->temp = NULL;
done:
  return st;
}
