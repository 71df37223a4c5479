/*
** test_h5_hostile.c -- files that lie. Each is a good one with one thing
** changed; each is read in a child process, which must end in time, within
** memory, with the words that are expected. Then truncations and flipped bytes.
*/
#include "test.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <fcntl.h>
#include <hdf5.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "core/rng.h"
#include "io/h5ad.h"

enum {
  CELLS = 6,
  GENES = 4,
  NNZ = 9
};

#ifdef __SANITIZE_ADDRESS__ /* stops at the library's mistakes, needs memory */
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

static char dir[] = "/tmp/dyn_hostileXXXXXX";
static char secret[64], other[64];

/* ---- making files; ids are closed with the file --------------------------- */

static hid_t vlen(void) {
  hid_t t = H5Tcopy(H5T_C_S1);
  H5Tset_size(t, H5T_VARIABLE);
  H5Tset_cset(t, H5T_CSET_UTF8);
  return t;
}

static hid_t row(hsize_t n) { return H5Screate_simple(1, &n, NULL); }

static void set_attr(hid_t f, const char *path, const char *name, hid_t type,
                     hid_t space, const void *v) {
  hid_t o = H5Oopen(f, path, H5P_DEFAULT);
  if (H5Aexists(o, name) > 0) H5Adelete(o, name);
  hid_t a = H5Acreate2(o, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
  H5Awrite(a, type, v);
}

static void set_text(hid_t f, const char *path, const char *name,
                     const char *v) {
  set_attr(f, path, name, vlen(), H5Screate(H5S_SCALAR), &v);
}

static void encode(hid_t f, const char *path, const char *type,
                   const char *version) {
  set_text(f, path, "encoding-type", type);
  set_text(f, path, "encoding-version", version);
}

static void data(hid_t f, const char *path, hid_t type, hsize_t n,
                 const void *v) {
  if (H5Lexists(f, path, H5P_DEFAULT) > 0) H5Ldelete(f, path, H5P_DEFAULT);
  hid_t d =
      H5Dcreate2(f, path, type, row(n), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  H5Dwrite(d, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, v);
}

static void texts(hid_t f, const char *path, hsize_t n, const char **v) {
  data(f, path, vlen(), n, v);
  encode(f, path, "string-array", "0.2.0");
}

static void group(hid_t f, const char *path) {
  H5Gcreate2(f, path, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
}

static void frame(hid_t f, const char *path, hsize_t n, const char **columns) {
  group(f, path);
  encode(f, path, "dataframe", "0.2.0");
  set_text(f, path, "_index", "_index");
  set_attr(f, path, "column-order", vlen(), row(n), columns);
}

static void set_shape(hid_t f, hsize_t n, int64_t a, int64_t b) {
  int64_t v[3] = {a, b, 1};
  set_attr(f, "X", "shape", H5T_NATIVE_INT64, row(n), v);
}

static void set_indptr(hid_t f, hsize_t n, int at, int32_t v) {
  int32_t p[CELLS + 1] = {0, 2, 4, 5, 7, 8, 9};
  if (at >= 0) p[at] = v;
  data(f, "X/indptr", H5T_NATIVE_INT32, n, p);
}

static void set_indices(hid_t f, int32_t last) {
  int32_t v[NNZ] = {0, 2, 1, 3, 0, 1, 2, 3, last};
  data(f, "X/indices", H5T_NATIVE_INT32, NNZ, v);
}

static void set_codes(hid_t f, hsize_t n, int8_t last) {
  int8_t v[CELLS] = {0, 1, 2, 0, 1, last};
  data(f, "obs/condition/codes", H5T_NATIVE_INT8, n, v);
}

static void set_genes(hid_t f, const char *third, const char *last) {
  const char *v[GENES] = {"TP53", "KLF1", third, last};
  texts(f, "var/_index", GENES, v);
}

static void good(hid_t f) {
  const char *cells[CELLS] = {"c1", "c2", "c3", "c4", "c5", "c6"};
  const char *labels[3] = {"ctrl", "KLF1+ctrl", "KLF1+GATA1"};
  const char *columns[1] = {"condition"};
  float x[NNZ] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  encode(f, "/", "anndata", "0.1.0");
  group(f, "X");
  encode(f, "X", "csr_matrix", "0.1.0");
  set_shape(f, 2, CELLS, GENES);
  data(f, "X/data", H5T_NATIVE_FLOAT, NNZ, x);
  set_indices(f, 0);
  set_indptr(f, CELLS + 1, -1, 0);
  frame(f, "obs", 1, columns);
  texts(f, "obs/_index", CELLS, cells);
  group(f, "obs/condition");
  encode(f, "obs/condition", "categorical", "0.2.0");
  set_codes(f, CELLS, 2);
  texts(f, "obs/condition/categories", 3, labels);
  frame(f, "var", 0, columns);
  set_genes(f, "GATA1", "HBG1");
}

/* ---- changes -------------------------------------------------------------- */

static void nothing(hid_t f) { (void)f; }

static void nullable_index(hid_t f) {
  const char *v[CELLS] = {"c1", "c2", "c3", "c4", "c5", "c6"};
  int8_t mask[CELLS] = {0};
  H5Ldelete(f, "obs/_index", H5P_DEFAULT);
  group(f, "obs/_index");
  encode(f, "obs/_index", "nullable-string-array", "0.1.0");
  texts(f, "obs/_index/values", CELLS, v);
  data(f, "obs/_index/mask", H5T_NATIVE_INT8, CELLS, mask);
}

static void external(hid_t f) {
  hid_t p = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_external(p, secret, 0, 16);
  H5Dcreate2(f, "obs/note", H5T_STD_U8LE, row(16), H5P_DEFAULT, p, H5P_DEFAULT);
}

static void virtual(hid_t f) {
  hid_t p = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_virtual(p, row(16), other, "s", row(16));
  H5Dcreate2(f, "obs/note", H5T_STD_U8LE, row(16), H5P_DEFAULT, p, H5P_DEFAULT);
}

static void external_link(hid_t f) {
  H5Lcreate_external("other.h5", "/", f, "layers", H5P_DEFAULT, H5P_DEFAULT);
}

static void hidden_link(hid_t f) { /* soft, through an external one */
  group(f, "uns");
  H5Lcreate_soft("/zz/s", f, "uns/a", H5P_DEFAULT, H5P_DEFAULT);
  H5Lcreate_external(other, "/", f, "zz", H5P_DEFAULT, H5P_DEFAULT);
}

static void hard_loop(hid_t f) {
  group(f, "uns");
  H5Lcreate_hard(f, "/", f, "uns/self", H5P_DEFAULT, H5P_DEFAULT);
}

static void soft_loop(hid_t f) {
  group(f, "uns");
  H5Lcreate_soft("/uns/b", f, "uns/a", H5P_DEFAULT, H5P_DEFAULT);
  H5Lcreate_soft("/uns/a", f, "uns/b", H5P_DEFAULT, H5P_DEFAULT);
}

static void up_loop(hid_t f) { /* a soft link to a group above it */
  group(f, "uns");
  H5Lcreate_soft("/uns", f, "uns/up", H5P_DEFAULT, H5P_DEFAULT);
}

static void deep(hid_t f) {
  hid_t g = f;
  for (int i = 0; i < 2000; i++)
    g = H5Gcreate2(g, i ? "x" : "uns", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
}

/* 2^50 paths, 50 groups: each holds the next one twice. */
static void wide(hid_t f) {
  hid_t g = H5Gcreate2(f, "uns", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  for (int i = 0; i < 50; i++) {
    hid_t h = H5Gcreate2(g, "a", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_hard(h, ".", g, "b", H5P_DEFAULT, H5P_DEFAULT);
    g = h;
  }
}

static void huge(hid_t f) {
  hsize_t n[2] = {1 << 20, 1 << 21}, chunk[2] = {1024, 1024};
  hid_t p = H5Pcreate(H5P_DATASET_CREATE);
  H5Ldelete(f, "X", H5P_DEFAULT);
  H5Pset_chunk(p, 2, chunk);
  H5Pset_deflate(p, 1);
  H5Dcreate2(f, "X", H5T_IEEE_F32LE, H5Screate_simple(2, n, NULL), H5P_DEFAULT,
             p, H5P_DEFAULT);
}

static void lazy(hid_t f, const char *path, hid_t type, hsize_t n) {
  hsize_t chunk = 1 << 16;
  hid_t p = H5Pcreate(H5P_DATASET_CREATE);
  H5Ldelete(f, path, H5P_DEFAULT);
  H5Pset_chunk(p, 1, &chunk);
  H5Dcreate2(f, path, type, row(n), H5P_DEFAULT, p, H5P_DEFAULT);
}
static void huge_names(hid_t f) {
  lazy(f, "obs/_index", vlen(), (hsize_t)1 << 40);
}
static void huge_data(hid_t f) {
  lazy(f, "X/data", H5T_IEEE_F32LE, (hsize_t)1 << 45);
  lazy(f, "X/indices", H5T_STD_I32LE, (hsize_t)1 << 45);
}
static void huge_indptr(hid_t f) {
  lazy(f, "X/indptr", H5T_STD_I64LE, (hsize_t)1 << 45);
}

static void long_text(hid_t f) {
  size_t n = 1 << 20;
  char *s = malloc(n + 1);
  memset(s, 'x', n);
  s[n] = '\0';
  set_genes(f, "GATA1", s);
  free(s);
}

static void shape_negative(hid_t f) { set_shape(f, 2, -1, GENES); }
static void shape_big(hid_t f) { set_shape(f, 2, INT64_MAX, INT64_MAX); }
static void shape_rows(hid_t f) { set_shape(f, 2, CELLS + 1, GENES); }
static void shape_three(hid_t f) { set_shape(f, 3, CELLS, GENES); }
static void shape_none(hid_t f) {
  H5Adelete(H5Oopen(f, "X", H5P_DEFAULT), "shape");
}
static void ptr_falls(hid_t f) { set_indptr(f, CELLS + 1, 3, 3); }
static void ptr_past(hid_t f) { set_indptr(f, CELLS + 1, CELLS, 1000000); }
static void ptr_start(hid_t f) { set_indptr(f, CELLS + 1, 0, 1); }
static void ptr_short(hid_t f) { set_indptr(f, 4, 0, 0); }
static void ptr_negative(hid_t f) { set_indptr(f, CELLS + 1, 1, -2); }
static void idx_high(hid_t f) { set_indices(f, GENES); }
static void idx_negative(hid_t f) { set_indices(f, -1); }
static void idx_64(hid_t f) {
  int64_t v[NNZ] = {0, 2, 1, 3, 0, 1, 2, 3, (int64_t)1 << 33};
  data(f, "X/indices", H5T_NATIVE_INT64, NNZ, v);
}
static void idx_text(hid_t f) {
  const char *v[GENES] = {"a", "b", "c", "d"};
  texts(f, "X/indices", GENES, v);
}
static void idx_few(hid_t f) {
  int32_t v[NNZ] = {0};
  data(f, "X/indices", H5T_NATIVE_INT32, NNZ - 1, v);
}
static void no_data(hid_t f) { H5Ldelete(f, "X/data", H5P_DEFAULT); }
static void no_x(hid_t f) { H5Ldelete(f, "X", H5P_DEFAULT); }
static void no_obs(hid_t f) { H5Ldelete(f, "obs", H5P_DEFAULT); }
static void x_text(hid_t f) {
  const char *v[GENES] = {"a", "b", "c", "d"};
  H5Ldelete(f, "X", H5P_DEFAULT);
  texts(f, "X", GENES, v);
}
static void code_high(hid_t f) { set_codes(f, CELLS, 3); }
static void code_negative(hid_t f) { set_codes(f, CELLS, -2); }
static void code_short(hid_t f) { set_codes(f, 3, 0); }
static void no_categories(hid_t f) {
  H5Ldelete(f, "obs/condition/categories", H5P_DEFAULT);
}
static void cyclic_categories(hid_t f) { /* categories are a categorical */
  H5Ldelete(f, "obs/condition/categories", H5P_DEFAULT);
  H5Lcreate_soft("/obs/condition", f, "obs/condition/categories", H5P_DEFAULT,
                 H5P_DEFAULT);
}
static void old_reference(hid_t f) { /* categories = reference to a group */
  hobj_ref_t r;
  int8_t v[CELLS] = {0};
  H5Ldelete(f, "obs/condition", H5P_DEFAULT);
  data(f, "obs/condition", H5T_NATIVE_INT8, CELLS, v);
  H5Rcreate(&r, f, "/X", H5R_OBJECT, -1);
  set_attr(f, "obs/condition", "categories", H5T_STD_REF_OBJ,
           H5Screate(H5S_SCALAR), &r);
}
static void bad_reference(hid_t f) {
  old_reference(f);
  hobj_ref_t r = 123456789;
  set_attr(f, "obs/condition", "categories", H5T_STD_REF_OBJ,
           H5Screate(H5S_SCALAR), &r);
}
static void wide_table(hid_t f) { /* 1,000 fields as obs */
  char name[16];
  hid_t t = H5Tcreate(H5T_COMPOUND, 1000);
  for (size_t i = 0; i < 1000; i++) {
    snprintf(name, sizeof name, "f%zu", i);
    H5Tinsert(t, name, i, H5T_STD_I8LE);
  }
  H5Ldelete(f, "obs", H5P_DEFAULT);
  H5Dcreate2(f, "obs", t, row(CELLS), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
}
static void escapes(hid_t f) { set_genes(f, "\x1b]0;owned\a", "../../up"); }
static void not_utf8(hid_t f) { set_genes(f, "GATA1", "bad\xff\xfe"); }
static void line_break(hid_t f) { set_genes(f, "GATA1", "two\nlines"); }
static void twice(hid_t f) { set_genes(f, "TP53", "HBG1"); }
static void column(hid_t f, const char *name) {
  set_attr(f, "obs", "column-order", vlen(), row(1), &name);
}
static void column_absent(hid_t f) { column(f, "missing"); }
static void column_path(hid_t f) { column(f, "../X/data"); }
static void column_root(hid_t f) { column(f, "/X/data"); }
static void column_x(hid_t f) { column(f, "_index/../../X"); }
static void no_index(hid_t f) {
  H5Adelete(H5Oopen(f, "obs", H5P_DEFAULT), "_index");
}
static void index_path(hid_t f) { set_text(f, "obs", "_index", "../var"); }
static void index_gone(hid_t f) { set_text(f, "obs", "_index", "gone"); }
static void future(hid_t f) { encode(f, "X", "csr_matrix", "9.9.0"); }
static void unknown(hid_t f) { encode(f, "X", "teapot", "0.1.0"); }
static void filter(hid_t f) {
  float raw[NNZ] = {0};
  hsize_t n = NNZ, zero = 0;
  hid_t p = H5Pcreate(H5P_DATASET_CREATE);
  H5Ldelete(f, "X/data", H5P_DEFAULT);
  H5Pset_chunk(p, 1, &n);
  H5Pset_filter(p, 32999, H5Z_FLAG_OPTIONAL, 0, NULL);
  hid_t d = H5Dcreate2(f, "X/data", H5T_IEEE_F32LE, row(n), H5P_DEFAULT, p,
                       H5P_DEFAULT);
  H5Dwrite_chunk(d, H5P_DEFAULT, 0, &zero, sizeof raw, raw);
}
static void nulls(hid_t f) {
  H5Ldelete(f, "X", H5P_DEFAULT);
  H5Dcreate2(f, "X", H5T_IEEE_F32LE, H5Screate(H5S_NULL), H5P_DEFAULT,
             H5P_DEFAULT, H5P_DEFAULT);
}
static void two_raws(hid_t f) {
  group(f, "raw");
  H5Lcreate_hard(f, "X", f, "raw/X", H5P_DEFAULT, H5P_DEFAULT);
  H5Lcreate_hard(f, "X", f, "raw.X", H5P_DEFAULT, H5P_DEFAULT);
}

static const struct {
  const char *name;
  void (*change)(hid_t);
  const char *words; /* of the message; NULL: it is read */
} file[] = {
    {"good", nothing, NULL},
    {"nullable", nullable_index, NULL},
    {"escapes", escapes, NULL},
    {"wide", wide, NULL},
    {"external", external, "obs/note: data stored in another file"},
    {"virtual", virtual, "obs/note: virtual dataset"},
    {"extlink", external_link, "layers: external link to 'other.h5'"},
    {"hidden", hidden_link, "external link"},
    {"hardloop", hard_loop, "uns/self: contains itself"},
    {"softloop", soft_loop, "uns/a: link to '/uns/b' leads nowhere"},
    {"uploop", up_loop, "uns/up: contains itself"},
    {"deep", deep, "uns: nested deeper than 64"},
    {"huge", huge, "X: 1048576x2097152 float needs 8.0 TiB"},
    {"hugenames", huge_names, "obs/_index: 1099511627776 items need"},
    {"hugedata", huge_data, "X/data: 35184372088832 items need"},
    {"hugeptr", huge_indptr, "X/indptr: 35184372088832 items need"},
    {"longtext", long_text, "var/_index: a string is longer than 65535"},
    {"shapeneg", shape_negative, "X: shape -1x4"},
    {"shapebig", shape_big, "X: shape overflows"},
    {"shaperows", shape_rows, "X: 7x4, but obs has 6 rows"},
    {"shape3", shape_three, "X: shape has 3 numbers"},
    {"shape0", shape_none, "X: attribute 'shape' is missing"},
    {"ptrdown", ptr_falls, "X/indptr: decreases at row 3"},
    {"ptrpast", ptr_past, "X/indptr: ends at 1000000, data has 9"},
    {"ptrstart", ptr_start, "X/indptr: starts at 1"},
    {"ptrshort", ptr_short, "X/indptr: 4 numbers for 6 rows"},
    {"ptrneg", ptr_negative, "X/indptr: decreases at row 1"},
    {"idxhigh", idx_high, "X/indices: 4 outside 0..3 (item 9)"},
    {"idxneg", idx_negative, "X/indices: -1 outside 0..3 (item 9)"},
    {"idx64", idx_64, "X/indices: 8589934592 outside 0..3 (item 9)"},
    {"idxstr", idx_text, "X/indices: integers expected"},
    {"idxfew", idx_few, "X/indices: 8 numbers, data has 9"},
    {"nodata", no_data, "X: member 'data' is missing"},
    {"nox", no_x, "X: missing"},
    {"noobs", no_obs, "obs: missing"},
    {"xtext", x_text, "X: a matrix of numbers expected"},
    {"codehigh", code_high, "obs/condition/codes: 3 outside -1..2"},
    {"codeneg", code_negative, "obs/condition/codes: -2 outside -1..2"},
    {"codeshort", code_short, "obs/condition/codes: 3 codes for 6 rows"},
    {"nocats", no_categories, "obs/condition/categories: missing"},
    {"cyclic", cyclic_categories, "obs/condition/categories: contains itself"},
    {"refgroup", old_reference, "X: "},
    {"badref", bad_reference, "refers to nothing"},
    {"table", wide_table, "'0' is there twice"},
    {"notutf8", not_utf8, "var: name 4 is not UTF-8 ('bad\\xff\\xfe')"},
    {"newline", line_break, "var: name 4 has a line break ('two\\x0alines')"},
    {"twice", twice, "'TP53' is there twice (1 and 3)"},
    {"nocolumn", column_absent, "obs: column 'missing' is listed but absent"},
    {"colpath", column_path, "obs: column name '../X/data' is not a name"},
    {"colroot", column_root, "obs: column name '/X/data' is not a name"},
    {"colx", column_x, "obs: column name '_index/../../X' is not a name"},
    {"noindex", no_index, "obs: attribute '_index' is missing"},
    {"idxpath", index_path, "obs: index name '../var' is not a name"},
    {"idxgone", index_gone, "obs/gone: missing"},
    {"future", future, "X: encoding 'csr_matrix' 9.9.0 is newer than 0.1.0"},
    {"unknown", unknown, "X: unknown encoding 'teapot'"},
    {"filter", filter, "X/data: HDF5 filter 32999 is not available"},
    {"null", nulls, "X: is empty"},
    {"tworaws", two_raws, "has both raw and raw.X"},
};

static void path_of(char buf[128], const char *name) {
  snprintf(buf, 128, "%s/%s.h5ad", dir, name);
}

static void make(const char *path, void (*change)(hid_t)) {
  hid_t a = H5Pcreate(H5P_FILE_ACCESS);
  H5Pset_fclose_degree(a, H5F_CLOSE_STRONG);
  hid_t f = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, a);
  good(f);
  change(f);
  H5Fclose(f);
}

/* ---- reading in a child --------------------------------------------------- */

static dyn_status columns(dyn_h5ad *a, dyn_h5ad_axis axis, dyn_err *e) {
  dyn_textlist names = {0};
  dyn_column c;
  dyn_status st = dyn_h5ad_columns(a, axis, &names, e);
  for (int64_t i = 0; st == DYN_OK && i < names.n && i < 100; i++) {
    st = dyn_h5ad_column(a, axis, dyn_textlist_get(&names, i), &c, e);
    if (st == DYN_OK) dyn_column_free(&c);
  }
  dyn_textlist_free(&names);
  return st;
}

static dyn_status unique(dyn_h5ad *a, dyn_h5ad_axis axis, dyn_err *e) {
  dyn_textlist names = {0};
  int64_t i, j, n;
  dyn_status st = dyn_h5ad_names(a, axis, &names, e);
  if (st == DYN_OK) st = dyn_textlist_repeat(&names, &i, &j, &n, e);
  if (st == DYN_OK && i >= 0)
    st = dyn_fail(e, DYN_EFORMAT, "'%s' is there twice (%d and %d)",
                  dyn_textlist_get(&names, i), (int)i + 1, (int)j + 1);
  dyn_textlist_free(&names);
  return st;
}

/* Everything that a program would ask of a file. */
static dyn_status examine(const char *path, dyn_err *e) {
  dyn_h5ad *a = NULL;
  dyn_matrix m = {0};
  dyn_textlist t = {0}, u = {0};
  dyn_status st = DYN_OK;
  DYN_TRY(dyn_h5ad_open(&a, path, NULL, 0, e));
  DYN_TRY(dyn_h5ad_describe(a, 200, &t, &u, e));
  DYN_TRY(unique(a, DYN_AXIS_OBS, e));
  DYN_TRY(unique(a, DYN_AXIS_VAR, e));
  DYN_TRY(columns(a, DYN_AXIS_OBS, e));
  DYN_TRY(columns(a, DYN_AXIS_VAR, e));
  st = dyn_h5ad_matrix(a, NULL, &m, e);
done:
  dyn_matrix_free(&m);
  dyn_textlist_free(&t);
  dyn_textlist_free(&u);
  dyn_h5ad_close(a);
  return st;
}

enum {
  LIBRARY = 77 /* exit status: libhdf5 crashed */
};

/* Whose code was running? libc is on behalf of its caller. */
static void on_crash(int sig, siginfo_t *info, void *ctx) {
  void *at[64], *pc = (void *)((ucontext_t *)ctx)->uc_mcontext.gregs[REG_RIP];
  int n = backtrace(at, 64), i = 0;
  (void)info;
  while (i < n && at[i] != pc) i++;
  for (; i < n; i++) {
    Dl_info d;
    if (!dladdr(at[i], &d) || !d.dli_fname || strstr(d.dli_fname, "libc.so"))
      continue;
    if (strstr(d.dli_fname, "hdf5")) _exit(LIBRARY);
    break;
  }
  signal(sig, SIG_DFL);
  raise(sig);
}

typedef struct verdict {
  int status; /* of the child */
  dyn_status st;
  char msg[512];
  long kib, ms;
} verdict;

static void child(const char *path, int fd) {
  struct sigaction s = {.sa_sigaction = on_crash, .sa_flags = SA_SIGINFO};
  void *warm[2];
  backtrace(warm, 2); /* loads what it needs before anything is wrong */
  sigaction(SIGSEGV, &s, NULL);
  sigaction(SIGBUS, &s, NULL);
  sigaction(SIGFPE, &s, NULL);
  sigaction(SIGABRT, &s, NULL);
  sigaction(SIGALRM, &s, NULL); /* stuck: in a heap that the library broke? */
  alarm(10);
  dyn_err e = {""};
  dyn_status st = examine(path, &e);
  if (st == DYN_OK && dyn_live() != 0) _exit(3);
  if (write(fd, &st, sizeof st) < 0 || write(fd, e.msg, sizeof e.msg) < 0)
    _exit(4);
  _exit(dyn_live() ? 3 : 0);
}

static verdict judge(const char *path) {
  verdict v = {.st = DYN_EIO};
  int fd[2];
  struct rusage r;
  if (pipe(fd) < 0) exit(1);
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) child(path, fd[1]);
  close(fd[1]);
  if (read(fd[0], &v.st, sizeof v.st) > 0 &&
      read(fd[0], v.msg, sizeof v.msg) < 0)
    v.msg[0] = '\0';
  close(fd[0]);
  wait4(pid, &v.status, 0, &r);
  v.kib = r.ru_maxrss;
  v.ms = r.ru_utime.tv_sec * 1000 + r.ru_utime.tv_usec / 1000;
  return v;
}

static void corpus(void) {
  char path[128];
  long most = 0, slowest = 0;
  for (size_t i = 0; i < sizeof file / sizeof *file; i++) {
    path_of(path, file[i].name);
    make(path, file[i].change);
    verdict v = judge(path);
    bool good_end = v.status == 0;
    bool as_told = file[i].words ? (v.st == DYN_EFORMAT || v.st == DYN_EIO) &&
                                       strstr(v.msg, file[i].words) &&
                                       !strstr(v.msg, "top secret")
                                 : v.st == DYN_OK;
    ok_(good_end && as_told, file[i].name, __FILE__, __LINE__);
    if (!good_end || !as_told)
      printf("# status %d, %s: '%s'\n", v.status, dyn_status_name(v.st), v.msg);
    if (v.kib > most) most = v.kib;
    if (v.ms > slowest) slowest = v.ms;
    unlink(path);
  }
  printf("# %zu files, at most %ld MiB and %ld ms\n",
         sizeof file / sizeof *file, most / 1024, slowest);
  OK(SANITIZED || most < 256 * 1024);
}

/* ---- damage --------------------------------------------------------------- */

static unsigned char bytes[1 << 16];
static size_t nbytes;

static void load(const char *path) {
  FILE *f = fopen(path, "rb");
  nbytes = f ? fread(bytes, 1, sizeof bytes, f) : 0;
  if (f) fclose(f);
}

static void store(const char *path, size_t n) {
  FILE *f = fopen(path, "wb");
  if (!f) exit(1);
  fwrite(bytes, 1, n, f);
  fclose(f);
}

static void truncations(void) {
  char path[128];
  int crashes = 0, accepted = 0, n = 0;
  path_of(path, "short");
  for (size_t k = 0; k < nbytes; k += 1024, n++) {
    store(path, k);
    verdict v = judge(path);
    crashes += v.status != 0;
    accepted += v.st == DYN_OK;
  }
  printf("# %d truncations\n", n);
  OK(n > 5 && crashes == 0 && accepted == 0);
  unlink(path);
}

static const dyn_h5ad_probing ten = {.seconds = 10};

/* The probe agrees with reading, also after threads have been at work. */
static void probes(void) {
  char path[128];
  dyn_err e;
  double sum = 0;
#pragma omp parallel for reduction(+ : sum)
  for (int i = 0; i < 1000; i++) sum += i;
  path_of(path, "probe");
  make(path, nothing);
  OK(sum == 499500 && dyn_h5ad_probe(path, &ten, &e) == DYN_OK);
  make(path, no_index);
  OK(dyn_h5ad_probe(path, &ten, &e) == DYN_EFORMAT &&
     strstr(e.msg, "attribute '_index' is missing"));
  unlink(path);
  OK(dyn_h5ad_probe(path, &ten, &e) == DYN_EIO);
}

static void flips(void) {
  char path[128];
  int ours = 0, library = 0, crashed = 0, refused = 0, read_ok = 0;
  dyn_rng g = dyn_rng_stream(dyn_rng_named(1, "flips"), 0);
  path_of(path, "flip");
  for (int k = 0; k < 500; k++) {
    size_t at = (size_t)dyn_rng_below(&g, (int64_t)nbytes);
    unsigned char old = bytes[at];
    bytes[at] ^= (unsigned char)(1 + dyn_rng_below(&g, 255));
    store(path, nbytes);
    bytes[at] = old;
    verdict v = judge(path);
    if (WIFEXITED(v.status) && WEXITSTATUS(v.status) == LIBRARY) {
      library++; /* the program itself survives by asking a child first */
      dyn_err e = {""};
      dyn_status st = dyn_h5ad_probe(path, &ten, &e);
      crashed += st == DYN_EFORMAT && strstr(e.msg, "HDF5 crashed");
      if (crashed == 1) printf("# %s\n", e.msg);
    } else if (v.status != 0) {
      ours++;
      printf("# byte %zu: child ended with status %d\n", at, v.status);
    } else {
      read_ok += v.st == DYN_OK;
      refused += v.st != DYN_OK;
    }
  }
  printf("# 500 flips: %d refused, %d read, %d crashes of libhdf5\n", refused,
         read_ok, library);
  printf("# %d of these crashes reported by the probe\n", crashed);
  OK(library == 0 || crashed > 0);
  OK(ours == 0);
  OK(library <= 25); /* its heap of strings trusts the sizes in the file */
  unlink(path);
}

static void bait(void) {
  snprintf(secret, sizeof secret, "%s/secret", dir);
  snprintf(other, sizeof other, "%s/other.h5", dir);
  FILE *f = fopen(secret, "w");
  if (!f) exit(1);
  fputs("top secret......", f);
  fclose(f);
  hid_t h = H5Fcreate(other, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  data(h, "s", H5T_NATIVE_UINT8, 16, "top secret......");
  H5Fclose(h);
}

int main(void) {
  char path[128];
  if (!mkdtemp(dir)) return 1;
  bait();
  corpus();
  path_of(path, "good");
  make(path, nothing);
  load(path);
  unlink(path);
  truncations();
  probes();
  if (SANITIZED)
    printf("# skip flipped bytes: crashes cannot be told apart\n");
  else
    flips();
  unlink(secret);
  unlink(other);
  rmdir(dir);
  return done_testing();
}
