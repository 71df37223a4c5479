#include <string.h>

#include "embed/terms.h"
#include "test.h"

#define DOC(s) \
  { s, sizeof(s) - 1 }
static const dyn_document doc[] = {DOC("Kinase KINASE binds the DNA"),
                                   DOC("kinase DNA; repair"),
                                   DOC("dna repair-of x"), DOC("a, b!")};
static const dyn_terms_opts plain = {
    .ngrams = 1, .min_df = 1, .max_share = 1, .k1 = 1.2, .b = 0.75};

static dyn_status stop_words(dyn_names *t, dyn_err *e) {
  int32_t id;
  dyn_status st = dyn_names_add(t, "the", 3, &id, NULL, e);
  return st == DYN_OK ? dyn_names_add(t, "of", 2, &id, NULL, e) : st;
}

static dyn_status all(dyn_err *e) {
  dyn_names stop = {0}, terms = {0};
  dyn_csr r = {0};
  dyn_tensor idf = {0};
  dyn_terms_opts o = plain;
  dyn_status st = stop_words(&stop, e);
  o.stop = &stop;
  o.ngrams = 2;
  if (st == DYN_OK) st = dyn_terms(&r, &idf, &terms, doc, 4, &o, NULL, e);
  dyn_names_free(&stop), dyn_names_free(&terms);
  dyn_csr_free(&r), dyn_tensor_free(&idf);
  return st;
}

static void weights(void) {
  dyn_err e;
  dyn_names stop = {0}, terms = {0};
  dyn_csr r = {0};
  dyn_tensor idf = {0};
  dyn_terms_opts o = plain;
  OK(stop_words(&stop, &e) == DYN_OK);
  o.stop = &stop;
  OK(dyn_terms(&r, &idf, &terms, doc, 4, &o, NULL, &e) == DYN_OK);
  OK(terms.n == 4 && strcmp(dyn_names_get(&terms, 0), "kinase") == 0);
  OK(strcmp(dyn_names_get(&terms, 2), "dna") == 0);
  NEAR(dyn_f64(&idf)[0], log(5.0 / 3) + 1, 1e-15);
  NEAR(dyn_f64(&idf)[2], log(5.0 / 4) + 1, 1e-15);
  double k = (1 + log(2)) * (log(5.0 / 3) + 1), b = log(5.0 / 2) + 1,
         d = log(5.0 / 4) + 1;
  NEAR((double)r.val[0], k / sqrt(k * k + b * b + d * d), 1e-6);
  OK(r.start[1] == 3 && r.start[3] == 8 && r.start[4] == 8);
  dyn_names_free(&stop), dyn_names_free(&terms);
  dyn_csr_free(&r), dyn_tensor_free(&idf);
}

static void bounds(void) {
  dyn_err e;
  dyn_names terms = {0};
  dyn_csr r = {0};
  dyn_tensor idf = {0};
  dyn_terms_opts o = plain;
  o.min_df = 2, o.max_share = 0.5, o.bm25 = true;
  OK(dyn_terms(&r, &idf, &terms, doc, 4, &o, NULL, &e) == DYN_OK);
  OK(terms.n == 2); /* kinase and repair; dna is in 3 of 4 */
  NEAR(dyn_f64(&idf)[0], log(1 + 2.5 / 2.5), 1e-15);
  NEAR((double)r.val[0], 1.0, 1e-7);
  dyn_names_free(&terms), dyn_csr_free(&r), dyn_tensor_free(&idf);
  o = plain;
  o.ngrams = 3;
  OK(dyn_terms(&r, &idf, &terms, doc + 1, 1, &o, NULL, &e) == DYN_OK);
  OK(terms.n == 6 && dyn_names_find(&terms, "kinase dna repair", 17) == 5);
  dyn_names_free(&terms), dyn_csr_free(&r), dyn_tensor_free(&idf);
  OK(dyn_terms(&r, &idf, &terms, doc, 0, &o, NULL, &e) == DYN_OK);
  OK(terms.n == 0 && r.nrow == 0);
  dyn_names_free(&terms), dyn_csr_free(&r), dyn_tensor_free(&idf);
  o.ngrams = 6;
  OK(dyn_terms(&r, &idf, &terms, doc, 1, &o, NULL, &e) == DYN_EVALUE);
}

static int stop_now(void *ud, int64_t done, int64_t total) {
  (void)ud, (void)done, (void)total;
  return 1;
}

static void odd(void) {
  dyn_err e;
  dyn_names terms = {0};
  dyn_csr r = {0};
  dyn_tensor idf = {0};
  dyn_poll p = {stop_now, NULL};
  static char big[1000];
  memset(big, 'q', sizeof big);
  dyn_document d[] = {{big, sizeof big},
                      DOC("\xce\xb2\xce\xb3 \xce\xb2 _x"),
                      DOC("a\0bc\0de fg"),
                      {NULL, 0}};
  OK(dyn_terms(&r, &idf, &terms, d, 4, &plain, NULL, &e) == DYN_OK);
  OK(terms.n == 5); /* no 1000-byte word, no single Greek letter */
  dyn_names_free(&terms), dyn_csr_free(&r), dyn_tensor_free(&idf);
  OK(dyn_terms(&r, &idf, &terms, d, 4, &plain, &p, &e) == DYN_ECANCEL);
}

int main(void) {
  dyn_err e;
  weights();
  bounds();
  odd();
  OUT_OF_MEMORY(all(&e));
  return done_testing();
}
