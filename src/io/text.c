#include "io/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#define LONGEST_LINE ((size_t)64 << 20) /* 8 million cells, as columns */

void dyn_text_free(dyn_text *t) {
  dyn_free(t->data, t->room, 1);
  *t = (dyn_text){0};
}

/* What counts against RLIMIT_DATA already, touched or only reserved. */
static double data_in_use(void) {
  long pages = 0;
  FILE *f = fopen("/proc/self/statm", "r");
  if (f) {
    if (fscanf(f, "%*d %*d %*d %*d %*d %ld", &pages) != 1) pages = 0;
    fclose(f);
  }
  return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

size_t dyn_text_limit(void) {
  double pages = (double)sysconf(_SC_PHYS_PAGES);
  double limit = pages * (double)sysconf(_SC_PAGESIZE) * 0.75;
  struct rlimit r;
  /* text that grows is there twice for a moment, the second time 1.5 as large */
  if (getrlimit(RLIMIT_DATA, &r) == 0 && r.rlim_cur != RLIM_INFINITY) {
    double room = 0.4 * ((double)r.rlim_cur - data_in_use());
    if (room < limit) limit = room;
  }
  return limit < 1 << 20 ? 1 << 20 : (size_t)limit;
}

const char *dyn_bytes(char buf[32], double n) {
  static const char *const unit[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
  int u = 0;
  for (; n >= 1024 && u < 4; u++) n /= 1024;
  snprintf(buf, 32, u ? "%.1f %s" : "%.0f %s", n, unit[u]);
  return buf;
}

/* Room for 'more' bytes and a NUL; what there is moves. */
static dyn_status reserve(dyn_text *t, size_t more, dyn_err *e) {
  if (t->room > more && t->room - more > t->len) return DYN_OK;
  size_t room = t->len + more + 1;
  if (room < t->room + t->room / 2) room = t->room + t->room / 2;
  char *data = dyn_alloc(room, 1);
  if (!data) return dyn_fail(e, DYN_ENOMEM, "not enough memory for the text");
  if (t->len) memcpy(data, t->data, t->len);
  dyn_free(t->data, t->room, 1);
  t->data = data;
  t->room = room;
  return DYN_OK;
}

/* ---- the file ----------------------------------------------------------- */

static dyn_status sys_error(const char *path, dyn_err *e) {
  if (errno == ENOENT && strstr(path, "://"))
    return dyn_fail(e, DYN_EIO,
                    "%.300s: no such file\nhint: nothing is fetched from the "
                    "network; download it first",
                    path);
  return dyn_fail(e, DYN_EIO, "%.300s: %s", path, strerror(errno));
}

static dyn_status too_large(const char *file, size_t limit, dyn_err *e) {
  char buf[32];
  return dyn_fail(e, DYN_EFORMAT, "%.300s: more than %s (--max-memory)", file,
                  dyn_bytes(buf, (double)limit));
}

static dyn_status slurp(int fd, const char *path, size_t most, size_t limit,
                        dyn_text *t, dyn_err *e) {
  struct stat s;
  if (fstat(fd, &s) != 0) return sys_error(path, e);
  if (S_ISDIR(s.st_mode)) return errno = EISDIR, sys_error(path, e);
  if (fd != STDIN_FILENO && !S_ISREG(s.st_mode))
    return dyn_fail(e, DYN_EFORMAT,
                    "%.300s: a %s, not a file; save it to a file first", path,
                    S_ISCHR(s.st_mode) ? "device" : "pipe");
  size_t step = 1 << 16;
  if (S_ISREG(s.st_mode)) step = (size_t)s.st_size + 1;
  if (most < step) step = most;
  if (step > limit && most > limit) return too_large(path, limit, e);
  while (t->len < most) {
    size_t want = most - t->len < step ? most - t->len : step;
    size_t left = t->room > t->len ? t->room - t->len - 1 : 0;
    if (left && left < want) want = left; /* the end of a file asks no growth */
    dyn_status st = reserve(t, want, e);
    if (st != DYN_OK) return st;
    ssize_t got = read(fd, t->data + t->len, want);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return sys_error(path, e);
    if (got == 0) break;
    t->len += (size_t)got;
    if (t->len > limit) return too_large(path, limit, e);
    step = step < 1 << 24 ? 1 << 16 : 1 << 20; /* it may still be growing */
  }
  return DYN_OK;
}

dyn_status dyn_text_raw(const char *path, size_t head, size_t limit,
                        dyn_text *out, dyn_err *e) {
  bool input = strcmp(path, "-") == 0;
  int fd = input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return sys_error(path, e);
  if (!limit) limit = dyn_text_limit();
  dyn_status st = slurp(fd, path, head ? head : SIZE_MAX, limit, out, e);
  if (!input) close(fd);
  if (st == DYN_OK) st = reserve(out, 0, e);
  if (st == DYN_OK)
    out->data[out->len] = '\0';
  else
    dyn_text_free(out);
  return st;
}

dyn_status dyn_text_read(const char *path, size_t limit, dyn_text *out,
                         dyn_err *e) {
  dyn_text raw = {0};
  if (!limit) limit = dyn_text_limit();
  dyn_status st = dyn_text_raw(path, 0, limit, &raw, e);
  if (st != DYN_OK) return st;
  const char *kind = dyn_signature(raw.data, raw.len);
  if (!kind || (strcmp(kind, "gzip") && strcmp(kind, "zstd") &&
                strcmp(kind, "bzip2") && strcmp(kind, "xz"))) {
    *out = raw;
    return DYN_OK;
  }
  st = dyn_text_unpack(path, raw.data, raw.len, 0, limit, out, e);
  dyn_text_free(&raw);
  return st;
}

/* ---- unpacking ---------------------------------------------------------- */

typedef struct unpacker { /* one layer, from 'in' to 'out' */
  const char *file;
  const unsigned char *in;
  size_t n, at;
  size_t head, limit;
  dyn_text *out;
  dyn_err *e;
} unpacker;

static dyn_status truncated(const unpacker *u, const char *what) {
  if (u->head) return DYN_OK;
  return dyn_fail(u->e, DYN_EFORMAT,
                  "%.300s: %s stream ends after %zu bytes of output; the file "
                  "is truncated",
                  u->file, what, u->out->len);
}

static dyn_status damaged(const unpacker *u, const char *what) {
  return dyn_fail(u->e, DYN_EFORMAT,
                  "%.300s: %s stream is damaged after %zu bytes of output",
                  u->file, what, u->out->len);
}

/* Room for the next piece of output, at least 'first' bytes at the start. */
static dyn_status room_for_output(unpacker *u, size_t first) {
  dyn_text *t = u->out;
  if (t->len > u->limit) {
    char buf[32];
    return dyn_fail(u->e, DYN_EFORMAT,
                    "%.300s: unpacks to more than %s (--max-memory)", u->file,
                    dyn_bytes(buf, (double)u->limit));
  }
  size_t more = t->room == 0 && first > 1 << 16 ? first : 1 << 16;
  if (more > u->limit - t->len) more = u->limit - t->len + 1;
  return reserve(t, more, u->e);
}

/* The last four bytes promise a size; a hint, believed within reason. */
static size_t promised(const unpacker *u) {
  if (u->n < 18 || u->head) return 0;
  const unsigned char *p = u->in + u->n - 4;
  size_t size = (size_t)p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16 |
                (size_t)p[3] << 24;
  return size <= u->limit && size / 1100 <= u->n ? size + 1 : 0;
}

static bool only_zeros(const unpacker *u) {
  for (size_t i = u->at; i < u->n; i++)
    if (u->in[i]) return false;
  return true;
}

/* One member; u->at moves behind it. */
static dyn_status gzip_member(unpacker *u, z_stream *z) {
  dyn_text *t = u->out;
  for (;;) {
    dyn_status st = room_for_output(u, promised(u));
    if (st != DYN_OK) return st;
    size_t in = u->n - u->at, out = t->room - t->len - 1;
    if (in > 1u << 30) in = 1u << 30;
    if (out > 1u << 30) out = 1u << 30;
    z->next_in = (unsigned char *)(uintptr_t)(u->in + u->at);
    z->avail_in = (uInt)in;
    z->next_out = (unsigned char *)t->data + t->len;
    z->avail_out = (uInt)out;
    int r = inflate(z, Z_NO_FLUSH);
    u->at += in - z->avail_in;
    t->len += out - z->avail_out;
    if (r == Z_STREAM_END) return DYN_OK;
    if (r == Z_MEM_ERROR)
      return dyn_fail(u->e, DYN_ENOMEM, "not enough memory to unpack");
    if (r == Z_DATA_ERROR && z->msg && strstr(z->msg, "incorrect"))
      return strstr(z->msg, "header")
                 ? damaged(u, "gzip")
                 : dyn_fail(
                       u->e, DYN_EFORMAT,
                       "%.300s: gzip checksum differs; the file is damaged",
                       u->file);
    if (r != Z_OK && r != Z_BUF_ERROR) return damaged(u, "gzip");
    if (u->head && t->len >= u->head) return DYN_OK;
    if (u->at == u->n && z->avail_out) return truncated(u, "gzip");
  }
}

static dyn_status gunzip(unpacker *u) {
  z_stream z = {0};
  if (inflateInit2(&z, 15 + 16) != Z_OK)
    return dyn_fail(u->e, DYN_ENOMEM, "not enough memory to unpack");
  dyn_status st = DYN_OK;
  while (st == DYN_OK && u->at < u->n && !(u->at && only_zeros(u)) &&
         !(u->head && u->out->len >= u->head)) {
    if (u->at && (u->n - u->at < 2 || u->in[u->at] != 0x1f ||
                  u->in[u->at + 1] != 0x8b)) {
      st = u->head ? DYN_OK
                   : dyn_fail(u->e, DYN_EFORMAT,
                              "%.300s: %zu bytes follow the gzip stream",
                              u->file, u->n - u->at);
      break;
    }
    inflateReset(&z);
    st = gzip_member(u, &z);
  }
  inflateEnd(&z);
  return st;
}

static dyn_status unzstd(unpacker *u) {
  ZSTD_DStream *z = ZSTD_createDStream();
  if (!z) return dyn_fail(u->e, DYN_ENOMEM, "not enough memory to unpack");
  dyn_status st = DYN_OK;
  size_t left = 1; /* 0: a frame is complete */
  while (u->at < u->n || left) {
    if (left == 0 && only_zeros(u)) break;
    DYN_TRY(room_for_output(u, 0));
    ZSTD_inBuffer in = {u->in, u->n, u->at};
    ZSTD_outBuffer out = {u->out->data, u->out->room - 1, u->out->len};
    left = ZSTD_decompressStream(z, &out, &in);
    bool stuck = in.pos == u->at && out.pos == u->out->len;
    u->at = in.pos;
    u->out->len = out.pos;
    if (ZSTD_isError(left)) DYN_TRY(damaged(u, "zstd"));
    if (u->head && u->out->len >= u->head) break;
    if (left && u->at == u->n && (stuck || out.pos < out.size)) {
      st = truncated(u, "zstd");
      break;
    }
  }
done:
  ZSTD_freeDStream(z);
  return st;
}

static dyn_status one_layer(const char *kind, unpacker *u) {
  dyn_status st = strcmp(kind, "gzip") == 0 ? gunzip(u) : unzstd(u);
  if (st == DYN_OK && u->out->len > u->limit) st = room_for_output(u, 0);
  if (st == DYN_OK) st = reserve(u->out, 0, u->e);
  if (st == DYN_OK)
    u->out->data[u->out->len] = '\0';
  else
    dyn_text_free(u->out);
  return st;
}

dyn_status dyn_text_unpack(const char *file, const char *raw, size_t n,
                           size_t head, size_t limit, dyn_text *out,
                           dyn_err *e) {
  dyn_text now = {0};
  if (!limit) limit = dyn_text_limit();
  for (int layer = 0; layer < 4; layer++) {
    const char *s = layer ? now.data : raw;
    size_t len = layer ? now.len : n;
    const char *kind = dyn_signature(s, len);
    bool gz = kind && (!strcmp(kind, "gzip") || !strcmp(kind, "zstd"));
    if (kind && !head && (!strcmp(kind, "bzip2") || !strcmp(kind, "xz"))) {
      dyn_text_free(&now);
      return dyn_fail(e, DYN_EFORMAT, "%.300s: %s is not read; unpack it first",
                      file, kind);
    }
    if (!gz || layer == 3) break;
    dyn_text next = {0};
    unpacker u = {file, (const unsigned char *)s, len, 0, head, limit, &next,
                  e};
    dyn_status st = one_layer(kind, &u);
    dyn_text_free(&now);
    if (st != DYN_OK) return st;
    now = next;
  }
  if (!now.data) {
    dyn_status st = reserve(&now, n, e);
    if (st != DYN_OK) return st;
    if (n) memcpy(now.data, raw, n);
    now.len = n;
  }
  *out = now;
  return DYN_OK;
}

/* ---- what it is --------------------------------------------------------- */

static bool starts(const char *s, size_t n, const char *with, size_t len) {
  return n >= len && memcmp(s, with, len) == 0;
}

static bool is_safetensors(const char *s, size_t n) {
  if (n < 9 || s[8] != '{') return false;
  uint64_t len = 0;
  for (int i = 7; i >= 0; i--) len = len << 8 | (unsigned char)s[i];
  return len > 1 && len <= 100000000;
}

static bool is_hdf5_at(const char *s, size_t n, size_t at) {
  return at <= n && starts(s + at, n - at, "\x89HDF\r\n\x1a\n", 8);
}

const char *dyn_signature(const char *s, size_t n) {
  static const struct {
    const char *bytes;
    size_t len;
    const char *kind;
  } known[] = {
      {"\x1f\x8b", 2, "gzip"},        {"\x28\xb5\x2f\xfd", 4, "zstd"},
      {"\xfd\x37zXZ", 5, "xz"},       {"PK\x03\x04", 4, "zip"},
      {"\x93NUMPY", 6, "npy"},        {"%%MatrixMarket", 14, "mex"},
      {"dynamo-model", 12, "dynamo"}, {"PAR1\x15", 5, "parquet"},
      {"ARROW1\0", 7, "parquet"},     {"RDX2\n", 5, "rds"},
      {"RDX3\n", 5, "rds"},           {"X\n\0", 3, "rds"},
      {"MATLAB 5.0 MAT", 14, "mat"},
  };
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
    if (starts(s, n, known[i].bytes, known[i].len)) return known[i].kind;
  if (n >= 10 && starts(s, n, "BZh", 3) && memcmp(s + 4, "1AY&SY", 6) == 0)
    return "bzip2";
  if (is_safetensors(s, n)) return "safetensors";
  if (n > 2 && (unsigned char)s[0] == 0x80 && s[1] >= 2 && s[1] <= 5)
    return "pickle";
  if (is_hdf5_at(s, n, 0)) return "h5";
  for (size_t at = 512; at <= 1 << 20; at *= 2)
    if (is_hdf5_at(s, n, at)) return "h5";
  return NULL;
}

/* A whole line is held as fields, each several times as large as its bytes. */
static size_t longest_line(void) {
  size_t part = dyn_text_limit() / 8;
  return part < LONGEST_LINE ? part : LONGEST_LINE;
}

/* Windows of the longest line: each has a line end, or a line is longer. */
static dyn_status check_lines(const char *file, const char *s, size_t n,
                              dyn_err *e) {
  size_t most = longest_line();
  const char *from = s, *end = s + n;
  while ((size_t)(end - from) > most) {
    const char *last = memrchr(from, '\n', most);
    if (!last) {
      char buf[32];
      size_t line = 1;
      for (const char *p = s; p < from; p++) line += *p == '\n';
      return dyn_fail(e, DYN_EFORMAT,
                      "%.300s: line %zu is longer than %s\nhint: are its line "
                      "ends missing? a table of fewer columns, or more "
                      "--max-memory where it is set",
                      file, line, dyn_bytes(buf, (double)most));
    }
    from = last + 1;
  }
  return DYN_OK;
}

dyn_status dyn_text_check(const char *file, const char **s, size_t *n,
                          dyn_err *e) {
  const char *kind = dyn_signature(*s, *n);
  if (kind && strcmp(kind, "mex") != 0)
    return dyn_fail(e, DYN_EFORMAT, "%.300s: a file of type %s, not text", file,
                    kind);
  if (starts(*s, *n, "\xff\xfe", 2) || starts(*s, *n, "\xfe\xff", 2))
    return dyn_fail(e, DYN_EFORMAT, "%.300s: UTF-16 text; save it as UTF-8",
                    file);
  if (starts(*s, *n, "\xef\xbb\xbf", 3)) {
    *s += 3;
    *n -= 3;
  }
  const char *nul = *n ? memchr(*s, '\0', *n) : NULL;
  if (nul) {
    size_t line = 1;
    for (const char *p = *s; (p = memchr(p, '\n', (size_t)(nul - p))); p++)
      line++;
    return dyn_fail(e, DYN_EFORMAT, "%.300s: line %zu: NUL byte; not text",
                    file, line);
  }
  if (*n && !memchr(*s, '\n', *n) && memchr(*s, '\r', *n - 1))
    return dyn_fail(e, DYN_EFORMAT,
                    "%.300s: lines end in carriage returns alone\nhint: save "
                    "it with Unix or Windows line ends",
                    file);
  return check_lines(file, *s, *n, e);
}

/* Bytes of the character at s, or 0 if it is none. */
static size_t utf8_char(const unsigned char *s, size_t n) {
  if (s[0] < 0x80) return 1;
  size_t len = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
  if (s[0] < 0xc2 || s[0] > 0xf4 || n < len) return 0;
  for (size_t i = 1; i < len; i++)
    if ((s[i] & 0xc0) != 0x80) return 0;
  if (s[0] == 0xe0 && s[1] < 0xa0) return 0;
  if (s[0] == 0xed && s[1] > 0x9f) return 0;
  if (s[0] == 0xf0 && s[1] < 0x90) return 0;
  if (s[0] == 0xf4 && s[1] > 0x8f) return 0;
  return len;
}

/* Characters that a terminal obeys: C0, C1, changes of direction. */
static bool obeyed(const unsigned char *s, size_t len) {
  if (len == 1) return s[0] < 32 || s[0] == 127;
  if (len == 2) return s[0] == 0xc2 && s[1] < 0xa0;
  if (len != 3 || s[0] != 0xe2) return len == 0;
  return (s[1] == 0x80 &&
          ((s[2] >= 0xaa && s[2] <= 0xae) || s[2] == 0x8e || s[2] == 0x8f)) ||
         (s[1] == 0x81 && s[2] >= 0xa6 && s[2] <= 0xa9);
}

const char *dyn_shown(char buf[DYN_SHOWN], const char *s, size_t n) {
  size_t used = 0, i = 0;
  while (i < n && used + 20 < DYN_SHOWN) {
    const unsigned char *c = (const unsigned char *)s + i;
    size_t len = utf8_char(c, n - i);
    if (obeyed(c, len)) {
      for (size_t k = 0; k < (len ? len : 1); k++)
        used += (size_t)snprintf(buf + used, 5, "\\x%02x", c[k]);
    } else {
      memcpy(buf + used, c, len);
      used += len;
    }
    i += len ? len : 1;
  }
  snprintf(buf + used, DYN_SHOWN - used, "%s", i < n ? "..." : "");
  return buf;
}
