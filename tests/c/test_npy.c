#include "test.h"

#include <string.h>
#include <unistd.h>

#include "io/npy.h"

static dyn_err e;
static dyn_array A;
static dyn_npz Z;
static char buf[70000];

static bool says(dyn_status st, dyn_status want, const char *text) {
  bool good = st == want && strstr(e.msg, text);
  if (!good) printf("# %s: %s\n", dyn_status_name(st), e.msg);
  return good;
}

/* A version 1.0 file with this dictionary and n bytes of data. */
static size_t image(const char *dict, const void *data, size_t n) {
  size_t len = strlen(dict);
  memcpy(buf, "\x93NUMPY\x01\0", 8);
  buf[8] = (char)(len & 255);
  buf[9] = (char)(len >> 8);
  memcpy(buf + 10, dict, len);
  if (n) memcpy(buf + 10 + len, data, n);
  return 10 + len + n;
}

static dyn_status parse(const char *dict, const void *data, size_t n) {
  size_t all = image(dict, data, n);
  dyn_array_free(&A);
  return dyn_npy_parse(&A, "e.npy", buf, all, 1 << 20, &e);
}

#define DICT(descr, order, shape) \
  "{'descr': '" descr "', 'fortran_order': " order ", 'shape': " shape ", }  \n"

static double at(ptrdiff_t i) { return dyn_tensor_get(&A.number, i); }

static void numbers(void) {
  float f[6] = {1, 2, 3, 4, 5, 6};
  OK(parse(DICT("<f4", "False", "(2, 3)"), f, 24) == DYN_OK &&
     A.number.size[0] == 2 && A.number.size[1] == 3 && at(5) == 6);
  OK(parse(DICT("<f4", "True", "(2, 3)"), f, 24) == DYN_OK && at(0) == 1 &&
     at(1) == 3 && at(2) == 5 && at(3) == 2);
  OK(parse(DICT("<f4", "False", "()"), f, 4) == DYN_OK && A.number.ndim == 0);
  OK(parse(DICT("<f4", "False", "(0, 3)"), f, 0) == DYN_OK);
  OK(parse(DICT("<f4", "False", "(6L,)"), f, 24) == DYN_OK && at(3) == 4);
  OK(parse("{\"shape\": (6,), \"fortran_order\": False, \"descr\": \"<f4\"}", f,
           24) == DYN_OK);
  OK(parse(DICT("|b1", "False", "(2,)"), "\0\1", 2) == DYN_OK && at(1) == 1);
  OK(parse(DICT("|i1", "False", "(2,)"), "\xff\1", 2) == DYN_OK &&
     at(0) == -1 && A.number.type == DYN_F32);
  OK(parse(DICT(">i2", "False", "(1,)"), "\1\2", 2) == DYN_OK && at(0) == 258);
  OK(parse(DICT("<u4", "False", "(1,)"), "\xff\xff\xff\xff", 4) == DYN_OK &&
     at(0) == 4294967295.0);
  OK(parse(DICT("<i8", "False", "(1,)"), "\xfe\xff\xff\xff\xff\xff\xff\xff",
           8) == DYN_OK &&
     at(0) == -2);
  OK(parse(DICT("<f2", "False", "(4,)"), "\0\x3c\0\xc0\x01\0\0\x7c", 8) ==
         DYN_OK &&
     at(0) == 1 && at(1) == -2 && at(2) == ldexp(1, -24) && isinf(at(3)));
  OK(parse(DICT(">f8", "False", "(1,)"), "\x3f\xf8\0\0\0\0\0\0", 8) == DYN_OK &&
     at(0) == 1.5);
}

static void texts(void) {
  const char u[] = "K\0\0\0L\0\0\0\0\0\0\0\xe9\0\0\0\0\0\0\0\0\0\0\0";
  OK(parse(DICT("<U3", "False", "(2,)"), u, 24) == DYN_OK && A.is_text &&
     !strcmp(dyn_textlist_get(&A.text, 0), "KL") &&
     !strcmp(dyn_textlist_get(&A.text, 1), "\xc3\xa9"));
  OK(parse(DICT("|S3", "False", "(2,)"), "ab\0cde", 6) == DYN_OK &&
     !strcmp(dyn_textlist_get(&A.text, 1), "cde"));
  OK(says(parse(DICT("|S2", "False", "(1,)"), "\xff\xfe", 2), DYN_EFORMAT,
          "string 1 is not text"));
  OK(says(parse(DICT("<U1", "False", "(1,)"), "\0\xd8\0\0", 4), DYN_EFORMAT,
          "string 1 is not text"));
}

static void hostile(void) {
  OK(says(parse(DICT("|O", "False", "(1,)"), "12345678", 8), DYN_EFORMAT,
          "holds pickled Python objects, which are never loaded"));
  OK(says(parse("{'descr': [('a', '<f4')], 'shape': (1,)}", "", 0), DYN_EFORMAT,
          "record arrays are not supported (descr [('a', '<f4')"));
  OK(says(parse(DICT("<f4", "False", "(20000, 128)"), "1234", 4), DYN_EFORMAT,
          "e.npy: shape (20000, 128) needs 10240000 bytes, the file has 4"));
  OK(says(parse(DICT("<f4", "False", "(9223372036854775807,)"), "", 0),
          DYN_EFORMAT, "overflows"));
  OK(says(parse(DICT("<f4", "False", "(99999999999999999999,)"), "", 0),
          DYN_EFORMAT, "shape overflows"));
  OK(says(parse(DICT("<U0", "False", "(9000000,)"), "", 0), DYN_EFORMAT,
          "needs 137.3 MiB, limit 1.0 MiB"));
  OK(says(parse(DICT("<f4", "False", "((1, 2), 3)"), "", 0), DYN_EFORMAT,
          "header is damaged (shape)"));
  OK(says(parse(DICT("<f4", "False", "(1, 1, 1, 1, 1, 1, 1)"), "", 0),
          DYN_EFORMAT, "more than 6 dimensions"));
  OK(says(parse(DICT("<c8", "False", "(1,)"), "", 0), DYN_EFORMAT,
          "dtype '<c8' is not supported"));
  OK(says(parse("{'descr': '<f4', 'shape': (1,)", "", 0), DYN_EFORMAT,
          "damaged (no end)"));
  OK(says(parse("{'descr': '<f4', 'descr': '<f4', }", "", 0), DYN_EFORMAT,
          "damaged (key)"));
  OK(says(parse("{'descr': '<f4', }", "", 0), DYN_EFORMAT, "a key is missing"));
  OK(says(parse(DICT("<f4", "False", "(1,)") "x", "", 0), DYN_EFORMAT,
          "text behind it"));
  OK(says(parse(DICT("<f4", "maybe", "(1,)"), "", 0), DYN_EFORMAT,
          "damaged (fortran_order)"));
  dyn_array_free(&A);
  OK(says(dyn_npy_parse(&A, "e.npy", "\x93NUMPY\x09\0\0\0", 10, 99, &e),
          DYN_EFORMAT, "npy version 9.0 is not known"));
  OK(says(dyn_npy_parse(&A, "e.npy", "\x93NUMPY\x02\0\0\0\0\x7f", 12, 99, &e),
          DYN_EFORMAT, "npy header of 2130706432 bytes"));
  OK(says(dyn_npy_parse(&A, "e.npy", "hello", 5, 99, &e), DYN_EFORMAT,
          "not an npy file"));
}

/* ---- files ---------------------------------------------------------------- */

static char path[64];

static void fill(dyn_npz *z) {
  static const char *const genes[] = {"KLF1", "G\xc3\xa4TA1"};
  ptrdiff_t size[2] = {2, 3};
  z->room = 2;
  z->item = dyn_alloc(2, sizeof *z->item);
  if (dyn_textlist_add(&z->name, "IDs", 3, &e) != DYN_OK) abort();
  if (dyn_textlist_add(&z->name, "data", 4, &e) != DYN_OK) abort();
  z->item[0].is_text = true;
  z->item[0].ndim = 1;
  z->item[0].size[0] = 2;
  for (int i = 0; i < 2; i++)
    if (dyn_textlist_add(&z->item[0].text, genes[i], strlen(genes[i]), &e))
      abort();
  if (dyn_tensor_new(&z->item[1].number, DYN_F32, 2, size, &e) != DYN_OK)
    abort();
  for (int i = 0; i < 6; i++) dyn_tensor_set(&z->item[1].number, i, i / 2.0);
}

static bool as_filled(const dyn_npz *z) {
  return z->name.n == 2 && !strcmp(dyn_textlist_get(&z->name, 1), "data") &&
         !strcmp(dyn_textlist_get(&z->item[0].text, 1), "G\xc3\xa4TA1") &&
         z->item[1].number.size[1] == 3 &&
         dyn_tensor_get(&z->item[1].number, 5) == 2.5;
}

static void round_trip(void) {
  dyn_npz z = {0};
  fill(&z);
  OK(dyn_npz_write(path, &z, &e) == DYN_OK);
  OK(dyn_npz_read(&Z, path, 0, &e) == DYN_OK && as_filled(&Z));
  dyn_npz_free(&Z);
  OK(dyn_npy_write(path, &z.item[0], &e) == DYN_OK &&
     dyn_npy_read(&A, path, 0, &e) == DYN_OK && A.is_text &&
     !strcmp(dyn_textlist_get(&A.text, 0), "KLF1"));
  dyn_array_free(&A);
  dyn_tensor t = z.item[1].number; /* a strided view is written as it looks */
  dyn_tensor_swap(&z.item[1].number, &t, 0, 1);
  dyn_tensor_free(&t);
  OK(dyn_npy_write(path, &z.item[1], &e) == DYN_OK &&
     dyn_npy_read(&A, path, 0, &e) == DYN_OK && A.number.size[0] == 3 &&
     at(1) == 1.5);
  OK(says(dyn_npy_write("/nowhere/x.npy", &z.item[1], &e), DYN_EIO,
          "cannot be written: No such file"));
  OK(says(dyn_npy_read(&A, "/nowhere/x.npy", 0, &e), DYN_EIO, "No such file"));
  dyn_array_free(&A);
  dyn_npz_free(&z);
}

static size_t archive(void) { /* into buf */
  dyn_npz z = {0};
  fill(&z);
  if (dyn_npz_write(path, &z, &e) != DYN_OK) abort();
  dyn_npz_free(&z);
  FILE *f = fopen(path, "rb");
  size_t n = fread(buf, 1, sizeof buf, f);
  fclose(f);
  return n;
}

static dyn_status unzip(size_t n) {
  dyn_npz_free(&Z);
  return dyn_npz_parse(&Z, "e.npz", buf, n, 1 << 20, &e);
}

static char *directory(size_t n) { return memmem(buf, n, "PK\1\2", 4); }

static void damaged_archives(void) {
  size_t n = archive();
  char *d = directory(n);
  OK(unzip(n) == DYN_OK && as_filled(&Z));
  buf[200]++;
  OK(says(unzip(n), DYN_EFORMAT, "e.npz: member 'IDs.npy' is damaged"));
  buf[200]--;
  d[8] = 1;
  OK(says(unzip(n), DYN_EFORMAT, "member 'IDs.npy' is encrypted"));
  d[8] = 0;
  d[10] = 99;
  OK(says(unzip(n), DYN_EFORMAT, "packed by method 99"));
  d[10] = 8; /* says deflated, is not */
  OK(says(unzip(n), DYN_EFORMAT, "member 'IDs.npy' is damaged"));
  d[27] = 0x7f; /* 2 GB, it says */
  OK(says(unzip(n), DYN_EFORMAT, "member 'IDs.npy' is damaged"));
  n = archive();
  memcpy(d + 42, "\xff\xff\xff\x7f", 4);
  OK(says(unzip(n), DYN_EFORMAT, "member 'IDs.npy' is damaged"));
  memcpy(d + 42, "\xff\xff\xff\xff", 4); /* zip64, and no extra field */
  OK(says(unzip(n), DYN_EFORMAT, "member 'IDs.npy' is damaged"));
  n = archive();
  memcpy(d + 46, "IDs.txt", 7);
  OK(unzip(n) == DYN_OK && Z.name.n == 1);
  memcpy(d + 46, "I\xffs.npy", 7);
  OK(says(unzip(n), DYN_EFORMAT, "member name 'I\\xffs.npy' is not text"));
  n = archive();
  buf[n - 1 - 11] = 9; /* number of members */
  OK(says(unzip(n), DYN_EFORMAT, "number of members"));
  n = archive();
  for (size_t cut = 0; cut < n; cut += 7)
    if (unzip(cut) == DYN_OK) abort();
  OK(says(unzip(n - 1), DYN_EFORMAT, "the zip archive is damaged"));
}

static void names(void) {
  dyn_npz z = {0};
  fill(&z);
  if (dyn_textlist_add(&z.name, "", 0, &e) != DYN_OK) abort();
  z.name.n = 2;
  memcpy(z.name.text + z.name.at[1], "IDs\0", 4);
  OK(says(dyn_npz_write(path, &z, &e), DYN_EVALUE,
          "array 'IDs' is there twice"));
  memcpy(z.name.text + z.name.at[1], "../x", 4);
  OK(says(dyn_npz_write(path, &z, &e), DYN_EVALUE, "is not a name"));
  dyn_npz_free(&z);
}

static dyn_status write_and_read(void) {
  static dyn_npz z;
  if (!z.room) {
    fill(&z);
    return DYN_ENOMEM;
  }
  dyn_npz r = {0};
  dyn_status st = dyn_npz_write(path, &z, NULL);
  if (st == DYN_OK) st = dyn_npz_read(&r, path, 0, NULL);
  dyn_npz_free(&r);
  if (st == DYN_OK) dyn_npz_free(&z);
  return st;
}

static dyn_status one_text(void) {
  dyn_array a = {0};
  size_t n = image(DICT("|S3", "True", "(2,)"), "ab\0cde", 6);
  dyn_status st = dyn_npy_parse(&a, "f", buf, n, 1 << 20, NULL);
  dyn_array_free(&a);
  return st;
}

int main(void) {
  snprintf(path, sizeof path, "/tmp/dynamo-npy-%ld", (long)getpid());
  numbers();
  texts();
  hostile();
  round_trip();
  damaged_archives();
  names();
  dyn_npz_free(&Z);
  dyn_array_free(&A);
  (void)write_and_read(); /* makes what is written */
  OUT_OF_MEMORY(write_and_read());
  OUT_OF_MEMORY(one_text());
  unlink(path);
  return done_testing();
}
