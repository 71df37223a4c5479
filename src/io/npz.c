/* npz.c -- zip archives of npy files: just as much of zip as NumPy uses. */
#include <libdeflate.h>
#include <stdio.h>
#include <string.h>

#include "io/npy_lib.h"

enum {
  END = 22,    /* bytes of the end record */
  ENTRY = 46,  /* of an entry of the directory, without its name */
  LOCAL = 30,  /* of the header in front of a member */
  DATE = 0x21, /* 1 January 1980 */
  MAXMEMBERS = 65535
};

void dyn_npz_free(dyn_npz *z) {
  for (int64_t i = 0; i < z->name.n; i++) dyn_array_free(&z->item[i]);
  dyn_textlist_free(&z->name);
  dyn_free(z->item, z->room, sizeof *z->item);
  *z = (dyn_npz){0};
}

/* ---- reading ------------------------------------------------------------- */

typedef struct archive {
  const char *file;
  const unsigned char *p;
  size_t n, limit, used; /* 'used': bytes unpacked so far */
} archive;

typedef struct member {
  char name[DYN_SHOWN]; /* for messages */
  const char *key;      /* without ".npy" */
  size_t nkey;
  int method, flags;
  uint32_t crc;
  uint64_t packed, size, at;
} member;

static DYN_STATUS not_zip(const archive *a, const char *what, dyn_err *e) {
  return dyn_fail(e, DYN_EFORMAT, "%.200s: the zip archive is damaged (%s)",
                  a->file, what);
}

static DYN_STATUS damaged(const archive *a, const member *m, dyn_err *e) {
  return dyn_fail(e, DYN_EFORMAT, "%.200s: member '%s' is damaged", a->file,
                  m->name);
}

/* Where the directory is and how many entries it has. */
static bool find_directory(const archive *a, uint64_t *at, uint64_t *count) {
  if (a->n < END) return false;
  size_t lowest = a->n > END + 65535 ? a->n - END - 65535 : 0;
  size_t i = a->n - END;
  while (memcmp(a->p + i, "PK\5\6", 4) != 0)
    if (i-- == lowest) return false;
  *count = dyn_le(a->p + i + 10, 2);
  *at = dyn_le(a->p + i + 16, 4);
  if (*at != 0xffffffff && *count != 0xffff) return true;
  if (i < 20 || memcmp(a->p + i - 20, "PK\6\7", 4) != 0) return true;
  uint64_t far = dyn_le(a->p + i - 20 + 8, 8);
  if (far > a->n || a->n - far < 56 || memcmp(a->p + far, "PK\6\6", 4) != 0)
    return false;
  *count = dyn_le(a->p + far + 32, 8);
  *at = dyn_le(a->p + far + 48, 8);
  return true;
}

/* Sizes that do not fit in 32 bits are in an extra field. */
static bool wide_sizes(const unsigned char *x, size_t n, member *m) {
  uint64_t *const want[] = {&m->size, &m->packed, &m->at};
  while (n >= 4) {
    size_t len = (size_t)dyn_le(x + 2, 2);
    if (len > n - 4) return false;
    if (dyn_le(x, 2) == 1) {
      const unsigned char *v = x + 4;
      for (int i = 0; i < 3; i++) {
        if (*want[i] != 0xffffffff) continue;
        if (len < 8) return false;
        *want[i] = dyn_le(v, 8);
        v += 8;
        len -= 8;
      }
      return true;
    }
    x += 4 + len;
    n -= 4 + len;
  }
  return true;
}

/* The entry at *at, which moves on. */
static DYN_STATUS read_entry(const archive *a, uint64_t *at, member *m,
                             dyn_err *e) {
  if (*at > a->n || a->n - *at < ENTRY || memcmp(a->p + *at, "PK\1\2", 4) != 0)
    return not_zip(a, "directory", e);
  const unsigned char *p = a->p + *at;
  size_t name = (size_t)dyn_le(p + 28, 2), extra = (size_t)dyn_le(p + 30, 2);
  size_t whole = ENTRY + name + extra + (size_t)dyn_le(p + 32, 2);
  if (whole > a->n - *at) return not_zip(a, "directory", e);
  *m = (member){.key = (const char *)p + ENTRY,
                .nkey = name,
                .flags = (int)dyn_le(p + 8, 2),
                .method = (int)dyn_le(p + 10, 2),
                .crc = (uint32_t)dyn_le(p + 16, 4),
                .packed = dyn_le(p + 20, 4),
                .size = dyn_le(p + 24, 4),
                .at = dyn_le(p + 42, 4)};
  dyn_shown(m->name, m->key, name);
  if (!wide_sizes(p + ENTRY + name, extra, m)) return damaged(a, m, e);
  *at += whole;
  return DYN_OK;
}

/* The packed bytes: in the file, behind a header that agrees. */
static const unsigned char *body(const archive *a, const member *m) {
  if (m->at > a->n || a->n - m->at < LOCAL) return NULL;
  const unsigned char *p = a->p + m->at;
  if (memcmp(p, "PK\3\4", 4) != 0) return NULL;
  size_t skip = LOCAL + (size_t)dyn_le(p + 26, 2) + (size_t)dyn_le(p + 28, 2);
  size_t left = a->n - (size_t)m->at;
  if (skip > left || m->packed > left - skip) return NULL;
  return p + skip;
}

static DYN_STATUS inflate_all(const archive *a, const member *m,
                              const unsigned char *p, char *out, dyn_err *e) {
  struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();
  if (!d) return dyn_fail(e, DYN_ENOMEM, "%.200s: not enough memory", a->file);
  enum libdeflate_result r = libdeflate_deflate_decompress(
      d, p, (size_t)m->packed, out, (size_t)m->size, NULL);
  libdeflate_free_decompressor(d);
  return r == LIBDEFLATE_SUCCESS ? DYN_OK : damaged(a, m, e);
}

/* The bytes of a member: borrowed if stored, in 'own' if they were packed. */
static DYN_STATUS unpack(archive *a, const member *m, dyn_text *own,
                         const char **bytes, dyn_err *e) {
  char need[32], have[32];
  if (m->flags & 1)
    return dyn_fail(e, DYN_EFORMAT, "%.200s: member '%s' is encrypted", a->file,
                    m->name);
  if (m->method != 0 && m->method != 8)
    return dyn_fail(e, DYN_EFORMAT,
                    "%.200s: member '%s' is packed by method %d, not deflate",
                    a->file, m->name, m->method);
  const unsigned char *p = body(a, m);
  /* deflate packs 1032:1 at best: larger sizes are lies */
  if (!p ||
      (m->method == 0 ? m->size != m->packed : m->size / 1032 > m->packed + 1))
    return damaged(a, m, e);
  if (m->size > a->limit - a->used)
    return dyn_fail(e, DYN_EFORMAT, "%.200s: unpacks to more than %s, limit %s",
                    a->file, dyn_bytes(need, (double)a->used + (double)m->size),
                    dyn_bytes(have, (double)a->limit));
  a->used += (size_t)m->size;
  *bytes = (const char *)p;
  dyn_status st = DYN_OK;
  if (m->method == 8) {
    own->room = (size_t)m->size + 1;
    own->data = dyn_alloc_raw(own->room, 1);
    if (!own->data) {
      *own = (dyn_text){0};
      return dyn_fail(e, DYN_ENOMEM, "%.200s: not enough memory", a->file);
    }
    DYN_TRY(inflate_all(a, m, p, own->data, e));
    *bytes = own->data;
  }
  if (libdeflate_crc32(0, *bytes, (size_t)m->size) != m->crc)
    st = damaged(a, m, e);
done:
  return st;
}

static DYN_STATUS add_member(archive *a, const member *m, dyn_npz *z,
                             dyn_err *e) {
  char label[420];
  const char *bytes = NULL;
  dyn_text own = {0};
  dyn_array item = {0};
  dyn_status st = unpack(a, m, &own, &bytes, e);
  if (st != DYN_OK) goto done;
  snprintf(label, sizeof label, "%.200s: %s", a->file, m->name);
  DYN_TRY(dyn_npy_parse(&item, label, bytes, (size_t)m->size, a->limit, e));
  DYN_TRY(dyn_textlist_add(&z->name, m->key, m->nkey, e));
  z->item[z->name.n - 1] = item;
  item = (dyn_array){0};
done:
  dyn_array_free(&item);
  dyn_text_free(&own);
  return st;
}

static bool is_array(member *m) {
  if (m->nkey < 5 || memcmp(m->key + m->nkey - 4, ".npy", 4) != 0) return false;
  m->nkey -= 4;
  return true;
}

static DYN_STATUS check_name(const archive *a, const member *m, dyn_err *e) {
  if (memchr(m->key, 0, m->nkey) || !dyn_utf8(m->key, m->nkey))
    return dyn_fail(e, DYN_EFORMAT, "%.200s: member name '%s' is not text",
                    a->file, m->name);
  return DYN_OK;
}

static DYN_STATUS no_repeats(const archive *a, const dyn_npz *z, dyn_err *e) {
  int64_t i, j, count;
  char shown[80];
  dyn_status st = dyn_textlist_repeat(&z->name, &i, &j, &count, e);
  if (st == DYN_OK && i >= 0)
    st = dyn_fail(
        e, DYN_EFORMAT, "%.200s: member '%s.npy' is there twice", a->file,
        dyn_escape(shown, sizeof shown, dyn_textlist_get(&z->name, i)));
  return st;
}

DYN_STATUS dyn_npz_parse(dyn_npz *z, const char *file, const char *bytes,
                         size_t n, size_t limit, dyn_err *e) {
  archive a = {file, (const unsigned char *)bytes, n, limit, 0};
  uint64_t at = 0, count = 0;
  member m;
  dyn_npz r = {0};
  dyn_status st = DYN_OK;
  if (!find_directory(&a, &at, &count) || at > n)
    return not_zip(&a, "no directory", e);
  if (count > MAXMEMBERS || count > (n - at) / ENTRY)
    return not_zip(&a, "number of members", e);
  r.room = (size_t)count;
  r.item = dyn_alloc(r.room, sizeof *r.item);
  if (!r.item && r.room) {
    r.room = 0;
    return dyn_fail(e, DYN_ENOMEM, "%.200s: not enough memory", file);
  }
  for (uint64_t k = 0; k < count; k++) {
    DYN_TRY(read_entry(&a, &at, &m, e));
    if (!is_array(&m)) continue;
    DYN_TRY(check_name(&a, &m, e));
    DYN_TRY(add_member(&a, &m, &r, e));
  }
  DYN_TRY(no_repeats(&a, &r, e));
  if (r.name.n == 0)
    st = dyn_fail(e, DYN_EFORMAT, "%.200s: a zip archive without arrays", file);
  if (st != DYN_OK) goto done;
  *z = r;
  r = (dyn_npz){0};
done:
  dyn_npz_free(&r);
  return st;
}

DYN_STATUS dyn_npz_read(dyn_npz *z, const char *path, size_t limit,
                        dyn_err *e) {
  dyn_text t = {0};
  if (!limit) limit = dyn_text_limit();
  dyn_status st = dyn_text_raw(path, 0, limit, &t, e);
  if (st == DYN_OK) st = dyn_npz_parse(z, path, t.data, t.len, limit, e);
  dyn_text_free(&t);
  return st;
}

/* ---- writing ------------------------------------------------------------- */

/* What the header of a member and its entry in the directory share. */
static void common(unsigned char *p, uint32_t crc, size_t size, size_t name) {
  dyn_put_le(p, 20, 2);        /* version 2.0 */
  dyn_put_le(p + 2, 0x800, 2); /* names are UTF-8 */
  dyn_put_le(p + 8, DATE, 2);
  dyn_put_le(p + 10, crc, 4);
  dyn_put_le(p + 14, size, 4);
  dyn_put_le(p + 18, size, 4);
  dyn_put_le(p + 22, name, 2);
}

static DYN_STATUS check_names(const char *path, const dyn_npz *z, dyn_err *e) {
  char shown[80];
  int64_t i, j, count;
  dyn_status st = dyn_textlist_repeat(&z->name, &i, &j, &count, e);
  if (st != DYN_OK) return st;
  if (i >= 0)
    return dyn_fail(
        e, DYN_EVALUE, "%.200s: array '%s' is there twice", path,
        dyn_escape(shown, sizeof shown, dyn_textlist_get(&z->name, i)));
  for (i = 0; i < z->name.n; i++) {
    const char *s = dyn_textlist_get(&z->name, i);
    if (!*s || strchr(s, '/') || strlen(s) > 1000 || !dyn_utf8(s, strlen(s)))
      return dyn_fail(e, DYN_EVALUE, "%.200s: '%s' is not a name for an array",
                      path, dyn_escape(shown, sizeof shown, s));
  }
  if (z->name.n > MAXMEMBERS)
    return dyn_fail(e, DYN_EVALUE, "%.200s: more than %d arrays", path,
                    MAXMEMBERS);
  return DYN_OK;
}

typedef struct parts { /* 4 per array: header, name, bytes; entry */
  dyn_text *body, *head, *entry;
  dyn_piece *piece;
  size_t n;
} parts;

static void free_parts(parts *w) {
  for (size_t i = 0; i < w->n; i++) {
    if (w->body) dyn_text_free(&w->body[i]);
    if (w->head) dyn_text_free(&w->head[i]);
    if (w->entry) dyn_text_free(&w->entry[i]);
  }
  dyn_free(w->body, w->n, sizeof *w->body);
  dyn_free(w->head, w->n, sizeof *w->head);
  dyn_free(w->entry, w->n, sizeof *w->entry);
  dyn_free(w->piece, 3 * w->n + 1, sizeof *w->piece);
}

static bool room_for(dyn_text *t, size_t n) {
  t->data = dyn_alloc(n, 1);
  if (!t->data) return false;
  t->len = t->room = n;
  return true;
}

static DYN_STATUS make_member(parts *w, size_t i, const dyn_npz *z,
                              const char *path, uint64_t at, dyn_err *e) {
  char name[1100];
  int n = snprintf(name, sizeof name, "%s.npy",
                   dyn_textlist_get(&z->name, (int64_t)i));
  size_t len = (size_t)n;
  dyn_status st = dyn_npy_image(&z->item[i], path, &w->body[i], e);
  if (st != DYN_OK) return st;
  size_t size = w->body[i].len;
  if (size + at + 2000 > 0xfffffff0u)
    return dyn_fail(e, DYN_EVALUE,
                    "%.200s: more than 4 GiB (write .safetensors instead)",
                    path);
  if (!room_for(&w->head[i], LOCAL + len) ||
      !room_for(&w->entry[i], ENTRY + len))
    return dyn_fail(e, DYN_ENOMEM, "%.200s: not enough memory", path);
  uint32_t crc = libdeflate_crc32(0, w->body[i].data, size);
  unsigned char *h = (unsigned char *)w->head[i].data;
  unsigned char *d = (unsigned char *)w->entry[i].data;
  memcpy(h, "PK\3\4", 4);
  common(h + 4, crc, size, len);
  memcpy(h + LOCAL, name, len);
  memcpy(d, "PK\1\2", 4);
  dyn_put_le(d + 4, 20, 2);
  common(d + 6, crc, size, len);
  dyn_put_le(d + 42, at, 4);
  memcpy(d + ENTRY, name, len);
  return DYN_OK;
}

DYN_STATUS dyn_npz_write(const char *path, const dyn_npz *z, dyn_err *e) {
  parts w = {.n = (size_t)z->name.n};
  unsigned char end[END] = "PK\5\6";
  uint64_t at = 0, directory = 0;
  dyn_status st = check_names(path, z, e);
  if (st != DYN_OK) return st;
  w.body = dyn_alloc(w.n, sizeof *w.body);
  w.head = dyn_alloc(w.n, sizeof *w.head);
  w.entry = dyn_alloc(w.n, sizeof *w.entry);
  w.piece = dyn_alloc(3 * w.n + 1, sizeof *w.piece);
  if (!w.piece || (w.n && (!w.body || !w.head || !w.entry))) {
    st = dyn_fail(e, DYN_ENOMEM, "%.200s: not enough memory", path);
    goto done;
  }
  for (size_t i = 0; i < w.n; i++) {
    DYN_TRY(make_member(&w, i, z, path, at, e));
    at += w.head[i].len + w.body[i].len;
    directory += w.entry[i].len;
    w.piece[2 * i] = (dyn_piece){w.head[i].data, w.head[i].len};
    w.piece[2 * i + 1] = (dyn_piece){w.body[i].data, w.body[i].len};
    w.piece[2 * w.n + i] = (dyn_piece){w.entry[i].data, w.entry[i].len};
  }
  dyn_put_le(end + 8, w.n, 2);
  dyn_put_le(end + 10, w.n, 2);
  dyn_put_le(end + 12, directory, 4);
  dyn_put_le(end + 16, at, 4);
  w.piece[3 * w.n] = (dyn_piece){end, END};
  st = dyn_save(path, w.piece, 3 * w.n + 1, e);
done:
  free_parts(&w);
  return st;
}
