#include "io/array.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void dyn_array_free(dyn_array *a) {
  dyn_tensor_free(&a->number);
  dyn_textlist_free(&a->text);
  *a = (dyn_array){0};
}

/* ---- numbers ------------------------------------------------------------ */

static const struct {
  unsigned char size;
  dyn_type type;
} items[] = {
    [DYN_ITEM_BOOL] = {1, DYN_F32}, [DYN_ITEM_I8] = {1, DYN_F32},
    [DYN_ITEM_U8] = {1, DYN_F32},   [DYN_ITEM_I16] = {2, DYN_F32},
    [DYN_ITEM_U16] = {2, DYN_F32},  [DYN_ITEM_I32] = {4, DYN_F64},
    [DYN_ITEM_U32] = {4, DYN_F64},  [DYN_ITEM_I64] = {8, DYN_F64},
    [DYN_ITEM_U64] = {8, DYN_F64},  [DYN_ITEM_F16] = {2, DYN_F32},
    [DYN_ITEM_BF16] = {2, DYN_F32}, [DYN_ITEM_F32] = {4, DYN_F32},
    [DYN_ITEM_F64] = {8, DYN_F64},
};

size_t dyn_item_size(dyn_item item) { return items[item].size; }
dyn_type dyn_item_type(dyn_item item) { return items[item].type; }

uint64_t dyn_le(const unsigned char *p, int bytes) {
  uint64_t v = 0;
  for (int i = bytes - 1; i >= 0; i--) v = v << 8 | p[i];
  return v;
}

void dyn_put_le(unsigned char *p, uint64_t v, int bytes) {
  for (int i = 0; i < bytes; i++) p[i] = (unsigned char)(v >> 8 * i);
}

static uint64_t big_endian(const unsigned char *p, int bytes) {
  uint64_t v = 0;
  for (int i = 0; i < bytes; i++) v = v << 8 | p[i];
  return v;
}

static double of_float(uint32_t bits) {
  float f;
  memcpy(&f, &bits, sizeof f);
  return (double)f;
}

static double of_double(uint64_t bits) {
  double f;
  memcpy(&f, &bits, sizeof f);
  return f;
}

static double of_half(uint32_t h) {
  int exponent = h >> 10 & 31;
  double m = h & 1023, v;
  if (exponent == 31)
    v = m > 0 ? (double)NAN : (double)INFINITY;
  else
    v = exponent ? ldexp(m + 1024, exponent - 25) : ldexp(m, -24);
  return h & 0x8000 ? -v : v;
}

static double value(uint64_t bits, dyn_item item) {
  switch (item) {
  case DYN_ITEM_BOOL:
    return bits != 0;
  case DYN_ITEM_I8:
    return (int8_t)bits;
  case DYN_ITEM_I16:
    return (int16_t)bits;
  case DYN_ITEM_I32:
    return (int32_t)bits;
  case DYN_ITEM_I64:
    return (double)(int64_t)bits;
  case DYN_ITEM_F16:
    return of_half((uint32_t)bits);
  case DYN_ITEM_BF16:
    return of_float((uint32_t)bits << 16);
  case DYN_ITEM_F32:
    return of_float((uint32_t)bits);
  case DYN_ITEM_F64:
    return of_double(bits);
  default:
    return (double)bits;
  }
}

void dyn_items(void *dst, dyn_type type, const unsigned char *src,
               dyn_item item, bool big, size_t n) {
  int size = items[item].size;
  bool same = !big && ((item == DYN_ITEM_F32 && type == DYN_F32) ||
                       (item == DYN_ITEM_F64 && type == DYN_F64));
  if (same) {
    if (n) memcpy(dst, src, n * (size_t)size);
    return;
  }
  for (size_t k = 0; k < n; k++, src += size) {
    double v = value(big ? big_endian(src, size) : dyn_le(src, size), item);
    if (type == DYN_F32)
      ((float *)dst)[k] = (float)v;
    else
      ((double *)dst)[k] = v;
  }
}

/* ---- writing ------------------------------------------------------------ */

static DYN_STATUS trouble(const char *path, dyn_err *e) {
  return dyn_fail(e, DYN_EIO, "%.300s: cannot be written: %s", path,
                  strerror(errno));
}

static bool put(int fd, const dyn_piece *piece, size_t n) {
  for (size_t k = 0; k < n; k++) {
    const char *p = piece[k].p;
    for (size_t left = piece[k].n; left > 0;) {
      ssize_t done = write(fd, p, left < 1u << 30 ? left : 1u << 30);
      if (done < 0 && errno == EINTR) continue;
      if (done < 0) return false;
      p += done;
      left -= (size_t)done;
    }
  }
  return fsync(fd) == 0;
}

/* A rename lasts when its folder is on the disk. */
static void sync_folder(const char *path) {
  char dir[4096];
  const char *slash = strrchr(path, '/');
  int n = slash ? (int)(slash - path) + 1 : 1;
  snprintf(dir, sizeof dir, "%.*s", n, slash ? path : ".");
  int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  (void)!fsync(fd);
  close(fd);
}

DYN_STATUS dyn_save(const char *path, const dyn_piece *piece, size_t n,
                    dyn_err *e) {
  char temp[4096];
  int fd = -1;
  if (strlen(path) + 40 > sizeof temp)
    return dyn_fail(e, DYN_EIO, "%.300s: name too long", path);
  for (int k = 0; k < 1000 && fd < 0; k++) {
    snprintf(temp, sizeof temp, "%s.tmp%ld-%d", path, (long)getpid(), k);
    fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0 && errno != EEXIST) break;
  }
  if (fd < 0) return trouble(path, e);
  bool good = put(fd, piece, n);
  int why = errno;
  if (close(fd) != 0 && good) {
    good = false;
    why = errno;
  }
  if (good && rename(temp, path) != 0) {
    good = false;
    why = errno;
  }
  if (!good) {
    unlink(temp);
    errno = why;
    return trouble(path, e);
  }
  sync_folder(path);
  return DYN_OK;
}
