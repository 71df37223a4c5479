/* test_h5.c -- writing and reading back, failures of disk and memory. */
#include "test.h"

#include <fcntl.h>
#include <hdf5.h>
#include <omp.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/rng.h"
#include "io/h5ad.h"

static char dir[] = "/tmp/dyn_h5XXXXXX";

static const char *in_dir(const char *name) {
  static char buf[4][128];
  static int k;
  char *s = buf[k++ % 4];
  snprintf(s, 128, "%s/%s", dir, name);
  return s;
}

static dyn_status add(dyn_textlist *t, const char *s) {
  return dyn_textlist_add(t, s, strlen(s), NULL);
}

/* ---- a file of ours ------------------------------------------------------- */

enum {
  CELLS = 60,
  GENES = 50
};

static dyn_textlist cells, genes, label, keys, values;
static dyn_csr csr;
static dyn_tensor dense, number;

static void content(void) {
  char s[16];
  dyn_rng g = dyn_rng_stream(1, 0);
  ptrdiff_t size[2] = {CELLS, GENES}, n = CELLS;
  OK(dyn_tensor_new(&dense, DYN_F32, 2, size, NULL) == DYN_OK);
  OK(dyn_tensor_new(&number, DYN_F64, 1, &n, NULL) == DYN_OK);
  for (int i = 0; i < CELLS * GENES; i++)
    dyn_f32(&dense)[i] = i % 3 ? 0 : (float)dyn_rng_normal(&g);
  OK(dyn_csr_from_dense(&csr, &dense, NULL) == DYN_OK);
  for (int i = 0; i < CELLS; i++) {
    snprintf(s, sizeof s, "cell%d", i);
    if (add(&cells, s) != DYN_OK) exit(1);
    if (add(&label, i % 4 ? "ctrl" : "A+B") != DYN_OK) exit(1);
    dyn_f64(&number)[i] = i * 0.5;
  }
  for (int j = 0; j < GENES; j++) {
    snprintf(s, sizeof s, "gene%d", j);
    if (add(&genes, s) != DYN_OK) exit(1);
  }
  OK(add(&keys, "dynamo") == DYN_OK && add(&values, "{}") == DYN_OK);
}

static dyn_status write_file(const char *path, bool sparse, dyn_err *e) {
  const dyn_h5ad_field obs[] = {
      {.name = "condition", .text = &label, .categorical = true},
      {.name = "note", .text = &label},
      {.name = "score", .number = &number},
      {.name = "flag", .number = &number, .boolean = true},
  };
  const dyn_h5ad_part layer[] = {{"b", NULL, &dense}, {"a", &csr, NULL}};
  const dyn_h5ad_content c = {
      .x = {NULL, sparse ? &csr : NULL, sparse ? NULL : &dense},
      .obs_names = &cells,
      .var_names = &genes,
      .obs = obs,
      .nobs = 4,
      .layer = layer,
      .nlayer = 2,
      .obsm = layer,
      .nobsm = 2,
      .uns_key = &keys,
      .uns_value = &values,
  };
  return dyn_h5ad_write(path, &c, e);
}

static void check_columns(dyn_h5ad *a) {
  dyn_column c;
  dyn_err e;
  OK(dyn_h5ad_column(a, DYN_AXIS_OBS, "condition", &c, &e) == DYN_OK);
  OK(c.kind == DYN_COLUMN_TEXT && c.levels.n == 2 && c.code[0] == 0 &&
     c.code[1] == 1);
  dyn_column_free(&c);
  OK(dyn_h5ad_column(a, DYN_AXIS_OBS, "flag", &c, &e) == DYN_OK);
  OK(c.kind == DYN_COLUMN_BOOLEAN && c.value[0] == 0 && c.value[1] == 1);
  dyn_column_free(&c);
  OK(dyn_h5ad_column(a, DYN_AXIS_OBS, "score", &c, &e) == DYN_OK);
  OK(c.kind == DYN_COLUMN_NUMBER && c.value[3] == 1.5);
  dyn_column_free(&c);
  OK(dyn_h5ad_column(a, DYN_AXIS_OBS, "conditon", &c, &e) == DYN_EFORMAT);
  OK(strstr(e.msg, "obs column 'conditon' not found (have: condition, note, "
                   "score, flag)") != NULL);
}

static void check_file(const char *path, bool sparse) {
  dyn_h5ad *a = NULL;
  dyn_matrix m;
  dyn_textlist t = {0};
  dyn_err e;
  bool found;
  OK(dyn_h5ad_open(&a, path, NULL, 0, &e) == DYN_OK);
  OK(strcmp(dyn_h5ad_kind(a), "h5ad") == 0 &&
     strcmp(dyn_h5ad_generation(a), "0.8+") == 0);
  OK(dyn_h5ad_size(a, DYN_AXIS_OBS) == CELLS &&
     dyn_h5ad_size(a, DYN_AXIS_VAR) == GENES &&
     dyn_h5ad_size(a, DYN_AXIS_RAW) == -1);
  check_columns(a);
  OK(dyn_h5ad_matrix(a, NULL, &m, &e) == DYN_OK && m.sparse == sparse);
  OK(m.nan == 0 && m.negative && !m.integers);
  dyn_matrix_free(&m);
  OK(dyn_h5ad_matrix(a, "b", &m, &e) == DYN_OK);
  OK(memcmp(dyn_f32(&m.dense), dyn_f32(&dense), CELLS * GENES * 4) == 0);
  dyn_matrix_free(&m);
  OK(dyn_h5ad_matrix(a, "raw", &m, &e) == DYN_EFORMAT);
  printf("# %s\n", e.msg);
  OK(dyn_h5ad_uns(a, "dynamo", &t, &found, &e) == DYN_OK && found);
  OK(dyn_h5ad_uns(a, "nothing", &t, &found, &e) == DYN_OK && !found);
  dyn_textlist_free(&t);
  dyn_h5ad_close(a);
}

static size_t slurp(const char *path, char *buf, size_t room) {
  FILE *f = fopen(path, "rb");
  if (!f) return 0;
  size_t n = fread(buf, 1, room, f);
  fclose(f);
  return n;
}

static int files_in(const char *path) {
  char cmd[160];
  int n = -1;
  snprintf(cmd, sizeof cmd, "ls -A %s | wc -l", path);
  FILE *p = popen(cmd, "r");
  if (!p || fscanf(p, "%d", &n) != 1) n = -1;
  if (p) pclose(p);
  return n;
}

static void round_trip(void) {
  static char one[1 << 17], two[1 << 17];
  dyn_err e;
  for (int sparse = 0; sparse < 2; sparse++) {
    OK(write_file(in_dir("a.h5ad"), sparse, &e) == DYN_OK);
    check_file(in_dir("a.h5ad"), sparse);
    size_t n = slurp(in_dir("a.h5ad"), one, sizeof one);
    /* the same bytes an instant and some garbage later */
    void *garbage = malloc(1 << 16);
    if (garbage) memset(garbage, 0xa5, 1 << 16);
    free(garbage);
    OK(write_file(in_dir("b.h5ad"), sparse, &e) == DYN_OK);
    OK(n > 1000 && n < sizeof one &&
       n == slurp(in_dir("b.h5ad"), two, sizeof two));
    OK(memcmp(one, two, n) == 0);
  }
  OK(files_in(dir) == 2);
}

/* ---- other people's sparse matrices --------------------------------------- */

static void put_numbers(hid_t g, const char *name, hid_t type, hsize_t n,
                        const void *v) {
  hid_t s = H5Screate_simple(1, &n, NULL);
  hid_t d = H5Dcreate2(g, name, type, s, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  H5Dwrite(d, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, v);
  H5Dclose(d);
  H5Sclose(s);
}

static void put_string(hid_t o, const char *name, const char *v) {
  hid_t t = H5Tcopy(H5T_C_S1), s = H5Screate(H5S_SCALAR);
  H5Tset_size(t, strlen(v)); /* fixed length, as other languages write */
  hid_t a = H5Acreate2(o, name, t, s, H5P_DEFAULT, H5P_DEFAULT);
  H5Awrite(a, t, v);
  H5Aclose(a);
  H5Sclose(s);
  H5Tclose(t);
}

/* X of our file replaced: entries (0,1) 1, (2,1) 2 + 3, (1,3) 4, (59,49) 5. */
static void replace_x(const char *path, const char *type, const char *format) {
  const double v[] = {2, 1, 3, 4, 5}; /* by column, out of order, repeated */
  const uint16_t row[] = {2, 0, 2, 1, 59};
  const double w[] = {1, 4, 2, 3, 5}; /* by row, repeated */
  const int64_t col[] = {1, 3, 1, 1, 49};
  const int32_t shape[2] = {CELLS, GENES};
  int64_t start[CELLS + 1] = {0};
  bool csc = strncmp(type, "csc", 3) == 0;
  hsize_t n = csc ? GENES + 1 : CELLS + 1, two = 2;
  for (hsize_t i = 0; i < n; i++)
    start[i] = csc ? (i > 1 ? 3 : 0) + (i > 3) + (i > 49)
                   : (i > 0) + (i > 1) + (i > 2 ? 2 : 0) + (i > 59);
  hid_t f = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
  H5Ldelete(f, "X", H5P_DEFAULT);
  hid_t g = H5Gcreate2(f, "X", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  hid_t s = H5Screate_simple(1, &two, NULL);
  bool old = strcmp(format, "h5sparse_format") == 0;
  put_string(g, format, type);
  hid_t a = H5Acreate2(g, old ? "h5sparse_shape" : "shape", H5T_STD_I32BE, s,
                       H5P_DEFAULT, H5P_DEFAULT);
  H5Awrite(a, H5T_NATIVE_INT32, shape);
  H5Aclose(a);
  H5Sclose(s);
  put_numbers(g, "data", H5T_NATIVE_DOUBLE, 5, csc ? v : w);
  put_numbers(g, "indices", csc ? H5T_NATIVE_UINT16 : H5T_NATIVE_INT64, 5,
              csc ? (const void *)row : (const void *)col);
  put_numbers(g, "indptr", H5T_NATIVE_INT64, n, start);
  H5Gclose(g);
  H5Fclose(f);
}

static bool is_expected(const dyn_matrix *m) {
  const int32_t col[] = {1, 3, 1, 49};
  const float v[] = {1, 4, 5, 5};
  const dyn_csr *s = &m->csr;
  return m->sparse && s->nrow == CELLS && s->ncol == GENES &&
         dyn_csr_nnz(s) == 4 && memcmp(s->col, col, sizeof col) == 0 &&
         memcmp(s->val, v, sizeof v) == 0 && s->start[1] == 1 &&
         s->start[2] == 2 && s->start[3] == 3 && s->start[59] == 3;
}

static dyn_h5ad *opened;

static dyn_status oom_matrix(const char *name) {
  dyn_matrix m = {0};
  dyn_status st = dyn_h5ad_matrix(opened, name, &m, NULL);
  dyn_matrix_free(&m);
  return st;
}

static void foreign_sparse(void) {
  static const char *const type[] = {"csc_matrix", "csr_matrix", "csc", "csr"};
  const char *path = in_dir("s.h5ad");
  dyn_matrix m;
  dyn_err e;
  for (int k = 0; k < 4; k++) {
    OK(write_file(path, true, &e) == DYN_OK);
    replace_x(path, type[k], k < 2 ? "encoding-type" : "h5sparse_format");
    OK(dyn_h5ad_open(&opened, path, NULL, 0, &e) == DYN_OK);
    OK(dyn_h5ad_matrix(opened, NULL, &m, &e) == DYN_OK && is_expected(&m));
    OK(m.integers && m.min == 0 && m.max == 5);
    dyn_matrix_free(&m);
    OUT_OF_MEMORY(oom_matrix(NULL));
    dyn_h5ad_close(opened);
  }
  unlink(path);
}

/* ---- what the world does -------------------------------------------------- */

static void bad_paths(void) {
  dyn_err e;
  dyn_h5ad *a;
  OK(dyn_h5ad_open(&a, in_dir("none.h5ad"), NULL, 0, &e) == DYN_EIO && !a);
  OK(strstr(e.msg, "No such file") != NULL);
  OK(dyn_h5ad_open(&a, dir, NULL, 0, &e) == DYN_EFORMAT);
  printf("# %s\n", e.msg);
  OK(dyn_h5ad_open(&a, "/dev/null", NULL, 0, &e) == DYN_EFORMAT);
  FILE *f = fopen(in_dir("text"), "w");
  fputs("\x1f\x8b gzip?", f);
  fclose(f);
  OK(dyn_h5ad_open(&a, in_dir("text"), NULL, 0, &e) == DYN_EFORMAT);
  OK(strstr(e.msg, "not an HDF5 file (gzip") != NULL);
  OK(write_file(in_dir("no/such/folder.h5ad"), true, &e) == DYN_EIO);
  printf("# %s\n", e.msg);
  OK(dyn_h5ad_open(&a, in_dir("a.h5ad"), NULL, 4096, &e) == DYN_OK);
  dyn_matrix m;
  OK(dyn_h5ad_matrix(a, "b", &m, &e) == DYN_EFORMAT);
  OK(strstr(e.msg, "60x50 float needs 11.7 KiB, limit 4.0 KiB") != NULL);
  dyn_h5ad_close(a);
  unlink(in_dir("text"));
}

/* A full disk, as far as one process can have it: old file, no other. */
static void full_disk(void) {
  static char before[1 << 17], after[1 << 17];
  size_t n = slurp(in_dir("a.h5ad"), before, sizeof before);
  for (rlim_t most = 0; most < 16384; most += 2048) {
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
      struct rlimit r = {most, most};
      dyn_err e = {""};
      signal(SIGXFSZ, SIG_IGN);
      omp_set_num_threads(1); /* those of the parent are not here */
      setrlimit(RLIMIT_FSIZE, &r);
      dyn_status st = write_file(in_dir("a.h5ad"), false, &e);
      _exit(st == DYN_EIO && strstr(e.msg, "a.h5ad") ? 0 : 1);
    }
    int status = -1;
    waitpid(pid, &status, 0);
    OK(status == 0);
  }
  OK(n == slurp(in_dir("a.h5ad"), after, sizeof after) &&
     memcmp(before, after, n) == 0);
  OK(files_in(dir) == 2);
}

static void misuse(void) {
  dyn_err e;
  dyn_textlist bad = {0};
  dyn_h5ad_content c = {
      .x = {NULL, &csr, NULL}, .obs_names = &genes, .var_names = &genes};
  OK(dyn_h5ad_write(in_dir("c.h5ad"), &c, &e) == DYN_ESHAPE);
  printf("# %s\n", e.msg);
  c.obs_names = &cells;
  const dyn_h5ad_field twice[] = {{.name = "x", .text = &label},
                                  {.name = "x", .text = &label}};
  c.obs = twice;
  c.nobs = 2;
  OK(dyn_h5ad_write(in_dir("c.h5ad"), &c, &e) == DYN_EVALUE);
  const dyn_h5ad_field slash = {.name = "a/b", .text = &label};
  c.obs = &slash;
  c.nobs = 1;
  OK(dyn_h5ad_write(in_dir("c.h5ad"), &c, &e) == DYN_EFORMAT);
  c.nobs = 0;
  for (int i = 0; i < CELLS; i++)
    if (add(&bad, "\xff") != DYN_OK) exit(1);
  c.obs_names = &bad;
  OK(dyn_h5ad_write(in_dir("c.h5ad"), &c, &e) == DYN_EVALUE);
  printf("# %s\n", e.msg);
  dyn_textlist_free(&bad);
  OK(files_in(dir) == 2);
}

/* ---- out of memory -------------------------------------------------------- */

static const char *target;

static dyn_status oom_write(void) { return write_file(target, true, NULL); }
static dyn_status oom_dense(void) { return write_file(target, false, NULL); }

static dyn_status oom_open(void) {
  dyn_h5ad *a = NULL;
  dyn_status st = dyn_h5ad_open(&a, target, NULL, 0, NULL);
  dyn_h5ad_close(a);
  return st;
}

static dyn_status oom_names(void) {
  dyn_textlist t = {0};
  dyn_status st = dyn_h5ad_names(opened, DYN_AXIS_OBS, &t, NULL);
  dyn_textlist_free(&t);
  return st;
}

static dyn_status oom_column(const char *name) {
  dyn_column c = {0};
  dyn_status st = dyn_h5ad_column(opened, DYN_AXIS_OBS, name, &c, NULL);
  dyn_column_free(&c);
  return st;
}

static dyn_status oom_kinds(void) {
  dyn_column_kind k;
  return dyn_h5ad_column_kind(opened, DYN_AXIS_OBS, "score", &k, NULL);
}

static dyn_status oom_lists(void) {
  dyn_textlist t = {0};
  dyn_status st = dyn_h5ad_columns(opened, DYN_AXIS_OBS, &t, NULL);
  if (st == DYN_OK) st = dyn_h5ad_list(opened, "layers", &t, NULL);
  dyn_textlist_free(&t);
  return st;
}

static dyn_status oom_describe(void) {
  dyn_textlist t = {0}, u = {0};
  dyn_status st = dyn_h5ad_describe(opened, 100, &t, &u, NULL);
  dyn_textlist_free(&t);
  dyn_textlist_free(&u);
  return st;
}

static dyn_status oom_uns(void) {
  dyn_textlist t = {0};
  bool found;
  dyn_status st = dyn_h5ad_uns(opened, "dynamo", &t, &found, NULL);
  dyn_textlist_free(&t);
  return st;
}

static dyn_status oom_repeat(void) {
  int64_t i, j, n;
  return dyn_textlist_repeat(&cells, &i, &j, &n, NULL);
}

static void out_of_memory(void) {
  target = in_dir("a.h5ad");
  OUT_OF_MEMORY(oom_write());
  OUT_OF_MEMORY(oom_dense());
  OUT_OF_MEMORY(oom_write());
  OUT_OF_MEMORY(oom_open());
  OUT_OF_MEMORY(oom_repeat());
  OK(dyn_h5ad_open(&opened, target, NULL, 0, NULL) == DYN_OK);
  OUT_OF_MEMORY(oom_names());
  OUT_OF_MEMORY(oom_lists());
  OUT_OF_MEMORY(oom_column("condition"));
  OUT_OF_MEMORY(oom_column("note"));
  OUT_OF_MEMORY(oom_column("score"));
  OUT_OF_MEMORY(oom_kinds());
  OUT_OF_MEMORY(oom_matrix(NULL));
  OUT_OF_MEMORY(oom_matrix("b"));
  OUT_OF_MEMORY(oom_describe());
  OUT_OF_MEMORY(oom_uns());
  dyn_h5ad_close(opened);
  OK(files_in(dir) == 2);
}

/* Ids of the library that nobody has given back. */
static hsize_t ids(void) {
  static const H5I_type_t type[] = {H5I_FILE,       H5I_GROUP,   H5I_DATATYPE,
                                    H5I_DATASPACE,  H5I_DATASET, H5I_ATTR,
                                    H5I_GENPROP_LST};
  hsize_t sum = 0;
  for (size_t i = 0; i < sizeof type / sizeof *type; i++) {
    hsize_t n = 0;
    H5Inmembers(type[i], &n);
    sum += n;
  }
  return sum;
}

int main(void) {
  if (!mkdtemp(dir)) return 1;
  content();
  round_trip();
  hsize_t before = ids();
  round_trip();
  foreign_sparse();
  bad_paths();
  full_disk();
  misuse();
  out_of_memory();
  OK(ids() == before);
  unlink(in_dir("a.h5ad"));
  unlink(in_dir("b.h5ad"));
  OK(rmdir(dir) == 0);
  dyn_textlist_free(&cells);
  dyn_textlist_free(&genes);
  dyn_textlist_free(&label);
  dyn_textlist_free(&keys);
  dyn_textlist_free(&values);
  dyn_csr_free(&csr);
  dyn_tensor_free(&dense);
  dyn_tensor_free(&number);
  return done_testing();
}
