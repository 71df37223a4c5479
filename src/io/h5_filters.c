#include "io/h5_filters.h"

#include <libdeflate.h>
#include <string.h>
#include <zstd.h>

/*
** A control byte c < 32: c + 1 literals follow; else a copy of (c >> 5) + 2
** bytes (7 means: add the next byte) from ((c & 31) << 8 | next byte) + 1 back.
*/
size_t dyn_lzf(unsigned char *out, size_t room, const unsigned char *in,
               size_t n) {
  size_t i = 0, o = 0;
  while (i < n) {
    size_t c = in[i++];
    if (c < 32) {
      c++;
      if (c > n - i || c > room - o) return 0;
      memcpy(out + o, in + i, c);
      i += c;
      o += c;
      continue;
    }
    size_t len = c >> 5;
    if (len == 7) {
      if (i == n) return 0;
      len += in[i++];
    }
    len += 2;
    if (i == n) return 0;
    size_t back = ((c & 31) << 8 | in[i++]) + 1;
    if (back > o || len > room - o) return 0;
    for (; len; len--, o++) out[o] = out[o - back]; /* may overlap */
  }
  return o;
}

size_t dyn_unzstd(void *out, size_t room, const void *in, size_t n) {
  size_t got = ZSTD_decompress(out, room, in, n);
  return ZSTD_isError(got) ? 0 : got;
}

void *dyn_inflater_new(void) { return libdeflate_alloc_decompressor(); }

void dyn_inflater_free(void *z) {
  if (z) libdeflate_free_decompressor(z);
}

size_t dyn_inflater_run(void *z, void *out, size_t room, const void *in,
                        size_t n) {
  size_t got = 0;
  return libdeflate_zlib_decompress(z, in, n, out, room, &got) ==
                 LIBDEFLATE_SUCCESS
             ? got
             : 0;
}

void dyn_unshuffle(unsigned char *out, const unsigned char *in, size_t n,
                   size_t item) {
  size_t count = item ? n / item : 0;
  for (size_t j = 0; j < item; j++)
    for (size_t i = 0; i < count; i++) out[i * item + j] = in[j * count + i];
  memcpy(out + count * item, in + count * item, n - count * item);
}

/* Sums of 16-bit big-endian words modulo 65535 (HDF5 format, III.A). */
uint32_t dyn_fletcher32(const unsigned char *p, size_t n) {
  uint32_t a = 0, b = 0;
  size_t words = n / 2;
  while (words) {
    size_t k = words > 360 ? 360 : words;
    words -= k;
    for (; k; k--, p += 2) {
      a += (uint32_t)(p[0] << 8 | p[1]);
      b += a;
    }
    a = (a & 0xffff) + (a >> 16);
    b = (b & 0xffff) + (b >> 16);
  }
  if (n % 2) {
    a += (uint32_t)(*p << 8);
    b += a;
    a = (a & 0xffff) + (a >> 16);
    b = (b & 0xffff) + (b >> 16);
  }
  a = (a & 0xffff) + (a >> 16);
  b = (b & 0xffff) + (b >> 16);
  return b << 16 | a;
}
