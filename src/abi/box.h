/* box.h -- how handles are made. Private to abi/. */
#ifndef DYN_BOX_H
#define DYN_BOX_H

#include "abi/abi.h"
#include "core/tensor.h"

struct dynamo_tensor {
  dyn_tensor t; /* dense, not empty */
};

/* Zeroed memory for a handle. */
DYN_STATUS dyn_box(void **r, size_t size, dyn_err *e);
/* What 'st' is the status of becomes a handle, made dense; 't' is empty
** afterwards, '*r' is NULL if it failed. */
DYN_STATUS dyn_box_tensor(dynamo_tensor **r, dyn_status st, dyn_tensor *t,
                          dyn_err *e);
/* The same for n results, all or none. */
DYN_STATUS dyn_box_tensors(dynamo_tensor **const *r, int n, dyn_status st,
                           dyn_tensor *t, dyn_err *e);
/* Which of n names it is; negative, with a message, if none. */
int dyn_box_named(const char *what, const char *name, int n,
                  const char *at(int i), dyn_err *e);

#endif
