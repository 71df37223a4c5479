#include "io/gmt.h"

#include <string.h>

#include "io/scan.h"
#include "io/table.h"
#include "io/text.h"

void dyn_gmt_free(dyn_gmt *g) {
  dyn_names_free(&g->sets);
  dyn_names_free(&g->genes);
  dyn_free(g->start, (size_t)g->nstart, sizeof *g->start);
  dyn_free(g->member, (size_t)g->cap, sizeof *g->member);
  *g = (dyn_gmt){0};
}

typedef struct reader {
  dyn_scan scan; /* used for its name, place and messages */
  dyn_gmt *g;
  int32_t *last; /* of each gene: 1 + the set it was last seen in */
  int64_t nlast;
} reader;

static dyn_status no_memory(dyn_err *e) {
  return dyn_fail(e, DYN_ENOMEM, "not enough memory for gene sets");
}

static dyn_field trimmed(const char *from, const char *to) {
  while (from < to && *from == ' ') from++;
  while (to > from && (to[-1] == ' ' || to[-1] == '\r')) to--;
  return (dyn_field){from, (size_t)(to - from)};
}

static dyn_status add_gene(reader *r, const dyn_field *f, int32_t set,
                           dyn_err *e) {
  dyn_gmt *g = r->g;
  int32_t id;
  int64_t used = g->start[set + 1];
  dyn_status st = dyn_scan_name(&r->scan, &g->genes, f, "gene", &id, NULL, e);
  if (st != DYN_OK) return st;
  void *p =
      dyn_grown(r->last, &r->nlast, r->nlast, (int64_t)id + 1, sizeof *r->last);
  if (!p) return no_memory(e);
  r->last = p;
  if (r->last[id] == set + 1) return g->repeats++, DYN_OK;
  r->last[id] = set + 1;
  p = dyn_grown(g->member, &g->cap, used, used + 1, sizeof *g->member);
  if (!p) return no_memory(e);
  g->member = p;
  g->member[used] = id;
  g->start[set + 1]++;
  return DYN_OK;
}

static dyn_status add_set(reader *r, const dyn_field *f, int32_t *set,
                          dyn_err *e) {
  dyn_gmt *g = r->g;
  char shown[DYN_SHOWN];
  bool added;
  dyn_status st = dyn_scan_name(&r->scan, &g->sets, f, "set", set, &added, e);
  if (st != DYN_OK) return st;
  if (!added)
    return dyn_scan_fail(&r->scan, e,
                         "set '%s' is there twice (it is number "
                         "%d)",
                         dyn_shown(shown, f->s, f->n), (int)*set + 1);
  void *p = dyn_grown(g->start, &g->nstart, g->nstart, (int64_t)*set + 2,
                      sizeof *g->start);
  if (!p) return no_memory(e);
  g->start = p;
  g->start[*set + 1] = g->start[*set];
  return DYN_OK;
}

/* One line, from 'p' to 'end' without the line end. */
static dyn_status read_set(reader *r, const char *p, const char *end,
                           dyn_err *e) {
  int32_t set = -1;
  int field = 0;
  dyn_status st = DYN_OK;
  for (bool last = false; !last && st == DYN_OK; field++) {
    const char *stop = p < end ? memchr(p, '\t', (size_t)(end - p)) : NULL;
    if (!stop) stop = end;
    dyn_field f = trimmed(p, stop);
    if (field == 0) st = add_set(r, &f, &set, e);
    if (field >= 2 && f.n) st = add_gene(r, &f, set, e);
    last = stop == end;
    p = last ? end : stop + 1;
  }
  if (st != DYN_OK) return st;
  if (field < 3)
    return dyn_scan_fail(&r->scan, e, "fewer than 3 tab-separated fields");
  r->g->empty += r->g->start[set] == r->g->start[set + 1];
  return DYN_OK;
}

static dyn_status cancelled(const reader *r, dyn_err *e) {
  const dyn_scan *s = &r->scan;
  if (!dyn_stop(s->poll, s->at - s->begin, s->end - s->begin)) return DYN_OK;
  return dyn_fail(e, DYN_ECANCEL, "reading %.200s was cancelled", s->file);
}

dyn_status dyn_gmt_parse(dyn_gmt *g, const char *file, const char *text,
                         size_t n, const dyn_poll *poll, dyn_err *e) {
  reader r = {.g = g};
  dyn_scan *s = &r.scan;
  dyn_status st;
  *g = (dyn_gmt){0};
  DYN_TRY(dyn_scan_start(s, file, text, n, e));
  s->poll = poll;
  for (; s->at < s->end; s->reached++) {
    const char *end = memchr(s->at, '\n', (size_t)(s->end - s->at));
    if (!end) end = s->end;
    s->line = s->reached;
    dyn_field all = trimmed(s->at, end);
    if (all.n) DYN_TRY(read_set(&r, s->at, end, e));
    if (all.n) DYN_TRY(cancelled(&r, e));
    s->at = end < s->end ? end + 1 : end;
  }
  if (g->sets.n == 0)
    DYN_TRY(dyn_fail(e, DYN_EFORMAT, "%.300s: no sets", file));
done:
  dyn_free(r.last, (size_t)r.nlast, sizeof *r.last);
  dyn_scan_free(s);
  if (st != DYN_OK) dyn_gmt_free(g);
  return st;
}
