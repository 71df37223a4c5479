#include "io/npy.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "core/ops.h"
#include "io/npy_lib.h"

enum {
  MAXHEADER = 65536
};

static DYN_STATUS no_memory(const char *file, dyn_err *e) {
  return dyn_fail(e, DYN_ENOMEM, "%.200s: not enough memory", file);
}

/* ---- the header ---------------------------------------------------------- */

typedef struct header {
  const char *file;
  const char *s, *end; /* what is not read yet */
  char descr[32];
  bool has_descr, has_order, has_shape, fortran;
  int ndim;
  ptrdiff_t size[DYN_MAXDIM];
} header;

static DYN_STATUS bad_header(const header *h, const char *what, dyn_err *e) {
  return dyn_fail(e, DYN_EFORMAT, "%.200s: the npy header is damaged (%s)",
                  h->file, what);
}

static void blanks(header *h) {
  while (h->s < h->end && memchr(" \t\r\n", *h->s, 4)) h->s++;
}

static bool take(header *h, char c) {
  blanks(h);
  if (h->s == h->end || *h->s != c) return false;
  h->s++;
  return true;
}

static bool word(header *h, const char *w) {
  size_t n = strlen(w);
  blanks(h);
  if ((size_t)(h->end - h->s) < n || memcmp(h->s, w, n) != 0) return false;
  h->s += n;
  return true;
}

/* A quoted string without escapes. */
static bool quoted(header *h, const char **p, size_t *n) {
  blanks(h);
  if (h->s == h->end || (*h->s != '\'' && *h->s != '"')) return false;
  const char *from = h->s + 1;
  const char *stop = memchr(from, *h->s, (size_t)(h->end - from));
  if (!stop || memchr(from, '\\', (size_t)(stop - from))) return false;
  *p = from;
  *n = (size_t)(stop - from);
  h->s = stop + 1;
  return true;
}

static DYN_STATUS read_descr(header *h, dyn_err *e) {
  const char *p;
  size_t n;
  char shown[DYN_SHOWN];
  blanks(h);
  if (h->s < h->end && *h->s == '[')
    return dyn_fail(e, DYN_EFORMAT,
                    "%.200s: record arrays are not supported (descr %s)",
                    h->file, dyn_shown(shown, h->s, (size_t)(h->end - h->s)));
  if (!quoted(h, &p, &n) || n == 0 || n >= sizeof h->descr || memchr(p, 0, n))
    return bad_header(h, "descr", e);
  memcpy(h->descr, p, n);
  h->descr[n] = '\0';
  h->has_descr = true;
  return DYN_OK;
}

static DYN_STATUS read_shape(header *h, dyn_err *e) {
  if (!take(h, '(')) return bad_header(h, "shape", e);
  for (h->ndim = 0; !take(h, ')'); h->ndim++) {
    if (h->ndim == DYN_MAXDIM)
      return dyn_fail(e, DYN_EFORMAT, "%.200s: more than %d dimensions",
                      h->file, DYN_MAXDIM);
    ptrdiff_t v = 0;
    blanks(h);
    const char *from = h->s;
    for (; h->s < h->end && *h->s >= '0' && *h->s <= '9'; h->s++)
      if (__builtin_mul_overflow(v, 10, &v) ||
          __builtin_add_overflow(v, *h->s - '0', &v))
        return dyn_fail(e, DYN_EFORMAT, "%.200s: shape overflows", h->file);
    if (h->s == from) return bad_header(h, "shape", e);
    h->size[h->ndim] = v;
    (void)take(h, 'L'); /* Python 2 wrote 3L */
    if (take(h, ',')) continue;
    if (!take(h, ')')) return bad_header(h, "shape", e);
    h->ndim++;
    break;
  }
  h->has_shape = true;
  return DYN_OK;
}

static DYN_STATUS read_entry(header *h, dyn_err *e) {
  const char *key;
  size_t n;
  if (!quoted(h, &key, &n) || !take(h, ':')) return bad_header(h, "key", e);
#define IS(k) (n == strlen(k) && memcmp(key, k, n) == 0)
  if (IS("descr") && !h->has_descr) return read_descr(h, e);
  if (IS("shape") && !h->has_shape) return read_shape(h, e);
  if (IS("fortran_order") && !h->has_order) {
#undef IS
    h->has_order = true;
    h->fortran = word(h, "True");
    if (h->fortran || word(h, "False")) return DYN_OK;
    return bad_header(h, "fortran_order", e);
  }
  return bad_header(h, "key", e);
}

static DYN_STATUS read_header(header *h, dyn_err *e) {
  dyn_status st = DYN_OK;
  if (!take(h, '{')) return bad_header(h, "no dictionary", e);
  while (!take(h, '}')) {
    DYN_TRY(read_entry(h, e));
    if (take(h, ',')) continue;
    if (!take(h, '}')) return bad_header(h, "no end", e);
    break;
  }
  blanks(h);
  if (h->s != h->end) return bad_header(h, "text behind it", e);
  if (!h->has_descr || !h->has_order || !h->has_shape)
    return bad_header(h, "a key is missing", e);
done:
  return st;
}

/* ---- what an item is ----------------------------------------------------- */

typedef struct kind {
  dyn_item item;
  char text;   /* 'U', 'S', or 0 */
  size_t size; /* bytes */
  bool big;
} kind;

static bool number_kind(const char *s, kind *k) {
  static const struct {
    const char *name;
    dyn_item item;
  } known[] = {
      {"b1", DYN_ITEM_BOOL}, {"i1", DYN_ITEM_I8},  {"u1", DYN_ITEM_U8},
      {"i2", DYN_ITEM_I16},  {"u2", DYN_ITEM_U16}, {"i4", DYN_ITEM_I32},
      {"u4", DYN_ITEM_U32},  {"i8", DYN_ITEM_I64}, {"u8", DYN_ITEM_U64},
      {"f2", DYN_ITEM_F16},  {"f4", DYN_ITEM_F32}, {"f8", DYN_ITEM_F64},
  };
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (strcmp(known[i].name, s) == 0) {
      k->item = known[i].item;
      k->size = dyn_item_size(k->item);
      return true;
    }
  return false;
}

static DYN_STATUS what_item(const header *h, kind *k, dyn_err *e) {
  char shown[DYN_SHOWN];
  const char *s = h->descr;
  *k = (kind){.big = *s == '>'};
  if (strchr("<>|=", *s)) s++;
  if (*s == 'O')
    return dyn_fail(e, DYN_EFORMAT,
                    "%.200s: holds pickled Python objects, which are never "
                    "loaded\nhint: save with allow_pickle=False",
                    h->file);
  if (number_kind(s, k)) return DYN_OK;
  if ((*s == 'U' || *s == 'S' || *s == 'a') && s[1]) {
    size_t n = 0;
    const char *p = s + 1;
    for (; *p >= '0' && *p <= '9' && n < 1 << 28; p++)
      n = n * 10 + (size_t)(*p - '0');
    k->text = *s == 'U' ? 'U' : 'S';
    k->size = n * (*s == 'U' ? 4 : 1);
    if (*p == '\0' && n < 1 << 28) return DYN_OK;
  }
  return dyn_fail(e, DYN_EFORMAT, "%.200s: dtype '%s' is not supported",
                  h->file, dyn_shown(shown, h->descr, strlen(h->descr)));
}

/* ---- the data ------------------------------------------------------------ */

static const char *shape_text(const header *h, char *buf, size_t room) {
  size_t at = (size_t)snprintf(buf, room, "(");
  for (int i = 0; i < h->ndim && at < room; i++)
    at +=
        (size_t)snprintf(buf + at, room - at, i ? ", %td" : "%td", h->size[i]);
  if (at < room) snprintf(buf + at, room - at, h->ndim == 1 ? ",)" : ")");
  return buf;
}

/* How many items, and whether they are there and fit. */
static DYN_STATUS count_items(const header *h, const kind *k, size_t have,
                              size_t limit, size_t *count, dyn_err *e) {
  char shape[160], b1[32], b2[32];
  size_t n = 1, bytes;
  bool none = false, over = false;
  for (int i = 0; i < h->ndim; i++) none = none || h->size[i] == 0;
  for (int i = 0; i < h->ndim && !none; i++)
    over = over || __builtin_mul_overflow(n, (size_t)h->size[i], &n);
  if (none) n = 0;
  shape_text(h, shape, sizeof shape);
  if (over || n > PTRDIFF_MAX / 16 ||
      __builtin_mul_overflow(n, k->size, &bytes))
    return dyn_fail(e, DYN_EFORMAT, "%.200s: shape %s overflows", h->file,
                    shape);
  if (bytes != have)
    return dyn_fail(e, DYN_EFORMAT,
                    "%.200s: shape %s needs %zu bytes, the file has %zu",
                    h->file, shape, bytes, have);
  size_t each = k->text ? 16 : dyn_type_size(dyn_item_type(k->item));
  if (n > limit / each)
    return dyn_fail(e, DYN_EFORMAT, "%.200s: needs %s, limit %s", h->file,
                    dyn_bytes(b1, (double)n * (double)each),
                    dyn_bytes(b2, (double)limit));
  *count = n;
  return DYN_OK;
}

/* Where item k of the row-major order is, in items; 'idx' is a counter. */
static size_t next_place(const header *h, ptrdiff_t *idx) {
  size_t at = 0, step = 1;
  for (int i = 0; i < h->ndim; i++) {
    at += (size_t)idx[i] * step;
    step *= (size_t)h->size[i];
  }
  for (int i = h->ndim - 1; i >= 0; i--) {
    if (++idx[i] < h->size[i]) break;
    idx[i] = 0;
  }
  return at;
}

static size_t utf8_of(uint32_t c, char out[4]) {
  if (c < 0x80) return out[0] = (char)c, 1;
  if (c < 0x800) {
    out[0] = (char)(0xc0 | c >> 6);
    out[1] = (char)(0x80 | (c & 63));
    return 2;
  }
  if (c < 0x10000) {
    out[0] = (char)(0xe0 | c >> 12);
    out[1] = (char)(0x80 | (c >> 6 & 63));
    out[2] = (char)(0x80 | (c & 63));
    return 3;
  }
  out[0] = (char)(0xf0 | c >> 18);
  out[1] = (char)(0x80 | (c >> 12 & 63));
  out[2] = (char)(0x80 | (c >> 6 & 63));
  out[3] = (char)(0x80 | (c & 63));
  return 4;
}

/* One string into 'buf' (k->size bytes); false: not text. */
static bool one_text(const kind *k, const unsigned char *p, char *buf,
                     size_t *len) {
  size_t unit = k->text == 'U' ? 4 : 1, n = k->size / unit;
  uint64_t c;
  *len = 0;
  while (n > 0 && dyn_le(p + (n - 1) * unit, (int)unit) == 0) n--;
  for (size_t i = 0; i < n; i++) {
    const unsigned char *q = p + i * unit;
    c = dyn_le(q, (int)unit);
    if (unit == 4 && k->big)
      c = (uint64_t)q[0] << 24 | (uint64_t)q[1] << 16 | (uint64_t)q[2] << 8 |
          q[3];
    if (c == 0 || c > 0x10ffff) return false;
    if (unit == 1)
      buf[(*len)++] = (char)c;
    else
      *len += utf8_of((uint32_t)c, buf + *len);
  }
  return dyn_utf8(buf, *len);
}

static DYN_STATUS read_texts(const header *h, const kind *k,
                             const unsigned char *p, size_t n, dyn_array *a,
                             dyn_err *e) {
  ptrdiff_t idx[DYN_MAXDIM] = {0};
  size_t len;
  dyn_status st = DYN_OK;
  char *buf = dyn_alloc(k->size + 1, 1);
  if (!buf) return no_memory(h->file, e);
  a->is_text = true;
  for (size_t i = 0; i < n; i++) {
    size_t at = h->fortran ? next_place(h, idx) : i;
    if (!one_text(k, p + at * k->size, buf, &len)) {
      st = dyn_fail(e, DYN_EFORMAT, "%.200s: string %zu is not text", h->file,
                    i + 1);
      break;
    }
    DYN_TRY(dyn_textlist_add(&a->text, buf, len, e));
  }
done:
  dyn_free(buf, k->size + 1, 1);
  return st;
}

static DYN_STATUS read_numbers(const header *h, const kind *k,
                               const unsigned char *p, size_t n, dyn_array *a,
                               dyn_err *e) {
  ptrdiff_t idx[DYN_MAXDIM] = {0};
  dyn_type type = dyn_item_type(k->item);
  dyn_status st = dyn_tensor_new(&a->number, type, h->ndim, h->size, e);
  if (st == DYN_EVALUE) return DYN_EFORMAT; /* a size that no tensor has */
  if (st != DYN_OK) return st;
  char *to = a->number.data;
  if (!h->fortran) {
    dyn_items(to, type, p, k->item, k->big, n);
    return DYN_OK;
  }
  for (size_t i = 0; i < n; i++)
    dyn_items(to + i * dyn_type_size(type), type,
              p + next_place(h, idx) * k->size, k->item, k->big, 1);
  return DYN_OK;
}

DYN_STATUS dyn_npy_parse(dyn_array *a, const char *file, const char *bytes,
                         size_t n, size_t limit, dyn_err *e) {
  const unsigned char *p = (const unsigned char *)bytes;
  header h = {.file = file};
  kind k;
  size_t count = 0;
  dyn_array r = {0};
  dyn_status st = DYN_OK;
  if (n < 10 || memcmp(p, "\x93NUMPY", 6) != 0)
    return dyn_fail(e, DYN_EFORMAT, "%.200s: not an npy file", file);
  if (p[6] < 1 || p[6] > 3)
    return dyn_fail(e, DYN_EFORMAT, "%.200s: npy version %d.%d is not known",
                    file, p[6], p[7]);
  size_t start = p[6] == 1 ? 10 : 12;
  size_t len = n < start ? SIZE_MAX : (size_t)dyn_le(p + 8, (int)start - 8);
  if (len > n - start || len > MAXHEADER)
    return dyn_fail(e, DYN_EFORMAT, "%.200s: npy header of %zu bytes", file,
                    n < start ? (size_t)0 : len);
  h.s = bytes + start;
  h.end = h.s + len;
  DYN_TRY(read_header(&h, e));
  DYN_TRY(what_item(&h, &k, e));
  DYN_TRY(count_items(&h, &k, n - start - len, limit, &count, e));
  st = k.text ? read_texts(&h, &k, p + start + len, count, &r, e)
              : read_numbers(&h, &k, p + start + len, count, &r, e);
  if (st != DYN_OK) goto done;
  r.ndim = h.ndim;
  for (int i = 0; i < h.ndim; i++) r.size[i] = h.size[i];
  *a = r;
  r = (dyn_array){0};
done:
  dyn_array_free(&r);
  return st;
}

DYN_STATUS dyn_npy_read(dyn_array *a, const char *path, size_t limit,
                        dyn_err *e) {
  dyn_text t = {0};
  if (!limit) limit = dyn_text_limit();
  dyn_status st = dyn_text_read(path, limit, &t, e);
  if (st == DYN_OK) st = dyn_npy_parse(a, path, t.data, t.len, limit, e);
  dyn_text_free(&t);
  return st;
}

/* ---- writing ------------------------------------------------------------- */

/* The bytes of one array: header and data (which may be borrowed). */
typedef struct image {
  char *head;
  size_t nhead;
  dyn_tensor copy;
  void *text;
  size_t ntext;
  dyn_piece data;
} image;

static void drop(image *m) {
  dyn_free(m->head, m->nhead, 1);
  dyn_tensor_free(&m->copy);
  dyn_free(m->text, m->ntext, 1);
  *m = (image){0};
}

static size_t code_point(const unsigned char *s, uint32_t *c) {
  size_t n = s[0] < 0x80 ? 1 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
  *c = n == 1 ? s[0] : s[0] & (0x7fu >> n);
  for (size_t i = 1; i < n; i++) *c = *c << 6 | (s[i] & 63);
  return n;
}

static size_t characters(const char *s) {
  size_t n = 0;
  for (; *s; s++) n += ((unsigned char)*s & 0xc0) != 0x80;
  return n;
}

static DYN_STATUS text_image(image *m, const dyn_array *a, size_t *width,
                             const char *path, dyn_err *e) {
  *width = 1;
  for (int64_t i = 0; i < a->text.n; i++) {
    const char *s = dyn_textlist_get(&a->text, i);
    if (!dyn_utf8(s, strlen(s)))
      return dyn_fail(e, DYN_EVALUE, "%.200s: string %lld is not UTF-8", path,
                      (long long)i + 1);
    if (characters(s) > *width) *width = characters(s);
  }
  if (__builtin_mul_overflow((size_t)a->text.n, *width * 4, &m->ntext))
    return no_memory(path, e);
  unsigned char *out = m->text = dyn_alloc(m->ntext, 1);
  if (!out && m->ntext) return no_memory(path, e);
  for (int64_t i = 0; i < a->text.n; i++) {
    const char *s = dyn_textlist_get(&a->text, i);
    unsigned char *q = out + (size_t)i * *width * 4;
    for (uint32_t c; *s; q += 4) {
      s += code_point((const unsigned char *)s, &c);
      dyn_put_le(q, c, 4);
    }
  }
  m->data = (dyn_piece){out, m->ntext};
  return DYN_OK;
}

static DYN_STATUS number_image(image *m, const dyn_array *a, dyn_err *e) {
  const dyn_tensor *t = &a->number;
  if (!dyn_tensor_dense(t)) {
    dyn_status st = dyn_convert(&m->copy, t, t->type, e);
    if (st != DYN_OK) return st;
    t = &m->copy;
  }
  m->data = (dyn_piece){t->data, dyn_tensor_len(t) * dyn_type_size(t->type)};
  return DYN_OK;
}

static DYN_STATUS make_image(image *m, const dyn_array *a, const char *path,
                             dyn_err *e) {
  char dict[400], descr[32];
  size_t width = 0;
  dyn_status st = DYN_OK;
  header h = {.ndim = a->is_text ? a->ndim : a->number.ndim};
  for (int i = 0; i < h.ndim; i++)
    h.size[i] = a->is_text ? a->size[i] : a->number.size[i];
  if (a->is_text) {
    DYN_TRY(text_image(m, a, &width, path, e));
    snprintf(descr, sizeof descr, "<U%zu", width);
  } else {
    DYN_TRY(number_image(m, a, e));
    snprintf(descr, sizeof descr, a->number.type == DYN_F32 ? "<f4" : "<f8");
  }
  int n = snprintf(dict, 200,
                   "{'descr': '%s', 'fortran_order': False, 'shape': ", descr);
  shape_text(&h, dict + n, 160);
  strcat(dict, ", }");
  m->nhead = (10 + strlen(dict) + 1 + 63) / 64 * 64;
  m->head = dyn_alloc(m->nhead, 1);
  if (!m->head) return no_memory(path, e);
  memset(m->head, ' ', m->nhead);
  memcpy(m->head, "\x93NUMPY\x01\0", 8);
  dyn_put_le((unsigned char *)m->head + 8, m->nhead - 10, 2);
  memcpy(m->head + 10, dict, strlen(dict));
  m->head[m->nhead - 1] = '\n';
done:
  return st;
}

DYN_STATUS dyn_npy_write(const char *path, const dyn_array *a, dyn_err *e) {
  image m = {0};
  dyn_status st = make_image(&m, a, path, e);
  dyn_piece piece[] = {{m.head, m.nhead}, m.data};
  if (st == DYN_OK) st = dyn_save(path, piece, 2, e);
  drop(&m);
  return st;
}

DYN_STATUS dyn_npy_image(const dyn_array *a, const char *path, dyn_text *out,
                         dyn_err *e) {
  image m = {0};
  dyn_status st = make_image(&m, a, path, e);
  if (st == DYN_OK) {
    out->len = m.nhead + m.data.n;
    out->room = out->len + 1;
    out->data = dyn_alloc(out->room, 1);
    if (out->data) {
      memcpy(out->data, m.head, m.nhead);
      if (m.data.n) memcpy(out->data + m.nhead, m.data.p, m.data.n);
    } else {
      *out = (dyn_text){0};
      st = no_memory(path, e);
    }
  }
  drop(&m);
  return st;
}
