/*
** h5_bitshuffle.c -- undo the bitshuffle filter of HDF5 (32008).
**
** A block of n numbers of k bytes is 8k planes of n/8 bytes: bit 0 of byte 0
** of all numbers, bit 1, ..., the first number in the lowest bit. What is left
** after the last eight numbers is as it was.
*/
#include <string.h>

#include "io/h5_filters.h"

enum {
  NONE = 0,
  LZ4 = 2,
  ZSTD = 3,
  BLOCK_BYTES = 8192,
  LEAST = 128,       /* numbers in a block */
  LARGEST = 1 << 20, /* bytes of a block: larger ones are damage */
};

/* Bit b of byte e becomes bit e of byte b (Warren, Hacker's Delight, 7-3). */
static uint64_t transpose8(uint64_t x) {
  uint64_t t = (x ^ x >> 7) & 0x00aa00aa00aa00aau;
  x ^= t ^ t << 7;
  t = (x ^ x >> 14) & 0x0000cccc0000ccccu;
  x ^= t ^ t << 14;
  t = (x ^ x >> 28) & 0x00000000f0f0f0f0u;
  return x ^ t ^ t << 28;
}

/* n numbers, a multiple of 8, of 'item' bytes from their planes. */
static void planes(unsigned char *out, const unsigned char *in, size_t n,
                   size_t item) {
  size_t plane = n / 8;
  for (size_t j = 0; j < item; j++)
    for (size_t g = 0; g < plane; g++) {
      uint64_t x = 0;
      for (size_t b = 0; b < 8; b++)
        x |= (uint64_t)in[(8 * j + b) * plane + g] << 8 * b;
      x = transpose8(x);
      for (size_t i = 0; i < 8; i++)
        out[(8 * g + i) * item + j] = (unsigned char)(x >> 8 * i);
    }
}

static size_t number32(const unsigned char *p) {
  return (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
}

typedef struct stream {
  const unsigned char *in;
  size_t n, item;
  unsigned codec;
  unsigned char *work; /* room for a block */
} stream;

/* One block of 'bytes' from the front of the stream. */
static bool block(stream *s, unsigned char *out, size_t bytes) {
  size_t packed = bytes;
  const unsigned char *in = s->in;
  if (s->codec != NONE) {
    if (s->n < 4 || (packed = number32(in)) > s->n - 4) return false;
    in += 4;
    size_t got = s->codec == LZ4 ? dyn_unlz4(s->work, bytes, in, packed)
                                 : dyn_unzstd(s->work, bytes, in, packed);
    if (got != bytes) return false;
    planes(out, s->work, bytes / s->item, s->item);
  } else {
    if (bytes > s->n) return false;
    planes(out, in, bytes / s->item, s->item);
  }
  s->n -= (size_t)(in - s->in) + packed;
  s->in = in + packed;
  return true;
}

/* Bytes in a block; 0: the numbers of the filter are not possible. */
static size_t block_bytes(const stream *s, size_t numbers) {
  if (numbers == 0) {
    numbers = BLOCK_BYTES / s->item / 8 * 8;
    if (numbers < LEAST) numbers = LEAST;
  }
  return numbers % 8 || numbers > LARGEST / s->item ? 0 : numbers * s->item;
}

size_t dyn_unbitshuffle(unsigned char *out, size_t room,
                        const unsigned char *in, size_t n,
                        const unsigned *param, size_t nparam) {
  stream s = {.in = in, .n = n, .item = nparam > 2 ? param[2] : 0};
  size_t bytes = n, size, done = 0;
  s.codec = nparam > 4 ? param[4] : NONE;
  if (s.item == 0 || s.item > 256 ||
      (s.codec != NONE && s.codec != LZ4 && s.codec != ZSTD))
    return 0;
  size = block_bytes(&s, nparam > 3 ? param[3] : 0);
  if (s.codec != NONE) { /* bytes (8), bytes in a block (4) */
    if (n < 12 || number32(in)) return 0;
    bytes = number32(in + 4);
    size = block_bytes(&s, number32(in + 8) / s.item);
    s.in += 12;
    s.n -= 12;
  }
  if (size == 0 || bytes > room || bytes % s.item) return 0;
  size_t eights = bytes / s.item / 8 * 8 * s.item;
  s.work = dyn_alloc_raw(size, 1);
  if (!s.work) return 0;
  while (done < eights) {
    size_t want = eights - done < size ? eights - done : size;
    if (!block(&s, out + done, want)) break;
    done += want;
  }
  dyn_free(s.work, size, 1);
  if (done < eights || s.n < bytes - eights) return 0;
  memcpy(out + eights, s.in, bytes - eights);
  return bytes;
}
