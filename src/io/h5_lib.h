/* Private to the h5_*.c files that call the library. */
#ifndef DYN_H5_LIB_H
#define DYN_H5_LIB_H

#define H5_USE_110_API
#include <hdf5.h>

#include "io/h5.h"

/* One dataset as it was written, to be compared when it is read back. */
typedef struct dyn_h5_check {
  char path[DYN_H5_PATH];
  int mem;      /* dyn_h5_mem, or -1: strings */
  int64_t rows; /* of the first dimension */
  size_t items;
  uint32_t crc;
} dyn_h5_check;

struct dyn_h5 {
  hid_t file; /* -1: sealed */
  char *path; /* dyn_alloc(strlen + 1) */
  char *temp; /* while it is being written, else NULL */
  size_t limit, block;
  char *progress; /* or NULL: DYN_H5_PATH bytes for the member in hand */
  bool poisoned;  /* a call of the library failed while writing */
  dyn_h5_check *check;
  size_t nchecks, room;
};

/* Close an id of any sort; negative ones are none. */
static inline void dyn_h5_drop(hid_t id) {
  if (id >= 0) H5Idec_ref(id);
}
/* Access list of every file of ours: sec2, no locks, strong close. */
hid_t dyn_h5_access(void);
/* A handle without a file. */
DYN_STATUS dyn_h5_handle(dyn_h5 **f, const char *path, dyn_err *e);
/* "MEMBER: damaged or unreadable (innermost message of the library)". */
DYN_STATUS dyn_h5_broken(const dyn_h5 *f, dyn_err *e, const char *member);
/* The object at 'path', each link on the way checked; *id -1 if absent. */
DYN_STATUS dyn_h5_locate(dyn_h5 *f, const char *path, hid_t *id, dyn_err *e);
/* DYN_EFORMAT if the data of 'd' lie in other files. */
DYN_STATUS dyn_h5_inside(dyn_h5 *f, const char *member, hid_t d, dyn_err *e);
/* DYN_EFORMAT if a filter of 'd' is missing; prepares our own decoders. */
DYN_STATUS dyn_h5_filters(dyn_h5 *f, const char *member, hid_t d, dyn_err *e);
/*
** Read rows lo .. lo+n-1, 'items' numbers, with our own decoders, in parallel,
** if they are many and of the common sort (see h5_plan.h). DYN_EFORMAT: damaged;
** DYN_ETYPE, DYN_ENOMEM: not for us, let the library do it.
*/
DYN_STATUS dyn_h5_unpack(hid_t d, const dyn_h5_info *info, dyn_h5_mem type,
                         int64_t lo, int64_t n, size_t items, void *out);
typedef enum dyn_h5_packing {
  DYN_H5_NOT_PACKED, /* nothing was done: let the library do it */
  DYN_H5_PACKED,
  DYN_H5_PACK_FAILED /* the library could not write */
} dyn_h5_packing;
/* Write all of 'd', whose filters are shuffle, deflate, fletcher32, in parallel;
** 'data' are numbers of 'item' bytes as in the file. */
dyn_h5_packing dyn_h5_pack(hid_t d, int rank, const int64_t *dim,
                           const int64_t *chunk, size_t item, const void *data);
/* Register our decoders, silence the library, load no plugins. */
void dyn_h5_setup(void);

#endif
