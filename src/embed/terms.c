#include "embed/terms.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
  LONGEST = 255, /* bytes of a word; longer ones are no words */
  MOST = 5,      /* words of a term */
  STEP = 1024    /* documents between two questions to 'poll' */
};

/* What is held while documents are read. */
typedef struct job {
  const dyn_terms_opts *o;
  dyn_names all;  /* every term seen */
  int32_t *id;    /* terms of the documents, one after the other */
  int64_t n, cap; /* how many, and room */
  int64_t *start; /* ndoc + 1 offsets into id */
  int64_t *df;    /* per term; later its number among the kept */
  int64_t nterm;  /* how many of them df is for */
  char word[MOST][LONGEST + 1];
  int len[MOST], words; /* a ring of the last words */
} job;

static void job_free(job *t, int64_t ndoc) {
  dyn_names_free(&t->all);
  dyn_free(t->id, (size_t)t->cap, sizeof *t->id);
  dyn_free(t->start, (size_t)ndoc + 1, sizeof *t->start);
  dyn_free(t->df, (size_t)t->nterm + 1, sizeof *t->df);
}

/* ---- words ---------------------------------------------------------------- */

static bool part(unsigned char c) {
  return c >= 0x80 || c == '_' || (c >= '0' && c <= '9') ||
         (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static int characters(const char *s, int n) {
  int k = 0;
  for (int i = 0; i < n; i++) k += ((unsigned char)s[i] & 0xc0) != 0x80;
  return k;
}

/* The next word at or after *at, in lower case; its bytes, 0 at the end. */
static int next_word(char *w, const dyn_document *d, size_t *at) {
  for (;;) {
    int n = 0;
    while (*at < d->len && !part((unsigned char)d->s[*at])) (*at)++;
    if (*at >= d->len) return 0;
    for (; *at < d->len && part((unsigned char)d->s[*at]); (*at)++) {
      char c = d->s[*at];
      if (n < LONGEST) w[n] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
      n++;
    }
    if (n <= LONGEST && characters(w, n) >= 2) return n;
  }
}

static dyn_status append(job *t, int32_t id, dyn_err *e) {
  if (t->n == t->cap) {
    int64_t cap = t->cap ? 2 * t->cap : 4096;
    int32_t *p = dyn_alloc_raw((size_t)cap, sizeof *p);
    if (!p) return dyn_fail(e, DYN_ENOMEM, "terms: out of memory");
    if (t->n) memcpy(p, t->id, (size_t)t->n * sizeof *p);
    dyn_free(t->id, (size_t)t->cap, sizeof *t->id);
    t->id = p;
    t->cap = cap;
  }
  t->id[t->n++] = id;
  return DYN_OK;
}

/* The terms that end with the word read last: 1 .. ngrams words. */
static dyn_status add_terms(job *t, dyn_err *e) {
  char buf[MOST * (LONGEST + 1)];
  int most = t->words < t->o->ngrams ? t->words : t->o->ngrams;
  for (int n = 1; n <= most; n++) {
    int32_t id;
    size_t len = 0;
    for (int k = t->words - n; k < t->words; k++) {
      if (len) buf[len++] = ' ';
      memcpy(buf + len, t->word[k % MOST], (size_t)t->len[k % MOST]);
      len += (size_t)t->len[k % MOST];
    }
    dyn_status st = dyn_names_add(&t->all, buf, len, &id, NULL, e);
    if (st == DYN_OK) st = append(t, id, e);
    if (st != DYN_OK) return st;
  }
  return DYN_OK;
}

static dyn_status read_document(job *t, const dyn_document *d, dyn_err *e) {
  size_t at = 0;
  t->words = 0;
  for (;;) {
    char *w = t->word[t->words % MOST];
    int n = next_word(w, d, &at);
    if (n == 0) return DYN_OK;
    if (t->o->stop && dyn_names_find(t->o->stop, w, (size_t)n) >= 0) continue;
    t->len[t->words++ % MOST] = n;
    dyn_status st = add_terms(t, e);
    if (st != DYN_OK) return st;
  }
}

static dyn_status read_all(job *t, const dyn_document *doc, int64_t n,
                           const dyn_poll *poll, dyn_err *e) {
  for (int64_t i = 0; i < n; i++) {
    if (i % STEP == 0 && dyn_stop(poll, i, n))
      return dyn_fail(e, DYN_ECANCEL, "terms: stopped after %lld documents",
                      (long long)i);
    dyn_status st = read_document(t, doc + i, e);
    if (st != DYN_OK) return st;
    t->start[i + 1] = t->n;
  }
  return DYN_OK;
}

/* ---- weights -------------------------------------------------------------- */

static int ascending(const void *a, const void *b) {
  int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
  return (x > y) - (x < y);
}

/* Sort the terms of each document and count the documents of each term. */
static int64_t count(job *t, int64_t ndoc) {
  int64_t distinct = 0;
  for (int64_t i = 0; i < ndoc; i++) {
    int64_t lo = t->start[i], hi = t->start[i + 1];
    if (hi > lo) qsort(t->id + lo, (size_t)(hi - lo), sizeof *t->id, ascending);
    for (int64_t k = lo; k < hi; k++)
      if (k == lo || t->id[k] != t->id[k - 1]) t->df[t->id[k]]++, distinct++;
  }
  return distinct;
}

/* Kept terms get their names and idf, and df[] becomes their number or -1. */
static dyn_status choose(job *t, dyn_names *terms, dyn_tensor *idf,
                         int64_t ndoc, dyn_err *e) {
  double n = (double)ndoc, most = t->o->max_share * n;
  dyn_tensor w = {0};
  dyn_status st = DYN_OK;
  for (int32_t i = 0; st == DYN_OK && i < t->all.n; i++) {
    const char *s = dyn_names_get(&t->all, i);
    bool keep = t->df[i] >= t->o->min_df && (double)t->df[i] <= most;
    int32_t id = -1;
    if (keep) st = dyn_names_add(terms, s, strlen(s), &id, NULL, e);
  }
  ptrdiff_t size = terms->n;
  if (st == DYN_OK) st = dyn_tensor_new(&w, DYN_F64, 1, &size, e);
  if (st != DYN_OK) return st;
  int64_t at = 0;
  for (int32_t i = 0; i < t->all.n; i++) {
    double df = (double)t->df[i];
    bool keep = t->df[i] >= t->o->min_df && df <= most;
    t->df[i] = keep ? at : -1;
    if (keep)
      dyn_f64(&w)[at++] = t->o->bm25 ? log(1 + (n - df + 0.5) / (df + 0.5))
                                     : log((1 + n) / (1 + df)) + 1;
  }
  *idf = w;
  return DYN_OK;
}

static double weight(const dyn_terms_opts *o, double tf, double len) {
  if (!o->bm25) return 1 + log(tf);
  return tf * (o->k1 + 1) / (tf + o->k1 * (1 - o->b + o->b * len));
}

static void scale(float *val, const double *w, int64_t n) {
  double sum = 0;
  for (int64_t k = 0; k < n; k++) sum += w[k] * w[k];
  for (int64_t k = 0; k < n; k++)
    val[k] = sum > 0 ? (float)(w[k] / sqrt(sum)) : 0;
}

/* Rows of the matrix; 'w' has room for the longest document. */
static void fill(dyn_csr *r, const job *t, const double *idf, double *w,
                 int64_t ndoc) {
  double mean = ndoc ? (double)t->n / (double)ndoc : 1;
  for (int64_t i = 0; i < ndoc; i++) {
    int64_t lo = t->start[i], hi = t->start[i + 1], n = 0;
    double len = mean > 0 ? (double)(hi - lo) / mean : 1;
    int32_t *col = r->col + r->start[i];
    for (int64_t k = lo, end; k < hi; k = end) {
      for (end = k + 1; end < hi && t->id[end] == t->id[k];) end++;
      int64_t term = t->df[t->id[k]];
      if (term < 0) continue;
      col[n] = (int32_t)term;
      w[n++] = weight(t->o, (double)(end - k), len) * idf[term];
    }
    scale(r->val + r->start[i], w, n);
    r->start[i + 1] = r->start[i] + n;
  }
}

static dyn_status matrix(dyn_csr *r, const job *t, const dyn_tensor *idf,
                         int64_t ndoc, int64_t distinct, dyn_err *e) {
  int64_t longest = 1;
  for (int64_t i = 0; i < ndoc; i++)
    if (t->start[i + 1] - t->start[i] > longest)
      longest = t->start[i + 1] - t->start[i];
  double *w = dyn_alloc((size_t)longest, sizeof *w);
  if (!w) return dyn_fail(e, DYN_ENOMEM, "terms: out of memory");
  dyn_status st = dyn_csr_new(r, ndoc, idf->size[0], distinct, true, e);
  if (st == DYN_OK) fill(r, t, dyn_f64(idf), w, ndoc);
  dyn_free(w, (size_t)longest, sizeof *w);
  return st;
}

static dyn_status check(const dyn_terms_opts *o, int64_t ndoc, dyn_err *e) {
  if (o->ngrams < 1 || o->ngrams > MOST || o->min_df < 1 ||
      !(o->max_share > 0 && o->max_share <= 1) || !(o->k1 >= 0) ||
      !(o->b >= 0 && o->b <= 1) || ndoc < 0 || ndoc > INT32_MAX)
    return dyn_fail(e, DYN_EVALUE, "terms: an option is out of range");
  return DYN_OK;
}

dyn_status dyn_terms(dyn_csr *r, dyn_tensor *idf, dyn_names *terms,
                     const dyn_document *doc, int64_t ndoc,
                     const dyn_terms_opts *o, const dyn_poll *poll,
                     dyn_err *e) {
  job t = {.o = o};
  dyn_status st = check(o, ndoc, e);
  if (st != DYN_OK) return st;
  t.start = dyn_alloc((size_t)ndoc + 1, sizeof *t.start);
  if (!t.start) return dyn_fail(e, DYN_ENOMEM, "terms: out of memory");
  DYN_TRY(read_all(&t, doc, ndoc, poll, e));
  t.df = dyn_alloc((size_t)t.all.n + 1, sizeof *t.df);
  if (!t.df) {
    st = dyn_fail(e, DYN_ENOMEM, "terms: out of memory");
    goto done;
  }
  t.nterm = t.all.n;
  int64_t distinct = count(&t, ndoc);
  DYN_TRY(choose(&t, terms, idf, ndoc, e));
  DYN_TRY(matrix(r, &t, idf, ndoc, distinct, e));
done:
  job_free(&t, ndoc);
  if (st != DYN_OK) dyn_tensor_free(idf), dyn_names_free(terms);
  return st;
}
