/* test_h5_chunks.c -- strings, filters, and chunks unpacked in two ways. */
#include "test.h"

#include <hdf5.h>
#include <libdeflate.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "core/rng.h"
#include "io/h5.h"
#include "io/h5_filters.h"

static char dir[] = "/tmp/dyn_h5cXXXXXX";

static const char *in_dir(const char *name) {
  static char buf[128];
  snprintf(buf, sizeof buf, "%s/%s", dir, name);
  return buf;
}

static dyn_status add(dyn_textlist *t, const char *s) {
  return dyn_textlist_add(t, s, strlen(s), NULL);
}

static dyn_status oom_add(void) {
  dyn_textlist t = {0};
  dyn_status st = DYN_OK;
  for (int i = 0; st == DYN_OK && i < 100; i++) st = add(&t, "abcdefgh");
  dyn_textlist_free(&t);
  return st;
}

/* ---- text ----------------------------------------------------------------- */

static void text(void) {
  char buf[64], small[12];
  OK(dyn_utf8("TP53", 4) && dyn_utf8("γδ", 4) && dyn_utf8("", 0));
  OK(!dyn_utf8("\xff", 1) && !dyn_utf8("\xc0\x80", 2)); /* overlong */
  OK(!dyn_utf8("\xed\xa0\x80", 3) && !dyn_utf8("\xf4\x90\x80\x80", 4));
  OK(!dyn_utf8("\xe2\x82", 2)); /* cut */
  OK(strcmp(dyn_escape(buf, sizeof buf, "a\x1b\n\xffé"), "a\\x1b\\x0a\\xffé") ==
     0);
  OK(strcmp(dyn_escape(small, sizeof small, "0123456789abcdef"),
            "01234567...") == 0);
  OK(strcmp(dyn_bytes_text((char[24]){0}, 0x1p43), "8.0 TiB") == 0);
  OK(strcmp(dyn_bytes_text((char[24]){0}, 512), "512 bytes") == 0);
}

static void lists(void) {
  dyn_textlist t = {0};
  char name[16];
  int64_t i, j, n;
  for (int k = 0; k < 1000; k++) {
    snprintf(name, sizeof name, "g%d", k % 990);
    OK(k > 2 || add(&t, name) == DYN_OK);
    if (k > 2 && add(&t, name) != DYN_OK) break;
  }
  OK(t.n == 1000 && strcmp(dyn_textlist_get(&t, 7), "g7") == 0);
  OK(dyn_textlist_find(&t, "g989") == 989 && dyn_textlist_find(&t, "x") < 0);
  OK(dyn_textlist_repeat(&t, &i, &j, &n, NULL) == DYN_OK);
  OK(i == 0 && j == 990 && n == 10);
  dyn_textlist_free(&t);
  OK(dyn_textlist_repeat(&t, &i, &j, &n, NULL) == DYN_OK && i == -1 && n == 0);
}

/* ---- filters -------------------------------------------------------------- */

static void lzf(void) {
  /* "aaaaaaaaaa" as h5py's compressor writes it: literal, copy 9 from 1 back */
  const unsigned char in[] = {0, 'a', 7 << 5, 0, 0};
  unsigned char out[16];
  OK(dyn_lzf(out, sizeof out, in, 5) == 10 &&
     memcmp(out, "aaaaaaaaaa", 10) == 0);
  OK(dyn_lzf(out, 9, in, 5) == 0);              /* no room */
  OK(dyn_lzf(out, sizeof out, in, 4) == 0);     /* cut */
  OK(dyn_lzf(out, sizeof out, in + 2, 3) == 0); /* back before the start */
}

static void codecs(void) {
  enum {
    N = 1000
  };
  static int32_t x[N];
  static unsigned char z[8 * N], y[4 * N], w[4 * N];
  for (int i = 0; i < N; i++) x[i] = i / 3;
  size_t n = ZSTD_compress(z, sizeof z, x, sizeof x, 3);
  OK(dyn_unzstd(y, sizeof y, z, n) == sizeof x && memcmp(x, y, sizeof x) == 0);
  OK(dyn_unzstd(y, sizeof y - 1, z, n) == 0 && dyn_unzstd(y, 9, z, 3) == 0);
  struct libdeflate_compressor *c = libdeflate_alloc_compressor(6);
  void *inf = dyn_inflater_new();
  n = libdeflate_zlib_compress(c, x, sizeof x, z, sizeof z);
  libdeflate_free_compressor(c);
  OK(dyn_inflater_run(inf, y, sizeof y, z, n) == sizeof x &&
     memcmp(x, y, sizeof x) == 0);
  z[n / 2] ^= 1;
  OK(dyn_inflater_run(inf, y, sizeof y, z, n) == 0);
  dyn_inflater_free(inf);
  for (size_t k = 0; k < 4; k++)
    for (int i = 0; i < N; i++)
      z[k * N + (size_t)i] = ((unsigned char *)x)[4 * i + (int)k];
  dyn_unshuffle(w, z, sizeof w, 4);
  OK(memcmp(w, x, sizeof x) == 0);
  OK(dyn_fletcher32((const unsigned char *)"abcdefgh", 8) == 0xe1eb9195);
}

/* ---- chunks, unpacked by us and by the library ---------------------------- */

typedef struct layout {
  const char *what;
  hid_t type;
  int rank;
  hsize_t dim[2], chunk[2];
  const char *filters; /* s shuffle, d deflate, f fletcher32 */
} layout;

static void make_dataset(hid_t f, const char *name, const layout *l) {
  hsize_t n = l->dim[0] * (l->rank > 1 ? l->dim[1] : 1);
  double *v = malloc(n * sizeof *v);
  dyn_rng g = dyn_rng_stream(1, 0);
  for (hsize_t i = 0; v && i < n; i++) v[i] = (double)dyn_rng_below(&g, 120);
  hid_t p = H5Pcreate(H5P_DATASET_CREATE),
        s = H5Screate_simple(l->rank, l->dim, NULL);
  if (l->chunk[0]) H5Pset_chunk(p, l->rank, l->chunk);
  for (const char *c = l->filters; *c; c++) {
    if (*c == 's') H5Pset_shuffle(p);
    if (*c == 'd') H5Pset_deflate(p, 4);
    if (*c == 'f') H5Pset_fletcher32(p);
  }
  hid_t d = H5Dcreate2(f, name, l->type, s, H5P_DEFAULT, p, H5P_DEFAULT);
  H5Dwrite(d, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, v);
  H5Dclose(d);
  H5Sclose(s);
  H5Pclose(p);
  free(v);
}

/* n rows from 'lo', 'step' at a time. */
static bool read_steps(dyn_h5 *f, const char *name, dyn_h5_mem to, int64_t lo,
                       int64_t n, int64_t step, size_t row, char *out) {
  size_t wide = to == DYN_H5_F32 || to == DYN_H5_I32 ? 4 : 8;
  bool ok = true;
  for (int64_t k = 0; k < n && ok; k += step) {
    int64_t m = n - k < step ? n - k : step;
    ok = dyn_h5_read(f, name, NULL, to, lo + k, m, (size_t)m * row,
                     out + (size_t)k * row * wide, NULL) == DYN_OK;
  }
  return ok;
}

/* All at once and two thirds (ours, where it can) against a few rows at a time
** (the library's). */
static bool same_both_ways(dyn_h5 *f, const char *name, const layout *l,
                           dyn_h5_mem to) {
  size_t wide = to == DYN_H5_F32 || to == DYN_H5_I32 ? 4 : 8;
  size_t row = l->rank > 1 ? (size_t)l->dim[1] : 1, n = (size_t)l->dim[0] * row;
  int64_t rows = (int64_t)l->dim[0], third = rows / 3;
  char *a = malloc(n * wide), *b = malloc(n * wide);
  bool ok = read_steps(f, name, to, 0, rows, rows, row, a) &&
            read_steps(f, name, to, 0, rows, 20000 / (int64_t)row + 1, row, b);
  ok = ok && memcmp(a, b, n * wide) == 0;
  ok = ok && read_steps(f, name, to, third, rows - third, rows, row, b);
  ok = ok && memcmp(a + (size_t)third * row * wide, b,
                    (size_t)(rows - third) * row * wide) == 0;
  free(a);
  free(b);
  return ok;
}

static void chunks(void) {
  const layout all[] = {
      {"float, vector", H5T_IEEE_F32LE, 1, {100001}, {1000}, "d"},
      {"float, shuffled", H5T_IEEE_F32LE, 1, {100001}, {4096}, "sd"},
      {"double, checked", H5T_IEEE_F64LE, 1, {50000}, {50000}, "sdf"},
      {"int, checked first", H5T_STD_I32LE, 1, {70000}, {999}, "fsd"},
      {"long", H5T_STD_I64LE, 1, {70000}, {8192}, "d"},
      {"byte", H5T_STD_I8LE, 1, {70000}, {100}, "sd"},
      {"unsigned short", H5T_STD_U16LE, 1, {70000}, {8192}, "sd"},
      {"unsigned", H5T_STD_U32LE, 1, {70000}, {70000}, "dfs"},
      {"big-endian", H5T_IEEE_F64BE, 1, {70000}, {8192}, "sd"},
      {"matrix, edges", H5T_IEEE_F32LE, 2, {301, 203}, {50, 60}, "sd"},
      {"matrix, rows", H5T_IEEE_F64LE, 2, {301, 203}, {7, 203}, "d"},
      {"matrix, columns", H5T_STD_I16LE, 2, {301, 203}, {301, 1}, "d"},
      {"one column", H5T_IEEE_F32LE, 2, {70000, 1}, {1000, 1}, "sdf"},
      {"one row", H5T_IEEE_F32LE, 2, {1, 70000}, {1, 1000}, "sdf"},
      {"no deflate", H5T_IEEE_F32LE, 1, {70000}, {1000}, "sf"},
      {"no filter", H5T_STD_I32LE, 1, {70000}, {1000}, ""},
      {"no chunks", H5T_IEEE_F32LE, 1, {700001}, {0}, ""},
      {"matrix, no chunks", H5T_STD_I64LE, 2, {1301, 203}, {0}, ""},
  };
  char name[16];
  dyn_h5 *f = NULL;
  hid_t h =
      H5Fcreate(in_dir("chunks.h5"), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    snprintf(name, sizeof name, "d%zu", i);
    make_dataset(h, name, &all[i]);
  }
  H5Fclose(h);
  OK(dyn_h5_open(&f, in_dir("chunks.h5"), 0, NULL) == DYN_OK);
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    snprintf(name, sizeof name, "d%zu", i);
    bool whole = H5Tget_class(all[i].type) == H5T_INTEGER;
    bool ok = same_both_ways(f, name, &all[i], DYN_H5_F32) &&
              same_both_ways(f, name, &all[i], DYN_H5_F64) &&
              (!whole || (same_both_ways(f, name, &all[i], DYN_H5_I32) &&
                          same_both_ways(f, name, &all[i], DYN_H5_I64)));
    ok_(ok, all[i].what, __FILE__, __LINE__);
  }
  dyn_h5_close(f);
  unlink(in_dir("chunks.h5"));
}

/* ---- filters of other programs -------------------------------------------- */

/* The numbers 0 0 0 1 1 1 ... 12 (int32), one chunk, as the plugins of Debian
** (bitshuffle 0.3.5, hdf5-filter-plugin 0.0~git20221111) write it. */
static const struct {
  const char *what;
  int id;
  unsigned param[5];
  size_t nparam;
  const char *hex;
} golden[] = {
    {"bitshuffle",
     32008,
     {0, 3, 4, 0, 0},
     5,
     "388ee338c00ffcc000f0ff00000000ff0000000000000000000000000000000000000000"
     "000000000000000000000000000000000000000000000000000000000000000000000000"
     "000000000000000000000000000000000000000000000000000000000000000000000000"
     "0000000000000000000000000000000000000000"
     "0a0000000b0000000b0000000b00"
     "00000c000000"},
    {"bitshuffle, LZ4",
     32008,
     {0, 3, 4, 0, 2},
     5,
     "0000000000000094000020000000001df100388ee338c00ffcc000f0ff00000000050"
     "00f0200545000000000000a0000000b0000000b0000000b0000000c000000"},
    {"bitshuffle, LZ4, two blocks",
     32008,
     {0, 3, 4, 16, 2},
     5,
     "000000000000009400000040000000117f388ec00f00f00001002150000000000000000"
     "0139fe338fcc0ff0000ff0001001f5000000000000a0000000b0000000b0000000b0000"
     "000c000000"},
    {"LZ4",
     32004,
     {0},
     1,
     "00000000000000940000009400000036170001001701040017020400170304001704040"
     "01705040017060400170704001708040017090400170a0400160b040050000c000000"},
};

static size_t from_hex(unsigned char *out, const char *hex) {
  size_t n = 0;
  unsigned v;
  for (; sscanf(hex, "%2x", &v) == 1; hex += 2) out[n++] = (unsigned char)v;
  return n;
}

static bool counts(const unsigned char *p) {
  for (int32_t i = 0, v; i < 37; i++) {
    memcpy(&v, p + 4 * i, 4);
    if (v != i / 3) return false;
  }
  return true;
}

/* Whole, with little room, cut and changed anywhere: never outside 'out'. */
static void plugins(void) {
  unsigned char in[200], out[148 + 8];
  for (size_t g = 0; g < sizeof golden / sizeof *golden; g++) {
    size_t n = from_hex(in, golden[g].hex), wrong = 0;
    const unsigned *param = golden[g].param;
    bool ok = dyn_unpack(golden[g].id, param, golden[g].nparam, out, 148, in,
                         n) == 148;
    ok_(ok && counts(out), golden[g].what, __FILE__, __LINE__);
    OK(dyn_unpack(golden[g].id, param, golden[g].nparam, out, 147, in, n) == 0);
    memset(out, 0xee, sizeof out);
    for (size_t k = 0; k < 8 * n; k++) {
      in[k / 8] ^= (unsigned char)(1 << k % 8);
      wrong += dyn_unpack(golden[g].id, param, golden[g].nparam, out, 148, in,
                          n - k % 3) > 148;
      in[k / 8] ^= (unsigned char)(1 << k % 8);
    }
    for (size_t k = 148; k < sizeof out; k++) wrong += out[k] != 0xee;
    for (size_t k = 0; k < n; k++)
      wrong += dyn_unpack(golden[g].id, param, golden[g].nparam, out, 148, in,
                          k) == 148;
    OK(wrong == 0);
  }
}

/* bitshuffle with zstd, from the planes that bitshuffle alone gives. */
static void bitshuffle_zstd(void) {
  const unsigned param[] = {0, 3, 4, 0, 3};
  unsigned char flat[200], in[400] = {[7] = 148, [10] = 0x20}, out[148];
  size_t n = from_hex(flat, golden[0].hex), k;
  OK(n == 148);
  k = ZSTD_compress(in + 16, 300, flat, 128, 3);
  in[15] = (unsigned char)k;
  memcpy(in + 16 + k, flat + 128, 20);
  OK(dyn_unpack(32008, param, 5, out, 148, in, 16 + k + 20) == 148);
  OK(counts(out));
  const unsigned other[] = {0, 3, 4, 0, 1}, odd[] = {0, 3, 0, 0, 3};
  OK(dyn_unpack(32008, other, 5, out, 148, in, 16 + k + 20) == 0);
  OK(dyn_unpack(32008, odd, 5, out, 148, in, 16 + k + 20) == 0);
  OK(dyn_unpack(32008, param, 2, out, 148, in, 16 + k + 20) == 0);
}

/* Golden chunks in files, before the library knows decoders without encoders:
** each of them often enough that we unpack them ourselves. */
static void make_foreign(void) {
  hsize_t n = 37 * 1000, c = 37;
  unsigned char z[200];
  hid_t f =
      H5Fcreate(in_dir("foreign.h5"), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  hid_t s = H5Screate_simple(1, &n, NULL);
  for (size_t g = 0; g < sizeof golden / sizeof *golden; g++) {
    hid_t p = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(p, 1, &c);
    H5Pset_filter(p, golden[g].id, H5Z_FLAG_OPTIONAL, golden[g].nparam,
                  golden[g].param);
    hid_t d = H5Dcreate2(f, golden[g].what, H5T_STD_I32LE, s, H5P_DEFAULT, p,
                         H5P_DEFAULT);
    size_t k = from_hex(z, golden[g].hex);
    for (hsize_t at = 0; at < n; at += c)
      H5Dwrite_chunk(d, H5P_DEFAULT, 0, &at, k, z);
    H5Dclose(d);
    H5Pclose(p);
  }
  H5Sclose(s);
  H5Fclose(f);
}

static void read_foreign(void) {
  static int32_t x[37000];
  dyn_h5 *f = NULL;
  OK(dyn_h5_open(&f, in_dir("foreign.h5"), 0, NULL) == DYN_OK);
  for (size_t g = 0; g < sizeof golden / sizeof *golden; g++) {
    const char *name = golden[g].what;
    bool ok = dyn_h5_read(f, name, NULL, DYN_H5_I32, 0, 37000, 37000, x,
                          NULL) == DYN_OK; /* ours */
    for (int i = 0; i < 37000; i++) ok = ok && x[i] == i % 37 / 3;
    ok = ok && dyn_h5_read(f, name, NULL, DYN_H5_I32, 37, 370, 370, x, NULL) ==
                   DYN_OK; /* by way of the library */
    for (int i = 0; i < 370; i++) ok = ok && x[i] == i % 37 / 3;
    ok_(ok, name, __FILE__, __LINE__);
  }
  dyn_h5_close(f);
  unlink(in_dir("foreign.h5"));
}

/*
** zstd: made before the library knows a decoder without an encoder. One frame
** per chunk; the last chunk is damaged.
*/
static void make_zstd(void) {
  hsize_t n = 3000, c = 1000;
  float x[1000];
  unsigned level = 3;
  char z[8000];
  hid_t f =
      H5Fcreate(in_dir("zstd.h5"), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  hid_t p = H5Pcreate(H5P_DATASET_CREATE), s = H5Screate_simple(1, &n, NULL);
  H5Pset_chunk(p, 1, &c);
  H5Pset_filter(p, 32015, H5Z_FLAG_OPTIONAL, 1, &level);
  hid_t d = H5Dcreate2(f, "x", H5T_IEEE_F32LE, s, H5P_DEFAULT, p, H5P_DEFAULT);
  for (hsize_t at = 0; at < n; at += c) {
    for (int i = 0; i < 1000; i++) x[i] = (float)((int)at + i);
    size_t k = ZSTD_compress(z, sizeof z, x, sizeof x, 3);
    if (at == 2000) z[k / 2] ^= 1;
    H5Dwrite_chunk(d, H5P_DEFAULT, 0, &at, at == 2000 ? k / 2 : k, z);
  }
  H5Dclose(d);
  H5Sclose(s);
  H5Pclose(p);
  H5Fclose(f);
}

static void read_zstd(void) {
  static float x[3000];
  dyn_h5 *f = NULL;
  dyn_err e;
  OK(dyn_h5_open(&f, in_dir("zstd.h5"), 0, &e) == DYN_OK);
  OK(dyn_h5_read(f, "x", NULL, DYN_H5_F32, 0, 2000, 2000, x, &e) == DYN_OK);
  OK(x[0] == 0 && x[1999] == 1999);
  OK(dyn_h5_read(f, "x", NULL, DYN_H5_F32, 0, 3000, 3000, x, &e) ==
     DYN_EFORMAT);
  printf("# %s\n", e.msg);
  dyn_h5_close(f);
  unlink(in_dir("zstd.h5"));
}

int main(void) {
  if (!mkdtemp(dir)) return 1;
  make_zstd();
  make_foreign();
  read_zstd();
  read_foreign();
  text();
  lists();
  lzf();
  codecs();
  plugins();
  bitshuffle_zstd();
  chunks();
  OUT_OF_MEMORY(oom_add());
  OK(rmdir(dir) == 0);
  return done_testing();
}
