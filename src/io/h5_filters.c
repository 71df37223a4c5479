#include "io/h5_filters.h"

#include <libdeflate.h>
#include <string.h>
#include <zstd.h>

/* len bytes from 'back' bytes before 'to', which they may reach; 'room' is what
** is left there. Eight at a time where that is the same. */
static void copy_back(unsigned char *to, size_t back, size_t len, size_t room) {
  if (back >= 8 && len + 8 <= room) {
    for (size_t k = 0; k < len; k += 8) memcpy(to + k, to + k - back, 8);
  } else {
    for (size_t k = 0; k < len; k++) to[k] = to[k - back];
  }
}

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
      if (n - i >= 32 && room - o >= 32) /* one move of a fixed length */
        memcpy(out + o, in + i, 32);
      else
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
    copy_back(out + o, back, len, room - o);
    o += len;
  }
  return o;
}

/* A length that goes on in bytes of 255; false at the end of the stream. */
static bool lz4_length(size_t *len, const unsigned char *in, size_t n,
                       size_t *i) {
  unsigned char c = 255;
  if (*len != 15) return true;
  while (c == 255) {
    if (*i == n) return false;
    c = in[(*i)++];
    *len += c;
  }
  return true;
}

/*
** A token: length of literals, length of a copy less 4; the literals; how far
** back the copy is, 2 bytes. The last token has literals alone.
*/
size_t dyn_unlz4(unsigned char *out, size_t room, const unsigned char *in,
                 size_t n) {
  size_t i = 0, o = 0;
  while (i < n) {
    size_t token = in[i++], lit = token >> 4, len = token & 15;
    if (!lz4_length(&lit, in, n, &i) || lit > n - i || lit > room - o) return 0;
    memcpy(out + o, in + i, lit);
    i += lit;
    o += lit;
    if (i == n) return o;
    if (n - i < 2) return 0;
    size_t back = in[i] | (size_t)in[i + 1] << 8;
    i += 2;
    if (!lz4_length(&len, in, n, &i)) return 0;
    len += 4;
    if (back == 0 || back > o || len > room - o) return 0;
    copy_back(out + o, back, len, room - o);
    o += len;
  }
  return 0; /* an empty stream, or one that ends in a copy */
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

static void shuffle4(unsigned char *out, const unsigned char *in,
                     size_t count) {
  unsigned char *a = out, *b = a + count, *c = b + count, *d = c + count;
#pragma omp simd
  for (size_t i = 0; i < count; i++) {
    a[i] = in[4 * i];
    b[i] = in[4 * i + 1];
    c[i] = in[4 * i + 2];
    d[i] = in[4 * i + 3];
  }
}

void dyn_shuffle(unsigned char *out, const unsigned char *in, size_t n,
                 size_t item) {
  size_t count = item ? n / item : 0;
  if (item == 4) shuffle4(out, in, count);
  for (size_t j = 0; item != 4 && j < item; j++)
    for (size_t i = 0; i < count; i++) out[j * count + i] = in[i * item + j];
  memcpy(out + count * item, in + count * item, n - count * item);
}

static void unshuffle4(unsigned char *out, const unsigned char *in,
                       size_t count) {
  const unsigned char *a = in, *b = a + count, *c = b + count, *d = c + count;
#pragma omp simd
  for (size_t i = 0; i < count; i++) {
    out[4 * i] = a[i];
    out[4 * i + 1] = b[i];
    out[4 * i + 2] = c[i];
    out[4 * i + 3] = d[i];
  }
}

void dyn_unshuffle(unsigned char *out, const unsigned char *in, size_t n,
                   size_t item) {
  size_t count = item ? n / item : 0;
  if (item == 4) unshuffle4(out, in, count);
  for (size_t j = 0; item != 4 && j < item; j++)
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

/* ---- filters as HDF5 stores them ------------------------------------------ */

static uint32_t big_endian(const unsigned char *p) {
  return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 |
         p[3];
}

/* Filter 32004: bytes (8), bytes in a block (4), then blocks of LZ4, each after
** its size (4); one that did not shrink is there as it is. */
static size_t lz4_chunk(unsigned char *out, size_t room,
                        const unsigned char *in, size_t n) {
  if (n < 12 || big_endian(in)) return 0;
  size_t bytes = big_endian(in + 4), block = big_endian(in + 8), o = 0, i = 12;
  if (bytes > room || block == 0) return 0;
  while (o < bytes) {
    size_t want = bytes - o < block ? bytes - o : block;
    size_t packed = n - i < 4 ? 0 : big_endian(in + i);
    if (packed == 0 || packed > n - i - 4) return 0;
    if (packed == want)
      memcpy(out + o, in + i + 4, want);
    else if (dyn_unlz4(out + o, want, in + i + 4, packed) != want)
      return 0;
    i += 4 + packed;
    o += want;
  }
  return o;
}

bool dyn_unpacks(int id) {
  return id == DYN_FILTER_DEFLATE || id == DYN_FILTER_SHUFFLE ||
         id == DYN_FILTER_FLETCHER32 || id == DYN_FILTER_LZF ||
         id == DYN_FILTER_LZ4 || id == DYN_FILTER_BITSHUFFLE ||
         id == DYN_FILTER_ZSTD;
}

size_t dyn_unpack(int id, const unsigned *param, size_t nparam, void *out,
                  size_t room, const void *in, size_t n) {
  switch (id) {
  case DYN_FILTER_LZF:
    return dyn_lzf(out, room, in, n);
  case DYN_FILTER_LZ4:
    return lz4_chunk(out, room, in, n);
  case DYN_FILTER_BITSHUFFLE:
    return dyn_unbitshuffle(out, room, in, n, param, nparam);
  case DYN_FILTER_ZSTD:
    return dyn_unzstd(out, room, in, n);
  default:
    return 0;
  }
}
