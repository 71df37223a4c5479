#include "io/long.h"

#include <stdio.h>
#include <string.h>

#include "io/rows.h"
#include "io/table.h"
#include "io/text.h"

enum {
  PERTURBATION,
  GENE,
  VALUE,
  WEIGHT,
  CONTEXT,
  SPLIT,
  NROLES
};

static const char *const role[NROLES] = {"perturbation", "gene",    "value",
                                         "weight",       "context", "split"};
static const char *const words[NROLES] = {
    "perturbation|pert|condition|target|target_gene",
    "gene|gene_name|symbol|feature",
    "value|effect|delta|label|logfc|log2fc|lfc|zscore|score",
    "weight|w",
    "context|cell_type|cell_line",
    "split"};

typedef struct mark { /* what is remembered of a value while reading */
  int64_t line;
  int32_t count; /* lines that went into it */
} mark;

typedef struct reader {
  dyn_rows rows;
  dyn_long *t;
  const dyn_long_opts *o;
  int32_t col[NROLES]; /* or -1 */
  uint32_t *slot;      /* values by pair and gene: index + 1, 0 is free */
  int64_t nslot;
  uint32_t *pair_slot; /* pairs by perturbation and context, likewise */
  int64_t npair_slot;
  mark *seen;
  int64_t nseen;
  int32_t *split_of; /* of perturbations: split + 1, 0 not known */
  int64_t nsplit_of;
} reader;

void dyn_long_free(dyn_long *t) {
  dyn_names_free(&t->perturbations);
  dyn_names_free(&t->genes);
  dyn_names_free(&t->contexts);
  dyn_names_free(&t->splits);
  dyn_free(t->pair, (size_t)t->pair_cap, sizeof *t->pair);
  dyn_free(t->row, (size_t)t->row_cap, sizeof *t->row);
  dyn_free(t->col, (size_t)t->col_cap, sizeof *t->col);
  dyn_free(t->value, (size_t)t->cap, sizeof *t->value);
  dyn_free(t->weight, (size_t)t->weight_cap, sizeof *t->weight);
  *t = (dyn_long){0};
}

static dyn_status no_memory(dyn_err *e) {
  return dyn_fail(e, DYN_ENOMEM, "not enough memory for responses");
}

/* ---- columns ------------------------------------------------------------ */

static const char *asked(const dyn_long_opts *o, int k) {
  const char *const all[NROLES] = {o->perturbation, o->gene,    o->value,
                                   o->weight,       o->context, o->split};
  return all[k];
}

/* "no value column (have: pert, gene, fdr)", with the likely one as a hint. */
static dyn_status no_column(reader *r, int k, dyn_err *e) {
  char have[200], hint[DYN_SHOWN + 32] = "", shown[DYN_SHOWN];
  dyn_scan *s = &r->rows.scan;
  bool more = false;
  dyn_err ignored;
  const char *at = s->at;
  int64_t line = s->reached;
  if (dyn_rows_next(&r->rows, &more, &ignored) != DYN_OK) more = false;
  for (int32_t i = 0; more && i < r->rows.width && !hint[0]; i++) {
    double v;
    bool number = dyn_number(s->f[i].s, s->f[i].n, &v) == DYN_NUMBER;
    bool taken = false;
    for (int j = 0; j < NROLES; j++) taken = taken || r->col[j] == i;
    if (taken || number != (k == VALUE)) continue;
    const dyn_field *h = &r->rows.head[i];
    snprintf(hint, sizeof hint, "\nhint: %s=\"%s\"", role[k],
             dyn_shown(shown, h->s, h->n));
  }
  dyn_scan_back(s, at, line);
  return dyn_fail(e, DYN_EFORMAT, "%.150s: no %s column (have: %s)%s", s->file,
                  role[k], dyn_rows_have(&r->rows, have, sizeof have), hint);
}

/* The first column with a usual name for role k that has no other role. */
static int32_t usual_column(const reader *r, int k) {
  char word[32];
  for (const char *w = words[k]; *w;) {
    size_t n = strcspn(w, "|");
    snprintf(word, sizeof word, "%.*s", (int)n, w);
    for (int32_t i = 0; i < r->rows.width; i++) {
      bool taken = false;
      for (int j = 0; j < NROLES; j++) taken = taken || r->col[j] == i;
      if (!taken && dyn_is_word(&r->rows.head[i], word)) return i;
    }
    w += n + (w[n] == '|');
  }
  return -1;
}

static dyn_status choose_columns(reader *r, dyn_err *e) {
  for (int k = 0; k < NROLES; k++) r->col[k] = -1;
  for (int k = 0; k < NROLES; k++) {
    if (!asked(r->o, k)) continue;
    dyn_status st = dyn_rows_column(&r->rows, asked(r->o, k), &r->col[k], e);
    if (st != DYN_OK) return st;
  }
  for (int k = 0; k < NROLES; k++) {
    char shown[DYN_SHOWN];
    if (r->col[k] < 0) r->col[k] = usual_column(r, k);
    if (r->col[k] < 0) {
      if (k <= VALUE) return no_column(r, k, e);
      continue;
    }
    const dyn_field *h = &r->rows.head[r->col[k]];
    snprintf(r->t->used[k], sizeof r->t->used[k], "%.60s",
             dyn_shown(shown, h->s, h->n));
  }
  return DYN_OK;
}

/* ---- pairs -------------------------------------------------------------- */

static size_t slot_of(uint64_t a, uint64_t b, int64_t nslot) {
  uint64_t key = (a << 32 | b) * 0x9e3779b97f4a7c15u;
  return (size_t)(key >> 29) & ((size_t)nslot - 1);
}

static uint32_t *pair_place(const reader *r, int32_t p, int32_t c) {
  size_t i = slot_of((uint64_t)p, (uint64_t)c, r->npair_slot);
  for (; r->pair_slot[i]; i = (i + 1) & ((size_t)r->npair_slot - 1)) {
    const dyn_pair *x = &r->t->pair[r->pair_slot[i] - 1];
    if (x->perturbation == p && x->context == c) break;
  }
  return &r->pair_slot[i];
}

static dyn_status grow_pairs(reader *r, dyn_err *e) {
  dyn_long *t = r->t;
  void *p = dyn_grown(t->pair, &t->pair_cap, t->npair, (int64_t)t->npair + 1,
                      sizeof *t->pair);
  if (!p) return no_memory(e);
  t->pair = p;
  if ((int64_t)t->npair * 2 < r->npair_slot) return DYN_OK;
  int64_t nslot = r->npair_slot ? r->npair_slot * 2 : 1024;
  uint32_t *slot = dyn_alloc((size_t)nslot, sizeof *slot);
  if (!slot) return no_memory(e);
  dyn_free(r->pair_slot, (size_t)r->npair_slot, sizeof *slot);
  r->pair_slot = slot;
  r->npair_slot = nslot;
  for (int32_t k = 0; k < t->npair; k++)
    *pair_place(r, t->pair[k].perturbation, t->pair[k].context) =
        (uint32_t)k + 1;
  return DYN_OK;
}

/* A perturbation has one split, in all its contexts. */
static dyn_status check_split(reader *r, int32_t p, int32_t split, dyn_err *e) {
  char a[DYN_SHOWN];
  void *q = dyn_grown(r->split_of, &r->nsplit_of, r->nsplit_of, (int64_t)p + 1,
                      sizeof *r->split_of);
  if (!q) return no_memory(e);
  r->split_of = q;
  int32_t *known = &r->split_of[p];
  if (*known == 0) *known = split + 1;
  if (*known == split + 1) return DYN_OK;
  const char *name = dyn_names_get(&r->t->perturbations, p);
  return dyn_fail(e, DYN_EFORMAT, "%.200s: %s is in both %.60s and %.60s",
                  r->rows.scan.file, dyn_shown(a, name, strlen(name)),
                  dyn_names_get(&r->t->splits, *known - 1),
                  dyn_names_get(&r->t->splits, split));
}

static dyn_status pair_of(reader *r, int32_t *pair, dyn_err *e) {
  dyn_long *t = r->t;
  const dyn_scan *s = &r->rows.scan;
  static const dyn_field all = {"all", 3};
  int32_t p, c, split = -1;
  dyn_status st;
  DYN_TRY(dyn_scan_name(s, &t->perturbations, &s->f[r->col[PERTURBATION]],
                        "perturbation", &p, NULL, e));
  DYN_TRY(dyn_scan_name(s, &t->contexts,
                        r->col[CONTEXT] < 0 ? &all : &s->f[r->col[CONTEXT]],
                        "context", &c, NULL, e));
  if (r->col[SPLIT] >= 0 && s->f[r->col[SPLIT]].n) {
    DYN_TRY(dyn_scan_name(s, &t->splits, &s->f[r->col[SPLIT]], "split", &split,
                          NULL, e));
    DYN_TRY(check_split(r, p, split, e));
  }
  DYN_TRY(grow_pairs(r, e));
  uint32_t *at = pair_place(r, p, c);
  if (!*at) {
    t->pair[t->npair] = (dyn_pair){p, c, split};
    *at = (uint32_t)++t->npair;
  }
  *pair = (int32_t)*at - 1;
  if (split >= 0) t->pair[*pair].split = split;
done:
  return st;
}

/* ---- values ------------------------------------------------------------- */

static uint32_t *place(const reader *r, int32_t row, int32_t col) {
  size_t i = slot_of((uint64_t)row, (uint64_t)col, r->nslot);
  for (; r->slot[i]; i = (i + 1) & ((size_t)r->nslot - 1)) {
    uint32_t k = r->slot[i] - 1;
    if (r->t->row[k] == row && r->t->col[k] == col) break;
  }
  return &r->slot[i];
}

/* '*p' with room for 'cap' instead of 'old' items, or false and no change. */
static bool moved(void *p, int64_t old, int64_t cap, size_t size) {
  void *from, *q = dyn_alloc((size_t)cap, size);
  if (!q) return false;
  memcpy(&from, p, sizeof from); /* p points at a pointer of some type */
  if (old) memcpy(q, from, (size_t)old * size);
  dyn_free(from, (size_t)old, size);
  memcpy(p, &q, sizeof q);
  return true;
}

/* All arrays over values have the same room, or 'cap' says how far they got. */
static dyn_status grow_arrays(reader *r, dyn_err *e) {
  dyn_long *t = r->t;
  int64_t cap = t->cap ? t->cap * 2 : 4096;
  bool weighted = r->col[WEIGHT] >= 0;
  if (!moved(&t->row, t->row_cap, cap, sizeof *t->row)) return no_memory(e);
  t->row_cap = cap;
  if (!moved(&t->col, t->col_cap, cap, sizeof *t->col)) return no_memory(e);
  t->col_cap = cap;
  if (weighted && !moved(&t->weight, t->weight_cap, cap, sizeof *t->weight))
    return no_memory(e);
  t->weight_cap = weighted ? cap : 0;
  if (!moved(&r->seen, r->nseen, cap, sizeof *r->seen)) return no_memory(e);
  r->nseen = cap;
  if (!moved(&t->value, t->cap, cap, sizeof *t->value)) return no_memory(e);
  t->cap = cap;
  return DYN_OK;
}

static dyn_status grow_values(reader *r, dyn_err *e) {
  dyn_long *t = r->t;
  if (t->n >= INT32_MAX)
    return dyn_scan_fail(&r->rows.scan, e, "more than 2147483647 values");
  dyn_status st = t->n == t->cap ? grow_arrays(r, e) : DYN_OK;
  if (st != DYN_OK || t->n * 2 < r->nslot) return st;
  int64_t nslot = r->nslot ? r->nslot * 2 : 16384;
  uint32_t *slot = dyn_alloc((size_t)nslot, sizeof *slot);
  if (!slot) return no_memory(e);
  dyn_free(r->slot, (size_t)r->nslot, sizeof *slot);
  r->slot = slot;
  r->nslot = nslot;
  for (int64_t k = 0; k < t->n; k++)
    *place(r, t->row[k], t->col[k]) = (uint32_t)k + 1;
  return DYN_OK;
}

/* The same pair and gene again: equal, an error, or the mean. */
static dyn_status again(reader *r, int64_t k, double v, double w, dyn_err *e) {
  dyn_long *t = r->t;
  mark *m = &r->seen[k];
  bool same = t->value[k] == v && (!t->weight || t->weight[k] == w);
  t->repeats++;
  m->count++;
  if (r->o->mean) {
    t->value[k] += (v - t->value[k]) / m->count;
    if (t->weight) t->weight[k] += (w - t->weight[k]) / m->count;
    return DYN_OK;
  }
  if (same) return DYN_OK;
  char a[DYN_SHOWN], b[DYN_SHOWN];
  const char *p =
      dyn_names_get(&t->perturbations, t->pair[t->row[k]].perturbation);
  const char *g = dyn_names_get(&t->genes, t->col[k]);
  return dyn_fail(e, DYN_EFORMAT,
                  "%.150s: lines %lld and %lld: %.60s, %.60s twice with "
                  "different values\nhint: duplicates=\"mean\"",
                  r->rows.scan.file, (long long)m->line,
                  (long long)r->rows.scan.line, dyn_shown(a, p, strlen(p)),
                  dyn_shown(b, g, strlen(g)));
}

static dyn_status weight_of(const reader *r, double *w, dyn_err *e) {
  *w = 1;
  if (r->col[WEIGHT] < 0) return DYN_OK;
  dyn_status st = dyn_rows_number(&r->rows, r->col[WEIGHT], w, e);
  if (st != DYN_OK) return st;
  if (*w != *w) *w = 0; /* missing: it does not count */
  if (*w < 0)
    return dyn_scan_fail(&r->rows.scan, e, "weight %.9g is negative", *w);
  return DYN_OK;
}

static dyn_status line(reader *r, dyn_err *e) {
  dyn_long *t = r->t;
  const dyn_scan *s = &r->rows.scan;
  int32_t row, gene;
  double v, w;
  dyn_status st;
  DYN_TRY(pair_of(r, &row, e));
  DYN_TRY(
      dyn_scan_name(s, &t->genes, &s->f[r->col[GENE]], "gene", &gene, NULL, e));
  DYN_TRY(dyn_rows_number(&r->rows, r->col[VALUE], &v, e));
  DYN_TRY(weight_of(r, &w, e));
  if (v != v) return t->missing++, DYN_OK;
  t->binary = t->binary && (v == 0 || v == 1);
  DYN_TRY(grow_values(r, e));
  uint32_t *at = place(r, row, gene);
  if (*at) return again(r, (int64_t)*at - 1, v, w, e);
  int64_t k = t->n++;
  *at = (uint32_t)k + 1;
  t->row[k] = row;
  t->col[k] = gene;
  t->value[k] = v;
  if (t->weight) t->weight[k] = w;
  r->seen[k] = (mark){s->line, 1};
done:
  return st;
}

dyn_status dyn_long_parse(dyn_long *t, const char *file, const char *text,
                          size_t n, const dyn_long_opts *opts, dyn_err *e) {
  static const dyn_long_opts none = {0};
  reader r = {.t = t, .o = opts ? opts : &none};
  bool more = true;
  dyn_status st;
  *t = (dyn_long){.binary = true};
  DYN_TRY(dyn_rows_open(&r.rows, file, text, n, DYN_HEADER_YES, NULL, e));
  r.rows.scan.poll = r.o->poll;
  DYN_TRY(choose_columns(&r, e));
  for (;;) {
    DYN_TRY(dyn_rows_next(&r.rows, &more, e));
    if (!more) break;
    DYN_TRY(line(&r, e));
  }
  if (t->n == 0) DYN_TRY(dyn_fail(e, DYN_EFORMAT, "%.300s: no values", file));
  for (int64_t k = 0; t->binary && k < t->n; k++)
    t->binary = t->value[k] == 0 || t->value[k] == 1; /* means are not */
done:
  dyn_free(r.slot, (size_t)r.nslot, sizeof *r.slot);
  dyn_free(r.pair_slot, (size_t)r.npair_slot, sizeof *r.pair_slot);
  dyn_free(r.seen, (size_t)r.nseen, sizeof *r.seen);
  dyn_free(r.split_of, (size_t)r.nsplit_of, sizeof *r.split_of);
  dyn_rows_free(&r.rows);
  if (st != DYN_OK) dyn_long_free(t);
  return st;
}
