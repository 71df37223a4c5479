/* test_h5_stream.c -- matrices shard by shard: contents, order, damage, memory. */
#include "test.h"

#include <string.h>
#include <unistd.h>

#include "core/rng.h"
#include "io/h5_stream.h"

enum {
  CELLS = 3001,
  GENES = 70
};

static char dir[] = "/tmp/dyn_h5sXXXXXX";
static dyn_tensor dense;
static dyn_csr csr;
static dyn_textlist cells, genes;

static const char *in_dir(const char *name) {
  static char buf[128];
  snprintf(buf, sizeof buf, "%s/%s", dir, name);
  return buf;
}

static dyn_status names(dyn_textlist *t, int n, dyn_err *e) {
  char s[16];
  dyn_status st = DYN_OK;
  for (int i = 0; i < n && st == DYN_OK; i++) {
    snprintf(s, sizeof s, "n%d", i);
    st = dyn_textlist_add(t, s, strlen(s), e);
  }
  return st;
}

static dyn_status make(dyn_err *e) {
  ptrdiff_t size[2] = {CELLS, GENES};
  dyn_rng g = dyn_rng_stream(1, 0);
  dyn_status st = DYN_OK;
  DYN_TRY(names(&cells, CELLS, e));
  DYN_TRY(names(&genes, GENES, e));
  DYN_TRY(dyn_tensor_new(&dense, DYN_F32, 2, size, e));
  for (int i = 0; i < CELLS * GENES; i++)
    dyn_f32(&dense)[i] = (float)dyn_rng_below(&g, 5) * (i % 11 > 2);
  DYN_TRY(dyn_csr_from_dense(&csr, &dense, e));
  const dyn_h5ad_part layer[] = {{"dense", NULL, &dense}};
  const dyn_h5ad_content c = {.x = {NULL, &csr, NULL},
                              .obs_names = &cells,
                              .var_names = &genes,
                              .layer = layer,
                              .nlayer = 1};
  st = dyn_h5ad_write(in_dir("a.h5ad"), &c, e);
done:
  return st;
}

static dyn_h5_stream *stream(const char *file, const char *name, size_t memory,
                             dyn_err *e) {
  dyn_h5ad *a = NULL;
  dyn_h5_stream *s = NULL;
  if (dyn_h5ad_open(&a, in_dir(file), NULL, 0, e) == DYN_OK &&
      dyn_h5_stream_open(&s, a, name, memory, e) != DYN_OK)
    s = NULL;
  dyn_h5ad_close(a); /* the stream does not need it */
  return s;
}

/* Whether a shard is rows first ... of the matrix. */
static bool same(const dyn_matrix *m, int64_t first) {
  const float *want = dyn_f32(&dense) + first * GENES;
  if (!m->sparse)
    return memcmp(dyn_f32(&m->dense), want,
                  (size_t)(m->dense.size[0] * GENES) * 4) == 0;
  for (ptrdiff_t i = 0; i < m->csr.nrow; i++, want += GENES) {
    int64_t k = m->csr.start[i];
    for (int32_t j = 0; j < GENES; j++) {
      bool here = k < m->csr.start[i + 1] && m->csr.col[k] == j;
      if (want[j] != (here ? m->csr.val[k] : 0)) return false;
      k += here;
    }
  }
  return true;
}

static ptrdiff_t rows_of(const dyn_matrix *m) {
  return m->sparse ? m->csr.nrow : m->dense.size[0];
}

/* Cells that a pass gives, all of them right; -1 if some are not. */
static int64_t pass(dyn_h5_stream *s, const int64_t *order, int64_t n,
                    int threads) {
  dyn_matrix m;
  int64_t first = 0, seen = 0;
  bool ok = dyn_h5_stream_start(s, order, n, threads, NULL) == DYN_OK;
  for (int64_t i = 0; ok; i++) {
    ok = dyn_h5_stream_next(s, &m, &first, NULL) == DYN_OK;
    if (!ok || first < 0) break;
    ok = same(&m, first) && m.integers && m.nan == 0 &&
         (!order || first == order[i] * dyn_h5_stream_shard(s));
    seen += rows_of(&m);
    dyn_matrix_free(&m);
  }
  return ok ? seen : -1;
}

static void passes(const char *name) {
  dyn_err e = {""};
  dyn_h5_stream *s = stream("a.h5ad", name, 100000, &e);
  ok_(s != NULL, e.msg, __FILE__, __LINE__);
  if (!s) return;
  int64_t shard = dyn_h5_stream_shard(s), all = dyn_h5_stream_shards(s);
  OK(all > 10 && (all - 1) * shard < CELLS && all * shard >= CELLS);
  OK(pass(s, NULL, 0, 1) == CELLS && pass(s, NULL, 0, 3) == CELLS);
  const int64_t order[] = {5, 0, 5, 3}, none = 0, odd[] = {0, all};
  OK(pass(s, order, 4, 2) == 4 * shard && pass(s, &none, 0, 1) == 0);
  OK(dyn_h5_stream_start(s, odd, 2, 1, &e) == DYN_EVALUE);
  dyn_matrix m;
  int64_t first;
  OK(dyn_h5_stream_next(s, &m, &first, &e) == DYN_OK && first == -1);
  for (int i = 0; i < 20; i++) { /* given up at once, and after one */
    OK(dyn_h5_stream_start(s, NULL, 0, 1, &e) == DYN_OK);
    if (i % 2) OK(dyn_h5_stream_next(s, &m, &first, &e) == DYN_OK);
    if (i % 2) dyn_matrix_free(&m);
  }
  dyn_stream_cost c = dyn_h5_stream_cost(s);
  OK(c.shards == 2 * all + 4 + 10 && c.waited >= 0 && c.busy > 0);
  dyn_h5_stream_close(s);
}

/* Until the end or an error; rows that were given. */
static dyn_status drain(dyn_h5_stream *s, int64_t *n, dyn_err *e) {
  dyn_matrix m;
  int64_t first = 0;
  dyn_status st = dyn_h5_stream_start(s, NULL, 0, 2, e);
  for (*n = 0; st == DYN_OK && first >= 0;) {
    st = dyn_h5_stream_next(s, &m, &first, e);
    if (first >= 0) *n += rows_of(&m);
    dyn_matrix_free(&m);
  }
  if (st != DYN_OK) /* nothing follows an error */
    OK(dyn_h5_stream_next(s, &m, &first, NULL) == DYN_OK && first == -1);
  return st;
}

/* A chunk of one of the two is damaged. */
static void damage(void) {
  dyn_err e = {""}, f = {""};
  int64_t n, k;
  FILE *file = fopen(in_dir("a.h5ad"), "rb+");
  fseek(file, 0, SEEK_END);
  fseek(file, ftell(file) / 4, SEEK_SET);
  for (int i = 0; i < 100; i++) fputc(0xa5, file);
  fclose(file);
  dyn_h5_stream *s = stream("a.h5ad", NULL, 100000, &e),
                *t = stream("a.h5ad", "dense", 100000, &f);
  OK(s && t);
  if (s && t) {
    dyn_status one = drain(s, &n, &e), two = drain(t, &k, &f);
    OK((one == DYN_EFORMAT) != (two == DYN_EFORMAT));
    OK((n < CELLS) != (k < CELLS));
    printf("# %s%s\n", one ? e.msg : "", two ? f.msg : "");
  }
  dyn_h5_stream_close(s);
  dyn_h5_stream_close(t);
}

static dyn_status oom_stream(void) {
  dyn_h5ad *a = NULL;
  dyn_h5_stream *s = NULL;
  dyn_matrix m;
  int64_t first = 0;
  dyn_status st = DYN_OK;
  DYN_TRY(dyn_h5ad_open(&a, in_dir("a.h5ad"), NULL, 0, NULL));
  DYN_TRY(dyn_h5_stream_open(&s, a, NULL, 2000000, NULL));
  DYN_TRY(dyn_h5_stream_start(s, NULL, 0, 1, NULL));
  while (st == DYN_OK && first >= 0) {
    st = dyn_h5_stream_next(s, &m, &first, NULL);
    dyn_matrix_free(&m);
  }
done:
  dyn_h5_stream_close(s);
  dyn_h5ad_close(a);
  return st;
}

int main(void) {
  dyn_err e = {""};
  if (!mkdtemp(dir)) return 1;
  ok_(make(&e) == DYN_OK, e.msg, __FILE__, __LINE__);
  passes(NULL);
  passes("dense");
  OK(stream("a.h5ad", NULL, 64, &e) == NULL);
  printf("# %s\n", e.msg);
  OK(stream("a.h5ad", "nothing", 0, &e) == NULL);
  OUT_OF_MEMORY(oom_stream());
  damage();
  unlink(in_dir("a.h5ad"));
  OK(rmdir(dir) == 0);
  dyn_tensor_free(&dense);
  dyn_csr_free(&csr);
  dyn_textlist_free(&cells);
  dyn_textlist_free(&genes);
  return done_testing();
}
