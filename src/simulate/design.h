/* design.h -- who is perturbed, in which cells. Private to simulate/. */
#ifndef DYN_DESIGN_H
#define DYN_DESIGN_H

#include "simulate/simulate.h"

/* DYN_EVALUE: an option outside its domain, with its name and value. */
DYN_STATUS dyn_sim_check(const dyn_sim_opts *o, dyn_err *e);
/* level, basal, essential, response, residual. Never fails. */
void dyn_sim_traits(dyn_sim *t, const dyn_sim_opts *o);
/* target, condition and line of every cell. DYN_ENOMEM. */
DYN_STATUS dyn_sim_design(dyn_sim *t, const dyn_sim_opts *o, dyn_err *e);

#endif
