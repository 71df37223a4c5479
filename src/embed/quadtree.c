#include "embed/quadtree.h"

#include <math.h>
#include <string.h>

enum {
  LEAF = 8,   /* points of a node that is not divided */
  GROUP = 8,  /* points that walk the tree together */
  LIST = 256, /* sources met before they are worked off */
  TOP = 62    /* place of the first pair of bits of a code */
};

/* Compiled for wider registers too: nothing is contracted, so the bits are the
** same (see core/ops.c). */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__)
#define WIDE __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define WIDE
#endif

typedef double lanes __attribute__((vector_size(GROUP * sizeof(double))));

typedef struct source {
  double x, y, mass;
} source;

typedef struct group {
  lanes x, y, fx, fy, z;
} group;

static int32_t groups(int32_t n) { return (n + GROUP - 1) / GROUP; }

dyn_status dyn_quadtree_new(dyn_quadtree *t, int32_t n, dyn_err *e) {
  size_t m = (size_t)n;
  *t = (dyn_quadtree){.n = n};
  t->x = dyn_alloc(m, sizeof *t->x), t->y = dyn_alloc(m, sizeof *t->y);
  t->at = dyn_alloc(m, sizeof *t->at), t->at2 = dyn_alloc(m, sizeof *t->at2);
  t->code = dyn_alloc(m, sizeof *t->code);
  t->code2 = dyn_alloc(m, sizeof *t->code2);
  t->part = dyn_alloc((size_t)groups(n), sizeof *t->part);
  t->node = dyn_alloc(2 * m, sizeof *t->node);
  if (t->x && t->y && t->at && t->at2 && t->code && t->code2 && t->part &&
      t->node)
    return DYN_OK;
  dyn_quadtree_free(t);
  return dyn_fail(e, DYN_ENOMEM, "tsne: out of memory for %d points", (int)n);
}

void dyn_quadtree_free(dyn_quadtree *t) {
  size_t m = (size_t)t->n;
  dyn_free(t->x, m, sizeof *t->x), dyn_free(t->y, m, sizeof *t->y);
  dyn_free(t->at, m, sizeof *t->at), dyn_free(t->at2, m, sizeof *t->at2);
  dyn_free(t->code, m, sizeof *t->code);
  dyn_free(t->code2, m, sizeof *t->code2);
  dyn_free(t->part, (size_t)groups(t->n), sizeof *t->part);
  dyn_free(t->node, 2 * m, sizeof *t->node);
  *t = (dyn_quadtree){0};
}

/* ---- building -------------------------------------------------------------- */

/* The bits of v apart: one free place after each. */
static uint64_t spread(uint32_t v) {
  uint64_t x = v;
  x = (x | x << 16) & 0x0000ffff0000ffffu;
  x = (x | x << 8) & 0x00ff00ff00ff00ffu;
  x = (x | x << 4) & 0x0f0f0f0f0f0f0f0fu;
  x = (x | x << 2) & 0x3333333333333333u;
  return (x | x << 1) & 0x5555555555555555u;
}

/* Places along the Z-curve of a square around all points. */
static void encode(dyn_quadtree *t, const double *y) {
  double lo[2] = {y[0], y[1]}, hi[2] = {y[0], y[1]};
  for (int32_t i = 0; i < t->n; i++)
    for (int c = 0; c < 2; c++) {
      lo[c] = fmin(lo[c], y[2 * i + c]);
      hi[c] = fmax(hi[c], y[2 * i + c]);
    }
  double side = fmax(hi[0] - lo[0], hi[1] - lo[1]);
  double scale = side > 0 ? 4294967295.0 / side : 0;
  for (int32_t i = 0; i < t->n; i++) {
    uint32_t a = (uint32_t)((y[2 * i] - lo[0]) * scale),
             b = (uint32_t)((y[2 * i + 1] - lo[1]) * scale);
    t->code[i] = spread(a) << 1 | spread(b);
    t->at[i] = i;
  }
}

/* Sort codes and numbers, a byte at a time; an even number of rounds. */
static void sort(dyn_quadtree *t) {
  for (int shift = 0; shift < 64; shift += 8) {
    int32_t count[257] = {0};
    for (int32_t i = 0; i < t->n; i++) count[(t->code[i] >> shift & 255) + 1]++;
    for (int b = 0; b < 256; b++) count[b + 1] += count[b];
    for (int32_t i = 0; i < t->n; i++) {
      int32_t to = count[t->code[i] >> shift & 255]++;
      t->code2[to] = t->code[i], t->at2[to] = t->at[i];
    }
    uint64_t *code = t->code;
    int32_t *at = t->at;
    t->code = t->code2, t->at = t->at2;
    t->code2 = code, t->at2 = at;
  }
}

/* What a node says of its points lo .. hi-1, which may be in child nodes. */
static void summarise(dyn_quadtree *t, dyn_quadnode *v) {
  double x0 = t->x[v->lo], x1 = x0, y0 = t->y[v->lo], y1 = y0, sx = 0, sy = 0;
  for (int32_t i = v->lo; i < v->hi; i++) {
    x0 = fmin(x0, t->x[i]), x1 = fmax(x1, t->x[i]);
    y0 = fmin(y0, t->y[i]), y1 = fmax(y1, t->y[i]);
    sx += t->x[i], sy += t->y[i];
  }
  v->mass = v->hi - v->lo;
  v->x = sx / v->mass, v->y = sy / v->mass;
  v->width = fmax(x1 - x0, y1 - y0);
}

/* The first of lo .. hi-1 whose pair of bits at 'shift' is at least 'digit'. */
static int32_t boundary(const dyn_quadtree *t, int32_t lo, int32_t hi,
                        int shift, uint64_t digit) {
  while (lo < hi) {
    int32_t mid = lo + (hi - lo) / 2;
    if ((t->code[mid] >> shift & 3) < digit)
      lo = mid + 1;
    else
      hi = mid;
  }
  return lo;
}

/* Nodes of the points lo .. hi-1, which agree in the bits above 'shift'. Levels
** with all points in one quarter make no node. Depth 32 at most. */
static void divide(dyn_quadtree *t, int32_t lo, int32_t hi, int shift) {
  while (shift >= 0 && t->code[lo] >> shift == t->code[hi - 1] >> shift)
    shift -= 2;
  dyn_quadnode *v = &t->node[t->nodes++];
  *v = (dyn_quadnode){.lo = lo, .hi = hi};
  summarise(t, v);
  v->leaf = shift < 0 || hi - lo <= LEAF;
  for (uint64_t digit = 0; !v->leaf && digit < 4; digit++) {
    int32_t to = boundary(t, lo, hi, shift, digit + 1);
    if (to > lo) divide(t, lo, to, shift - 2);
    lo = to;
  }
  v->next = t->nodes;
}

void dyn_quadtree_build(dyn_quadtree *t, const double *y) {
  encode(t, y);
  sort(t);
  for (int32_t i = 0; i < t->n; i++) {
    t->x[i] = y[2 * t->at[i]];
    t->y[i] = y[2 * t->at[i] + 1];
  }
  t->nodes = 0;
  divide(t, 0, t->n, TOP);
}

/* ---- pushing --------------------------------------------------------------- */

/* What n sources do to the points of a group. */
WIDE static void work_off(group *g, const source *s, int n) {
  lanes x = g->x, y = g->y, fx = g->fx, fy = g->fy, z = g->z;
  for (int i = 0; i < n; i++) {
    lanes dx = x - s[i].x, dy = y - s[i].y;
    lanes q = 1 / (1 + dx * dx + dy * dy);
    lanes mq = s[i].mass * q;
    z += mq;
    fx += mq * q * dx;
    fy += mq * q * dy;
  }
  g->fx = fx, g->fy = fy, g->z = z;
}

/* Squared distance of a point from the box of a group. */
static double distance2(const double box[4], double x, double y) {
  double dx = fmax(0, fmax(box[0] - x, x - box[1])),
         dy = fmax(0, fmax(box[2] - y, y - box[3]));
  return dx * dx + dy * dy;
}

/* Points lo .. lo+m-1 as a group (the last one again in lanes left over), and
** the box around them. */
static void gather(group *g, double box[4], const dyn_quadtree *t, int32_t lo,
                   int32_t m) {
  *g = (group){0};
  box[0] = box[2] = HUGE_VAL, box[1] = box[3] = -HUGE_VAL;
  for (int k = 0; k < GROUP; k++) {
    int32_t i = lo + (k < m ? k : m - 1);
    g->x[k] = t->x[i], g->y[k] = t->y[i];
    box[0] = fmin(box[0], t->x[i]), box[1] = fmax(box[1], t->x[i]);
    box[2] = fmin(box[2], t->y[i]), box[3] = fmax(box[3], t->y[i]);
  }
}

static void walk(group *g, const double box[4], const dyn_quadtree *t,
                 double theta) {
  source list[LIST + LEAF];
  int n = 0;
  for (int32_t k = 0; k < t->nodes;) {
    const dyn_quadnode *v = &t->node[k];
    bool far = v->width * v->width < theta * theta * distance2(box, v->x, v->y);
    if (far) list[n++] = (source){v->x, v->y, v->mass};
    for (int32_t i = v->lo; !far && v->leaf && i < v->hi; i++) {
      list[n++] = (source){t->x[i], t->y[i], 1};
      if (n >= LIST) work_off(g, list, n), n = 0;
    }
    if (n >= LIST) work_off(g, list, n), n = 0;
    k = far || v->leaf ? v->next : k + 1;
  }
  work_off(g, list, n);
}

double dyn_quadtree_push(dyn_quadtree *t, double *push, double theta) {
  int32_t ngroup = groups(t->n);
#pragma omp parallel for schedule(dynamic, 16)
  for (int32_t k = 0; k < ngroup; k++) {
    int32_t lo = k * GROUP, m = t->n - lo < GROUP ? t->n - lo : GROUP;
    group g;
    double box[4], sum = 0;
    gather(&g, box, t, lo, m);
    walk(&g, box, t, theta);
    for (int32_t i = 0; i < m; i++) {
      push[2 * t->at[lo + i]] = g.fx[i];
      push[2 * t->at[lo + i] + 1] = g.fy[i];
      sum += g.z[i] - 1; /* a point meets itself with q = 1 */
    }
    t->part[k] = sum;
  }
  double total = 0;
  for (int32_t k = 0; k < ngroup; k++) total += t->part[k];
  return total;
}

/* ---- pulling --------------------------------------------------------------- */

WIDE void dyn_plane_pull(double pull[2], const double *y, int32_t i,
                         const int32_t *col, const float *w, int64_t m) {
  lanes fx = {0}, fy = {0};
  for (int64_t k = 0; k < m; k += GROUP) {
    lanes x = {0}, z = {0}, weight = {0};
    for (int c = 0; c < GROUP && k + c < m; c++) {
      x[c] = y[2 * col[k + c]], z[c] = y[2 * col[k + c] + 1];
      weight[c] = (double)w[k + c];
    }
    lanes dx = y[2 * i] - x, dy = y[2 * i + 1] - z;
    lanes f = weight / (1 + dx * dx + dy * dy);
    fx += f * dx, fy += f * dy;
  }
  pull[0] = pull[1] = 0;
  for (int c = 0; c < GROUP; c++) pull[0] += fx[c], pull[1] += fy[c];
}
