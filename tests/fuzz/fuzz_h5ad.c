/*
** AnnData files at the level of objects: a good file, changed as the bytes say
** (datasets of other types and shapes, members gone, linked to each other,
** attributes of other words), then all of it read. Single bytes of a file would
** find the mistakes of the HDF5 library, not ours.
*/
#include <hdf5.h>
#include <string.h>

#include "io/h5ad.h"

#include "fuzz.h"

enum {
  CELLS = 3,
  GENES = 2
};

static const char *const paths[] = {"/",
                                    "X",
                                    "X/data",
                                    "X/indices",
                                    "X/indptr",
                                    "obs",
                                    "obs/_index",
                                    "obs/p",
                                    "obs/p/codes",
                                    "obs/p/categories",
                                    "var",
                                    "var/_index",
                                    "layers",
                                    "layers/a",
                                    "obsm",
                                    "obsm/X_pca",
                                    "uns",
                                    "uns/k",
                                    "raw",
                                    "raw/X",
                                    "raw/var",
                                    "raw/var/_index",
                                    "obs/__categories",
                                    "obs/m",
                                    "obs/m/values",
                                    "obs/m/mask",
                                    "matrix",
                                    "matrix/data",
                                    "matrix/features",
                                    "row_attrs",
                                    "col_attrs",
                                    "varm"};
static const char *const names[] = {
    "encoding-type", "encoding-version", "shape",   "_index",
    "column-order",  "categories",       "ordered", "h5sparse_format"};
static const char *const words[] = {"anndata",
                                    "csr_matrix",
                                    "csc_matrix",
                                    "dataframe",
                                    "categorical",
                                    "array",
                                    "string-array",
                                    "0.2.0",
                                    "0.1.0",
                                    "_index",
                                    "p",
                                    "nullable-integer",
                                    "nullable-string-array",
                                    "raw",
                                    "dict",
                                    "a/../b",
                                    "",
                                    "null",
                                    "\xff\xfe",
                                    "m",
                                    "control",
                                    "csr",
                                    "9.9",
                                    "A+B"};
#define OF(list, k) (list[(k) % (sizeof(list) / sizeof *(list))])

/* ---- making the file ------------------------------------------------------ */

static hid_t text_type(void) {
  hid_t t = H5Tcopy(H5T_C_S1);
  H5Tset_size(t, H5T_VARIABLE);
  H5Tset_cset(t, H5T_CSET_UTF8);
  return t;
}

static void drop(hid_t f, const char *path) {
  if (strcmp(path, "/") != 0) H5Ldelete(f, path, H5P_DEFAULT);
}

static void group(hid_t f, const char *path) {
  H5Gclose(H5Gcreate2(f, path, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
}

static void put(hid_t f, const char *path, hid_t file_type, hid_t type,
                int rank, const hsize_t *size, const void *v) {
  hid_t s = rank ? H5Screate_simple(rank, size, NULL) : H5Screate(H5S_SCALAR);
  hid_t d =
      H5Dcreate2(f, path, file_type, s, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  if (d >= 0) H5Dwrite(d, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, v);
  H5Dclose(d);
  H5Sclose(s);
}

static void put_ints(hid_t f, const char *path, hid_t type, hsize_t n,
                     const int *v) {
  put(f, path, type, H5T_NATIVE_INT, 1, &n, v);
}

static void put_texts(hid_t f, const char *path, hsize_t n,
                      const char *const *v) {
  hid_t t = text_type();
  put(f, path, t, t, 1, &n, v);
  H5Tclose(t);
}

static void mark(hid_t f, const char *path, const char *name, hid_t type,
                 hsize_t n, const void *v) {
  hid_t o = H5Oopen(f, path, H5P_DEFAULT);
  if (o < 0) return;
  H5Adelete(o, name);
  hid_t s = n ? H5Screate_simple(1, &n, NULL) : H5Screate(H5S_SCALAR);
  hid_t a = H5Acreate2(o, name, type, s, H5P_DEFAULT, H5P_DEFAULT);
  if (a >= 0) H5Awrite(a, type, v);
  H5Aclose(a);
  H5Sclose(s);
  H5Oclose(o);
}

static void say(hid_t f, const char *path, const char *name, const char *word) {
  hid_t t = text_type();
  mark(f, path, name, t, 0, &word);
  H5Tclose(t);
}

static void frame(hid_t f, const char *path, hsize_t n, const char *column) {
  static const char *const names3[] = {"c1", "c2", "c3"};
  char index[64];
  group(f, path);
  snprintf(index, sizeof index, "%s/_index", path);
  put_texts(f, index, n, names3);
  say(f, path, "_index", "_index");
  say(f, path, "encoding-type", "dataframe");
  say(f, path, "encoding-version", "0.2.0");
  if (!column) return;
  hid_t t = text_type();
  mark(f, path, "column-order", t, 1, &column);
  H5Tclose(t);
}

static void good(hid_t f) {
  static const int data[] = {1, 2, 3}, indices[] = {0, 1, 1},
                   indptr[] = {0, 1, 2, 3}, codes[] = {0, 1, 0};
  static const long long shape[] = {CELLS, GENES};
  static const char *const levels[] = {"control", "A"};
  say(f, "/", "encoding-type", "anndata");
  say(f, "/", "encoding-version", "0.1.0");
  frame(f, "obs", CELLS, "p");
  frame(f, "var", GENES, NULL);
  group(f, "X");
  put_ints(f, "X/data", H5T_NATIVE_FLOAT, 3, data);
  put_ints(f, "X/indices", H5T_NATIVE_INT, 3, indices);
  put_ints(f, "X/indptr", H5T_NATIVE_INT, CELLS + 1, indptr);
  say(f, "X", "encoding-type", "csr_matrix");
  say(f, "X", "encoding-version", "0.1.0");
  mark(f, "X", "shape", H5T_NATIVE_LLONG, 2, shape);
  group(f, "obs/p");
  put_ints(f, "obs/p/codes", H5T_NATIVE_SCHAR, CELLS, codes);
  put_texts(f, "obs/p/categories", 2, levels);
  say(f, "obs/p", "encoding-type", "categorical");
  say(f, "obs/p", "encoding-version", "0.2.0");
  group(f, "layers");
  group(f, "obsm");
  group(f, "uns");
}

/* ---- changing it ---------------------------------------------------------- */

typedef struct source {
  const uint8_t *p;
  size_t n;
} source;

static int next(source *s) {
  if (!s->n) return 0;
  s->n--;
  return *s->p++;
}

static void new_numbers(hid_t f, const char *path, source *s) {
  hid_t types[] = {H5T_NATIVE_SCHAR, H5T_NATIVE_INT,   H5T_NATIVE_LLONG,
                   H5T_NATIVE_UCHAR, H5T_NATIVE_FLOAT, H5T_NATIVE_DOUBLE,
                   H5T_STD_I32BE,    H5T_NATIVE_ULLONG};
  int v[64], kind = next(s), rank = kind / 8 % 4;
  hsize_t size[3] = {(hsize_t)(next(s) % 5), (hsize_t)(next(s) % 4), 2};
  for (int i = 0; i < 64; i++) v[i] = (int)(int8_t)next(s) * (i % 7 ? 1 : 9999);
  drop(f, path);
  put(f, path, OF(types, kind), H5T_NATIVE_INT, rank, size, v);
}

static void new_texts(hid_t f, const char *path, source *s) {
  const char *v[8];
  hsize_t n = (hsize_t)(next(s) % 5);
  for (int i = 0; i < 8; i++) v[i] = OF(words, (size_t)next(s));
  drop(f, path);
  put_texts(f, path, n, v);
}

static void change(hid_t f, source *s) {
  int op = next(s);
  const char *path = OF(paths, (size_t)next(s));
  long long shape[3];
  switch (op % 8) {
  case 0:
    new_numbers(f, path, s);
    break;
  case 1:
    new_texts(f, path, s);
    break;
  case 2:
    drop(f, path);
    break;
  case 3:
    group(f, path);
    break;
  case 4: {
    const char *name = OF(names, (size_t)next(s));
    say(f, path, name, OF(words, (size_t)next(s)));
    break;
  }
  case 5:
    for (int i = 0; i < 3; i++)
      shape[i] = (int8_t)next(s) * (op > 200 ? 1LL << 40 : 1);
    mark(f, path, OF(names, (size_t)next(s)), H5T_NATIVE_LLONG,
         (hsize_t)(next(s) % 4), shape);
    break;
  case 6:
    H5Lcreate_hard(f, OF(paths, (size_t)next(s)), f, path, H5P_DEFAULT,
                   H5P_DEFAULT);
    break;
  default:
    H5Lcreate_soft(OF(paths, (size_t)next(s)), f, path, H5P_DEFAULT,
                   H5P_DEFAULT);
  }
}

/* A file of the library in memory, from the 'n' bytes of 'image' if any. */
static hid_t in_memory(void *image, size_t n) {
  hid_t fapl = H5Pcreate(H5P_FILE_ACCESS);
  H5Pset_fapl_core(fapl, 1 << 14, 0);
  if (n) H5Pset_file_image(fapl, image, n);
  hid_t f = n ? H5Fopen("fuzz", H5F_ACC_RDWR, fapl)
              : H5Fcreate("fuzz", H5F_ACC_TRUNC, H5P_DEFAULT, fapl);
  H5Pclose(fapl);
  return f;
}

/* The bytes of the file in a buffer; it is closed. */
static size_t bytes_of(hid_t f, uint8_t *image, size_t room) {
  H5Fflush(f, H5F_SCOPE_LOCAL);
  ssize_t n = H5Fget_file_image(f, image, room);
  H5Fclose(f);
  return n > 0 ? (size_t)n : 0;
}

/* The changed file. The good one is made once, and opened from memory. */
static const char *make(source *s) {
  static uint8_t first[1 << 16], image[1 << 18];
  static size_t size;
  if (!size) {
    hid_t f = in_memory(NULL, 0);
    good(f);
    size = bytes_of(f, first, sizeof first);
    if (!size) __builtin_trap();
  }
  size_t n = size;
  const uint8_t *from = first;
  if (s->n) {
    hid_t f = in_memory(first, size);
    while (s->n) change(f, s);
    n = bytes_of(f, image, sizeof image);
    from = image;
  }
  return fuzz_file(from, n);
}

/* ---- reading it ----------------------------------------------------------- */

static void columns(dyn_h5ad *a, dyn_h5ad_axis axis) {
  dyn_err e;
  dyn_textlist list = {0};
  if (dyn_h5ad_size(a, axis) < 0) return; /* no raw */
  if (dyn_h5ad_names(a, axis, &list, &e) == DYN_OK &&
      list.n != dyn_h5ad_size(a, axis))
    __builtin_trap();
  dyn_textlist_free(&list);
  if (dyn_h5ad_columns(a, axis, &list, &e) != DYN_OK) return;
  for (int64_t k = 0; k < list.n; k++) {
    dyn_column c = {0};
    if (dyn_h5ad_column(a, axis, dyn_textlist_get(&list, k), &c, &e) ==
            DYN_OK &&
        c.kind == DYN_COLUMN_TEXT)
      for (int64_t i = 0; i < c.n; i++)
        if (c.code[i] < -1 || c.code[i] >= c.levels.n) __builtin_trap();
    dyn_column_free(&c);
  }
  dyn_textlist_free(&list);
}

static void matrix(dyn_h5ad *a, const char *name) {
  dyn_err e;
  dyn_matrix m = {0};
  if (dyn_h5ad_matrix(a, name, &m, &e) == DYN_OK && m.sparse)
    for (int64_t k = 0; k < dyn_csr_nnz(&m.csr); k++)
      if (m.csr.col[k] < 0 || m.csr.col[k] >= m.csr.ncol) __builtin_trap();
  dyn_matrix_free(&m);
}

/*
** The library gives its big tables (half a MiB per open file) back to the
** system at once; that was three quarters of the time. Let it keep them.
*/
int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc;
  (void)argv;
  H5set_free_list_limits(-1, -1, -1, -1, -1, -1);
  H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
  return 0;
}

static void read_all(dyn_h5ad *a) {
  dyn_err e;
  dyn_textlist t = {0}, u = {0};
  bool found;
  for (int k = 0; k < DYN_AXES; k++) columns(a, (dyn_h5ad_axis)k);
  matrix(a, NULL);
  matrix(a, "raw");
  matrix(a, "a");
  matrix(a, "obsm/X_pca");
  if (dyn_h5ad_describe(a, 100, &t, &u, &e) == DYN_OK) {
    dyn_textlist_free(&t);
    dyn_textlist_free(&u);
  }
  if (dyn_h5ad_uns(a, "k", &t, &found, &e) == DYN_OK) dyn_textlist_free(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  dyn_err e;
  dyn_h5ad *a = NULL;
  source s = {data, n > 400 ? 400 : n};
  if (dyn_h5ad_open(&a, make(&s), NULL, 1 << 24, &e) == DYN_OK) {
    read_all(a);
    dyn_h5ad_close(a);
  } else if (!n) {
    __builtin_trap(); /* the good file itself */
  }
  if (dyn_live()) __builtin_trap();
  return 0;
}
