#include "test.h"

#include <string.h>
#include <unistd.h>

#include "io/h5ad.h"
#include "io/mtx.h"

static dyn_err e;
static dyn_csr S;

static bool says(dyn_status st, dyn_status want, const char *text) {
  bool good = st == want && strstr(e.msg, text);
  if (!good) printf("# %s: %s\n", dyn_status_name(st), e.msg);
  return good;
}

static dyn_status parse(const char *text, bool trans) {
  dyn_csr_free(&S);
  return dyn_mtx_parse(&S, "matrix.mtx", text, strlen(text), trans, 1 << 20,
                       NULL, &e);
}

static double at(ptrdiff_t i, int32_t j) {
  for (int64_t k = S.start[i]; k < S.start[i + 1]; k++)
    if (S.col[k] == j) return (double)S.val[k];
  return 0;
}

#define HEAD "%%MatrixMarket matrix coordinate "

static void good(void) {
  OK(parse(HEAD "integer general\n%\n3 2 3\n1 1 5\n3 2 7\n1 1 1\n", false) ==
         DYN_OK &&
     S.nrow == 3 && S.ncol == 2 && at(0, 0) == 6 && at(2, 1) == 7);
  OK(parse(HEAD "real general\r\n3 2 1\r\n3\t1 .5\r\n", true) == DYN_OK &&
     S.nrow == 2 && S.ncol == 3 && at(0, 2) == 0.5);
  OK(parse(HEAD "pattern symmetric\n2 2 2\n1 1\n2 1\n", false) == DYN_OK &&
     at(0, 1) == 1 && at(1, 0) == 1 && dyn_csr_nnz(&S) == 3);
  OK(parse("%%MatrixMarket matrix array real general\n2 2\n1\n0\n3\n4\n",
           false) == DYN_OK &&
     at(0, 1) == 3 && at(1, 1) == 4 && dyn_csr_nnz(&S) == 3);
  OK(parse(HEAD "real general\n0 0 0\n", false) == DYN_OK);
}

#define BAD(text, what) OK(says(parse(text, true), DYN_EFORMAT, what))

static void bad(void) {
  BAD(HEAD "integer general\n3 2 3\n1 1 5\n3 2 7\n",
      "matrix.mtx: header says 3 entries, at most 2 are in the file");
  BAD(HEAD "integer general\n3 2 2\n1 1 50000000\n",
      "header says 2 entries, found 1 (truncated?)");
  BAD(HEAD "integer general\n3 2 1\n4 2 7\n", "line 3: row 4 outside 1..3");
  BAD(HEAD "integer general\n3 2 1\n1 0 7\n", "line 3: column 0 outside 1..2");
  BAD(HEAD "integer general\n3 2 1\n1 -1 7\n", "number expected, found '-1'");
  BAD(HEAD "integer general\n3 2 1\n1 1 x\n", "number expected, found 'x'");
  BAD(HEAD "integer general\n3 2 1\n1 1\n\n\n\n", "2 fields, expected 3");
  BAD(HEAD "integer general\n3 2 1\n1 1 1\n1 1 1\n", "line 4: more than the 1");
  BAD(HEAD "complex hermitian\n", "'complex hermitian' is not supported");
  BAD("%%MatrixMarket matrix array real symmetric\n",
      "'array real symmetric' is not supported");
  BAD("1 1 1\n", "not a MatrixMarket file");
  BAD("", "is empty");
  BAD(HEAD "integer general\n", "rows, columns, entries expected");
  BAD(HEAD "integer general\n9999999999 1 1\n", "is too large");
  BAD(HEAD "integer general\n1000000 1000000 0\n", "needs 30.5 MiB, limit");
  BAD(HEAD "integer general\n1000000000000000000000 1 1\n", "number expected");
  BAD(HEAD "pattern symmetric\n1 2 1\n1 2\n", "column 2 outside 1..1");
}

static dyn_status both(void) {
  dyn_csr s = {0};
  const char *t = HEAD "real symmetric\n2 2 2\n1 1 1\n2 1 3\n";
  dyn_status st =
      dyn_mtx_parse(&s, "f", t, strlen(t), true, 1 << 20, NULL, NULL);
  dyn_csr_free(&s);
  return st;
}

/* ---- loom ------------------------------------------------------------------- */

static char path[64];

static dyn_status add(dyn_textlist *t, const char *a, const char *b,
                      const char *c) {
  const char *const s[] = {a, b, c};
  dyn_status st = DYN_OK;
  for (int i = 0; i < 3 && s[i] && st == DYN_OK; i++)
    st = dyn_textlist_add(t, s[i], strlen(s[i]), &e);
  return st;
}

static void write_loom(const char *cell_member) {
  dyn_h5 *f = NULL;
  dyn_textlist genes = {0}, cells = {0};
  float x[] = {1, 0, 2, 0, 0, 3}; /* 2 genes x 3 cells */
  int64_t dim[] = {2, 3};
  char member[100];
  snprintf(member, sizeof member, "col_attrs/%s", cell_member);
  if (add(&genes, "KLF1", "HBZ", NULL) || add(&cells, "c1", "c2", "c3") ||
      dyn_h5_create(&f, path, 0, &e) || dyn_h5_group(f, "row_attrs", &e) ||
      dyn_h5_group(f, "col_attrs", &e) ||
      dyn_h5_put(f, "matrix", DYN_H5_F32, false, 2, dim, x, &e) ||
      dyn_h5_put_texts(f, "row_attrs/Gene", 2, &genes, &e) ||
      dyn_h5_put_texts(f, member, 3, &cells, &e) ||
      dyn_h5_put_texts(f, "col_attrs/perturbation", 3, &cells, &e) ||
      dyn_h5_seal(f, &e) || dyn_h5_commit(f, &e))
    printf("# %s\n", e.msg);
  dyn_h5_close(f);
  dyn_textlist_free(&genes);
  dyn_textlist_free(&cells);
}

static void loom(void) {
  dyn_h5ad *a = NULL;
  dyn_matrix m = {0};
  dyn_textlist t = {0};
  write_loom("CellID");
  OK(dyn_h5ad_open(&a, path, NULL, 0, &e) == DYN_OK &&
     !strcmp(dyn_h5ad_kind(a), "loom"));
  if (!a) return;
  OK(dyn_h5ad_size(a, DYN_AXIS_OBS) == 3 &&
     dyn_h5ad_size(a, DYN_AXIS_VAR) == 2);
  OK(dyn_h5ad_columns(a, DYN_AXIS_OBS, &t, &e) == DYN_OK && t.n == 1);
  OK(dyn_h5ad_matrix(a, NULL, &m, &e) == DYN_OK && m.sparse &&
     m.csr.nrow == 3 && m.csr.ncol == 2 && dyn_csr_nnz(&m.csr) == 3 &&
     (double)m.csr.val[2] == 3 && m.csr.col[2] == 1 && m.max == 3);
  dyn_matrix_free(&m);
  OK(says(dyn_h5ad_matrix(a, "spliced", &m, &e), DYN_EFORMAT,
          "no matrix 'spliced'"));
  OUT_OF_MEMORY((dyn_matrix_free(&m), dyn_h5ad_matrix(a, NULL, &m, NULL)));
  dyn_matrix_free(&m);
  dyn_textlist_free(&t);
  dyn_h5ad_close(a);
  write_loom("what");
  OK(says(dyn_h5ad_open(&a, path, NULL, 0, &e), DYN_EFORMAT,
          "col_attrs: no member with names (CellID, obs_names, ...)"));
  unlink(path);
}

int main(void) {
  snprintf(path, sizeof path, "/tmp/dynamo-loom-%ld.loom", (long)getpid());
  good();
  bad();
  dyn_csr_free(&S);
  OUT_OF_MEMORY(both());
  loom();
  return done_testing();
}
