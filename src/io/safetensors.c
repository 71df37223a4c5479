#include "io/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/ops.h"
#include "io/table.h"
#include "io/text.h"

enum {
  MAXHEADER = 100000000,
  MAXKEY = 65535
};

void dyn_safetensors_free(dyn_safetensors *s) {
  dyn_names_free(&s->name);
  dyn_free(s->entry, (size_t)s->room, sizeof *s->entry);
  dyn_textlist_free(&s->key);
  dyn_textlist_free(&s->value);
  *s = (dyn_safetensors){0};
}

static const char *const item_names[DYN_ITEMS] = {
    "BOOL", "I8",  "U8",  "I16",  "U16", "I32", "U32",
    "I64",  "U64", "F16", "BF16", "F32", "F64"};

const char *dyn_item_name(dyn_item item) { return item_names[item]; }

/* ---- JSON, as much as is needed ------------------------------------------- */

typedef struct json {
  const char *file;
  const char *s, *end, *begin;
  dyn_text text; /* the string read last */
  dyn_err *e;
} json;

static DYN_STATUS bad_json(const json *j, const char *what) {
  return dyn_fail(j->e, DYN_EFORMAT, "%.200s: header, byte %td: %s expected",
                  j->file, j->s - j->begin + 8, what);
}

static void blanks(json *j) {
  while (j->s < j->end && memchr(" \t\r\n", *j->s, 4)) j->s++;
}

static bool take(json *j, char c) {
  blanks(j);
  if (j->s == j->end || *j->s != c) return false;
  j->s++;
  return true;
}

static int hex4(json *j) {
  int v = 0;
  if (j->end - j->s < 4) return -1;
  for (int i = 0; i < 4; i++) {
    char c = *j->s++;
    int d = c >= '0' && c <= '9'   ? c - '0'
            : c >= 'a' && c <= 'f' ? c - 'a' + 10
            : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                   : -1;
    if (d < 0) return -1;
    v = v * 16 + d;
  }
  return v;
}

/* What follows a backslash, as UTF-8 at 'out'; 0: not an escape. */
static size_t escape(json *j, char *out) {
  static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
  if (j->s == j->end) return 0;
  char c = *j->s++;
  const char *at = strchr(from, c);
  if (c && at) return *out = to[at - from], 1;
  if (c != 'u') return 0;
  long v = hex4(j);
  if (v >= 0xd800 && v < 0xdc00) {
    if (j->end - j->s < 2 || j->s[0] != '\\' || j->s[1] != 'u') return 0;
    j->s += 2;
    int low = hex4(j);
    if (low < 0xdc00 || low > 0xdfff) return 0;
    v = 0x10000 + (v - 0xd800) * 1024 + (low - 0xdc00);
  }
  if (v <= 0) return 0;
  unsigned char *o = (unsigned char *)out;
  if (v < 0x80) return o[0] = (unsigned char)v, 1;
  size_t n = v < 0x800 ? 2 : v < 0x10000 ? 3 : 4;
  for (size_t i = n; i-- > 1; v >>= 6) o[i] = (unsigned char)(0x80 | (v & 63));
  o[0] = (unsigned char)((0xf00 >> n & 0xff) | v);
  return n;
}

/* A string into j->text. Escapes never take less room than what they mean. */
static DYN_STATUS string(json *j) {
  if (!take(j, '"')) return bad_json(j, "a string");
  const char *close = j->s;
  while (close < j->end && *close != '"')
    close += *close == '\\' && j->end - close > 1 ? 2 : 1;
  if (close >= j->end) return bad_json(j, "the end of a string");
  size_t need = (size_t)(close - j->s) + 1;
  if (need > j->text.room) {
    dyn_text_free(&j->text);
    j->text.data = dyn_alloc_raw(need + need / 2, 1);
    if (!j->text.data)
      return dyn_fail(j->e, DYN_ENOMEM, "%.200s: not enough memory", j->file);
    j->text.room = need + need / 2;
  }
  size_t n = 0;
  while (j->s < close) {
    if ((unsigned char)*j->s < 32) return bad_json(j, "printable text");
    if (*j->s != '\\') {
      j->text.data[n++] = *j->s++;
      continue;
    }
    j->s++;
    size_t k = escape(j, j->text.data + n);
    if (!k) return bad_json(j, "an escape");
    n += k;
  }
  j->s = close + 1;
  j->text.data[n] = '\0';
  j->text.len = n;
  if (!dyn_utf8(j->text.data, n)) return bad_json(j, "UTF-8");
  return DYN_OK;
}

static DYN_STATUS whole(json *j, uint64_t *v) {
  blanks(j);
  const char *from = j->s;
  *v = 0;
  for (; j->s < j->end && *j->s >= '0' && *j->s <= '9'; j->s++)
    if (__builtin_mul_overflow(*v, 10, v) ||
        __builtin_add_overflow(*v, (uint64_t)(*j->s - '0'), v))
      return bad_json(j, "a smaller number");
  if (j->s == from || (j->s - from > 1 && *from == '0') ||
      (j->s < j->end && memchr(".eE", *j->s, 3)))
    return bad_json(j, "a whole number");
  return DYN_OK;
}

/* ---- tensors --------------------------------------------------------------- */

/* "tensor 'w'" for messages. */
static const char *called(const dyn_safetensors *s, int32_t i, char buf[120]) {
  char shown[100];
  dyn_escape(shown, sizeof shown, dyn_names_get(&s->name, i));
  snprintf(buf, 120, "tensor '%s'", shown);
  return buf;
}

static DYN_STATUS dtype(json *j, const char *who, dyn_safe_entry *t) {
  char shown[DYN_SHOWN];
  dyn_status st = string(j);
  if (st != DYN_OK) return st;
  for (int i = 0; i < DYN_ITEMS; i++)
    if (strcmp(item_names[i], j->text.data) == 0) {
      t->item = (dyn_item)i;
      return DYN_OK;
    }
  return dyn_fail(j->e, DYN_EFORMAT, "%.200s: %s: dtype '%s' is not supported",
                  j->file, who, dyn_shown(shown, j->text.data, j->text.len));
}

static DYN_STATUS shape(json *j, const char *who, dyn_safe_entry *t) {
  dyn_status st = DYN_OK;
  if (!take(j, '[')) return bad_json(j, "[");
  for (t->ndim = 0; !take(j, ']');) {
    uint64_t v;
    if (t->ndim && !take(j, ',')) return bad_json(j, ", or ]");
    if (t->ndim == DYN_MAXDIM)
      return dyn_fail(j->e, DYN_EFORMAT, "%.200s: %s: more than %d dimensions",
                      j->file, who, DYN_MAXDIM);
    DYN_TRY(whole(j, &v));
    if (v > PTRDIFF_MAX)
      return dyn_fail(j->e, DYN_EFORMAT, "%.200s: %s: shape overflows", j->file,
                      who);
    t->size[t->ndim++] = (ptrdiff_t)v;
  }
done:
  return st;
}

static DYN_STATUS offsets(json *j, dyn_safe_entry *t) {
  dyn_status st = DYN_OK;
  if (!take(j, '[')) return bad_json(j, "[");
  DYN_TRY(whole(j, &t->begin));
  if (!take(j, ',')) return bad_json(j, ",");
  DYN_TRY(whole(j, &t->end));
  if (!take(j, ']')) return bad_json(j, "]");
done:
  return st;
}

/* {"dtype": .., "shape": .., "data_offsets": ..}, each once, in any order. */
static DYN_STATUS fields(json *j, const char *who, dyn_safe_entry *t) {
  static const char *const name[] = {"dtype", "shape", "data_offsets"};
  bool have[3] = {false, false, false};
  dyn_status st = DYN_OK;
  if (!take(j, '{')) return bad_json(j, "{");
  for (int k = 0; k < 3; k++) {
    int i = 0;
    if (k && !take(j, ',')) return bad_json(j, ",");
    DYN_TRY(string(j));
    while (i < 3 && strcmp(name[i], j->text.data) != 0) i++;
    if (i == 3 || have[i])
      return dyn_fail(j->e, DYN_EFORMAT,
                      "%.200s: %s: dtype, shape and data_offsets expected",
                      j->file, who);
    have[i] = true;
    if (!take(j, ':')) return bad_json(j, ":");
    DYN_TRY(i == 0   ? dtype(j, who, t)
            : i == 1 ? shape(j, who, t)
                     : offsets(j, t));
  }
  if (!take(j, '}')) return bad_json(j, "}");
done:
  return st;
}

static DYN_STATUS bytes_agree(const json *j, const char *who,
                              const dyn_safe_entry *t, uint64_t buffer) {
  char text[160];
  size_t at = 0;
  uint64_t need = dyn_item_size(t->item);
  bool over = false;
  for (int i = 0; i < t->ndim; i++) {
    over = over || __builtin_mul_overflow(need, (uint64_t)t->size[i], &need);
    at += (size_t)snprintf(text + at, sizeof text - at, i ? "x%td" : "%td",
                           t->size[i]);
  }
  if (over || need > PTRDIFF_MAX)
    return dyn_fail(j->e, DYN_EFORMAT, "%.200s: %s: shape overflows", j->file,
                    who);
  if (t->begin > t->end || t->end > buffer)
    return dyn_fail(j->e, DYN_EFORMAT,
                    "%.200s: %s: [%" PRIu64 ", %" PRIu64 "] is not within the "
                    "%" PRIu64 " bytes of the buffer",
                    j->file, who, t->begin, t->end, buffer);
  if (t->end - t->begin != need)
    return dyn_fail(j->e, DYN_EFORMAT,
                    "%.200s: %s: shape %s %s needs %" PRIu64 " bytes, has "
                    "%" PRIu64,
                    j->file, who, t->ndim ? text : "scalar",
                    item_names[t->item], need, t->end - t->begin);
  return DYN_OK;
}

static DYN_STATUS tensor(json *j, dyn_safetensors *s, uint64_t buffer) {
  char who[120];
  int32_t id;
  bool added;
  dyn_safe_entry t = {0};
  dyn_status st = DYN_OK;
  DYN_TRY(
      dyn_names_add(&s->name, j->text.data, j->text.len, &id, &added, j->e));
  called(s, id, who);
  if (!added)
    return dyn_fail(j->e, DYN_EFORMAT, "%.200s: %s is there twice", j->file,
                    who);
  if (!take(j, ':')) return bad_json(j, ":");
  DYN_TRY(fields(j, who, &t));
  DYN_TRY(bytes_agree(j, who, &t, buffer));
  dyn_safe_entry *grown =
      dyn_grown(s->entry, &s->room, id, id + 1, sizeof *s->entry);
  if (!grown)
    return dyn_fail(j->e, DYN_ENOMEM, "%.200s: not enough memory", j->file);
  s->entry = grown;
  s->entry[id] = t;
done:
  return st;
}

static DYN_STATUS metadata(json *j, dyn_safetensors *s) {
  dyn_status st = DYN_OK;
  if (!take(j, ':') || !take(j, '{')) return bad_json(j, "{");
  while (!take(j, '}')) {
    if (s->key.n && !take(j, ',')) return bad_json(j, ", or }");
    DYN_TRY(string(j));
    DYN_TRY(dyn_textlist_add(&s->key, j->text.data, j->text.len, j->e));
    if (!take(j, ':')) return bad_json(j, ":");
    DYN_TRY(string(j));
    DYN_TRY(dyn_textlist_add(&s->value, j->text.data, j->text.len, j->e));
  }
done:
  return st;
}

static DYN_STATUS document(json *j, dyn_safetensors *s, uint64_t buffer) {
  bool told = false;
  dyn_status st = DYN_OK;
  if (!take(j, '{')) return bad_json(j, "{");
  for (bool first = true; !take(j, '}'); first = false) {
    if (!first && !take(j, ',')) return bad_json(j, ", or }");
    DYN_TRY(string(j));
    if (strcmp(j->text.data, "__metadata__") != 0) {
      if (j->text.len > MAXKEY) return bad_json(j, "a shorter name");
      DYN_TRY(tensor(j, s, buffer));
    } else if (told) {
      return dyn_fail(j->e, DYN_EFORMAT, "%.200s: __metadata__ is there twice",
                      j->file);
    } else {
      told = true;
      DYN_TRY(metadata(j, s));
    }
  }
  blanks(j);
  if (j->s != j->end) return bad_json(j, "nothing more");
done:
  return st;
}

/* ---- the order of the tensors ----------------------------------------------- */

typedef struct span {
  uint64_t begin, end;
  int32_t id;
} span;

static int by_begin(const void *a, const void *b) {
  const span *x = a, *y = b;
  if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
  if (x->end != y->end) return x->end < y->end ? -1 : 1;
  return x->id - y->id;
}

static DYN_STATUS no_gaps(const json *j, const dyn_safetensors *s,
                          uint64_t buffer) {
  char a[120], b[120];
  size_t n = (size_t)s->name.n;
  dyn_status st = DYN_OK;
  uint64_t at = 0;
  span *v = dyn_alloc(n + 1, sizeof *v);
  if (!v)
    return dyn_fail(j->e, DYN_ENOMEM, "%.200s: not enough memory", j->file);
  for (size_t i = 0; i < n; i++)
    v[i] = (span){s->entry[i].begin, s->entry[i].end, (int32_t)i};
  qsort(v, n, sizeof *v, by_begin);
  for (size_t i = 0; i < n && st == DYN_OK; i++) {
    called(s, v[i].id, a);
    if (i > 0 && v[i].begin < at)
      st =
          dyn_fail(j->e, DYN_EFORMAT,
                   "%.150s: %s: [%" PRIu64 ", %" PRIu64 "] overlaps %s",
                   j->file, a, v[i].begin, v[i].end, called(s, v[i - 1].id, b));
    else if (v[i].begin != at)
      st = dyn_fail(j->e, DYN_EFORMAT,
                    "%.200s: %s: starts at %" PRIu64 ", a gap after %" PRIu64,
                    j->file, a, v[i].begin, at);
    at = v[i].end;
  }
  if (st == DYN_OK && at != buffer)
    st = dyn_fail(j->e, DYN_EFORMAT,
                  "%.200s: %" PRIu64 " bytes follow the last tensor", j->file,
                  buffer - at);
  dyn_free(v, n + 1, sizeof *v);
  return st;
}

static DYN_STATUS no_key_twice(const json *j, const dyn_safetensors *s) {
  int64_t first, second, count;
  char shown[80];
  dyn_status st = dyn_textlist_repeat(&s->key, &first, &second, &count, j->e);
  if (st == DYN_OK && first >= 0)
    st = dyn_fail(
        j->e, DYN_EFORMAT, "%.200s: __metadata__ has '%s' twice", j->file,
        dyn_escape(shown, sizeof shown, dyn_textlist_get(&s->key, first)));
  return st;
}

static DYN_STATUS header_size(const char *file, const char *head, size_t n,
                              uint64_t total, uint64_t *size, dyn_err *e) {
  char b[32];
  if (n < 8 || total < 8)
    return dyn_fail(e, DYN_EFORMAT, "%.200s: not a safetensors file", file);
  *size = dyn_le((const unsigned char *)head, 8);
  if (*size > total - 8 || *size > MAXHEADER)
    return dyn_fail(e, DYN_EFORMAT,
                    "%.200s: header of %" PRIu64 " bytes in a file of %s", file,
                    *size, dyn_bytes(b, (double)total));
  return DYN_OK;
}

DYN_STATUS dyn_safetensors_parse(dyn_safetensors *s, const char *file,
                                 const char *bytes, size_t n, uint64_t total,
                                 dyn_err *e) {
  uint64_t size = 0;
  dyn_safetensors r = {0};
  json j = {.file = file, .e = e};
  dyn_status st = header_size(file, bytes, n, total, &size, e);
  if (st != DYN_OK) return st;
  if (size > n - 8)
    return dyn_fail(e, DYN_EFORMAT, "%.200s: ends inside the header", file);
  j.begin = j.s = bytes + 8;
  j.end = j.s + size;
  r.start = 8 + size;
  DYN_TRY(document(&j, &r, total - r.start));
  DYN_TRY(no_key_twice(&j, &r));
  DYN_TRY(no_gaps(&j, &r, total - r.start));
  *s = r;
  r = (dyn_safetensors){0};
done:
  dyn_text_free(&j.text);
  dyn_safetensors_free(&r);
  return st;
}

/* ---- files ------------------------------------------------------------------- */

static DYN_STATUS trouble(const char *path, dyn_err *e) {
  return dyn_fail(e, DYN_EIO, "%.300s: %s", path, strerror(errno));
}

/* All n bytes at 'at'; the file ending before them is DYN_EFORMAT. */
static DYN_STATUS bytes_at(int fd, const char *path, void *p, size_t n,
                           uint64_t at, dyn_err *e) {
  char *to = p;
  while (n > 0) {
    ssize_t got = pread(fd, to, n < 1u << 30 ? n : 1u << 30, (off_t)at);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return trouble(path, e);
    if (got == 0)
      return dyn_fail(e, DYN_EFORMAT, "%.200s: ends at byte %" PRIu64, path,
                      at);
    to += got;
    n -= (size_t)got;
    at += (uint64_t)got;
  }
  return DYN_OK;
}

DYN_STATUS dyn_safetensors_open(dyn_safetensors *s, const char *path,
                                dyn_err *e) {
  struct stat info;
  char head[8];
  uint64_t size = 0;
  char *text = NULL;
  dyn_status st = DYN_OK;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return trouble(path, e);
  if (fstat(fd, &info) != 0) {
    st = trouble(path, e);
    goto done;
  }
  uint64_t total = S_ISREG(info.st_mode) ? (uint64_t)info.st_size : 0;
  if (total >= 8) DYN_TRY(bytes_at(fd, path, head, 8, 0, e));
  DYN_TRY(header_size(path, head, total >= 8 ? 8 : 0, total, &size, e));
  text = dyn_alloc_raw((size_t)size + 8, 1);
  if (!text) {
    st = dyn_fail(e, DYN_ENOMEM, "%.200s: not enough memory", path);
    goto done;
  }
  DYN_TRY(bytes_at(fd, path, text, (size_t)size + 8, 0, e));
  st = dyn_safetensors_parse(s, path, text, (size_t)size + 8, total, e);
done:
  dyn_free(text, (size_t)size + 8, 1);
  close(fd);
  return st;
}

enum {
  STEP = 1 << 16 /* items converted at a time */
};

static DYN_STATUS convert(int fd, const char *path, const dyn_safe_entry *x,
                          uint64_t at, dyn_tensor *t, dyn_err *e) {
  size_t n = dyn_tensor_len(t), size = dyn_item_size(x->item);
  char *to = t->data;
  dyn_status st = DYN_OK;
  unsigned char *buf = dyn_alloc_raw(STEP * size, 1);
  if (!buf) return dyn_fail(e, DYN_ENOMEM, "%.200s: not enough memory", path);
  for (size_t k = 0; k < n; k += STEP) {
    size_t m = n - k < STEP ? n - k : STEP;
    DYN_TRY(bytes_at(fd, path, buf, m * size, at + k * size, e));
    dyn_items(to + k * dyn_type_size(t->type), t->type, buf, x->item, false, m);
  }
done:
  dyn_free(buf, STEP * size, 1);
  return st;
}

DYN_STATUS dyn_safetensors_read(const dyn_safetensors *s, const char *path,
                                int32_t i, size_t limit, dyn_tensor *t,
                                dyn_err *e) {
  const dyn_safe_entry *x = &s->entry[i];
  dyn_type type = dyn_item_type(x->item);
  char b1[32], b2[32], who[120];
  double need = (double)(x->end - x->begin) / (double)dyn_item_size(x->item) *
                (double)dyn_type_size(type);
  if (!limit) limit = dyn_text_limit();
  if (need > (double)limit)
    return dyn_fail(e, DYN_EFORMAT, "%.200s: %s needs %s, limit %s", path,
                    called(s, i, who), dyn_bytes(b1, need),
                    dyn_bytes(b2, (double)limit));
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return trouble(path, e);
  dyn_status st = dyn_tensor_new(t, type, x->ndim, x->size, e);
  if (st == DYN_EVALUE) st = DYN_EFORMAT;
  if (st == DYN_OK) st = convert(fd, path, x, s->start + x->begin, t, e);
  if (st != DYN_OK) dyn_tensor_free(t);
  close(fd);
  return st;
}

/* ---- writing ------------------------------------------------------------------ */

typedef struct out {
  char *p; /* NULL: only count */
  size_t n;
} out;

static void put(out *o, const char *s, size_t n) {
  if (o->p) memcpy(o->p + o->n, s, n);
  o->n += n;
}

static void put_string(out *o, const char *s) {
  char code[8];
  put(o, "\"", 1);
  for (; *s; s++) {
    unsigned char c = (unsigned char)*s;
    if (c == '"' || c == '\\') put(o, "\\", 1);
    if (c == '\n')
      put(o, "\\n", 2);
    else if (c < 32)
      put(o, code, (size_t)snprintf(code, sizeof code, "\\u%04x", c));
    else
      put(o, s, 1);
  }
  put(o, "\"", 1);
}

static void put_header(out *o, const dyn_textlist *name,
                       const dyn_tensor *const *tensor, const dyn_textlist *key,
                       const dyn_textlist *value) {
  char buf[80];
  uint64_t at = 0;
  put(o, "{", 1);
  if (key && key->n) {
    put(o, "\"__metadata__\":{", 16);
    for (int64_t i = 0; i < key->n; i++) {
      if (i) put(o, ",", 1);
      put_string(o, dyn_textlist_get(key, i));
      put(o, ":", 1);
      put_string(o, dyn_textlist_get(value, i));
    }
    put(o, "}", 1);
  }
  for (int64_t i = 0; i < name->n; i++) {
    const dyn_tensor *t = tensor[i];
    uint64_t end = at + dyn_tensor_len(t) * dyn_type_size(t->type);
    if (o->n > 1) put(o, ",", 1);
    put_string(o, dyn_textlist_get(name, i));
    put(o, buf,
        (size_t)snprintf(buf, sizeof buf, ":{\"dtype\":\"%s\",\"shape\":[",
                         t->type == DYN_F32 ? "F32" : "F64"));
    for (int d = 0; d < t->ndim; d++)
      put(o, buf,
          (size_t)snprintf(buf, sizeof buf, d ? ",%td" : "%td", t->size[d]));
    put(o, buf,
        (size_t)snprintf(buf, sizeof buf,
                         "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", at,
                         end));
    at = end;
  }
  put(o, "}", 1);
  while (o->n % 8) put(o, " ", 1);
}

static DYN_STATUS check_names(const char *path, const dyn_textlist *t,
                              bool tensors, dyn_err *e) {
  int64_t i, j, count;
  char shown[80];
  dyn_status st = dyn_textlist_repeat(t, &i, &j, &count, e);
  if (st != DYN_OK) return st;
  if (i >= 0)
    return dyn_fail(e, DYN_EVALUE, "%.200s: '%s' is there twice", path,
                    dyn_escape(shown, sizeof shown, dyn_textlist_get(t, i)));
  for (i = 0; i < t->n; i++) {
    const char *s = dyn_textlist_get(t, i);
    if (!dyn_utf8(s, strlen(s)) || strlen(s) > MAXKEY ||
        (tensors && (!*s || strcmp(s, "__metadata__") == 0)))
      return dyn_fail(e, DYN_EVALUE, "%.200s: '%s' is not a name for a tensor",
                      path, dyn_escape(shown, sizeof shown, s));
  }
  return DYN_OK;
}

static DYN_STATUS check_texts(const char *path, const dyn_textlist *t,
                              dyn_err *e) {
  for (int64_t i = 0; i < t->n; i++) {
    const char *s = dyn_textlist_get(t, i);
    if (!dyn_utf8(s, strlen(s)))
      return dyn_fail(e, DYN_EVALUE, "%.200s: metadata %lld is not UTF-8", path,
                      (long long)i + 1);
  }
  return DYN_OK;
}

/* Dense copies where needed, and everything as pieces of the file. */
static DYN_STATUS pack(const char *path, const dyn_textlist *name,
                       const dyn_tensor *const *tensor, dyn_tensor *copy,
                       dyn_piece *piece, out *head, dyn_err *e) {
  dyn_status st = DYN_OK;
  piece[0] = (dyn_piece){head->p, head->n};
  for (int64_t i = 0; i < name->n; i++) {
    const dyn_tensor *t = tensor[i];
    if (!dyn_tensor_dense(t)) {
      DYN_TRY(dyn_convert(&copy[i], t, t->type, e));
      t = &copy[i];
    }
    piece[i + 1] =
        (dyn_piece){t->data, dyn_tensor_len(t) * dyn_type_size(t->type)};
  }
  st = dyn_save(path, piece, (size_t)name->n + 1, e);
done:
  return st;
}

DYN_STATUS dyn_safetensors_write(const char *path, const dyn_textlist *name,
                                 const dyn_tensor *const *tensor,
                                 const dyn_textlist *key,
                                 const dyn_textlist *value, dyn_err *e) {
  size_t n = (size_t)name->n;
  dyn_tensor *copy = NULL;
  dyn_piece *piece = NULL;
  out count = {NULL, 0}, head = {NULL, 0};
  dyn_status st = check_names(path, name, true, e);
  if (st == DYN_OK && key) st = check_names(path, key, false, e);
  if (st == DYN_OK && value) st = check_texts(path, value, e);
  if (st != DYN_OK) return st;
  put_header(&count, name, tensor, key, value);
  if (count.n > MAXHEADER)
    return dyn_fail(e, DYN_EVALUE, "%.200s: header of over 100 MB", path);
  copy = dyn_alloc(n + 1, sizeof *copy);
  piece = dyn_alloc(n + 1, sizeof *piece);
  head.p = dyn_alloc(count.n + 8, 1);
  if (!copy || !piece || !head.p) {
    st = dyn_fail(e, DYN_ENOMEM, "%.200s: not enough memory", path);
    goto done;
  }
  head.p += 8;
  put_header(&head, name, tensor, key, value);
  head.p -= 8;
  dyn_put_le((unsigned char *)head.p, head.n, 8);
  head.n += 8;
  st = pack(path, name, tensor, copy, piece, &head, e);
done:
  for (size_t i = 0; copy && i < n; i++) dyn_tensor_free(&copy[i]);
  dyn_free(copy, n + 1, sizeof *copy);
  dyn_free(piece, n + 1, sizeof *piece);
  dyn_free(head.p, count.n + 8, 1);
  return st;
}
