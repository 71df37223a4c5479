/*
** h5.c -- opening, and the structure of a file: links, loops, storage. An
** object is reached link by link, so that none is followed unseen.
*/
#include "io/h5.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/h5_lib.h"

/* ---- messages ------------------------------------------------------------- */

DYN_STATUS dyn_h5_fail(const dyn_h5 *f, dyn_err *e, dyn_status st,
                       const char *member, const char *fmt, ...) {
  char text[400], shown[160];
  const char *path = f->path;
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  if (strlen(path) > 160) {
    const char *slash = strrchr(path, '/');
    if (slash) path = slash + 1;
  }
  bool some = member && *member;
  if (some) dyn_escape(shown, sizeof shown, member);
  return dyn_fail(e, st, "%.160s: %s%s%s", path, some ? shown : "",
                  some ? ": " : "", text);
}

/* The first record is where the trouble began. */
static herr_t innermost(unsigned n, const H5E_error2_t *err, void *ud) {
  char *text = ud;
  if (n == 0 && err->desc) snprintf(text, 120, "%s", err->desc);
  return 0;
}

DYN_STATUS dyn_h5_broken(const dyn_h5 *f, dyn_err *e, const char *member) {
  char raw[120] = "", text[160];
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, innermost, raw);
  dyn_escape(text, sizeof text, raw);
  return dyn_h5_fail(f, e, DYN_EFORMAT, member, "damaged or unreadable%s%s%s",
                     *text ? " (" : "", text, *text ? ")" : "");
}

DYN_STATUS dyn_h5_join(const dyn_h5 *f, char buf[DYN_H5_PATH], const char *a,
                       const char *b, dyn_err *e) {
  char shown[100];
  if (strchr(b, '/') || strcmp(b, ".") == 0 || *b == '\0')
    return dyn_h5_fail(f, e, DYN_EFORMAT, a, "'%s' is not a name",
                       dyn_escape(shown, sizeof shown, b));
  size_t na = strlen(a), nb = strlen(b);
  if (na + nb + 2 > DYN_H5_PATH)
    return dyn_h5_fail(f, e, DYN_EFORMAT, a, "name '%s' is too long",
                       dyn_escape(shown, sizeof shown, b));
  memmove(buf, a, na);
  if (na) buf[na++] = '/';
  memcpy(buf + na, b, nb + 1);
  return DYN_OK;
}

DYN_STATUS dyn_h5_fits(const dyn_h5 *f, const char *member, int64_t n,
                       size_t size, dyn_err *e) {
  char need[24], have[24];
  double bytes = (double)n * (double)size;
  if (n >= 0 && bytes <= (double)f->limit) return DYN_OK;
  return dyn_h5_fail(f, e, DYN_EFORMAT, member, "%lld items need %s, limit %s",
                     (long long)n, dyn_bytes_text(need, bytes),
                     dyn_bytes_text(have, (double)f->limit));
}

/* ---- links ---------------------------------------------------------------- */

static DYN_STATUS follow(dyn_h5 *f, hid_t from, const char *path, int hops,
                         const char *shown, hid_t *id, dyn_err *e);

/* The object behind link 'name' of group 'g'; *id -1 if there is no link. */
static DYN_STATUS step(dyn_h5 *f, hid_t g, const char *name, int hops,
                       const char *shown, hid_t *id, dyn_err *e) {
  char to[DYN_H5_PATH], text[120];
  const char *file = NULL, *obj = NULL;
  H5L_info_t l;
  *id = -1;
  if (H5Iget_type(g) != H5I_GROUP) return DYN_OK;
  htri_t there = H5Lexists(g, name, H5P_DEFAULT);
  if (there == 0) return DYN_OK;
  if (there < 0 || H5Lget_info(g, name, &l, H5P_DEFAULT) < 0)
    return dyn_h5_broken(f, e, shown);
  if (l.type == H5L_TYPE_HARD) {
    *id = H5Oopen(g, name, H5P_DEFAULT);
    return *id < 0 ? dyn_h5_broken(f, e, shown) : DYN_OK;
  }
  if (l.type > H5L_TYPE_EXTERNAL || l.u.val_size >= sizeof to)
    return dyn_h5_fail(f, e, DYN_EFORMAT, shown, "link of an unknown kind");
  memset(to, 0, sizeof to);
  if (H5Lget_val(g, name, to, sizeof to - 1, H5P_DEFAULT) < 0)
    return dyn_h5_broken(f, e, shown);
  if (l.type == H5L_TYPE_EXTERNAL) {
    if (H5Lunpack_elink_val(to, l.u.val_size, NULL, &file, &obj) < 0)
      return dyn_h5_broken(f, e, shown);
    return dyn_h5_fail(f, e, DYN_EFORMAT, shown,
                       "external link to '%s' (not followed)",
                       dyn_escape(text, sizeof text, file));
  }
  if (hops < 16) {
    dyn_status st =
        follow(f, *to == '/' ? f->file : g, to, hops + 1, shown, id, e);
    if (st != DYN_OK) return st;
  }
  if (*id >= 0) return DYN_OK;
  return dyn_h5_fail(f, e, DYN_EFORMAT, shown, "link to '%s' leads nowhere",
                     dyn_escape(text, sizeof text, to));
}

/* Walk 'path' from group 'from' (or the root of the file). */
static DYN_STATUS follow(dyn_h5 *f, hid_t from, const char *path, int hops,
                         const char *shown, hid_t *id, dyn_err *e) {
  char name[DYN_H5_PATH];
  dyn_status st = DYN_OK;
  hid_t at = H5Oopen(from, *path == '/' ? "/" : ".", H5P_DEFAULT);
  *id = -1;
  while (at >= 0 && *path) {
    size_t n = strcspn(path, "/");
    if (n == 0 || (n == 1 && *path == '.')) {
      path += n + (path[n] == '/');
      continue;
    }
    if (n >= sizeof name) break;
    memcpy(name, path, n);
    name[n] = '\0';
    path += n + (path[n] == '/');
    hid_t next = -1;
    st = step(f, at, name, hops, shown, &next, e);
    dyn_h5_drop(at);
    at = next;
    if (st != DYN_OK) break;
  }
  if (*path && at >= 0) {
    dyn_h5_drop(at);
    at = -1;
  }
  *id = at;
  return st;
}

DYN_STATUS dyn_h5_locate(dyn_h5 *f, const char *path, hid_t *id, dyn_err *e) {
  if (f->progress) snprintf(f->progress, DYN_H5_PATH, "%s", path);
  return follow(f, f->file, path, 0, path, id, e);
}

/* ---- storage -------------------------------------------------------------- */

DYN_STATUS dyn_h5_inside(dyn_h5 *f, const char *member, hid_t d, dyn_err *e) {
  hid_t p = H5Dget_create_plist(d);
  if (p < 0) return dyn_h5_broken(f, e, member);
  H5D_layout_t layout = H5Pget_layout(p);
  int files = layout == H5D_CONTIGUOUS ? H5Pget_external_count(p) : 0;
  dyn_h5_drop(p);
  if (layout == H5D_LAYOUT_ERROR || files < 0)
    return dyn_h5_broken(f, e, member);
  if (layout == H5D_VIRTUAL)
    return dyn_h5_fail(f, e, DYN_EFORMAT, member,
                       "virtual dataset (not followed)");
  if (files > 0)
    return dyn_h5_fail(f, e, DYN_EFORMAT, member,
                       "data stored in another file (not followed)");
  return DYN_OK;
}

/* ---- the whole tree ------------------------------------------------------- */

/* Addresses of groups that have been looked at; open addressing, 0 is free. */
typedef struct visits {
  haddr_t *slot;
  size_t nslot, n;
} visits;

typedef struct walk {
  dyn_h5 *f;
  visits seen;
  haddr_t above[DYN_H5_MAXDEPTH + 1];
  int64_t objects;
} walk;

static size_t slot_of(const visits *v, haddr_t a) {
  size_t i = (size_t)(a * 0x9e3779b97f4a7c15u >> 20) & (v->nslot - 1);
  while (v->slot[i] && v->slot[i] != a + 1) i = (i + 1) & (v->nslot - 1);
  return i;
}

static DYN_STATUS visit(walk *w, haddr_t a, bool *new, dyn_err *e) {
  visits *v = &w->seen;
  if (2 * v->n >= v->nslot) {
    visits r = {.nslot = v->nslot ? 2 * v->nslot : 64, .n = v->n};
    r.slot = dyn_alloc(r.nslot, sizeof *r.slot);
    if (!r.slot) return dyn_fail(e, DYN_ENOMEM, "out of memory: members");
    for (size_t i = 0; i < v->nslot; i++)
      if (v->slot[i]) r.slot[slot_of(&r, v->slot[i] - 1)] = v->slot[i];
    dyn_free(v->slot, v->nslot, sizeof *v->slot);
    *v = r;
  }
  size_t i = slot_of(v, a);
  *new = v->slot[i] == 0;
  if (*new) {
    v->slot[i] = a + 1;
    v->n++;
  }
  return DYN_OK;
}

typedef struct listing {
  dyn_textlist *names;
  dyn_status st;
  dyn_err *e;
} listing;

static herr_t list_link(hid_t g, const char *name, const H5L_info_t *l,
                        void *ud) {
  listing *t = ud;
  (void)g;
  (void)l;
  t->st = dyn_textlist_add(t->names, name, strlen(name), t->e);
  return t->st == DYN_OK ? 0 : -1;
}

/* Names of a group in the order of their bytes. */
static DYN_STATUS list(dyn_h5 *f, hid_t g, const char *member,
                       dyn_textlist *names, dyn_err *e) {
  listing t = {names, DYN_OK, e};
  herr_t rc = H5Literate(g, H5_INDEX_NAME, H5_ITER_INC, NULL, list_link, &t);
  if (t.st != DYN_OK) return t.st;
  return rc < 0 ? dyn_h5_broken(f, e, member) : DYN_OK;
}

static DYN_STATUS walk_group(walk *w, hid_t g, const char *path, int depth,
                             dyn_err *e);

/* One member: is it one that may be here, and what is below it? */
static DYN_STATUS walk_object(walk *w, hid_t o, const char *path, int depth,
                              dyn_err *e) {
  char top[DYN_H5_PATH];
  H5O_info_t info;
  bool new = false;
  if (++w->objects > 1000000)
    return dyn_h5_fail(w->f, e, DYN_EFORMAT, NULL, "over 1000000 members");
  H5I_type_t type = H5Iget_type(o);
  if (type == H5I_DATASET) return dyn_h5_inside(w->f, path, o, e);
  if (type != H5I_GROUP) return DYN_OK;
  if (H5Oget_info2(o, &info, H5O_INFO_BASIC) < 0)
    return dyn_h5_broken(w->f, e, path);
  for (int i = 0; i < depth; i++)
    if (w->above[i] == info.addr)
      return dyn_h5_fail(w->f, e, DYN_EFORMAT, path, "contains itself");
  if (depth > DYN_H5_MAXDEPTH) {
    snprintf(top, sizeof top, "%.*s", (int)strcspn(path, "/"), path);
    return dyn_h5_fail(w->f, e, DYN_EFORMAT, top, "nested deeper than %d",
                       DYN_H5_MAXDEPTH);
  }
  w->above[depth] = info.addr;
  dyn_status st = visit(w, info.addr, &new, e);
  return st == DYN_OK && new ? walk_group(w, o, path, depth, e) : st;
}

static DYN_STATUS walk_group(walk *w, hid_t g, const char *path, int depth,
                             dyn_err *e) {
  dyn_textlist names = {0};
  dyn_status st = DYN_OK;
  char sub[DYN_H5_PATH];
  DYN_TRY(list(w->f, g, path, &names, e));
  for (int64_t i = 0; i < names.n; i++) {
    hid_t o = -1;
    DYN_TRY(dyn_h5_join(w->f, sub, path, dyn_textlist_get(&names, i), e));
    DYN_TRY(step(w->f, g, dyn_textlist_get(&names, i), 0, sub, &o, e));
    if (o >= 0) st = walk_object(w, o, sub, depth + 1, e);
    dyn_h5_drop(o);
    if (st != DYN_OK) goto done;
  }
done:
  dyn_textlist_free(&names);
  return st;
}

static DYN_STATUS walk_file(dyn_h5 *f, dyn_err *e) {
  walk *w = dyn_alloc(1, sizeof *w);
  if (!w) return dyn_fail(e, DYN_ENOMEM, "%s: out of memory", f->path);
  w->f = f;
  hid_t root = H5Oopen(f->file, "/", H5P_DEFAULT);
  dyn_status st =
      root < 0 ? dyn_h5_broken(f, e, NULL) : walk_object(w, root, "", 0, e);
  dyn_h5_drop(root);
  dyn_free(w->seen.slot, w->seen.nslot, sizeof *w->seen.slot);
  dyn_free(w, 1, sizeof *w);
  return st;
}

DYN_STATUS dyn_h5_members(dyn_h5 *f, const char *path, dyn_textlist *names,
                          dyn_err *e) {
  hid_t o = -1, t = -1;
  dyn_status st = dyn_h5_locate(f, path, &o, e);
  if (st != DYN_OK || o < 0) return st;
  if (H5Iget_type(o) == H5I_GROUP) {
    st = list(f, o, path, names, e);
  } else if (H5Iget_type(o) == H5I_DATASET) {
    t = H5Dget_type(o);
    int n = t >= 0 && H5Tget_class(t) == H5T_COMPOUND ? H5Tget_nmembers(t) : 0;
    for (int i = 0; i < n && st == DYN_OK; i++) {
      char *name = H5Tget_member_name(t, (unsigned)i);
      st = name ? dyn_textlist_add(names, name, strlen(name), e)
                : dyn_h5_broken(f, e, path);
      H5free_memory(name);
    }
  }
  dyn_h5_drop(t);
  dyn_h5_drop(o);
  return st;
}

/* ---- opening -------------------------------------------------------------- */

hid_t dyn_h5_access(void) {
  hid_t a = H5Pcreate(H5P_FILE_ACCESS);
  if (a < 0) return a;
  if (H5Pset_fapl_sec2(a) < 0 || H5Pset_fclose_degree(a, H5F_CLOSE_STRONG) < 0
#if H5_VERSION_GE(1, 10, 7)
      || H5Pset_file_locking(a, 0, 1) < 0
#endif
      || H5Pset_cache(a, 0, 10007, (size_t)32 << 20, 0.75) < 0) {
    dyn_h5_drop(a);
    return -1;
  }
  return a;
}

void dyn_h5_progress(dyn_h5 *f, char *buf) { f->progress = buf; }
const char *dyn_h5_name(const dyn_h5 *f) { return f->path; }
const char *dyn_h5_temp(const dyn_h5 *f) { return f->temp; }
size_t dyn_h5_limit(const dyn_h5 *f) { return f->limit; }

size_t dyn_h5_usual_limit(void) {
  double pages = (double)sysconf(_SC_PHYS_PAGES);
  return (size_t)(pages * (double)sysconf(_SC_PAGESIZE) * 0.8);
}

DYN_STATUS dyn_h5_handle(dyn_h5 **f, const char *path, dyn_err *e) {
  dyn_h5 *h = dyn_alloc(1, sizeof *h);
  char *copy = dyn_alloc(strlen(path) + 1, 1);
  if (!h || !copy) {
    dyn_free(h, 1, sizeof *h);
    dyn_free(copy, strlen(path) + 1, 1);
    return dyn_fail(e, DYN_ENOMEM, "%.200s: out of memory", path);
  }
  strcpy(copy, path);
  *h = (dyn_h5){.file = -1, .path = copy};
  h->limit = dyn_h5_usual_limit();
  *f = h;
  return DYN_OK;
}

void dyn_h5_close(dyn_h5 *f) {
  if (!f) return;
  if (f->file >= 0) H5Fclose(f->file);
  if (f->temp) {
    unlink(f->temp);
    dyn_free(f->temp, strlen(f->temp) + 1, 1);
  }
  dyn_free(f->check, f->room, sizeof *f->check);
  dyn_free(f->path, strlen(f->path) + 1, 1);
  dyn_free(f, 1, sizeof *f);
}

/* What a file that is not HDF5 looks like. */
static const char *guess(const unsigned char *p, size_t n) {
  static const struct {
    const char *magic, *what;
  } known[] = {
      {"\x1f\x8b", "gzip: unpack it first"},
      {"\x28\xb5\x2f\xfd", "zstd: unpack it first"},
      {"PK\x03\x04", "a zip archive (npz, torch or zarr?)"},
      {"\x93NUMPY", "a numpy array"},
      {"%%MatrixMarket", "a MatrixMarket file"},
      {"PAR1", "parquet"},
      {"\x80\x02", "a pickle, which is never loaded"},
      {"\x80\x03", "a pickle, which is never loaded"},
      {"\x80\x04", "a pickle, which is never loaded"},
      {"\x80\x05", "a pickle, which is never loaded"},
  };
  if (n == 0) return "it is empty";
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    size_t k = strlen(known[i].magic);
    if (n >= k && memcmp(p, known[i].magic, k) == 0) return known[i].what;
  }
  return "no HDF5 signature";
}

/* A regular file with the signature at 0, 512, 1024, 2048, ... */
static DYN_STATUS signature(const dyn_h5 *f, dyn_err *e) {
  static const unsigned char magic[8] = "\x89HDF\r\n\x1a\n";
  unsigned char head[16], b[8];
  struct stat s;
  int fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0 || fstat(fd, &s) < 0) {
    int why = errno;
    if (fd >= 0) close(fd);
    return dyn_h5_fail(f, e, DYN_EIO, NULL, "%s", strerror(why));
  }
  ssize_t n = S_ISREG(s.st_mode) ? pread(fd, head, sizeof head, 0) : -1;
  bool found = false;
  for (off_t at = 0; n > 0 && at < s.st_size && !found; at = at ? 2 * at : 512)
    found = pread(fd, b, sizeof b, at) == 8 && memcmp(b, magic, 8) == 0;
  close(fd);
  if (found) return DYN_OK;
  if (!S_ISREG(s.st_mode))
    return dyn_h5_fail(f, e, DYN_EFORMAT, NULL, "not a regular file");
  return dyn_h5_fail(f, e, DYN_EFORMAT, NULL, "not an HDF5 file (%s)",
                     guess(head, n < 0 ? 0 : (size_t)n));
}

DYN_STATUS dyn_h5_open(dyn_h5 **f, const char *path, size_t limit, dyn_err *e) {
  dyn_h5 *h = NULL;
  hid_t a = -1;
  dyn_status st = DYN_OK;
  *f = NULL;
  dyn_h5_setup();
  DYN_TRY(dyn_h5_handle(&h, path, e));
  if (limit) h->limit = limit;
  DYN_TRY(signature(h, e));
  a = dyn_h5_access();
  if (a >= 0) h->file = H5Fopen(path, H5F_ACC_RDONLY, a);
  if (h->file < 0) {
    st = dyn_h5_broken(h, e, NULL);
    goto done;
  }
  DYN_TRY(walk_file(h, e));
  *f = h;
  h = NULL;
done:
  dyn_h5_drop(a);
  dyn_h5_close(h);
  return st;
}
