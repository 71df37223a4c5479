#include "learn/optim.h"

#include <math.h>

#include "learn/kernel.h"

enum {
  BLOCK = 1 << 15 /* elements of a work item */
};

void dyn_optim_free(dyn_optim *t) {
  dyn_free(t->group, (size_t)t->n, sizeof *t->group);
  dyn_tensor_free(&t->m);
  dyn_tensor_free(&t->v);
  *t = (dyn_optim){0};
}

static dyn_status check(const dyn_optim_options *o, dyn_err *e) {
  if (!(o->lr >= 0) || !isfinite(o->lr))
    return dyn_fail(e, DYN_EVALUE, "learning rate %g is not 0 or more", o->lr);
  if (!(o->beta1 >= 0 && o->beta1 < 1))
    return dyn_fail(e, DYN_EVALUE, "beta1 or momentum %g outside [0, 1)",
                    o->beta1);
  if (!(o->beta2 >= 0 && o->beta2 < 1))
    return dyn_fail(e, DYN_EVALUE, "beta2 %g outside [0, 1)", o->beta2);
  if (!(o->eps > 0))
    return dyn_fail(e, DYN_EVALUE, "eps %g is not > 0", o->eps);
  if (!(o->decay >= 0) || !isfinite(o->decay))
    return dyn_fail(e, DYN_EVALUE, "decay %g is not 0 or more", o->decay);
  if (!(o->clip >= 0))
    return dyn_fail(e, DYN_EVALUE, "clip %g is not 0 or more", o->clip);
  if (!(o->bound >= 0))
    return dyn_fail(e, DYN_EVALUE, "bound %g is not 0 or more", o->bound);
  if (!(o->l2 >= 0) || !isfinite(o->l2))
    return dyn_fail(e, DYN_EVALUE, "l2 %g is not 0 or more", o->l2);
  return DYN_OK;
}

dyn_status dyn_optim_new(dyn_optim *t, dyn_method method, const dyn_params *p,
                         const dyn_optim_options *o, dyn_err *e) {
  dyn_optim r = {.method = method, .o = *o, .n = p->names.n};
  dyn_status st = check(o, e);
  if (st != DYN_OK) return st;
  r.group = dyn_alloc((size_t)r.n, sizeof *r.group);
  if (!r.group) return dyn_fail(e, DYN_ENOMEM, "no memory for an optimiser");
  for (int32_t i = 0; i < r.n; i++) r.group[i] = (dyn_group){1, true};
  DYN_TRY(dyn_tensor_new(&r.m, p->type, 1, &p->count, e));
  if (method == DYN_ADAMW)
    DYN_TRY(dyn_tensor_new(&r.v, p->type, 1, &p->count, e));
  *t = r;
  return DYN_OK;
done:
  dyn_optim_free(&r);
  return st;
}

/* One parameter, in blocks. */
static void update(dyn_optim *t, dyn_params *p, const dyn_param *v,
                   const dyn_adamw_step *s) {
  const dyn_kernels *k = &dyn_kernel[p->type];
  ptrdiff_t es = (ptrdiff_t)dyn_type_size(p->type);
  ptrdiff_t blocks = (v->len + BLOCK - 1) / BLOCK;
#pragma omp parallel for if (blocks > 1)
  for (ptrdiff_t b = 0; b < blocks; b++) {
    ptrdiff_t n = v->len - b * BLOCK < BLOCK ? v->len - b * BLOCK : BLOCK;
    ptrdiff_t at = (v->at + b * BLOCK) * es;
    char *w = (char *)p->value.data + at, *m = (char *)t->m.data + at;
    const char *g = (const char *)p->grad.data + at;
    if (t->method == DYN_ADAMW)
      k->adamw(n, w, g, m, (char *)t->v.data + at, s);
    else
      k->sgd(n, w, g, m, s);
  }
}

dyn_status dyn_optim_step(dyn_optim *t, dyn_params *p, double scale,
                          double *norm, dyn_err *e) {
  if (t->n != p->names.n || t->m.type != p->type || t->m.size[0] != p->count)
    return dyn_fail(e, DYN_EVALUE,
                    "step: not the parameters of this optimiser");
  *norm = dyn_params_norm(p);
  if (!isfinite(*norm))
    return dyn_fail(e, DYN_EVALUE, "step: the gradient is not finite");
  double n = (double)++t->step;
  for (int32_t i = 0; i < t->n; i++) {
    if (p->v[i].frozen) continue;
    dyn_adamw_step s = {.lr = t->o.lr * scale * t->group[i].lr,
                        .beta1 = t->o.beta1,
                        .beta2 = t->o.beta2,
                        .eps = t->o.eps,
                        .decay = t->group[i].decay ? t->o.decay : 0,
                        .correct1 = 1 - pow(t->o.beta1, n),
                        .correct2 = 1 - pow(t->o.beta2, n),
                        .scale = 1,
                        .bound = t->o.bound > 0 ? t->o.bound : HUGE_VAL,
                        .l2 = t->group[i].decay ? t->o.l2 : 0};
    if (t->o.clip > 0 && *norm > t->o.clip) s.scale = t->o.clip / *norm;
    update(t, p, &p->v[i], &s);
  }
  dyn_tensor_touch(&p->value);
  return DYN_OK;
}

double dyn_schedule(dyn_schedule_kind kind, int64_t step, int64_t warmup,
                    int64_t total, double floor) {
  if (step < 1) step = 1;
  if (step <= warmup) return (double)step / (double)warmup;
  if (kind == DYN_SCHEDULE_CONSTANT || total <= warmup) return 1;
  double x = (double)(step - warmup - 1) / (double)(total - warmup);
  if (x > 1) x = 1;
  return floor + (1 - floor) * 0.5 * (1 + cos(3.14159265358979323846 * x));
}
