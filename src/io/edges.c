#include "io/edges.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "io/rows.h"
#include "io/table.h"
#include "io/text.h"

#define SOURCE "source_genesymbol|source|tf|from|regulator|protein1|node1"
#define SURELY "source_genesymbol|source|regulator|protein1|node1"
#define TARGET "target_genesymbol|target|gene|to|protein2|node2"
#define WEIGHT "weight|mor|score|combined_score|importance|likelihood"
#define SIGN   "sign|interaction|effect|mode|regulation"
#define STIMUL "consensus_stimulation|is_stimulation"
#define INHIB  "consensus_inhibition|is_inhibition"

enum { /* what was seen of a pair, in dyn_edges.sign while reading */
  UP = 1,
  DOWN = 2,
  UNDECIDED = 255, /* no word that we know */
  WAITING = 16     /* edges between reading and storing */
};

/* An edge that waits for its slot of the hash to come into the cache. */
typedef struct pending {
  int32_t from, to;
  float w;
  int sign;
} pending;

typedef struct reader {
  dyn_rows rows;
  const dyn_edges_opts *o;
  dyn_edges *x;
  int32_t from, to, weight, sign, up, down; /* columns, or -1 */
  bool negative, signs;                     /* weights below 0; signs seen */
  uint32_t *slot; /* open addressing over pairs: edge + 1, 0 is free */
  int64_t nslot;
  pending queue[WAITING];
  int64_t read, stored; /* edges put into the queue and taken out */
  dyn_rows renaming;    /* the second file: ids and what they are called */
  dyn_names ids;
  dyn_field *called; /* ids.n */
  int64_t ncalled;
  char *ends; /* of nodes: 1 a source, 2 a target */
  int64_t nends;
} reader;

void dyn_edges_free(dyn_edges *x) {
  dyn_names_free(&x->names);
  dyn_free(x->from, (size_t)x->cap, sizeof *x->from);
  dyn_free(x->to, (size_t)x->cap, sizeof *x->to);
  dyn_free(x->weight, (size_t)x->cap, sizeof *x->weight);
  dyn_free(x->sign, (size_t)x->cap, sizeof *x->sign);
  *x = (dyn_edges){0};
}

static void reader_free(reader *r) {
  dyn_rows_free(&r->rows);
  dyn_free(r->slot, (size_t)r->nslot, sizeof *r->slot);
  dyn_rows_free(&r->renaming);
  dyn_names_free(&r->ids);
  dyn_free(r->ends, (size_t)r->nends, 1);
  dyn_free(r->called, (size_t)r->ncalled, sizeof *r->called);
}

/* ---- signs -------------------------------------------------------------- */

static bool begins(const dyn_field *f, const char *word) {
  size_t n = strlen(word);
  dyn_field head = {f->s, n};
  return f->n >= n && dyn_is_word(&head, word);
}

/* UP, DOWN, 0 for "unknown", or UNDECIDED. */
static int sign_of(const dyn_field *f) {
  static const char *const up[] = {"activat", "stimulat", "upregulat",
                                   "positive"};
  static const char *const down[] = {"repress", "inhibit", "downregulat",
                                     "negative"};
  double v;
  dyn_numeral kind = dyn_number(f->s, f->n, &v);
  if (kind == DYN_MISSING || dyn_is_word(f, "unknown")) return 0;
  if (kind == DYN_NUMBER) return v > 0 ? UP : v < 0 ? DOWN : 0;
  if (dyn_is_word(f, "+|up")) return UP;
  if (dyn_is_word(f, "-|down")) return DOWN;
  for (int i = 0; i < 4; i++) {
    if (begins(f, up[i])) return UP;
    if (begins(f, down[i])) return DOWN;
  }
  return UNDECIDED;
}

static bool flag(const dyn_field *f) { return dyn_is_word(f, "true|1|yes"); }

/* ---- columns ------------------------------------------------------------ */

static dyn_status cannot_tell(const reader *r, dyn_err *e) {
  char have[200], a[DYN_SHOWN], b[DYN_SHOWN];
  const dyn_field *h = r->rows.head;
  return dyn_fail(e, DYN_EFORMAT,
                  "%.150s: cannot tell source and target (columns: %s)\nhint: "
                  "from=\"%.40s\", to=\"%.40s\"",
                  r->rows.scan.file, dyn_rows_have(&r->rows, have, sizeof have),
                  dyn_shown(a, h[0].s, h[0].n),
                  r->rows.width > 1 ? dyn_shown(b, h[1].s, h[1].n) : "?");
}

/* The user's column, else the one the header names, else -1. */
static dyn_status pick(const reader *r, const char *asked, const char *words,
                       int32_t *col, dyn_err *e) {
  *col = -1;
  if (asked) return dyn_rows_column(&r->rows, asked, col, e);
  *col = dyn_rows_find(&r->rows, words);
  return DYN_OK;
}

static dyn_status by_header(reader *r, dyn_err *e) {
  const dyn_edges_opts *o = r->o;
  dyn_status st;
  DYN_TRY(pick(r, o->from, SOURCE, &r->from, e));
  DYN_TRY(pick(r, o->to, TARGET, &r->to, e));
  DYN_TRY(pick(r, o->weight, WEIGHT, &r->weight, e));
  DYN_TRY(pick(r, o->sign, SIGN, &r->sign, e));
  if (r->from < 0 || r->to < 0) return cannot_tell(r, e);
  if (!o->sign && r->sign < 0) {
    r->up = dyn_rows_find(&r->rows, STIMUL);
    r->down = dyn_rows_find(&r->rows, INHIB);
  }
done:
  return st;
}

/* What the first rows have in a column: numbers, sign words, other text. */
typedef struct content {
  int rows, numbers, signs;
} content;

static dyn_status look(reader *r, content c[3], dyn_err *e) {
  dyn_scan *s = &r->rows.scan;
  const char *at = s->at;
  int64_t line = s->reached;
  bool more = true;
  dyn_status st = DYN_OK;
  for (int i = 0; i < 100; i++) {
    st = dyn_rows_next(&r->rows, &more, e);
    if (st != DYN_OK || !more) break;
    for (int32_t k = 0; k < 3 && k < s->n; k++) {
      double v;
      c[k].rows++;
      c[k].numbers += dyn_number(s->f[k].s, s->f[k].n, &v) == DYN_NUMBER;
      c[k].signs += sign_of(&s->f[k]) != UNDECIDED;
    }
  }
  dyn_scan_back(s, at, line);
  return st;
}

/* Columns 1, 2, [3]; or SIF, whose middle column says how. */
static dyn_status by_position(reader *r, dyn_err *e) {
  content c[3] = {{0}};
  dyn_status st;
  r->from = 0;
  r->to = 1;
  if (r->rows.width >= 3) {
    DYN_TRY(look(r, c, e));
    bool ids = c[0].numbers == c[0].rows && c[1].numbers == 0;
    if (c[2].numbers == c[2].rows && !(r->rows.width == 3 && ids)) {
      r->weight = 2;
    } else if (c[2].signs == c[2].rows && !ids) {
      r->sign = 2;
    } else if (r->rows.width == 3) {
      r->sign = 1;
      r->to = 2;
    }
  }
  const dyn_edges_opts *o = r->o;
  if (o->from) DYN_TRY(dyn_rows_column(&r->rows, o->from, &r->from, e));
  if (o->to) DYN_TRY(dyn_rows_column(&r->rows, o->to, &r->to, e));
  if (o->weight) DYN_TRY(dyn_rows_column(&r->rows, o->weight, &r->weight, e));
  if (o->sign) DYN_TRY(dyn_rows_column(&r->rows, o->sign, &r->sign, e));
done:
  return st;
}

/* "source, target, weight" for people. */
static void describe(reader *r) {
  const int32_t col[] = {r->from, r->to, r->weight, r->sign, r->up, r->down};
  char *buf = r->x->columns, shown[DYN_SHOWN];
  size_t used = 0, room = sizeof r->x->columns;
  for (int i = 0; i < 6; i++) {
    if (col[i] < 0 || used + 60 > room) continue;
    const dyn_field *h = r->rows.head ? &r->rows.head[col[i]] : NULL;
    const char *gap = used ? ", " : "";
    used += h ? (size_t)snprintf(buf + used, room - used, "%s%.50s", gap,
                                 dyn_shown(shown, h->s, h->n))
              : (size_t)snprintf(buf + used, room - used, "%scolumn %d", gap,
                                 (int)col[i] + 1);
  }
}

static dyn_status choose_columns(reader *r, dyn_err *e) {
  dyn_status st;
  r->from = r->to = r->weight = r->sign = r->up = r->down = -1;
  if (r->rows.width < 2)
    return dyn_fail(e, DYN_EFORMAT,
                    "%.300s: one column; an edge has a source and a target",
                    r->rows.scan.file);
  DYN_TRY(r->rows.head ? by_header(r, e) : by_position(r, e));
  if (r->from == r->to)
    return dyn_fail(e, DYN_EVALUE,
                    "%.200s: source and target are the same column",
                    r->rows.scan.file);
  if (r->weight == r->sign) r->weight = -1;
  r->x->directed = r->o->directed >= 0;
  if (r->o->directed == 0 && r->rows.head &&
      dyn_is_word(&r->rows.head[r->from], "protein1|node1"))
    r->x->directed = false;
  describe(r);
done:
  return st;
}

/* ---- names from a second file ------------------------------------------- */

static dyn_status read_renaming(reader *r, const char *text, size_t n,
                                dyn_err *e) {
  dyn_rows *t = &r->renaming;
  const char *file = r->o->names ? r->o->names : "names";
  bool more, added;
  int32_t id;
  dyn_status st = dyn_rows_open(
      t, file, text, n, DYN_HEADER_DETECT,
      "string_protein_id|preferred_name|#string_protein_id|protein_id", e);
  if (st != DYN_OK) return st;
  t->scan.poll = r->o->poll;
  int32_t col = dyn_rows_find(t, "preferred_name|alias|name|symbol");
  if (col < 1) col = 1;
  if (t->width < 2)
    return dyn_fail(e, DYN_EFORMAT, "%.300s: two columns expected: id, name",
                    file);
  for (;;) {
    DYN_TRY(dyn_rows_next(t, &more, e));
    if (!more) break;
    DYN_TRY(
        dyn_scan_name(&t->scan, &r->ids, &t->scan.f[0], "id", &id, &added, e));
    if (!added) continue;
    void *p = dyn_grown(r->called, &r->ncalled, r->ncalled, (int64_t)id + 1,
                        sizeof *r->called);
    if (!p) return dyn_fail(e, DYN_ENOMEM, "not enough memory for names");
    r->called = p;
    r->called[id] = t->scan.f[col];
  }
done:
  return st;
}

/* The id of the name in this column, marked as a source (1) or target (2). */
static dyn_status node(reader *r, int32_t col, char end, int32_t *id,
                       dyn_err *e) {
  const dyn_field *f = &r->rows.scan.f[col];
  dyn_names *names = &r->x->names;
  if (r->ids.n) {
    int32_t k = dyn_names_find(&r->ids, f->s, f->n);
    if (k >= 0 && r->called[k].n) f = &r->called[k];
  }
  dyn_status st = dyn_scan_name(&r->rows.scan, names, f,
                                end == 1 ? "source" : "target", id, NULL, e);
  if (st != DYN_OK) return st;
  void *p = dyn_grown(r->ends, &r->nends, r->nends, names->cap, 1);
  if (!p) return dyn_fail(e, DYN_ENOMEM, "not enough memory for names");
  r->ends = p;
  r->ends[*id] |= end;
  return DYN_OK;
}

static bool is_string_id(const dyn_field *f) {
  size_t i = 0;
  while (i < f->n && f->s[i] >= '0' && f->s[i] <= '9') i++;
  return i && f->n > i + 4 && memcmp(f->s + i, ".ENS", 4) == 0;
}

/* ---- edges -------------------------------------------------------------- */

static size_t home(const reader *r, int32_t from, int32_t to) {
  uint64_t key = (uint64_t)(uint32_t)from << 32 | (uint32_t)to;
  return (size_t)(key * 0x9e3779b97f4a7c15u >> 29) & ((size_t)r->nslot - 1);
}

static size_t place(const reader *r, int32_t from, int32_t to) {
  size_t mask = (size_t)r->nslot - 1, i = home(r, from, to);
  const dyn_edges *x = r->x;
  for (; r->slot[i]; i = (i + 1) & mask) {
    uint32_t k = r->slot[i] - 1;
    if (x->from[k] == from && x->to[k] == to) break;
  }
  return i;
}

/* The four arrays with room for 'cap' edges. */
static dyn_status grow_arrays(dyn_edges *x, int64_t cap, dyn_err *e) {
  dyn_edges y = {.cap = cap}; /* the new arrays, then the old ones */
  y.from = dyn_alloc((size_t)cap, sizeof *y.from);
  y.to = dyn_alloc((size_t)cap, sizeof *y.to);
  y.weight = dyn_alloc((size_t)cap, sizeof *y.weight);
  y.sign = dyn_alloc((size_t)cap, sizeof *y.sign);
  bool good = y.from && y.to && y.weight && y.sign;
  size_t n = (size_t)x->n;
  if (good && n) {
    memcpy(y.from, x->from, n * sizeof *y.from);
    memcpy(y.to, x->to, n * sizeof *y.to);
    memcpy(y.weight, x->weight, n * sizeof *y.weight);
    memcpy(y.sign, x->sign, n * sizeof *y.sign);
  }
  if (good) {
    dyn_edges old = {.from = x->from,
                     .to = x->to,
                     .weight = x->weight,
                     .sign = x->sign,
                     .cap = x->cap};
    x->from = y.from;
    x->to = y.to;
    x->weight = y.weight;
    x->sign = y.sign;
    x->cap = cap;
    y = old;
  }
  dyn_edges_free(&y);
  return good ? DYN_OK : dyn_fail(e, DYN_ENOMEM, "not enough memory for edges");
}

/* Room for one more edge in the arrays and the hash. */
static dyn_status more_room(reader *r, dyn_err *e) {
  dyn_edges *x = r->x;
  if (x->n >= INT32_MAX)
    return dyn_scan_fail(&r->rows.scan, e, "more than 2147483647 edges");
  dyn_status st =
      x->n == x->cap ? grow_arrays(x, x->cap ? x->cap * 2 : 1024, e) : DYN_OK;
  if (st != DYN_OK || x->n * 2 < r->nslot) return st;
  int64_t nslot = r->nslot ? r->nslot * 2 : 4096;
  uint32_t *slot = dyn_alloc((size_t)nslot, sizeof *slot);
  if (!slot) return dyn_fail(e, DYN_ENOMEM, "not enough memory for edges");
  dyn_free(r->slot, (size_t)r->nslot, sizeof *r->slot);
  r->slot = slot;
  r->nslot = nslot;
  for (int64_t k = 0; k < x->n; k++)
    slot[place(r, x->from[k], x->to[k])] = (uint32_t)k + 1;
  return DYN_OK;
}

/* Store the edge that waits longest. */
static dyn_status store(reader *r, dyn_err *e) {
  const pending *p = &r->queue[r->stored % WAITING];
  dyn_edges *x = r->x;
  dyn_status st = more_room(r, e);
  if (st != DYN_OK) return st;
  size_t i = place(r, p->from, p->to);
  int64_t k = (int64_t)r->slot[i] - 1;
  if (k < 0) {
    k = x->n++;
    r->slot[i] = (uint32_t)k + 1;
    x->from[k] = p->from;
    x->to[k] = p->to;
  } else {
    x->repeats++;
  }
  if (p->w > x->weight[k]) x->weight[k] = p->w;
  x->sign[k] |= (int8_t)p->sign;
  r->stored++;
  return DYN_OK;
}

static dyn_status insert(reader *r, int32_t from, int32_t to, float w, int sign,
                         dyn_err *e) {
  dyn_status st = r->read - r->stored == WAITING ? store(r, e) : DYN_OK;
  if (st != DYN_OK) return st;
  bool turn = !r->x->directed && from > to;
  pending p = {turn ? to : from, turn ? from : to, w, sign};
  r->queue[r->read++ % WAITING] = p;
  if (r->nslot) __builtin_prefetch(&r->slot[home(r, p.from, p.to)], 1);
  return DYN_OK;
}

static dyn_status weight_of(const reader *r, double *w, dyn_err *e) {
  char shown[DYN_SHOWN];
  *w = 1;
  if (r->weight < 0) return DYN_OK;
  const dyn_field *f = &r->rows.scan.f[r->weight];
  switch (dyn_number(f->s, f->n, w)) {
  case DYN_MISSING:
    return dyn_scan_fail(&r->rows.scan, e, "weight is missing");
  case DYN_NOT_A_NUMBER:
    return dyn_scan_fail(&r->rows.scan, e, "weight '%s' is not a number",
                         dyn_shown(shown, f->s, f->n));
  default:
    if (!isfinite((float)*w))
      return dyn_scan_fail(&r->rows.scan, e, "weight is not finite");
    return DYN_OK;
  }
}

/* What the columns other than the weight say about the sign. */
static int column_sign(const reader *r) {
  const dyn_field *f = r->rows.scan.f;
  int s = r->sign >= 0 ? sign_of(&f[r->sign]) : 0;
  if (r->up >= 0 && flag(&f[r->up])) s |= UP;
  if (r->down >= 0 && flag(&f[r->down])) s |= DOWN;
  return s == UNDECIDED ? 0 : s;
}

static dyn_status edge(reader *r, dyn_err *e) {
  dyn_edges *x = r->x;
  const dyn_field *f = r->rows.scan.f;
  double w;
  int32_t from, to;
  dyn_status st = weight_of(r, &w, e);
  if (st != DYN_OK) return st;
  if (x->lines++ == 0 && !r->ids.n && is_string_id(&f[r->from]))
    return dyn_fail(e, DYN_EFORMAT,
                    "%.200s: nodes are STRING ids (9606.ENSP...)\nhint: "
                    "names=\"9606.protein.info...txt.gz\"",
                    r->rows.scan.file);
  int sign = column_sign(r);
  r->signs = r->signs || sign;
  r->negative = r->negative || w < 0;
  bool alone = r->sign < 0 && r->up < 0 && r->down < 0;
  if (!sign && (w < 0 || (alone && w > 0))) sign = w < 0 ? DOWN : UP;
  w = fabs(w);
  if (r->o->use_min_score && w < r->o->min_score) return x->below++, DYN_OK;
  dyn_names_expect(&x->names, f[r->to].s, f[r->to].n);
  DYN_TRY(node(r, r->from, 1, &from, e));
  DYN_TRY(node(r, r->to, 2, &to, e));
  if (from == to) x->loops++;
  if (from == to && !r->o->loops) return DYN_OK;
  DYN_TRY(insert(r, from, to, (float)w, sign, e));
done:
  return st;
}

/* ---- the end ------------------------------------------------------------ */

static void settle_signs(reader *r) {
  static const int8_t sign[] = {0, 1, -1, 0};
  dyn_edges *x = r->x;
  x->is_signed = r->signs || r->negative;
  for (int64_t k = 0; k < x->n; k++) {
    int seen = x->is_signed ? x->sign[k] & 3 : 0;
    x->sign[k] = sign[seen];
    if (seen == DOWN) x->weight[k] = -x->weight[k];
    x->conflicts += seen == (UP | DOWN);
    x->unknown_sign += x->is_signed && seen == 0;
  }
}

static void count_ends(reader *r) {
  for (int32_t k = 0; k < r->x->names.n; k++) {
    r->x->sources += r->ends[k] & 1;
    r->x->targets += r->ends[k] >> 1;
  }
}

static dyn_status none_left(const reader *r, dyn_err *e) {
  const dyn_edges *x = r->x;
  if (x->below)
    return dyn_fail(e, DYN_EFORMAT, "%.300s: no edges with score ≥ %.9g",
                    r->rows.scan.file, r->o->min_score);
  return dyn_fail(e, DYN_EFORMAT, "%.300s: no edges (%lld self-loops dropped)",
                  r->rows.scan.file, (long long)x->loops);
}

/*
** The header: a column that the user names, a word that is no gene, or two
** words for source and target (TF alone is transferrin).
*/
static dyn_status open_rows(reader *r, const char *file, const char *text,
                            size_t len, dyn_err *e) {
  double v;
  const char *from = r->o->from;
  bool named = from && dyn_number(from, strlen(from), &v) != DYN_NUMBER;
  dyn_header header = named ? DYN_HEADER_YES : DYN_HEADER_DETECT;
  dyn_status st = dyn_rows_open(&r->rows, file, text, len, header, SURELY, e);
  if (st != DYN_OK || r->rows.head) return st;
  dyn_scan *s = &r->rows.scan;
  const char *at = s->at;
  int64_t line = s->reached;
  bool more, source = false, target = false;
  st = dyn_scan_next(s, &more, e);
  if (st != DYN_OK) return st;
  for (int32_t i = 0; i < s->n; i++) {
    source = source || dyn_is_word(&s->f[i], SOURCE);
    target = target || dyn_is_word(&s->f[i], TARGET);
  }
  dyn_scan_back(s, at, line);
  if (!source || !target) return DYN_OK;
  dyn_rows_free(&r->rows);
  return dyn_rows_open(&r->rows, file, text, len, DYN_HEADER_YES, NULL, e);
}

dyn_status dyn_edges_parse(const char *file, const char *text, size_t len,
                           const char *names, size_t nnames,
                           const dyn_edges_opts *opts, dyn_edges *out,
                           dyn_err *e) {
  static const dyn_edges_opts none = {0};
  reader r = {.o = opts ? opts : &none, .x = out};
  bool more = true;
  dyn_status st;
  *out = (dyn_edges){0};
  DYN_TRY(open_rows(&r, file, text, len, e));
  r.rows.scan.poll = r.o->poll;
  DYN_TRY(choose_columns(&r, e));
  if (names) DYN_TRY(read_renaming(&r, names, nnames, e));
  for (;;) {
    DYN_TRY(dyn_rows_next(&r.rows, &more, e));
    if (!more) break;
    DYN_TRY(edge(&r, e));
  }
  while (r.stored < r.read) DYN_TRY(store(&r, e));
  if (out->n == 0) DYN_TRY(none_left(&r, e));
  settle_signs(&r);
  count_ends(&r);
done:
  reader_free(&r);
  if (st != DYN_OK) dyn_edges_free(out);
  return st;
}

dyn_status dyn_edges_read(const char *path, const dyn_edges_opts *opts,
                          dyn_edges *out, dyn_err *e) {
  dyn_text text = {0}, names = {0};
  size_t limit = opts ? opts->limit : 0;
  dyn_status st;
  DYN_TRY(dyn_text_read(path, limit, &text, e));
  if (opts && opts->names)
    DYN_TRY(dyn_text_read(opts->names, limit, &names, e));
  DYN_TRY(dyn_edges_parse(path, text.data, text.len, names.data, names.len,
                          opts, out, e));
done:
  dyn_text_free(&text);
  dyn_text_free(&names);
  return st;
}
